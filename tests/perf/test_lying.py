"""The table of liars counts what it says, on answers that a person can follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dropbeard.types.task import PROBABILITY_ONE, Classification
from perf._lying import LIES, TARGET, N, Row, Sample, lied, markdown, scenarios

CLASSES = 10
SURE, UNSURE = 60_000, 30_000


def answer(first: int, second: int, units: int) -> Classification:
    """A top 2."""
    return Classification(((first, units), (second, 5_000)))


def sample() -> Sample:
    """Twenty pictures of the classes 0 to 4: three owners are right, the fourth is once in two."""
    truths = [place % 5 for place in range(20)]
    votes = []
    for place, truth in enumerate(truths):
        fourth = answer(truth, 8, UNSURE) if place % 2 else answer(8, truth, UNSURE)
        votes.append((*(answer(truth, 9, SURE) for _ in range(N - 1)), fourth))
    vectors = [np.zeros((N, CLASSES), np.int64) for _ in truths]
    for rows, row in zip(vectors, votes, strict=True):
        for owner, vote in enumerate(row):
            for class_id, units in vote.choices:
                rows[owner, class_id] = units
    return Sample(votes, vectors, truths)


@pytest.fixture(name="rows", scope="module")
def fixture_rows() -> list[Row]:
    """Every scenario."""
    return list(scenarios(sample()))


def test_every_kind_of_lie_is_told_by_one_and_by_two(rows: list[Row]) -> None:
    assert [(row.liars, row.lie) for row in rows] == [
        (0, ""),
        *((count, name) for count in (1, 2) for name in LIES),
    ]


def test_without_liars_shares_are_those_of_the_answers(rows: list[Row]) -> None:
    calm = rows[0]
    assert calm.right["best single owner"] == calm.right["plurality"] == calm.right["coordinate median"] == 1
    assert calm.right["mean owner"] == (3 * 20 + 10) / (4 * 20)
    assert (calm.undecided, calm.held) == (0, 1)


def test_one_targeted_liar_leaves_the_majority_right_and_two_do_not(rows: list[Row]) -> None:
    one, two = (next(row for row in rows if (row.liars, row.lie) == (count, "targeted")) for count in (1, 2))
    # With one of the three good owners lying, the fourth one's errors leave two against one and one.
    assert one.right["plurality"] == 1
    assert one.right["mean owner"] == (3 * (10 * 3 + 10 * 2) + 20 * 3) / (4 * 20 * 4)
    assert two.right["plurality"] < 0.5


def test_a_lie_is_canonical_whole_hearted_and_wrong() -> None:
    made = sample()
    for name, lie in LIES.items():
        for place, truth in enumerate(made.truths):
            votes, vectors = lied(made, place, [1], lie)
            class_id, units = votes[1].choices[0]
            assert units == PROBABILITY_ONE
            assert vectors[1].tolist() == [PROBABILITY_ONE if one == class_id else 0 for one in range(CLASSES)]
            assert len({one for one, _ in votes[1].choices}) == len(votes[1].choices) == 2
            assert votes[0] == made.votes[place][0]
            assert name == "random" or class_id != truth
    assert lied(made, 0, [0], LIES["targeted"])[0][0].choices[0][0] == TARGET
    assert lied(made, 0, [0], LIES["colluding on the runner-up"])[0][0].choices[0][0] == 8


def test_the_table_says_whether_the_bounds_hold(rows: list[Row]) -> None:
    text = markdown(sample(), rows)
    assert text.count("\n| ") == len(rows)
    assert text.count("holds") == 2
    worse = [replace(rows[0], right=rows[0].right | {"plurality": 0.9}), *rows[1:]]
    assert "FAILS" in markdown(sample(), worse)
