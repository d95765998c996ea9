"""The guard: one statement for each slot, whatever asks for a second one."""

from __future__ import annotations

import pytest

from dropbeard.errors import PromiseConflict
from dropbeard.signing.guard import VIEWS_KEPT, Guard
from dropbeard.types.ids import Digest, Epoch, GroupId, LaneHeight, OwnerId, TimeUs, Version, View
from dropbeard.types.statements import Finalize, LanePromise, Notarize, Nullify

GROUP, EPOCH = GroupId(bytes(32)), Epoch(0)
G, H = Digest(b"g" * 32), Digest(b"h" * 32)


def notarize(view: int, header: Digest = G) -> Notarize:
    return Notarize(GROUP, EPOCH, View(view), header)


def finalize(view: int, header: Digest = G) -> Finalize:
    return Finalize(GROUP, EPOCH, View(view), header)


def nullify(view: int) -> Nullify:
    return Nullify(GROUP, EPOCH, View(view))


def lane(height: int, items: Digest = G) -> LanePromise:
    return LanePromise(GROUP, EPOCH, OwnerId(1), Version(1), LaneHeight(height), H, TimeUs(5), items)


@pytest.mark.parametrize(
    ("first", "second", "rule"),
    [
        (notarize(1, G), notarize(1, H), "R1"),
        (finalize(1, G), finalize(1, H), "R1"),
        (nullify(1), finalize(1), "R2"),
        (finalize(1), nullify(1), "R2"),
        (notarize(1, G), finalize(1, H), "R2'"),
        (finalize(1, G), notarize(1, H), "R2'"),
        (lane(1, G), lane(1, H), "lane"),
    ],
)
def test_a_second_statement_for_one_slot_is_refused(first: Notarize, second: Notarize, rule: str) -> None:
    guard = Guard()
    guard.promise(first)
    with pytest.raises(PromiseConflict, match=rule):
        guard.promise(second)
    guard.promise(first)


def test_what_does_not_conflict_is_promised() -> None:
    guard = Guard()
    for statement in (notarize(1), nullify(1), notarize(2), finalize(2), nullify(3), finalize(0), lane(1), lane(2)):
        guard.promise(statement)


def test_a_lane_never_skips_or_goes_back() -> None:
    guard = Guard()
    guard.promise(lane(1))
    for height in (3, 0, 7):
        with pytest.raises(PromiseConflict):
            guard.promise(lane(height))
    guard.promise(lane(2))
    with pytest.raises(PromiseConflict):
        guard.promise(lane(1))


def test_a_view_that_was_forgotten_is_refused_outright() -> None:
    guard = Guard()
    guard.promise(notarize(0))
    guard.promise(notarize(2 * VIEWS_KEPT))
    for statement in (notarize(0), finalize(1), nullify(2)):
        with pytest.raises(PromiseConflict, match="older than the guard remembers"):
            guard.promise(statement)
    guard.promise(finalize(VIEWS_KEPT + 1))


def test_a_guard_that_resumes_refuses_what_the_first_refused_and_goes_on_in_its_lane() -> None:
    guard = Guard()
    for statement in (notarize(4), finalize(5), nullify(6), lane(1)):
        guard.promise(statement)
    again = Guard()
    again.resume(guard.encode(EPOCH, View(4)))
    for statement in (notarize(4, H), finalize(5, H), nullify(5), finalize(6), lane(1, H), lane(3)):
        with pytest.raises(PromiseConflict):
            again.promise(statement)
    for statement in (notarize(4), finalize(5), nullify(6), lane(1), lane(2)):
        again.promise(statement)


def test_views_below_a_checkpoint_are_signed_in_no_more_and_those_of_a_later_epoch_are() -> None:
    guard = Guard()
    guard.promise(notarize(4))
    guard.encode(EPOCH, View(5))
    with pytest.raises(PromiseConflict, match="older than the guard remembers"):
        guard.promise(notarize(4))
    guard.promise(notarize(5))
    later = Notarize(GROUP, Epoch(1), View(0), G)
    guard.promise(later)
    guard.encode(EPOCH, View(5))
    guard.promise(later)
    with pytest.raises(PromiseConflict, match="is over"):
        guard.promise(notarize(6))
