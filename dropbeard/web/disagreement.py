"""Who disagrees with whom, counted over verified certificates. Answers are compared by their first class (rule 5.6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from dropbeard.types.ids import OwnerId
from dropbeard.verification.aggregate import plurality
from dropbeard.verification.certificate import Verified


@dataclass(frozen=True, slots=True)
class Compared:
    """Of ``both`` certificates that hold both answers, ``differ`` have two different ones."""

    both: int = 0
    differ: int = 0

    def plus(self, differs: bool) -> Compared:
        """One certificate more."""
        return Compared(self.both + 1, self.differ + differs)

    @property
    def share(self) -> float | None:
        """Of those that differ, 0 to 1; None where nothing could be compared."""
        return self.differ / self.both if self.both else None


@dataclass(frozen=True, slots=True)
class Disagreement:
    """``pairs``: by two owners, the lower id first. ``with_group``: each owner beside what the group agreed on."""

    certificates: int
    pairs: Mapping[tuple[OwnerId, OwnerId], Compared]
    with_group: Mapping[OwnerId, Compared]

    def of(self, a: OwnerId, b: OwnerId) -> Compared:
        """Two different owners, in any order."""
        return self.pairs.get((min(a, b), max(a, b)), Compared())


def disagreement(certificates: Iterable[Verified]) -> Disagreement:
    """Count; certificates of expired requests hold no answers and count for nothing but their number."""
    pairs: dict[tuple[OwnerId, OwnerId], Compared] = {}
    with_group: dict[OwnerId, Compared] = {}
    number = 0
    for verified in certificates:
        number += 1
        first = {answer.owner: answer.classification.choices[0][0] for answer in verified.answers}
        for a, b in combinations(sorted(first), 2):
            pairs[a, b] = pairs.get((a, b), Compared()).plus(first[a] != first[b])
        label = plurality(verified).label
        if label is not None:
            for owner, answer in first.items():
                with_group[owner] = with_group.get(owner, Compared()).plus(answer != label)
    return Disagreement(number, pairs, with_group)
