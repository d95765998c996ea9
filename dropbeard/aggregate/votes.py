"""Votes weighted by history: who agreed with the group before counts for more, within bounds (rule 5.6).

What holds, with weights between LEAST and MOST = 2 LEAST, F the sum of the f largest weights of all n owners:

- Whatever f owners answer, they add or take away at most F. So margin > F: the class leads among the honest owners by
  weight, whoever lied; margin > 2F: no f owners could have changed it. A certificate with fewer openings counts the
  weights of the missing ones against the first class, so that no two certificates of one request decide differently
  under the same weights.
- f liars with a perfect history weigh at most 2f LEAST, and 2f+1 honest owners with none at least (2f+1) LEAST: honest
  owners that agree decide, when all n have answered, whatever the liars' history.

History is what earlier certificates say, no proof of quality: owners that copy each other agree. Whoever decides by
other weights may decide differently: weights belong into what two parties compare.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from dropbeard.errors import AggregateInvalid
from dropbeard.types.ids import OwnerId, RequestId
from dropbeard.verification.aggregate import Assurance, assurance_of, plurality, ranked_classes
from dropbeard.verification.certificate import Verified

LEAST: Final = 1_000
MOST: Final = 2 * LEAST
"""No more than twice the least, or f liars with a good history could outweigh 2f+1 honest owners."""


@dataclass(frozen=True, slots=True)
class Record:
    """Of ``decided`` certificates with this owner's answer, the group's class was the owner's first in ``agreed``."""

    agreed: int = 0
    decided: int = 0

    @property
    def weight(self) -> int:
        """LEAST to MOST: half way without a history, and nearer to an end the longer it is."""
        return LEAST + LEAST * (self.agreed + 1) // (self.decided + 2)


@dataclass(frozen=True, slots=True)
class WeightedDecision:
    """``label``, ``shown``, ``assurance`` as in Decision. ``margin`` is in units of weight, ``reach`` is F."""

    label: int | None
    shown: int | None
    margin: int
    reach: int
    assurance: Assurance


def history_of(earlier: Iterable[Verified], owners: Iterable[OwnerId]) -> dict[OwnerId, Record]:
    """Each owner's record over earlier certificates, in any order; an undecided request does not count.

    Several certificates of one request count as one with all their openings: what they decide never differs. Raises
    AggregateInvalid unless the task classifies.
    """
    labels: dict[RequestId, int] = {}
    firsts: dict[RequestId, dict[OwnerId, int]] = {}
    for verified in earlier:
        label = plurality(verified).label
        if label is not None:
            labels[verified.request] = label
        opened = firsts.setdefault(verified.request, {})
        opened.update((answer.owner, answer.classification.choices[0][0]) for answer in verified.answers)
    counts = {owner: [0, 0] for owner in sorted(owners)}
    for request, label in labels.items():
        for owner, first in firsts[request].items():
            if owner in counts:
                counts[owner][0] += first == label
                counts[owner][1] += 1
    return {owner: Record(agreed, decided) for owner, (agreed, decided) in counts.items()}


def weighted_vote(verified: Verified, weights: Mapping[OwnerId, int]) -> WeightedDecision:
    """Each opening is a vote of its owner's weight for its first class; the weight that is not opened counts against.

    ``weights`` name all n owners, each LEAST to MOST. Raises AggregateInvalid otherwise, or when the task does not
    classify.
    """
    if len(weights) != verified.n or any(answer.owner not in weights for answer in verified.answers):
        raise AggregateInvalid(f"the weights must name the group's {verified.n} owners")
    if any(not LEAST <= weight <= MOST for weight in weights.values()):
        raise AggregateInvalid(f"a weight must be {LEAST} to {MOST}")
    votes: dict[int, int] = {}
    for answer in verified.answers:
        first = answer.classification.choices[0][0]
        votes[first] = votes.get(first, 0) + weights[answer.owner]
    ranked = ranked_classes(votes, [answer.classification for answer in verified.answers])
    most, next_most = ([votes[class_id] for class_id in ranked] + [0, 0])[:2]
    margin = most - next_most - (sum(weights.values()) - sum(votes.values()))
    reach = sum(sorted(weights.values())[verified.n - verified.f :])
    shown = ranked[0] if ranked else None
    return WeightedDecision(shown if margin > 0 else None, shown, margin, reach, assurance_of(margin, reach))
