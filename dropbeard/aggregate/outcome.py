"""What a certificate says whatever its task: the usual aggregate of each kind, and how far each owner agrees."""

from __future__ import annotations

from dataclasses import dataclass

from dropbeard.aggregate.agreement import agreement
from dropbeard.aggregate.boxes import fuse_boxes, fused_boxes
from dropbeard.aggregate.middles import coordinate_median
from dropbeard.types.ids import OwnerId
from dropbeard.types.outputs import Boxes, Numbers
from dropbeard.types.task import Classification, Output
from dropbeard.verification.aggregate import Assurance, plurality
from dropbeard.verification.certificate import Verified


@dataclass(frozen=True, slots=True)
class Outcome:
    """``value``: the aggregate; None for an undecided classification and for an expired request.

    ``margin``: votes of a classification; of boxes that of the least supported one; None where there is none.
    ``reach``: of numbers, the most that f owners could have moved one, in stored units. ``agreements``: each opened
    owner's agreement with ``value``, 0 to 65535; none without a value.
    """

    value: Output | None
    margin: int | None
    reach: int | None
    assurance: Assurance
    agreements: tuple[tuple[OwnerId, int], ...]


def outcome(verified: Verified) -> Outcome:
    """Plurality of a classification, fusion by majority of boxes, coordinate median of everything else."""
    if not verified.answers:
        return Outcome(None, None, None, Assurance.NONE, ())
    match verified.answers[0].output:
        case Classification():
            return _classes(verified)
        case Boxes():
            fused = fuse_boxes(verified)
            weakest = min(fused, key=lambda one: one.margin, default=None)
            margin, assurance = (None, Assurance.NONE) if weakest is None else (weakest.margin, weakest.assurance)
            return _outcome(verified, fused_boxes(fused), margin, None, assurance)
        case Numbers():
            middle = coordinate_median(verified)
            return _outcome(verified, middle.value, None, middle.reach, middle.assurance)


def _classes(verified: Verified) -> Outcome:
    decision = plurality(verified)
    if decision.label is None:
        return Outcome(None, decision.margin, None, decision.assurance, ())
    first = next(a.classification for a in verified.answers if a.classification.choices[0][0] == decision.label)
    return _outcome(verified, Classification(first.choices[:1]), decision.margin, None, decision.assurance)


def _outcome(verified: Verified, value: Output, margin: int | None, reach: int | None, assurance: Assurance) -> Outcome:
    rows = tuple((answer.owner, agreement(answer.output, value)) for answer in verified.answers)
    return Outcome(value, margin, reach, assurance, rows)
