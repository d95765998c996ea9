"""Sets of classes that hold the truth with a stated chance, although f owners may lie (rule 5.6).

Each owner is calibrated on its own, on pictures whose class is known and that are like those to come (exchangeable):
its set is every class whose probability reaches the owner's threshold, and misses the truth with a chance of at most
``miss`` (split conformal prediction; Vovk, Gammerman and Shafer 2005, chapter 4; the score 1 - p is that of Sadinle,
Lei and Wasserman 2019). The group's set is every class that at least ``votes`` of the m opened sets hold, f+1 unless
given:

- f liars add no class that no honest owner's set holds, since votes >= f+1.
- The truth is left out only if at least j = m - f - votes + 1 honest sets miss it. By Markov's inequality, however the
  misses depend on each other and whoever is missing, that happens with a chance of at most (sum of the n-f largest
  ``miss``) / j. ``coverage`` is one minus that; with f = 1, n = 4, all opened and votes = 2 it is 1 - 3/2 miss.

(For m sets without liars and a majority of votes this is the bound 1 - 2 miss of Cherubin 2019.) It is a chance over
pictures drawn anew, and says nothing of a picture that was chosen to mislead the owners.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from dropbeard.errors import AggregateInvalid
from dropbeard.types.ids import OwnerId
from dropbeard.types.task import PROBABILITY_ONE, Classification
from dropbeard.verification.certificate import Verified


@dataclass(frozen=True, slots=True)
class Calibration:
    """``quantile``: largest score 65535 - probability that a class of the owner's set has; ``miss``: 0 to 1."""

    quantile: int
    miss: Fraction


@dataclass(frozen=True, slots=True)
class ConformalSet:
    """``classes``: (class id, sets that hold it), by sets, then class id. None: every class of the task.

    ``coverage``: the truth is among them with at least this chance, 0 when nothing can be said.
    """

    classes: tuple[tuple[int, int], ...] | None
    coverage: Fraction


def score(answer: Classification, truth: int) -> int:
    """How little the answer likes the class ``truth``: 65535 - probability; a class that is not listed has 0."""
    return PROBABILITY_ONE - dict(answer.choices).get(truth, 0)


def calibrate(scores: Sequence[int], miss: Fraction) -> Calibration:
    """The owner's quantile from the scores of known pictures: the ceil((1 - miss)(count + 1))-th least of them.

    With too few pictures for ``miss`` it is 65535: every class. Raises AggregateInvalid unless 0 < miss < 1.
    """
    if not 0 < miss < 1:
        raise AggregateInvalid(f"miss = {miss} must be between 0 and 1")
    place = -int(-(1 - miss) * (len(scores) + 1) // 1)
    return Calibration(PROBABILITY_ONE if place > len(scores) else sorted(scores)[place - 1], miss)


def owner_set(answer: Classification, calibration: Calibration, classes: int) -> tuple[int, ...] | None:
    """Classes whose probability reaches the threshold, by id; None: all, for the listed ones do not bound the set."""
    least = PROBABILITY_ONE - calibration.quantile
    held = tuple(sorted(class_id for class_id, probability in answer.choices if probability >= least))
    # A class that is not listed has at most the probability of the last one that is.
    is_bounded = len(answer.choices) == classes or answer.choices[-1][1] < least
    return held if is_bounded else None


def conformal_set(
    verified: Verified, calibrations: Mapping[OwnerId, Calibration], classes: int, votes: int | None = None
) -> ConformalSet:
    """The group's set; ``calibrations`` name all n owners, ``classes`` is the task's number of them.

    Raises AggregateInvalid when an owner's is missing, ``votes`` is not f+1 to m-f, or the task does not classify.
    """
    n, f, opened = verified.n, verified.f, len(verified.answers)
    least = f + 1 if votes is None else votes
    if len(calibrations) != n or any(answer.owner not in calibrations for answer in verified.answers):
        raise AggregateInvalid(f"the calibrations must name the group's {n} owners")
    if not f + 1 <= least <= opened - f:
        raise AggregateInvalid(f"votes = {least} must be f+1 = {f + 1} to {opened - f}")
    held: dict[int, int] = {}
    unbounded = 0
    for answer in verified.answers:
        found = owner_set(answer.classification, calibrations[answer.owner], classes)
        if found is None:
            unbounded += 1
        for class_id in found or ():
            held[class_id] = held.get(class_id, 0) + 1
    misses = sorted((one.miss for one in calibrations.values()), reverse=True)
    coverage = max(Fraction(0), 1 - sum(misses[: n - f], Fraction(0)) / (opened - f - least + 1))
    if unbounded >= least:
        return ConformalSet(None, coverage)
    rows = ((class_id, count + unbounded) for class_id, count in held.items() if count + unbounded >= least)
    return ConformalSet(tuple(sorted(rows, key=lambda row: (-row[1], row[0]))), coverage)
