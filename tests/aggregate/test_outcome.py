"""Every task has a usual aggregate, and owners' agreement with it in whole numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbeard.aggregate import Assurance, agreement, cosine, outcome
from dropbeard.errors import AggregateInvalid
from dropbeard.types.outputs import Box, Boxes, Element, Numbers, OutputForm, OutputKind, boxes_in_order
from dropbeard.types.task import PROBABILITY_ONE, Classification, Output
from dropbeard.verification.certificate import Verified
from tests.aggregate.answering import (
    SCORES,
    VECTOR,
    box_lists,
    lied_to,
    reordered,
    scores,
    vectors,
    verified,
    vote,
    votes,
)

ANY = st.one_of(lied_to(votes), lied_to(scores), lied_to(vectors), lied_to(box_lists()))
Case = tuple[Verified, Verified, list[int]]
CAT = Box(0, 0, 0, 100, 100, 900)


@given(st.one_of(*(st.tuples(kind, kind) for kind in (votes, scores, vectors, box_lists()))))
def test_agreement_is_symmetric_bounded_and_whole_with_oneself(pair: tuple[Output, Output]) -> None:
    one, other = pair
    assert 0 <= agreement(one, other) == agreement(other, one) <= PROBABILITY_ONE
    has_direction = not isinstance(one, Numbers) or one.form is not VECTOR or any(one.values)
    assert agreement(one, one) == (PROBABILITY_ONE if has_direction else 0)


@given(ANY, st.data())
def test_the_order_of_the_openings_does_not_matter(case: Case, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(case[0].answers))))
    here, there = outcome(case[0]), outcome(reordered(case[0], order))
    assert (here.value, here.margin, here.reach, here.assurance) == (
        there.value,
        there.margin,
        there.reach,
        there.assurance,
    )
    assert sorted(here.agreements) == sorted(there.agreements)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((3, 4, 0), (6, 8, 0), 65_535),
        ((1, 0, 0), (0, 1, 0), 0),
        ((1, 0, 0), (1, 1, 0), 46_340),
        ((1, 0, 0), (-1, 1, 0), -46_340),
        ((0, 0, 0), (1, 1, 0), 0),
        ((32_767, -32_768, 1), (-32_768, 32_767, -1), -65_534),
    ],
)
def test_the_cosine_is_exact(one: tuple[int, ...], other: tuple[int, ...], expected: int) -> None:
    assert cosine(Numbers(VECTOR, one), Numbers(VECTOR, other)) == expected
    assert agreement(Numbers(VECTOR, one), Numbers(VECTOR, other)) == max(0, expected)


def test_scores_agree_by_their_largest_difference_over_the_scale() -> None:
    base = Numbers(SCORES, (0, 0, 0))
    found = [agreement(base, Numbers(SCORES, (0, -far, 1))) for far in (1, 50, 99, 100, 3_000)]
    assert found == [64_880, 32_768, 656, 0, 0]


def test_elements_of_a_tensor_agree_up_to_the_scale() -> None:
    form = OutputForm(OutputKind.TENSOR, (4,), Element.U8, scale=1)
    assert agreement(Numbers(form, (1, 2, 3, 4)), Numbers(form, (2, 2, 9, 4))) == PROBABILITY_ONE * 3 // 4


def test_boxes_agree_by_pairs_of_one_class() -> None:
    dog, far = CAT._replace(class_id=1), CAT._replace(x0=50, x1=150)
    assert agreement(Boxes(()), Boxes(())) == PROBABILITY_ONE
    assert agreement(Boxes(()), Boxes((CAT,))) == 0
    assert agreement(Boxes((CAT,)), boxes_in_order([CAT._replace(x1=110), dog])) == PROBABILITY_ONE * 2 // 3
    assert agreement(Boxes((CAT,)), Boxes((dog,))) == agreement(Boxes((CAT,)), Boxes((far,))) == 0
    # One box is paired once.
    assert agreement(Boxes((CAT,)), boxes_in_order([CAT, CAT._replace(x1=101)])) == PROBABILITY_ONE * 2 // 3


def test_answers_of_two_tasks_cannot_be_compared() -> None:
    for other in (vote(1), Boxes(()), Numbers(SCORES, (1, 2, 3))):
        with pytest.raises(AggregateInvalid):
            agreement(Numbers(VECTOR, (1, 2, 3)), other)


def test_each_kind_has_its_outcome() -> None:
    voted = outcome(verified(4, 1, {0: vote(2), 1: vote(2), 2: vote(2), 3: vote(1)}))
    assert (voted.value, voted.margin, voted.assurance) == (vote(2), 2, Assurance.HONEST_PLURALITY)
    assert [units for _, units in voted.agreements] == [65_535, 65_535, 65_535, 0]
    rows = {owner: Numbers(VECTOR, (100, owner, 0)) for owner in range(4)}
    middle = outcome(verified(4, 1, dict(rows)))
    assert (middle.value, middle.margin, middle.reach) == (Numbers(VECTOR, (100, 1, 0)), None, 1)
    assert min(units for _, units in middle.agreements) > 65_500
    seen = outcome(verified(4, 1, {owner: Boxes((CAT,)) for owner in range(4)}))
    assert (seen.value, seen.margin, seen.assurance) == (Boxes((CAT,)), 4, Assurance.ROBUST)


def test_undecided_and_empty_answers_have_no_margin_to_boast_of() -> None:
    tie = outcome(verified(4, 1, {0: vote(2), 1: vote(2), 2: vote(1), 3: vote(1)}))
    assert (tie.value, tie.margin, tie.assurance, tie.agreements) == (None, 0, Assurance.NONE, ())
    nothing = outcome(verified(4, 1, {owner: Boxes(()) for owner in range(4)}))
    assert (nothing.value, nothing.margin, nothing.assurance) == (Boxes(()), None, Assurance.NONE)
    assert outcome(verified(4, 1, {})).value is None


def test_a_classification_is_asked_of_no_other_task() -> None:
    with pytest.raises(AggregateInvalid, match="did not classify"):
        _ = verified(1, 0, {0: Boxes(())}).answers[0].classification
    assert isinstance(verified(1, 0, {0: vote(1)}).answers[0].classification, Classification)
