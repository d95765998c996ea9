"""What a certificate is aggregated by unless asked otherwise (rule 5.6); ``dropbeard.aggregate`` has the rest.

Plurality never breaks a tie: with a margin of 0 or less the answer is undecided, so no two certificates of one
request decide differently, whichever openings they hold.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dropbeard.types.task import Classification
from dropbeard.verification.certificate import Verified


class Assurance(enum.Enum):
    """What the margin promises when f owners lie."""

    NONE = "none"
    HONEST_PLURALITY = "honest-plurality"
    """margin > f: it leads among the honest owners, whoever lied."""
    ROBUST = "robust"
    """margin > 2f: no f owners could have changed it."""

    def covers(self, required: Assurance) -> bool:
        """Say whether this is at least ``required``."""
        order = list(Assurance)
        return order.index(self) >= order.index(required)


@dataclass(frozen=True, slots=True)
class Decision:
    """``label`` is the agreed class id, None when undecided; ``shown`` leads the display and decides nothing.

    ``shown`` is None only when nothing was opened. ``margin`` is the first's votes minus the second's, minus those
    of the missing openings.
    """

    label: int | None
    shown: int | None
    margin: int
    assurance: Assurance


def plurality(verified: Verified) -> Decision:
    """Each opening is one vote for its first class; missing openings count against the first."""
    tally = verified.tally
    ranked = ranked_classes(tally, [answer.classification for answer in verified.answers])
    first, second = ([tally[class_id] for class_id in ranked] + [0, 0])[:2]
    margin = first - second - (verified.n - len(verified.answers))
    shown = ranked[0] if ranked else None
    return Decision(shown if margin > 0 else None, shown, margin, assurance_of(margin, verified.f))


def ranked_classes(votes: Mapping[int, int], answers: Sequence[Classification]) -> list[int]:
    """Classes by votes, then, for display only, by their median probability over the answers, then by id (rule 5.6)."""
    return sorted(votes, key=lambda class_id: (-votes[class_id], -_twice_median(class_id, answers), class_id))


def assurance_of(margin: int, f: int) -> Assurance:
    """Name a margin; ``f`` is what f owners can take from it by lying, in its own units."""
    if margin > 2 * f:
        return Assurance.ROBUST
    return Assurance.HONEST_PLURALITY if margin > f else Assurance.NONE


def _twice_median(class_id: int, answers: Sequence[Classification]) -> int:
    """The median probability over the openings, doubled so that it stays whole."""
    # rule 5.6: an id that a top-k leaves out counts 0.
    values = sorted(dict(answer.choices).get(class_id, 0) for answer in answers)
    return values[(len(values) - 1) // 2] + values[len(values) // 2]
