"""Lanes as a replica holds them: chains by digest, two batches a height, gaps that are known (rules 2.7, 2.8)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dropbeard.agreement.effects import Report
from dropbeard.agreement.lane_store import LaneStore, fits_group
from dropbeard.types.blocks import LaneTip
from dropbeard.types.ids import NO_DIGEST, Digest, Epoch, GroupId, LaneHeight, OwnerId
from dropbeard.types.lanes import LaneBatch
from dropbeard.types.limits import FETCH_BATCHES_MAX
from dropbeard.types.succession import empty_cut
from tests.agreement.pieces import GROUP, attestation, batch, came, feed, owner, replica, signed_batch

START = LaneTip(owner(2), LaneHeight(0), NO_DIGEST)
WINDOW = 2 * GROUP.parameters.lane_window


def chain_of(length: int, number: int = 2) -> list[LaneBatch]:
    made = [batch(number)]
    while len(made) < length:
        made.append(batch(number, (), made[-1]))
    return made


def holding(*made: LaneBatch) -> LaneStore:
    store = LaneStore(GROUP)
    for each in made:
        assert store.add(signed_batch(each), LaneHeight(0), named=False)
    return store


def tip(made: LaneBatch) -> LaneTip:
    return LaneTip(made.owner, made.lane_height, made.digest)


def test_batches_come_back_in_their_order_whatever_order_they_came_in() -> None:
    made = chain_of(4)
    store = holding(*reversed(made))
    rows = store.between(START, tip(made[-1]))
    assert isinstance(rows, list)
    assert [row.batch for row in rows] == made
    assert store.tip_from(START) == tip(made[-1])
    assert store.tip_from(START, 2) == tip(made[1])


def test_the_first_missing_batch_below_a_tip_is_named() -> None:
    made = chain_of(4)
    store = holding(made[0], made[3])
    assert store.between(START, tip(made[3])) == tip(made[2])
    assert store.tip_from(START) == tip(made[0])


def test_old_batches_are_held_as_bytes_and_are_as_good_as_before() -> None:
    made = [batch(2, [attestation(1)])]
    made.append(batch(2, [attestation(2)], made[0]))
    made.append(batch(2, [attestation(3)], made[1]))
    other = batch(2, [attestation(4)])
    store = holding(*made, other)
    rows = store.between(START, tip(made[-1]))
    store.pack_below((tip(made[1]),))
    assert set(store.lanes[owner(2)].batches) == {made[2].digest}
    assert store.between(START, tip(made[-1])) == rows
    assert [signed.batch for signed in store.find_down(made[1].digest, LaneHeight(0))] == [made[1], made[0]]
    assert [store.get(owner(2), digest) for digest in store.twins(owner(2), LaneHeight(1))] == [
        signed_batch(made[0]),
        signed_batch(other),
    ]
    assert not store.add(signed_batch(made[0]), LaneHeight(0), named=True)
    store.forget_below((tip(made[2]),))
    lane = store.lanes[owner(2)]
    assert (lane.batches, lane.packed, lane.heights, lane.children) == ({}, {}, {}, {})


def test_a_tip_that_lies_about_its_height_extends_nothing() -> None:
    made = chain_of(2)
    store = holding(*made)
    assert store.between(START, replace(tip(made[1]), height=LaneHeight(5))) is None
    assert store.between(tip(made[0]), replace(tip(made[0]), digest=Digest(b"x" * 32))) is None


def test_a_batch_is_kept_once() -> None:
    made = chain_of(1)[0]
    assert not holding(made).add(signed_batch(made), LaneHeight(0), named=True)


@pytest.mark.parametrize(("final", "kept"), [(0, False), (1, True)])
def test_a_batch_past_the_window_is_kept_only_when_something_names_it(final: int, kept: bool) -> None:
    far = replace(batch(2), lane_height=LaneHeight(WINDOW + 1), parent=Digest(b"p" * 32))
    assert LaneStore(GROUP).add(signed_batch(far), LaneHeight(final), named=False) == kept
    assert LaneStore(GROUP).add(signed_batch(far), LaneHeight(final), named=True)


def test_a_third_batch_of_one_height_is_kept_only_when_something_names_it() -> None:
    twins = [batch(2, [attestation(i)]) for i in range(3)]
    store = holding(*twins[:2])
    assert not store.add(signed_batch(twins[2]), LaneHeight(0), named=False)
    assert store.add(signed_batch(twins[2]), LaneHeight(0), named=True)
    assert list(store.twins(owner(2), LaneHeight(1))) == [made.digest for made in twins]


def test_one_answer_to_a_fetch_is_bounded() -> None:
    made = chain_of(FETCH_BATCHES_MAX + 3)
    store = holding(*made)
    rows = [row.batch for row in store.find_down(made[-1].digest, LaneHeight(0))]
    assert rows == made[:2:-1]
    assert [row.batch for row in store.find_down(made[5].digest, LaneHeight(3))] == made[5:2:-1]
    assert list(store.find_down(Digest(b"?" * 32), LaneHeight(0))) == []


def test_what_is_below_a_cut_is_forgotten_with_every_branch_and_the_rest_still_chains() -> None:
    made = chain_of(4)
    twin = batch(2, [attestation(1)])
    store = holding(*made, twin)
    cut = tuple(tip(made[1]) if at.owner == 2 else at for at in empty_cut(GROUP))
    store.forget_below(cut)
    for gone in (made[0], made[1], twin):
        assert store.get(owner(2), gone.digest) is None
    assert store.tip_from(tip(made[1])) == tip(made[3])
    assert sorted(store.lanes[owner(2)].heights) == [3, 4]


@pytest.mark.parametrize(
    "changed",
    [
        {"group": GroupId(bytes(32))},
        {"epoch": Epoch(1)},
        {"owner": OwnerId(4)},
        {"parent": Digest(b"p" * 32)},
        {"lane_height": LaneHeight(2)},
        {"attestations": tuple(attestation(i) for i in range(GROUP.parameters.batch_items_max + 1))},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_batch_with_one_defect_does_not_fit_the_group(changed: dict[str, object]) -> None:
    whole = signed_batch(batch(2))
    assert fits_group(GROUP, whole)
    assert not fits_group(GROUP, replace(whole, batch=replace(whole.batch, **changed)))  # type: ignore[arg-type]


def test_a_batch_that_does_not_fit_is_reported_and_not_kept() -> None:
    state = replica(1)
    wrong = replace(batch(2), parent=Digest(b"p" * 32))
    assert feed(state, [came(wrong)]) == [Report(owner(2), "invalid lane batch")]
    assert state.lanes.get(owner(2), wrong.digest) is None
