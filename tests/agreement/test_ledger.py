"""The ledger, sentence by sentence (rules 3.1, 4.2, 4.4, 4.5, 4.6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from dropbeard.agreement.ledger import Applied, apply_block, rotated
from dropbeard.agreement.ledger_state import Base, StateView, genesis_base
from dropbeard.types.blocks import Header
from dropbeard.types.entries import Entry, EntryKind
from dropbeard.types.ids import Height, OwnerId, Version
from dropbeard.types.lanes import Attestation, LaneBatch
from dropbeard.types.parameters import SECOND
from tests.agreement.pieces import GENESIS, GROUP, JUDGE, attestation, batch, owner

RULES = GROUP.parameters
T = 1_000 * SECOND
FAR = T + 20 * SECOND


class Ledger:
    """Blocks applied one after the other; each is final after ``keep`` more."""

    def __init__(self, keep: int = 0) -> None:
        self.base: Base = genesis_base(GROUP)
        self.waiting: list[Applied] = []
        self.header: Header = GENESIS
        self.keep = keep
        self.ends: dict[int, LaneBatch] = {}

    def block(self, said: Mapping[int, Sequence[Attestation]], time: int) -> Applied:
        """Each owner named says its items in one batch at ``time``."""
        ordered = {}
        for number, items in said.items():
            made = batch(number, items, self.ends.get(number), time)
            self.ends[number] = made
            ordered[owner(number)] = [made]
        return self.order(ordered)

    def order(self, ordered: Mapping[OwnerId, list[LaneBatch]]) -> Applied:
        view = StateView(self.base, [applied.delta for applied in self.waiting])
        applied = apply_block(GROUP, view, self.header, ordered, JUDGE.verdict)
        self.waiting.append(applied)
        height = Height(self.header.height + 1)
        self.header = replace(self.header, height=height, time=applied.time, state_root=applied.state_root)
        while len(self.waiting) > self.keep:
            done = self.waiting.pop(0)
            self.base.merge(done.delta, done.time, Height(self.header.height - len(self.waiting)))
        return applied

    def tick(self, time: int) -> Applied:
        """All lanes say nothing but the time."""
        return self.block({0: (), 1: (), 2: (), 3: ()}, time)


def everyone(number: int, owners: Sequence[int] = (0, 1, 2, 3), **how: int) -> dict[int, list[Attestation]]:
    return {i: [attestation(number, by=i, **how)] for i in owners}


def kinds(applied: Applied) -> list[tuple[EntryKind, tuple[int, ...]]]:
    return [(entry.kind, tuple(int(p.owner) for p in entry.promises)) for entry in applied.entries]


def test_all_owners_together_agree_at_once_whatever_the_patience() -> None:
    applied = Ledger().block(everyone(1, deadline=FAR, patience_us=5 * SECOND), T)
    assert kinds(applied) == [(EntryKind.AGREED, (0, 1, 2, 3))]


def test_enough_owners_with_patience_zero_agree_at_once() -> None:
    assert kinds(Ledger().block(everyone(1, (0, 1, 2), deadline=FAR), T)) == [(EntryKind.AGREED, (0, 1, 2))]


def test_too_few_owners_do_not_agree() -> None:
    ledger = Ledger()
    assert kinds(ledger.block(everyone(1, (0, 1), deadline=FAR), T)) == []
    assert kinds(ledger.tick(T + SECOND)) == []


def test_patience_counts_from_when_enough_had_answered() -> None:
    ledger = Ledger()
    assert kinds(ledger.block(everyone(1, (0, 1, 2), deadline=FAR, patience_us=SECOND), T)) == []
    assert kinds(ledger.tick(T + SECOND - 1)) == []
    assert kinds(ledger.tick(T + SECOND)) == [(EntryKind.AGREED, (0, 1, 2))]


def test_a_fourth_answer_within_patience_ends_the_wait() -> None:
    ledger = Ledger()
    ledger.block(everyone(1, (0, 1, 2), deadline=FAR, patience_us=5 * SECOND), T)
    applied = ledger.block(everyone(1, (3,), deadline=FAR, patience_us=5 * SECOND), T + 1)
    assert kinds(applied) == [(EntryKind.AGREED, (0, 1, 2, 3))]


@pytest.mark.parametrize(("before", "agreed"), [(RULES.near_us + 1, False), (RULES.near_us, True)])
def test_near_the_deadline_enough_is_enough(before: int, agreed: bool) -> None:
    ledger = Ledger()
    ledger.block(everyone(1, (0, 1, 2), deadline=FAR, patience_us=20 * SECOND), T)
    assert bool(kinds(ledger.tick(FAR - before))) == agreed


def test_enough_answers_agree_even_when_block_time_jumps_past_the_deadline() -> None:
    ledger = Ledger()
    ledger.block(everyone(1, (0, 1, 2), deadline=FAR, patience_us=20 * SECOND), T)
    assert kinds(ledger.tick(FAR + 5 * SECOND)) == [(EntryKind.AGREED, (0, 1, 2))]


def test_more_than_f_but_not_enough_expire_at_the_deadline_with_an_entry() -> None:
    ledger = Ledger()
    ledger.block(everyone(1, (0, 1), deadline=FAR), T)
    assert kinds(ledger.tick(FAR - 1)) == []
    assert kinds(ledger.tick(FAR)) == [(EntryKind.EXPIRED, (0, 1))]
    assert ledger.base.open == {}


def test_at_most_f_lanes_expire_without_an_entry() -> None:
    ledger = Ledger()
    ledger.block(everyone(1, (0,), deadline=FAR), T)
    assert kinds(ledger.tick(FAR)) == []
    assert ledger.base.open == {}


@pytest.mark.parametrize("late_by", [0, 1])
def test_an_attestation_at_or_after_its_deadline_is_ignored(late_by: int) -> None:
    ledger = Ledger()
    assert kinds(ledger.block(everyone(1, deadline=T - late_by), T)) == []
    assert ledger.base.open == {}


def test_an_attestation_one_microsecond_before_its_deadline_counts() -> None:
    assert kinds(Ledger().block(everyone(1, deadline=T + 1), T)) == [(EntryKind.AGREED, (0, 1, 2, 3))]


def test_a_deadline_beyond_the_horizon_is_ignored() -> None:
    ledger = Ledger()
    assert kinds(ledger.block(everyone(1, deadline=T + RULES.horizon_us + 1), T)) == []
    assert kinds(ledger.block(everyone(2, deadline=T + RULES.horizon_us), T)) == [(EntryKind.AGREED, (0, 1, 2, 3))]


def test_an_owner_counts_once() -> None:
    ledger = Ledger()
    item = attestation(1, deadline=FAR)
    ledger.block({0: [item, item], 1: [attestation(1, deadline=FAR, by=1)]}, T)
    assert kinds(ledger.block({0: [item]}, T + 1)) == []


def test_a_late_answer_to_an_agreed_request_is_a_supplement_once_also_past_the_deadline() -> None:
    ledger = Ledger()
    ledger.block(everyone(1, (0, 1, 2), deadline=FAR), T)
    late = everyone(1, (3,), deadline=FAR)
    assert kinds(ledger.block(late, FAR + SECOND)) == [(EntryKind.SUPPLEMENT, (3,))]
    assert kinds(ledger.block(late, FAR + 2 * SECOND)) == []
    assert kinds(ledger.block(everyone(1, (0,), deadline=FAR), FAR + 2 * SECOND)) == []


def test_an_agreed_request_is_forgotten_after_retention_and_never_agreed_again() -> None:
    ledger = Ledger()
    ledger.block(everyone(1, (0, 1, 2), deadline=FAR), T)
    ledger.tick(FAR + RULES.retention_us - 1)
    assert len(ledger.base.outcomes) == 1
    ledger.tick(FAR + RULES.retention_us)
    assert ledger.base.outcomes == {}
    assert kinds(ledger.block(everyone(1, deadline=FAR), FAR + RULES.retention_us + 1)) == []


def test_a_stale_version_is_ignored() -> None:
    made = [replace(batch(i, everyone(1, (i,), deadline=FAR)[i], time=T), version=Version(2)) for i in range(4)]
    assert kinds(Ledger().order({owner(i): [b] for i, b in enumerate(made)})) == []


def test_block_time_is_the_second_largest_lane_time_and_never_falls() -> None:
    ledger = Ledger()
    made = {owner(i): [batch(i, (), None, time)] for i, time in ((0, T), (1, T + 5), (2, T + 9))}
    assert ledger.order(made).time == T + 5
    assert ledger.order({}).time == T + 5


def test_one_lane_alone_moves_no_block_time() -> None:
    assert Ledger().order({owner(0): [batch(0, (), None, T)]}).time == 0


def test_a_lane_at_open_max_has_further_first_attestations_ignored() -> None:
    ledger = Ledger()
    many = [attestation(i, deadline=FAR) for i in range(RULES.open_max + 5)]
    ledger.block({0: many}, T)
    assert len(ledger.base.open) == RULES.open_max
    assert ledger.base.charges[owner(0)] == RULES.open_max


def test_another_lanes_attestation_discharges_a_record() -> None:
    ledger = Ledger()
    ledger.block({0: [attestation(i, deadline=FAR) for i in range(3)]}, T)
    ledger.block({1: [attestation(0, deadline=FAR, by=1)], 0: []}, T + 1)
    assert ledger.base.charges[owner(0)] == 2
    ledger.tick(FAR)
    assert ledger.base.charges[owner(0)] == 0


def test_entries_are_ordered_by_kind_and_then_by_request() -> None:
    ledger = Ledger()
    ledger.block(everyone(200, (0, 1, 2), deadline=FAR), T)
    ledger.block(everyone(300, (0, 1), deadline=T + 2), T + 1)
    said = {i: [attestation(n, deadline=FAR, by=i) for n in range(9)] for i in range(3)}
    said[3] = [attestation(200, deadline=FAR, by=3)]
    entries = ledger.block(said, T + 2).entries
    order = [(entry.kind, entry.request) for entry in entries]
    assert order == sorted(order)
    assert [kind for kind, _ in order] == [EntryKind.AGREED] * 9 + [EntryKind.EXPIRED, EntryKind.SUPPLEMENT]


def test_an_entry_names_version_and_model_from_the_model_table() -> None:
    entry: Entry = Ledger().block(everyone(1, deadline=FAR), T).entries[0]
    assert [(p.version, p.model) for p in entry.promises] == [(1, o.model) for o in GROUP.owners]


def test_the_order_of_lanes_is_rotated_by_height() -> None:
    assert rotated(GROUP, Height(0)) == (0, 1, 2, 3)
    assert rotated(GROUP, Height(6)) == (2, 3, 0, 1)


@pytest.mark.parametrize("keep", [1, 3])
def test_roots_do_not_depend_on_how_far_a_replica_has_finalized(keep: int) -> None:
    roots = []
    for ledger in (Ledger(), Ledger(keep)):
        found = [ledger.block(everyone(n, (0, 1, 2), deadline=FAR, patience_us=SECOND), T + n) for n in range(4)]
        found += [
            ledger.block(everyone(1, (3,), deadline=FAR), T + SECOND),
            ledger.tick(T + 2 * SECOND),
            ledger.tick(FAR),
        ]
        roots.append([applied.state_root for applied in found])
    assert roots[0] == roots[1]


@pytest.mark.parametrize("keep", [1, 5, 40])
def test_every_so_many_heights_the_root_covers_the_whole_state_whatever_is_final(keep: int) -> None:
    interval = RULES.snapshot_interval
    roots = []
    for ledger in (Ledger(), Ledger(keep)):
        found = [ledger.block(everyone(n, (0, 1, 2), deadline=FAR + n), T + n) for n in range(3 * interval)]
        roots.append([applied.state_root for applied in found])
    assert roots[0] == roots[1]


def test_a_row_that_nobody_touched_since_is_in_the_snapshots_digest() -> None:
    def last_root(secret_row: int) -> bytes:
        ledger = Ledger()
        ledger.block({0: [attestation(secret_row, deadline=FAR)]}, T)
        # The same changes from here on: only the whole state tells the two ledgers apart.
        ledger.header = replace(ledger.header, state_root=GENESIS.state_root)
        for _ in range(2 * RULES.snapshot_interval - 1):
            applied = ledger.order({})
            ledger.header = replace(ledger.header, state_root=GENESIS.state_root)
        return applied.state_root

    assert last_root(1) == last_root(1)
    assert last_root(1) != last_root(2)


def test_buckets_that_emptied_leave_nothing_behind() -> None:
    ledger = Ledger()
    ledger.block(everyone(1, (0,), deadline=FAR), T)
    for step in range(RULES.snapshot_interval):
        ledger.tick(T + step)
    assert len(ledger.base.whole.members) == 1
    ledger.tick(FAR)
    for step in range(RULES.snapshot_interval):
        ledger.tick(FAR + step)
    assert (ledger.base.whole.members, ledger.base.whole.buckets) == ({}, {})


def test_the_state_root_covers_every_change_and_not_the_order_of_tables() -> None:
    def root(number: int, by: int, time: int) -> bytes:
        return Ledger().block({by: [attestation(number, deadline=FAR, by=by)]}, time).state_root

    roots = [root(1, 0, T), root(2, 0, T), root(1, 1, T), root(1, 0, T + 1)]
    assert len(set(roots)) == 4
    assert root(1, 0, T) == roots[0]
    assert Ledger().order({}).state_root != GENESIS.state_root
