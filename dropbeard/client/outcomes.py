"""What a client gets of a task that does not classify: the group's value, each owner's own, and how far they agree."""

from __future__ import annotations

from dataclasses import dataclass

from dropbeard.aggregate import Assurance, Outcome, outcome
from dropbeard.types.outputs import Box, Boxes, Numbers
from dropbeard.types.task import PROBABILITY_ONE, Output
from dropbeard.verification.certificate import Verified


@dataclass(frozen=True, slots=True)
class OwnerMeasure:
    """One owner's answer. ``model``: its digest, 64 hex digits; ``agreement`` with the group's value, 0 to 1."""

    owner: str
    model: str
    version: int
    output: Output
    agreement: float


@dataclass(frozen=True, slots=True)
class Measured:
    """``value``: coordinate median of an embedding, of scores or a tensor, boxes fused by a majority of the owners.

    ``margin``: of boxes, votes for the least supported one less those against it; None without boxes and for numbers.
    ``reach``: of numbers, the most that f owners could have moved one, as a real number; None for boxes.
    """

    value: Output
    margin: int | None
    reach: float | None
    assurance: Assurance
    owners: tuple[OwnerMeasure, ...]

    @property
    def numbers(self) -> tuple[float, ...]:
        """The value's numbers, row-major, as floats; none for boxes."""
        return self.value.reals() if isinstance(self.value, Numbers) else ()

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The value's boxes, best score first; none for numbers."""
        return self.value.boxes if isinstance(self.value, Boxes) else ()


def measured(verified: Verified) -> Measured | None:
    """The outcome of a verified certificate with its owners' names; None of an expired one."""
    found = outcome(verified)
    if found.value is None:
        return None
    shares = dict(found.agreements)
    owners = tuple(
        OwnerMeasure(row.name, row.model.hex(), row.version, row.output, shares[row.owner] / PROBABILITY_ONE)
        for row in verified.answers
    )
    return Measured(found.value, found.margin, _real_reach(found), found.assurance, owners)


def _real_reach(found: Outcome) -> float | None:
    if found.reach is None or not isinstance(found.value, Numbers):
        return None
    return found.reach / (1 << found.value.form.fraction_bits)
