"""Schedules against the ledger that an earlier wording of the rules did not survive, and what each does without its
mend (rules 3.1, 4.2 to 4.6). Owner 3 is the liar. Item 16 is held by tests/verification/test_aggregate.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dropbeard.agreement import ledger, ledger_state, tables, whole_state
from dropbeard.agreement.tables import Counted, Outcome
from dropbeard.types.entries import EntryKind
from dropbeard.types.ids import Digest, TimeUs, Version
from dropbeard.types.lanes import Attestation, LaneBatch, SignedUpdate
from dropbeard.types.parameters import SECOND
from dropbeard.types.statements import ModelUpdate
from tests.agreement.pieces import GROUP, KEYS, attestation, batch, owner
from tests.agreement.test_ledger import FAR, RULES, Ledger, T, everyone, kinds

APPLY = ledger._Application
Patch = pytest.MonkeyPatch
LIAR = 3


# --- 4. block time by one clock ---------------------------------------------------------------------------------------


def a_liar_writes_the_far_future(said: Ledger) -> list[tuple[EntryKind, tuple[int, ...]]]:
    said.block(everyone(1, (0, 1), deadline=FAR), T)
    return kinds(said.block({0: (), 1: (), 2: (), LIAR: ()}, T)) + kinds(said.block({LIAR: ()}, FAR + 50 * SECOND))


def test_4_no_single_clock_moves_block_time_past_a_deadline() -> None:
    assert a_liar_writes_the_far_future(Ledger()) == []


def test_4_a_mutant_whose_time_is_the_fastest_clocks_lets_a_liar_expire_requests(monkeypatch: Patch) -> None:
    plain = APPLY._block_time

    def fastest(self: Any, parent: Any, ordered: Any) -> TimeUs:
        plain(self, parent, ordered)
        return TimeUs(max(parent.time, *(self.view.lane_time(member) for member in self.group.members)))

    monkeypatch.setattr(APPLY, "_block_time", fastest)
    assert a_liar_writes_the_far_future(Ledger()) == [(EntryKind.EXPIRED, (0, 1))]


# --- 5. open_max locks honest requests out ----------------------------------------------------------------------------


def honest_requests_after_a_flood(said: Ledger) -> int:
    """How many of ten honest requests are agreed although the liar opened ``open_max`` invented ones first."""
    for start in range(0, RULES.open_max, 200):
        invented = [attestation(1_000 + start + k, deadline=FAR, by=LIAR) for k in range(200)]
        said.block({LIAR: invented}, T)
    rows = {member: [attestation(k, deadline=FAR, by=member) for k in range(10)] for member in (0, 1, 2)}
    return len(kinds(said.block(rows, T)))


def test_5_a_liar_that_fills_its_own_lane_keeps_no_honest_request_out() -> None:
    assert honest_requests_after_a_flood(Ledger()) == 10


def test_5_a_mutant_that_bounds_open_records_of_the_group_locks_everyone_out(monkeypatch: Patch) -> None:
    def all_charges(self: Any, member: Any) -> int:
        latest: dict[Any, int] = dict(self.base.charges)
        for delta in self.deltas:
            latest.update(delta.charges)
        return sum(latest.values())

    monkeypatch.setattr("dropbeard.agreement.ledger_state.StateView.charge", all_charges)
    assert honest_requests_after_a_flood(Ledger()) < 10


def test_5_a_record_that_another_lane_attests_is_discharged_for_good() -> None:
    said = Ledger()
    said.block(everyone(1, (0,), deadline=FAR), T)
    assert said.base.charges[owner(0)] == 1
    said.block(everyone(1, (1,), deadline=FAR), T)
    assert said.base.charges[owner(0)] == 0


def test_5_a_mutant_that_never_discharges_fills_an_honest_lane(monkeypatch: Patch) -> None:
    monkeypatch.setattr(APPLY, "_discharge", lambda self, work: None)
    said = Ledger()
    said.block(everyone(1, deadline=FAR), T)
    assert said.base.charges[owner(1)] == 1


# --- 8. expired and agreed --------------------------------------------------------------------------------------------


def an_answer_after_the_deadline(said: Ledger) -> list[tuple[EntryKind, tuple[int, ...]]]:
    """Two of three answers by the deadline; the third comes when the request has expired."""
    said.block(everyone(1, (0, 1), deadline=FAR), T)
    expired = kinds(said.tick(FAR))
    return expired + kinds(said.block(everyone(1, (2,), deadline=FAR), FAR + 1))


def test_8_an_expired_request_gets_nothing_more() -> None:
    assert an_answer_after_the_deadline(Ledger()) == [(EntryKind.EXPIRED, (0, 1))]


def test_8_a_mutant_that_supplements_what_expired_gives_a_client_both_proofs(monkeypatch: Patch) -> None:
    plain = APPLY._expire

    def remembers(self: Any, request: Any, record: Any, answers: Any) -> None:
        plain(self, request, record, answers)
        owners = tuple(answer.owner for answer in answers)
        due = TimeUs(record.deadline + RULES.retention_us)
        self.delta.outcomes[request] = Outcome(record.client, record.deadline, owners, due)

    monkeypatch.setattr(APPLY, "_expire", remembers)
    assert (EntryKind.SUPPLEMENT, (2,)) in an_answer_after_the_deadline(Ledger())


def a_late_answer_to_an_agreed_request(said: Ledger) -> list[tuple[EntryKind, tuple[int, ...]]]:
    said.block(everyone(1, (0, 1, LIAR), deadline=FAR), T)
    return kinds(said.block({**everyone(1, (2,), deadline=FAR), 0: (), 1: ()}, FAR + SECOND))


def test_8_an_answer_past_the_deadline_supplements_what_is_agreed() -> None:
    assert a_late_answer_to_an_agreed_request(Ledger()) == [(EntryKind.SUPPLEMENT, (2,))]


def test_8_a_mutant_that_ignores_every_late_answer_lets_a_withholder_keep_the_certificate(monkeypatch: Patch) -> None:
    plain = APPLY._take

    def strict(self: Any, request: Any, item: Attestation, of: LaneBatch) -> None:
        if item.deadline > self.time:
            plain(self, request, item, of)

    monkeypatch.setattr(APPLY, "_take", strict)
    assert a_late_answer_to_an_agreed_request(Ledger()) == []


def a_jump_over_the_deadline(said: Ledger) -> list[tuple[EntryKind, tuple[int, ...]]]:
    said.block(everyone(1, (0, 1, 2), deadline=FAR, patience_us=20 * SECOND), T)
    return kinds(said.tick(FAR + 9 * SECOND))


def test_8_enough_answers_agree_when_time_jumps_over_near_and_deadline_at_once() -> None:
    assert a_jump_over_the_deadline(Ledger()) == [(EntryKind.AGREED, (0, 1, 2))]


def test_8_a_mutant_that_looks_at_near_before_the_deadline_only_expires_it(monkeypatch: Patch) -> None:
    def no_far_side(self: Any, record: Any, count: int, reached: int) -> bool:
        near = record.deadline - RULES.near_us <= self.time < record.deadline
        return bool(count == self.group.n or near)

    monkeypatch.setattr(APPLY, "_agreed", no_far_side)
    assert a_jump_over_the_deadline(Ledger()) == [(EntryKind.EXPIRED, (0, 1, 2))]


# --- 11. work as large as the state while everyone waits --------------------------------------------------------------


def rows_hashed_before_a_vote(monkeypatch: Patch) -> int:
    """Rows that a voter encodes to judge the block of a snapshot's height, 200 requests being open."""
    counted: list[int] = []
    plain = tables.row_bytes

    def counting(*row: Any) -> bytes:
        counted.append(1)
        return plain(*row)

    monkeypatch.setattr(whole_state, "row_bytes", counting)
    said = Ledger(keep=1)
    for height in range(1, RULES.snapshot_interval):
        said.block({0: [attestation(50 * height + k, deadline=FAR, by=0) for k in range(25)], 1: ()}, T)
    counted.clear()
    said.keep = 2  # the block that is judged stays above the final state
    said.block({0: ()}, T)
    return len(counted)


def test_11_a_voter_hashes_nothing_of_the_state_at_a_snapshots_height(monkeypatch: Patch) -> None:
    assert rows_hashed_before_a_vote(monkeypatch) == 0


def test_11_a_mutant_whose_root_covers_the_state_of_its_own_height_hashes_all_that_changed(monkeypatch: Patch) -> None:
    def sealed(self: Any, height: Any, root: Any) -> Any:
        return whole_state.snapshot_root(root, self.whole_at(height))

    monkeypatch.setattr(ledger_state.StateView, "seal", sealed)
    assert rows_hashed_before_a_vote(monkeypatch) >= 25 * (RULES.snapshot_interval - 1)


def records_touched_by_an_update() -> int:
    """Of 40 open records that the owner attests, how many its model update writes again."""
    said = Ledger()
    said.block({2: [attestation(k, deadline=FAR, by=2) for k in range(40)]}, T)
    for _ in range(RULES.update_gap):
        said.block({2: ()}, T)
    applied = said.order({owner(2): [updated(said.ends[2], (), 1)]})
    assert applied.delta.models[owner(2)].version == 2
    return len(applied.delta.open)


def test_11_an_update_scans_no_records() -> None:
    assert records_touched_by_an_update() == 0


def test_11_a_mutant_that_drops_stale_answers_at_once_writes_every_record(monkeypatch: Patch) -> None:
    plain = APPLY.take_batch

    def scans(self: Any, made: LaneBatch) -> None:
        plain(self, made)
        if made.update is not None:
            for request, record in self.view.all_open().items():
                self.delta.open[request] = replace(record, answers=self._in_force(record.answers))

    monkeypatch.setattr(APPLY, "take_batch", scans)
    assert records_touched_by_an_update() == 40


# --- 15. what liars can pile up ---------------------------------------------------------------------------------------


def test_15_invented_requests_that_are_over_at_once_leave_nothing_behind() -> None:
    said = Ledger()
    for step in range(20):
        soon = T + step * SECOND + 1_000
        said.block({LIAR: [attestation(step, deadline=soon, by=LIAR)], 0: (), 1: ()}, T + step * SECOND)
        assert kinds(said.tick(T + step * SECOND + 2_000)) == []
    assert (said.base.open, said.base.outcomes) == ({}, {})


def test_15_a_mutant_that_writes_an_entry_for_one_lane_writes_in_the_name_of_clients(monkeypatch: Patch) -> None:
    def always(self: Any, request: Any, work: Any, answers: Any) -> None:
        self._end(request, work)
        self._enter(EntryKind.EXPIRED, request, work.client, answers)

    monkeypatch.setattr(APPLY, "_expire", always)
    said = Ledger()
    said.block({LIAR: [attestation(1, deadline=T + 1_000, by=LIAR)], 0: (), 1: ()}, T)
    assert kinds(said.tick(T + 2_000)) == [(EntryKind.EXPIRED, (LIAR,))]


def beyond_the_horizon(said: Ledger) -> int:
    year_3000 = 32_503_680_000 * SECOND
    said.block({LIAR: [attestation(1, deadline=year_3000, by=LIAR)]}, T)
    return len(said.base.open)


def test_15_a_deadline_in_the_year_3000_is_not_remembered() -> None:
    assert beyond_the_horizon(Ledger()) == 0


def test_15_a_mutant_without_a_horizon_remembers_it_for_good(monkeypatch: Patch) -> None:
    plain = APPLY._take

    def endless(self: Any, request: Any, item: Attestation, of: LaneBatch) -> None:
        plain(self, request, item, of)
        if self.view.record(request) is None and item.deadline > self.time:
            self._open(request, item, Counted(of.owner, of.version, item.commitment))

    monkeypatch.setattr(APPLY, "_take", endless)
    assert beyond_the_horizon(Ledger()) == 1


# --- 17. versions -----------------------------------------------------------------------------------------------------


def updated(before: LaneBatch | None, items: tuple[Attestation, ...], version: int) -> LaneBatch:
    """Owner 2's next batch, which ends with an update."""
    plain = batch(2, items, before, T)
    update = ModelUpdate(GROUP.id, GROUP.epoch, owner(2), Version(version + 1), Digest(bytes([version]) * 32))
    signature = KEYS.owner_keys[2].sign(update.encode())
    signed = SignedUpdate(update, signature)  # type: ignore[arg-type]
    return replace(plain, version=Version(version), update=signed)


def a_late_answer_before_an_update(said: Ledger) -> list[tuple[EntryKind, tuple[int, ...]]]:
    """One block orders owner 2's late answer under version 1 and then its update to version 2."""
    said.block({0: [attestation(1, deadline=FAR, by=0)], 1: [attestation(1, deadline=FAR, by=1)], 2: ()}, T)
    said.block({LIAR: [attestation(1, deadline=FAR, by=LIAR)], 2: ()}, T)
    last = updated(said.ends[2], (attestation(1, deadline=FAR, by=2),), 1)
    assert last.lane_height >= RULES.update_gap
    return kinds(said.order({owner(2): [last]}))


def test_17_no_supplement_names_a_version_that_is_not_in_force_at_its_height() -> None:
    said = Ledger()
    assert a_late_answer_before_an_update(said) == []
    assert said.base.models[owner(2)].version == 2


def test_17_a_mutant_that_takes_the_supplement_as_it_came_names_a_stale_version(monkeypatch: Patch) -> None:
    plain = APPLY._supplement

    def hasty(self: Any, request: Any, late: list[Counted]) -> None:
        held = dict(self.force)
        self.force.update({answer.owner: self.before.model(answer.owner) for answer in late})
        plain(self, request, late)
        self.force.update(held)

    monkeypatch.setattr(APPLY, "_supplement", hasty)
    assert a_late_answer_before_an_update(Ledger()) == [(EntryKind.SUPPLEMENT, (2,))]


def test_17_an_update_counts_once_its_gap_is_over_and_from_its_own_lane_alone() -> None:
    said = Ledger()
    said.order({owner(2): [updated(None, (), 1)]})
    assert said.base.models[owner(2)].version == 1
    assert {model.version for model in said.base.models.values()} == {1}
