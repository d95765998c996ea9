"""Groups whose task does not classify, and certificates of what their owners answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from dropbeard.types.outputs import Box, Boxes, Element, Numbers, OutputForm, OutputKind
from dropbeard.types.task import Output, TaskSchema
from tests.verification.building import Plan, World, build, world

EMBEDDING = OutputForm(OutputKind.EMBEDDING, (3,), Element.I16, 14)
SCORES = OutputForm(OutputKind.SCORES, (2,), Element.I16, 4, scale=16, unit="kg")
CAT = Box(0, 0, 0, 30_000, 30_000, 60_000)

TASKS: dict[str, tuple[TaskSchema, Callable[[int], Output]]] = {
    "embedding": (
        TaskSchema("vectors", (), 0, 1 << 20, 1_000_000, EMBEDDING),
        lambda owner: Numbers(EMBEDDING, (16_384, 100 * owner, 0)),
    ),
    "scores": (
        TaskSchema("weights", ("left", "right"), 0, 1 << 20, 1_000_000, SCORES),
        lambda owner: Numbers(SCORES, (16 + owner, -8)),
    ),
    "boxes": (
        TaskSchema("pets", ("cat", "dog"), 0, 1 << 20, 1_000_000, OutputForm(OutputKind.BOXES, (2,), Element.U16)),
        lambda owner: Boxes((CAT._replace(score=60_000 + owner),)),
    ),
    "tensor": (
        TaskSchema("maps", (), 0, 1 << 20, 1_000_000, OutputForm(OutputKind.TENSOR, (2, 1), Element.U8)),
        lambda owner: Numbers(OutputForm(OutputKind.TENSOR, (2, 1), Element.U8), (owner, 7)),
    ),
}


@cache
def other_world(kind: str) -> World:
    """The usual group with another task."""
    made = world()
    return World(replace(made.group, task=TASKS[kind][0]), made.keys)


def certified(kind: str, **changes: bytes) -> bytes:
    """A certificate in which four owners answered; ``changes`` take the place of an owner's bytes ("o1")."""
    votes = {owner: TASKS[kind][1](owner).encode() for owner in range(4)}
    votes |= {int(name[1:]): output for name, output in changes.items()}
    return build(other_world(kind), Plan(base=(0, 1, 2, 3), votes=votes)).encode()
