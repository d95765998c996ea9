"""How far two answers of one task agree, 0 to 65535, in whole numbers: the same on every machine (rule 5.6)."""

from __future__ import annotations

from math import isqrt

from dropbeard.aggregate.boxes import near_pairs
from dropbeard.errors import AggregateInvalid
from dropbeard.types.outputs import Box, Boxes, Numbers, OutputKind
from dropbeard.types.task import PROBABILITY_ONE, Classification, Output


def agreement(one: Output, other: Output) -> int:
    """Symmetric; 65535 for an answer and itself (but a vector of zeros, which has no direction: 0).

    - classification: 65535 when both put the same class first, else 0
    - embedding: the cosine, a negative one counting 0
    - scores: 65535 (1 - d / scale), d the largest difference of two scores; 0 from ``scale`` on
    - tensor: the share of elements that differ by ``scale`` or less
    - boxes: twice the pairs over all boxes; a pair is of one class and overlaps by half or more, nearest pairs first

    Raises AggregateInvalid when they are not answers of one task.
    """
    match one, other:
        case Classification(), Classification():
            return PROBABILITY_ONE if one.choices[0][0] == other.choices[0][0] else 0
        case Boxes(), Boxes():
            return _boxes(one, other)
        case Numbers(), Numbers() if one.form == other.form:
            return _numbers(one, other)
        case _:
            raise AggregateInvalid("two answers of different tasks cannot be compared")


def cosine(one: Numbers, other: Numbers) -> int:
    """The cosine of the angle between two vectors in 1/65535, rounded towards 0; 0 for a vector of zeros."""
    pairs = list(zip(one.values, other.values, strict=True))
    product = sum(a * b for a, b in pairs)
    squares = sum(a * a for a, _ in pairs) * sum(b * b for _, b in pairs)
    size = isqrt(product * product * PROBABILITY_ONE * PROBABILITY_ONE // squares) if squares else 0
    return size if product >= 0 else -size


def _numbers(one: Numbers, other: Numbers) -> int:
    if one.form.kind is OutputKind.EMBEDDING:
        return max(0, cosine(one, other))
    apart = [abs(a - b) for a, b in zip(one.values, other.values, strict=True)]
    if one.form.kind is OutputKind.SCORES:
        return max(0, PROBABILITY_ONE - max(apart) * PROBABILITY_ONE // one.form.scale)
    return sum(difference <= one.form.scale for difference in apart) * PROBABILITY_ONE // len(apart)


def _boxes(one: Boxes, other: Boxes) -> int:
    total = len(one.boxes) + len(other.boxes)
    if not total:
        return PROBABILITY_ONE
    near = ((units, one.boxes[i], other.boxes[j]) for units, i, j in near_pairs(one.boxes, other.boxes))
    pairs = [
        (-units, sorted((here.place, there.place)), here, there)
        for units, here, there in near
        if here.class_id == there.class_id
    ]
    left: set[Box] = set()
    right: set[Box] = set()
    for _, _, here, there in sorted(pairs):
        if here not in left and there not in right:
            left.add(here)
            right.add(there)
    return 2 * len(left) * PROBABILITY_ONE // total
