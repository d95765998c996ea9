"""Boxes are fused where a quorum sees them: liars alone show nothing and hide nothing."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbeard.aggregate import Assurance, FusedBox, fuse_boxes, fused_boxes
from dropbeard.errors import AggregateInvalid
from dropbeard.types.outputs import Box, Boxes, boxes_in_order
from dropbeard.types.task import Output
from dropbeard.verification.certificate import Verified
from tests.aggregate.answering import box_lists, lied_to, outputs_but, reordered, verified, vote

Case = tuple[Verified, Verified, list[int]]
HALF = Fraction(1, 2)
CAT = Box(0, 10_000, 10_000, 20_000, 20_000, 60_000)


def overlap(one: Box, other: Box) -> Fraction:
    """Intersection over union, by its definition."""
    wide = max(0, min(one.x1, other.x1) - max(one.x0, other.x0))
    high = max(0, min(one.y1, other.y1) - max(one.y0, other.y0))
    sizes = sum((box.x1 - box.x0) * (box.y1 - box.y0) for box in (one, other))
    return Fraction(wide * high, sizes - wide * high)


def supports(row: Output, box: Box) -> bool:
    """Whether an owner sees an object of that class there."""
    assert isinstance(row, Boxes)
    return any(own.class_id == box.class_id and overlap(own, box) >= HALF for own in row.boxes)


def moved(box: Box, by: int) -> Box:
    """The box elsewhere."""
    return box._replace(x0=box.x0 + by, x1=box.x1 + by)


@given(lied_to(box_lists()))
def test_what_is_shown_an_honest_owner_saw(case: Case) -> None:
    _, lied, liars = case
    honest = outputs_but(lied, liars)
    for found in fuse_boxes(lied, quorum=lied.f + 1):
        assert any(supports(row, found.centre) for row in honest)


@given(lied_to(box_lists()))
def test_what_a_quorum_of_honest_owners_sees_is_never_lost(case: Case) -> None:
    _, lied, liars = case
    honest, quorum = outputs_but(lied, liars), lied.f + 1
    found = fuse_boxes(lied, quorum)
    for row in honest:
        assert isinstance(row, Boxes)
        for box in row.boxes:
            if sum(supports(other, box) for other in honest) >= quorum:
                assert any(one.centre.class_id == box.class_id and overlap(one.centre, box) >= HALF for one in found)


@given(lied_to(box_lists()))
def test_margins_count_owners_and_promise_what_they_say(case: Case) -> None:
    before, after, liars = case
    for found in fuse_boxes(before, quorum=before.f + 1):
        rows = [answer.output for answer in before.answers]
        assert found.support == sum(supports(row, found.centre) for row in rows)
        assert found.margin == 2 * found.support - before.n
        if found.assurance is Assurance.ROBUST:
            changed = sum(supports(answer.output, found.centre) for answer in after.answers)
            assert changed > after.n - changed
        if found.margin > before.f:
            honest = [supports(row, found.centre) for row in outputs_but(before, liars)]
            assert sum(honest) > before.n - before.f - sum(honest)


@given(lied_to(box_lists()))
def test_with_enough_supporters_coordinates_lie_among_honest_ones(case: Case) -> None:
    _, lied, liars = case
    honest = outputs_but(lied, liars)
    for found in fuse_boxes(lied):
        assert found.box.x0 < found.box.x1
        assert found.box.y0 < found.box.y1
        if found.support < 2 * lied.f + 1:
            continue
        drawn = [
            box
            for row in honest
            if isinstance(row, Boxes)
            for box in row.boxes
            if box.class_id == found.box.class_id and overlap(box, found.centre) >= HALF
        ]
        for value, column in zip(found.box, zip(*drawn, strict=True), strict=True):
            assert min(column) <= value <= max(column)


@given(lied_to(box_lists()), st.data())
def test_the_order_of_the_openings_does_not_matter(case: Case, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(case[0].answers))))
    assert fuse_boxes(reordered(case[0], order)) == fuse_boxes(case[0])


def test_three_of_four_owners_make_one_box_of_theirs() -> None:
    rows: dict[int, Output] = {
        0: Boxes((CAT,)),
        1: Boxes((moved(CAT, 300)._replace(score=50_000),)),
        2: boxes_in_order([moved(CAT, -200), moved(CAT, 30_000)]),
        3: Boxes((CAT._replace(class_id=1),)),
    }
    expected = FusedBox(CAT, CAT, 3, 2, Assurance.HONEST_PLURALITY)
    assert fuse_boxes(verified(4, 1, rows)) == (expected,)
    assert fused_boxes([expected]) == Boxes((CAT,))


def test_two_of_four_show_a_box_only_to_who_asks_for_two() -> None:
    rows: dict[int, Output] = {0: Boxes((CAT,)), 1: Boxes((CAT,)), 2: Boxes(()), 3: Boxes(())}
    assert fuse_boxes(verified(4, 1, rows)) == ()
    (found,) = fuse_boxes(verified(4, 1, rows), quorum=2)
    assert (found.support, found.margin, found.assurance) == (2, 0, Assurance.NONE)


def test_half_is_enough_to_overlap_and_less_is_not() -> None:
    left = Box(0, 0, 0, 300, 100, 9)
    for right, count in ((Box(0, 100, 0, 400, 100, 9), 1), (Box(0, 101, 0, 401, 100, 9), 2)):
        rows: dict[int, Output] = {0: Boxes((left,)), 1: Boxes((right,))}
        assert [one.support for one in fuse_boxes(verified(2, 0, rows), quorum=1)] == [3 - count] * count


def test_the_whole_frame_and_the_smallest_box_are_compared_without_overflow() -> None:
    whole, dot = Box(0, 0, 0, 65_535, 65_535, 9), Box(0, 0, 0, 1, 1, 9)
    rows: dict[int, Output] = {owner: boxes_in_order([whole, dot]) for owner in range(4)}
    assert [one.support for one in fuse_boxes(verified(4, 1, rows), overlap=Fraction(999, 1000))] == [4, 4]


@pytest.mark.parametrize(
    ("quorum", "overlapping"), [(1, HALF), (5, HALF), (2, Fraction(0)), (2, Fraction(3, 2)), (2, Fraction(1, 1001))]
)
def test_a_quorum_of_liars_and_an_overlap_that_is_none_are_refused(quorum: int, overlapping: Fraction) -> None:
    rows: dict[int, Output] = {owner: Boxes((CAT,)) for owner in range(4)}
    with pytest.raises(AggregateInvalid):
        fuse_boxes(verified(4, 1, rows), quorum, overlapping)


def test_classes_are_no_boxes() -> None:
    with pytest.raises(AggregateInvalid, match="no boxes"):
        fuse_boxes(verified(4, 1, {owner: vote(1) for owner in range(4)}))
