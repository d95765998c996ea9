"""Objects seen by a quorum: boxes of several owners become one where enough of them lie on each other (rule 5.6).

An owner *supports* a rectangle when one of its boxes of that class overlaps it by ``overlap`` or more (area of the
intersection over area of the union). Every box given is a candidate; the best supported one becomes a *centre*, then
all candidates of its class that it overlaps that much are dropped, and so on. What holds when f owners lie:

- A centre with more than f supporters overlaps a box of that class that an honest owner gave: f liars alone show
  nothing, as no quorum below f+1 is accepted.
- An honest owner's box that a quorum of honest owners supports is never lost: it is a centre or overlaps one. Liars can
  add support to rectangles but take none from others.
- ``margin`` = supporters - owners that do not support, a missing opening being one of these. margin > f: more honest
  owners see such an object there than do not; margin > 2f: so it would be whatever f owners had answered instead.
- With 2f+1 supporters or more, each coordinate and the score of the fused box lie between those of honest supporters'
  boxes. With fewer, liars may have drawn it anywhere that still overlaps the centre.

That is said of the centre's rectangle and ``overlap``. Owners that draw differently support less; two objects of one
class that overlap each other count as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

from dropbeard.errors import AggregateInvalid
from dropbeard.types.outputs import Box, Boxes, boxes_in_order
from dropbeard.types.task import PROBABILITY_ONE
from dropbeard.verification.aggregate import Assurance, assurance_of
from dropbeard.verification.certificate import Verified

OVERLAP: Final = Fraction(1, 2)
OVERLAP_DENOMINATOR_MAX: Final = 1_000
"""With a larger one, areas times it would not fit into 64 bits."""

ROWS_AT_ONCE: Final = 256
"""Candidates compared with all boxes at a time: bounds the memory."""

Areas = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FusedBox:
    """``box``: in each coordinate and the score the median of the supporters' boxes, rounded down."""

    box: Box
    centre: Box
    support: int
    margin: int
    assurance: Assurance


@dataclass(frozen=True, slots=True)
class _Candidate:
    centre: Box
    drawn: tuple[Box, ...]
    """Of each supporter the box that overlaps most."""
    closeness: int
    """Sum of the supporters' overlaps in 1/65535: of equally supported candidates the one in their middle is taken."""

    @property
    def place(self) -> tuple[int, ...]:
        return (-len(self.drawn), -self.closeness, *self.centre.place)


def fuse_boxes(verified: Verified, quorum: int | None = None, overlap: Fraction = OVERLAP) -> tuple[FusedBox, ...]:
    """The centres with at least ``quorum`` supporters, best supported first.

    ``quorum`` is more than half of the owners unless given (margin > 0), and at least f+1; ``overlap`` is above 0 and
    at most 1. Raises AggregateInvalid otherwise, and unless the task's answers are boxes.
    """
    least = verified.n // 2 + 1 if quorum is None else quorum
    if not verified.f + 1 <= least <= verified.n:
        raise AggregateInvalid(f"a quorum of {least} boxes must be f+1 = {verified.f + 1} to n = {verified.n}")
    if not 0 < overlap <= 1 or overlap.denominator > OVERLAP_DENOMINATOR_MAX:
        raise AggregateInvalid(f"overlap = {overlap} must be above 0, at most 1, in steps of at least 1/1000")
    rows = [answer.output for answer in verified.answers if isinstance(answer.output, Boxes)]
    if len(rows) != len(verified.answers):
        raise AggregateInvalid("the task's answers are no boxes")
    fused: list[FusedBox] = []
    for class_id in sorted({box.class_id for row in rows for box in row.boxes}):
        owned = [[box for box in row.boxes if box.class_id == class_id] for row in rows]
        supported = [found for found in _candidates(owned, overlap) if len(found.drawn) >= least]
        fused += [_fused(found, verified) for found in _centres(supported, overlap)]
    return tuple(sorted(fused, key=lambda one: (-one.support, *one.centre.place)))


def fused_boxes(found: Sequence[FusedBox]) -> Boxes:
    """The fused boxes as an answer of the task would hold them."""
    return boxes_in_order([one.box for one in found])


def near_pairs(ones: Sequence[Box], others: Sequence[Box]) -> list[tuple[int, int, int]]:
    """(overlap in 1/65535, rounded down, place among the ones, place among the others) where it is OVERLAP or more."""
    if not ones or not others:
        return []
    common, union = _areas(_array(ones), _array(others))
    units = common * PROBABILITY_ONE // union
    places = np.argwhere(common * OVERLAP.denominator >= union * OVERLAP.numerator)
    return [(int(units[i, j]), int(i), int(j)) for i, j in places]


def _array(boxes: Sequence[Box]) -> Areas:
    """x0, y0, x1, y1 of each, in 64 bits: areas are below 2**32."""
    return np.array([box[1:5] for box in boxes], np.int64).reshape(-1, 4)


def _areas(ones: Areas, others: Areas) -> tuple[Areas, Areas]:
    """Areas of intersection and union of each with each."""
    a, b = ones[:, None, :], others[None, :, :]
    wide = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    high = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    common: Areas = np.maximum(wide, 0) * np.maximum(high, 0)
    sizes = [(one[..., 2] - one[..., 0]) * (one[..., 3] - one[..., 1]) for one in (a, b)]
    return common, sizes[0] + sizes[1] - common


def _candidates(owned: Sequence[Sequence[Box]], overlap: Fraction) -> list[_Candidate]:
    """Every box of one class, whoever gave it, with those that support it."""
    candidates = sorted({box for boxes in owned for box in boxes}, key=lambda box: box.place)
    found = []
    for first in range(0, len(candidates), ROWS_AT_ONCE):
        part = candidates[first : first + ROWS_AT_ONCE]
        drawn: list[list[Box]] = [[] for _ in part]
        closeness = [0] * len(part)
        for boxes in owned:
            if not boxes:
                continue
            common, union = _areas(_array(part), _array(boxes))
            near = common * overlap.denominator >= union * overlap.numerator
            units = np.where(near, common * PROBABILITY_ONE // union, -1)
            # Boxes stand in canonical order, so that of equal overlaps the first is the same whoever asks.
            best = units.argmax(axis=1)
            for row, place in enumerate(best):
                if units[row, place] >= 0:
                    drawn[row].append(boxes[place])
                    closeness[row] += int(units[row, place])
        found += [_Candidate(*row) for row in zip(part, map(tuple, drawn), closeness, strict=True)]
    return found


def _centres(candidates: Sequence[_Candidate], overlap: Fraction) -> list[_Candidate]:
    """The best supported, one after the other, without those that a better one overlaps."""
    chosen: list[_Candidate] = []
    for candidate in sorted(candidates, key=lambda one: one.place):
        if chosen:
            common, union = _areas(_array([candidate.centre]), _array([one.centre for one in chosen]))
            if bool((common * overlap.denominator >= union * overlap.numerator).any()):
                continue
        chosen.append(candidate)
    return chosen


def _fused(found: _Candidate, verified: Verified) -> FusedBox:
    columns = [sorted(column) for column in zip(*found.drawn, strict=True)]
    support = len(found.drawn)
    middle = Box(*((column[(support - 1) // 2] + column[support // 2]) // 2 for column in columns))
    margin = 2 * support - verified.n
    return FusedBox(middle, found.centre, support, margin, assurance_of(margin, verified.f))
