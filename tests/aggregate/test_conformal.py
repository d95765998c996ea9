"""Conformal sets: f liars add no class of their own and cannot remove one that honest owners hold."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbeard.aggregate import Calibration, calibrate, conformal_set
from dropbeard.aggregate.conformal import owner_set, score
from dropbeard.errors import AggregateInvalid
from dropbeard.types.ids import OwnerId
from dropbeard.types.task import PROBABILITY_ONE, Classification, Output
from dropbeard.verification.certificate import Verified
from tests.aggregate.answering import CLASSES, full_vectors, lied_to, outputs_but, reordered, verified

Case = tuple[Verified, Verified, list[int]]
TENTH = Fraction(1, 10)


def alike(n: int, quantile: int = 60_000) -> dict[OwnerId, Calibration]:
    """The same calibration for every owner."""
    return {OwnerId(owner): Calibration(quantile, TENTH) for owner in range(n)}


def held_by(row: Output, quantile: int = 60_000) -> tuple[int, ...]:
    """The owner's own set."""
    assert isinstance(row, Classification)
    return owner_set(row, Calibration(quantile, TENTH), CLASSES) or ()


@given(lied_to(full_vectors()))
def test_liars_add_nothing_and_remove_nothing_that_enough_honest_owners_hold(case: Case) -> None:
    _, lied, liars = case
    found = conformal_set(lied, alike(lied.n), CLASSES)
    assert found.classes is not None
    shown = {class_id for class_id, _ in found.classes}
    honest = [held_by(row) for row in outputs_but(lied, liars)]
    for class_id in range(CLASSES):
        holding = sum(class_id in row for row in honest)
        assert class_id in shown or holding <= lied.f
        assert class_id not in shown or holding >= 1


@given(lied_to(full_vectors()), st.data())
def test_the_order_of_the_openings_does_not_matter(case: Case, data: st.DataObject) -> None:
    given_certificate = case[0]
    order = data.draw(st.permutations(range(len(given_certificate.answers))))
    calibrations = alike(given_certificate.n)
    found = conformal_set(reordered(given_certificate, order), calibrations, CLASSES)
    assert found == conformal_set(given_certificate, calibrations, CLASSES)


def test_the_stated_coverage_counts_missing_openings_and_more_votes() -> None:
    row = Classification(tuple((class_id, 9_000 - class_id) for class_id in range(CLASSES)))
    four = verified(4, 1, dict.fromkeys(range(4), row))
    three = verified(4, 1, dict.fromkeys(range(3), row))
    assert conformal_set(four, alike(4), CLASSES).coverage == 1 - Fraction(3, 20)
    assert conformal_set(four, alike(4), CLASSES, votes=3).coverage == 1 - Fraction(3, 10)
    assert conformal_set(three, alike(4), CLASSES).coverage == 1 - Fraction(3, 10)
    mixed = alike(4) | {OwnerId(2): Calibration(60_000, Fraction(1, 2))}
    assert conformal_set(four, mixed, CLASSES).coverage == 1 - Fraction(7, 20)


def test_the_truth_is_held_as_often_as_stated_although_one_of_four_lies() -> None:
    # Owners that see a noisy picture of the truth; the fourth leaves it out whenever it can.
    chance = random.Random(5)

    def answer(truth: int) -> Classification:
        weights = [chance.random() + (1.2 if class_id == truth else 0) for class_id in range(CLASSES)]
        units = [int(PROBABILITY_ONE * weight / sum(weights)) for weight in weights]
        return Classification(tuple(sorted(enumerate(units), key=lambda row: (-row[1], row[0]))))

    truths = [chance.randrange(CLASSES) for _ in range(400)]
    calibrations = {
        OwnerId(owner): calibrate([score(answer(truth), truth) for truth in truths], TENTH) for owner in range(4)
    }
    held = trials = 0
    for _ in range(600):
        truth = chance.randrange(CLASSES)
        lie = Classification((((truth + 1) % CLASSES, PROBABILITY_ONE), (truth, 0)))
        rows = {owner: answer(truth) for owner in range(3)} | {3: lie}
        found = conformal_set(verified(4, 1, rows), calibrations, CLASSES)
        trials += 1
        held += found.classes is None or truth in {class_id for class_id, _ in found.classes}
    assert held / trials >= conformal_set(verified(4, 1, rows), calibrations, CLASSES).coverage


@pytest.mark.parametrize(
    ("miss", "expected"),
    [(Fraction(1, 2), 50), (Fraction(1, 10), 90), (Fraction(9, 10), 10), (Fraction(1, 11), PROBABILITY_ONE)],
)
def test_the_quantile_is_the_score_at_its_place(miss: Fraction, expected: int) -> None:
    scores = [number * 10 for number in range(9, 0, -1)]
    assert calibrate(scores, miss).quantile == expected


def test_a_class_that_is_not_listed_has_the_worst_score() -> None:
    assert score(Classification(((3, 60_000),)), 3) == 5_535
    assert score(Classification(((3, 60_000),)), 4) == PROBABILITY_ONE


def test_listed_choices_that_do_not_bound_the_set_hold_every_class() -> None:
    top_two = Classification(((3, 40_000), (1, 9_000)))
    assert owner_set(top_two, Calibration(50_000, TENTH), CLASSES) == (3,)
    assert owner_set(top_two, Calibration(PROBABILITY_ONE - 9_000, TENTH), CLASSES) is None
    assert owner_set(top_two, Calibration(PROBABILITY_ONE - 9_000, TENTH), 2) == (1, 3)
    rows = verified(4, 1, dict.fromkeys(range(4), top_two))
    assert conformal_set(rows, alike(4, 65_000), CLASSES).classes is None
    assert conformal_set(rows, alike(4, 50_000), CLASSES).classes == ((3, 4),)


def test_what_cannot_be_combined_is_refused() -> None:
    rows = verified(4, 1, {owner: Classification(((3, 40_000), (1, 9_000))) for owner in range(4)})
    with pytest.raises(AggregateInvalid, match="calibrations"):
        conformal_set(rows, alike(3), CLASSES)
    for votes in (1, 4):
        with pytest.raises(AggregateInvalid, match=f"votes = {votes}"):
            conformal_set(rows, alike(4), CLASSES, votes)
    for miss in (Fraction(0), Fraction(1)):
        with pytest.raises(AggregateInvalid, match="miss"):
            calibrate([1], miss)
