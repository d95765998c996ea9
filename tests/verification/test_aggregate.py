"""Plurality keeps what its margins promise, checked by brute force where that is possible (rule 5.6)."""

from __future__ import annotations

from itertools import combinations, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropbeard.types.entries import EntryKind
from dropbeard.types.ids import Height, OwnerId, RequestId, TimeUs, Version
from dropbeard.types.task import Classification
from dropbeard.verification.aggregate import Assurance, Decision, plurality, ranked_classes
from dropbeard.verification.certificate import OwnerAnswer, Verified
from tests.verification.building import filled

SIZES = [(1, 0), (4, 1), (5, 1), (7, 2)]


def answer(owner: int, *choices: tuple[int, int]) -> OwnerAnswer:
    """One owner's opening."""
    return OwnerAnswer(OwnerId(owner), f"owner {owner}", Version(1), filled(owner), Classification(choices))


def verified(n: int, f: int, answers: tuple[OwnerAnswer, ...]) -> Verified:
    """A verified certificate with these openings."""
    return Verified(EntryKind.AGREED, RequestId(filled(1)), Height(1), TimeUs(1), n, f, answers)


def decide(n: int, f: int, votes: tuple[int, ...]) -> Decision:
    """The decision when owner i votes for the class ``votes[i]``."""
    return plurality(verified(n, f, tuple(answer(owner, (vote, 9)) for owner, vote in enumerate(votes))))


@st.composite
def openings(draw: st.DrawFn) -> Verified:
    """Any openings of a group of some size."""
    n, f = draw(st.sampled_from(SIZES))
    ids = st.lists(st.integers(0, 4), min_size=3, max_size=3, unique=True)
    count = draw(st.integers(n - f, n))
    probabilities = st.lists(st.integers(0, 20_000), min_size=3, max_size=3).map(lambda v: sorted(v, reverse=True))
    rows = [answer(owner, *zip(draw(ids), draw(probabilities), strict=True)) for owner in range(count)]
    return verified(n, f, tuple(rows))


@given(openings(), st.randoms(use_true_random=False))
def test_the_order_of_the_openings_does_not_matter(given_openings: Verified, random: object) -> None:
    rows = list(given_openings.answers)
    random.shuffle(rows)  # type: ignore[attr-defined]
    assert plurality(verified(given_openings.n, given_openings.f, tuple(rows))) == plurality(given_openings)


@given(openings())
@settings(max_examples=60)
def test_no_two_sets_of_openings_of_one_entry_decide_differently(given_openings: Verified) -> None:
    n, f, rows = given_openings.n, given_openings.f, given_openings.answers
    subsets = [subset for count in range(len(rows) + 1) for subset in combinations(rows, count)]
    labels = {plurality(verified(n, f, subset)).label for subset in subsets} - {None}
    assert len(labels) <= 1


@pytest.mark.parametrize(
    ("higher", "lower"),
    [((0, 0, 50, 60, 70), (10, 20, 40, 90, 95)), ((0, 40, 60, 61), (10, 20, 79, 90)), ((30,), (29,))],
)
def test_equal_votes_are_shown_by_the_median_of_all_answers_whatever_the_rest_is(
    higher: tuple[int, ...], lower: tuple[int, ...]
) -> None:
    answers = [Classification(((7, high), (2, low))) for high, low in zip(higher, reversed(lower), strict=True)]
    assert ranked_classes({2: 1, 7: 1}, answers) == [7, 2]
    assert ranked_classes({2: 2, 7: 1}, answers) == [2, 7]


@pytest.mark.parametrize(("n", "f"), SIZES)
def test_a_robust_answer_is_one_that_no_f_owners_could_have_changed(n: int, f: int) -> None:
    # Class 3 stands for one that nobody honest votes for.
    robust = 0
    for votes in product(range(3), repeat=n):
        decision = decide(n, f, votes)
        if decision.assurance is not Assurance.ROBUST or (n == 7 and votes != tuple(sorted(votes))):
            continue
        robust += 1
        for liars in combinations(range(n), f):
            for lies in product(range(4), repeat=f):
                changed = list(votes)
                for liar, lie in zip(liars, lies, strict=True):
                    changed[liar] = lie
                assert decide(n, f, tuple(changed)).label == decision.label
    assert robust > 0


@pytest.mark.parametrize(("n", "f"), SIZES)
def test_with_honest_plurality_the_answer_leads_among_the_honest_whoever_lied(n: int, f: int) -> None:
    found = 0
    for votes in product(range(3), repeat=n):
        decision = decide(n, f, votes)
        if decision.margin <= f:
            continue
        found += 1
        for liars in combinations(range(n), f):
            honest = [vote for owner, vote in enumerate(votes) if owner not in liars]
            assert all(
                honest.count(decision.label or 0) > honest.count(other) for other in {0, 1, 2} - {decision.label}
            )
    assert found > 0


@pytest.mark.parametrize(
    ("n", "f", "votes", "expected"),
    [
        (4, 1, (3, 3, 3, 3), Decision(3, 3, 4, Assurance.ROBUST)),
        (4, 1, (3, 3, 3), Decision(3, 3, 2, Assurance.HONEST_PLURALITY)),
        (4, 1, (3, 3, 3, 4), Decision(3, 3, 2, Assurance.HONEST_PLURALITY)),
        (4, 1, (3, 3, 4, 5), Decision(3, 3, 1, Assurance.NONE)),
        (4, 1, (3, 3, 4), Decision(None, 3, 0, Assurance.NONE)),
        (4, 1, (4, 4, 3, 3), Decision(None, 3, 0, Assurance.NONE)),
        (4, 1, (5, 4, 3), Decision(None, 3, -1, Assurance.NONE)),
        (7, 2, (1,) * 5, Decision(1, 1, 3, Assurance.HONEST_PLURALITY)),
        (7, 2, (1,) * 6, Decision(1, 1, 5, Assurance.ROBUST)),
        (1, 0, (2,), Decision(2, 2, 1, Assurance.ROBUST)),
        (4, 1, (), Decision(None, None, -4, Assurance.NONE)),
    ],
)
def test_missing_openings_count_against_the_first(n: int, f: int, votes: tuple[int, ...], expected: Decision) -> None:
    assert decide(n, f, votes) == expected


def test_a_tie_is_shown_by_the_higher_median_where_an_id_left_out_counts_0() -> None:
    rows = (
        answer(0, (1, 60_000), (3, 10)),
        answer(1, (1, 60_000), (3, 10)),
        answer(2, (2, 20_000), (1, 200)),
        answer(3, (2, 20_000), (3, 200)),
    )
    # Medians: class 1 of (60000, 60000, 200, 0) is 30100; class 2 of (0, 0, 20000, 20000) is 10000.
    assert [plurality(verified(4, 1, order)).shown for order in permutations(rows)] == [1] * 24
    weaker = tuple(answer(owner, (1, 15_000), (3, 10)) for owner in range(2))
    swapped = (*weaker, answer(2, (2, 30_000), (1, 0)), answer(3, (2, 65_000), (1, 0)))
    # Medians: 7500 and 15000.
    assert plurality(verified(4, 1, swapped)) == Decision(None, 2, 0, Assurance.NONE)


def test_assurance_covers_itself_and_what_is_below() -> None:
    order = list(Assurance)
    assert [[high.covers(low) for low in order] for high in order] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
