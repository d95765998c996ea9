"""Medians and trimmed means stay among the honest numbers, whatever f owners answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbeard.aggregate import Assurance, Middle, coordinate_median, trimmed_mean
from dropbeard.errors import AggregateInvalid
from dropbeard.types.outputs import Element, Numbers, OutputForm, OutputKind
from dropbeard.verification.certificate import Verified
from tests.aggregate.answering import SCORES, lied_to, outputs_but, reordered, scores, verified, vote

MIDDLES = pytest.mark.parametrize("middle", [coordinate_median, trimmed_mean], ids=["median", "trimmed mean"])
Case = tuple[Verified, Verified, list[int]]


def one(*values: int) -> Numbers:
    """Three scores that are the same."""
    return Numbers(SCORES, tuple(values) if len(values) == 3 else values * 3)


@MIDDLES
@given(case=lied_to(scores))
def test_every_number_lies_between_honest_ones(middle: object, case: Case) -> None:
    assert callable(middle)
    _, lied, liars = case
    found: Middle = middle(lied)
    honest = [row.values for row in outputs_but(lied, liars) if isinstance(row, Numbers)]
    for value, column in zip(found.value.values, zip(*honest, strict=True), strict=True):
        assert min(column) <= value <= max(column)


@MIDDLES
@given(case=lied_to(scores))
def test_no_f_owners_move_a_number_out_of_the_stated_bounds(middle: object, case: Case) -> None:
    assert callable(middle)
    before, after, _ = case
    stated: Middle = middle(before)
    for value, low, high in zip(middle(after).value.values, stated.low, stated.high, strict=True):
        assert low <= value <= high


@MIDDLES
@given(case=lied_to(scores), data=st.data())
def test_the_order_of_the_openings_does_not_matter(middle: object, case: Case, data: st.DataObject) -> None:
    assert callable(middle)
    order = data.draw(st.permutations(range(len(case[0].answers))))
    assert middle(reordered(case[0], order)) == middle(case[0])


def test_an_even_median_and_a_mean_are_rounded_down() -> None:
    rows = verified(4, 1, {0: one(-100), 1: one(-4), 2: one(-1), 3: one(90)})
    assert coordinate_median(rows).value == one(-3)
    assert trimmed_mean(rows).value == one(-3)
    assert (coordinate_median(rows).low[0], coordinate_median(rows).high[0]) == (-52, 44)


def test_the_bounds_are_reached_by_a_liar() -> None:
    honest = {0: one(0), 1: one(10), 2: one(20)}
    stated = coordinate_median(verified(4, 1, honest))
    pulled = [coordinate_median(verified(4, 1, honest | {1: one(lie)})).value.values[0] for lie in (-999, 999)]
    assert pulled == [stated.low[0], stated.high[0]] == [0, 20]


def test_scores_that_f_owners_cannot_move_by_the_scale_are_robust() -> None:
    near = verified(4, 1, {0: one(0), 1: one(50), 2: one(99), 3: one(0)})
    apart = verified(4, 1, {0: one(0), 1: one(100), 2: one(200), 3: one(200)})
    assert coordinate_median(near).assurance is Assurance.ROBUST
    assert (coordinate_median(near).value.values[0], coordinate_median(near).reach) == (25, 49)
    assert (coordinate_median(apart).assurance, coordinate_median(apart).reach) == (Assurance.NONE, 100)


def test_a_map_of_categories_is_decided_by_majority() -> None:
    form = OutputForm(OutputKind.TENSOR, (2, 2), Element.U8)
    rows = [Numbers(form, values) for values in ((7, 1, 1, 0), (7, 9, 1, 2), (7, 9, 9, 4), (200, 9, 1, 9))]
    found = coordinate_median(verified(4, 1, dict(enumerate(rows))))
    assert found.value.values[:3] == (7, 9, 1)
    alike = verified(4, 1, dict.fromkeys(range(4), rows[0]))
    assert coordinate_median(alike).assurance is Assurance.ROBUST


@pytest.mark.parametrize("trim", [0, 2])
def test_a_trim_that_lets_a_liar_in_or_leaves_nothing_is_refused(trim: int) -> None:
    with pytest.raises(AggregateInvalid, match=f"trim = {trim}"):
        trimmed_mean(verified(4, 1, {owner: one(1) for owner in range(4)}), trim)


@MIDDLES
def test_too_few_answers_and_classes_are_refused(middle: object) -> None:
    assert callable(middle)
    with pytest.raises(AggregateInvalid, match="needs 3"):
        middle(verified(4, 1, {0: one(1), 1: one(1)}))
    with pytest.raises(AggregateInvalid, match="no numbers"):
        middle(verified(4, 1, {owner: vote(1) for owner in range(4)}))
