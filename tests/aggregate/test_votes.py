"""A good history helps within bounds: f liars never outweigh honest owners that agree."""

from __future__ import annotations

from itertools import combinations, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropbeard.aggregate import Assurance, Record, history_of, plurality, weighted_vote
from dropbeard.aggregate.votes import LEAST, MOST
from dropbeard.errors import AggregateInvalid
from dropbeard.types.ids import OwnerId
from dropbeard.types.task import Output
from dropbeard.verification.certificate import Verified
from tests.aggregate.answering import CLASSES, SIZES, lied_to, outputs_but, reordered, verified, vote, votes

Case = tuple[Verified, Verified, list[int]]


@st.composite
def weights_of(draw: st.DrawFn, n: int) -> dict[OwnerId, int]:
    """Any weights that are allowed."""
    return {OwnerId(owner): draw(st.sampled_from([LEAST, 1_500, MOST - 1, MOST])) for owner in range(n)}


@given(lied_to(votes), st.data())
def test_a_robust_answer_is_one_that_no_f_owners_could_have_changed(case: Case, data: st.DataObject) -> None:
    before, after, _ = case
    weights = data.draw(weights_of(before.n))
    stated = weighted_vote(before, weights)
    if stated.assurance is Assurance.ROBUST:
        assert weighted_vote(after, weights).label == stated.label


@given(lied_to(votes), st.data())
def test_with_honest_plurality_the_class_leads_among_the_honest_by_weight(case: Case, data: st.DataObject) -> None:
    _, lied, liars = case
    weights = data.draw(weights_of(lied.n))
    found = weighted_vote(lied, weights)
    if found.margin <= found.reach:
        return
    tally = dict.fromkeys(range(CLASSES), 0)
    for answer in lied.answers:
        if answer.owner not in liars:
            tally[answer.classification.choices[0][0]] += weights[answer.owner]
    assert found.label is not None
    assert all(tally[found.label] > count for class_id, count in tally.items() if class_id != found.label)


@pytest.mark.parametrize(("n", "f"), [(4, 1), (7, 2), (10, 3)])
def test_liars_with_the_best_history_do_not_outweigh_honest_owners_without_any(n: int, f: int) -> None:
    answers: dict[int, Output] = {owner: vote(2 if owner < f else 1) for owner in range(n)}
    weights = {OwnerId(owner): MOST if owner < f else LEAST for owner in range(n)}
    found = weighted_vote(verified(n, f, answers), weights)
    assert (found.label, found.margin) == (1, (n - f) * LEAST - f * MOST)


def test_every_robust_answer_of_four_owners_withstands_every_lie() -> None:
    robust = 0
    for weights in product((LEAST, MOST), repeat=4):
        given_weights = {OwnerId(owner): weight for owner, weight in enumerate(weights)}
        for row in product(range(2), repeat=4):
            answers: dict[int, Output] = {owner: vote(class_id) for owner, class_id in enumerate(row)}
            decision = weighted_vote(verified(4, 1, answers), given_weights)
            if decision.assurance is not Assurance.ROBUST:
                continue
            robust += 1
            for liar, lie in product(range(4), range(3)):
                changed = weighted_vote(verified(4, 1, answers | {liar: vote(lie)}), given_weights)
                assert changed.label == decision.label
    assert robust > 0


@given(lied_to(votes), st.data())
@settings(max_examples=50)
def test_no_two_sets_of_openings_decide_differently(case: Case, data: st.DataObject) -> None:
    whole = case[0]
    weights = data.draw(weights_of(whole.n))
    rows = range(len(whole.answers))
    subsets = [order for count in range(len(whole.answers) + 1) for order in combinations(rows, count)]
    assert len({weighted_vote(reordered(whole, order), weights).label for order in subsets} - {None}) <= 1


@given(lied_to(votes), st.data())
def test_the_order_of_the_openings_does_not_matter(case: Case, data: st.DataObject) -> None:
    weights = data.draw(weights_of(case[0].n))
    order = data.draw(st.permutations(range(len(case[0].answers))))
    assert weighted_vote(reordered(case[0], order), weights) == weighted_vote(case[0], weights)


@given(lied_to(votes))
def test_without_a_history_it_decides_as_plurality_does(case: Case) -> None:
    weights = {owner: record.weight for owner, record in history_of([], map(OwnerId, range(case[0].n))).items()}
    found, plain = weighted_vote(case[0], weights), plurality(case[0])
    assert (found.label, found.shown, found.assurance) == (plain.label, plain.shown, plain.assurance)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_weight_is_within_its_bounds_and_grows_with_agreement(agreed: int, disagreed: int) -> None:
    decided = agreed + disagreed
    assert LEAST <= Record(agreed, decided).weight <= MOST
    assert Record(agreed + 1, decided + 1).weight >= Record(agreed, decided).weight


def test_a_history_counts_each_decided_request_once_in_any_order() -> None:
    first = verified(4, 1, {0: vote(1), 1: vote(1), 2: vote(1)}, request=1)
    same = verified(4, 1, {0: vote(1), 1: vote(1), 2: vote(1), 3: vote(2)}, request=1)
    undecided = verified(4, 1, {0: vote(1), 1: vote(1), 2: vote(2), 3: vote(2)}, request=2)
    third = verified(4, 1, {0: vote(4), 1: vote(3), 2: vote(3), 3: vote(3)}, request=3)
    owners = [OwnerId(owner) for owner in range(4)]
    expected = {0: Record(1, 2), 1: Record(2, 2), 2: Record(2, 2), 3: Record(1, 2)}
    for order in permutations([first, same, undecided, third, first]):
        assert history_of(order, owners) == expected
    assert [Record(1, 2).weight, Record(2, 2).weight, Record().weight] == [1_500, 1_750, 1_500]


@pytest.mark.parametrize(
    "weights",
    [{0: LEAST, 1: LEAST, 2: LEAST}, {0: LEAST, 1: LEAST, 2: LEAST, 9: LEAST}, dict.fromkeys(range(4), MOST + 1)],
    ids=["too few", "a stranger", "too heavy"],
)
def test_weights_that_break_the_bounds_are_refused(weights: dict[int, int]) -> None:
    answers: dict[int, Output] = {owner: vote(1) for owner in range(4)}
    with pytest.raises(AggregateInvalid, match="weight"):
        weighted_vote(verified(4, 1, answers), {OwnerId(owner): weight for owner, weight in weights.items()})


def test_sizes_cover_groups_with_and_without_liars() -> None:
    assert {f for _, f in SIZES} == {0, 1, 2}
    assert outputs_but(verified(1, 0, {0: vote(1)}), [0]) == []
