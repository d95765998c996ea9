"""Answers of tasks that do not classify, and bytes that are none: each condition of the format once."""

from __future__ import annotations

import struct

from tests.verification import task_geneses
from tests.verification.task_geneses import Task

Row = tuple[int, int, int, int, int, int]

CAT: Row = (0, 100, 200, 300, 400, 60_000)
DOG: Row = (1, 100, 200, 300, 400, 60_000)


def boxes(*rows: Row, count: int | None = None) -> bytes:
    """Class id, x0, y0, x1, y1, score of each, as they come; ``count`` may lie about how many."""
    said = len(rows) if count is None else count
    return struct.pack("<H", said) + b"".join(struct.pack("<I5H", *row) for row in rows)


def after(row: Row, place: int, change: int) -> Row:
    """The row with another number at ``place``."""
    return (*row[:place], row[place] + change, *row[place + 1 :])  # type: ignore[return-value]


OUTPUTS: dict[str, tuple[Task, bytes]] = {
    "a vector of zeros": (task_geneses.VECTOR, bytes(6)),
    "a vector of extremes": (task_geneses.VECTOR, struct.pack("<3h", -32_768, 32_767, -1)),
    "scores below zero": (task_geneses.SCORES, struct.pack("<2h", -32_768, -1)),
    "no boxes": (task_geneses.BOXES, boxes()),
    "as many boxes as the task allows": (task_geneses.BOXES, boxes(CAT, DOG)),
    "a box of the whole picture without any score": (task_geneses.BOXES, boxes((1, 0, 0, 65_535, 65_535, 0))),
    **{
        f"two boxes that differ in number {place}": (task_geneses.BOXES, boxes(CAT, after(CAT, place, 1)))
        for place in (0, 1, 2, 3, 4)
    },
    "the better box first, whatever it is": (task_geneses.BOXES, boxes(after(DOG, 5, 1), CAT)),
    "integers of 64 bits that are no floats": (
        task_geneses.TASKS["a tensor of i64"],
        struct.pack("<2q", -(1 << 63), (1 << 53) + 1),
    ),
    "the smallest fractions of 64 bits": (
        task_geneses.TASKS["a tensor of i64 with 63 bits of fraction"],
        struct.pack("<2q", -(1 << 63), 1),
    ),
    "the largest of u32": (task_geneses.TASKS["a tensor of u32"], struct.pack("<2I", 0, (1 << 32) - 1)),
}

NO_OUTPUTS: dict[str, tuple[Task, bytes]] = {
    "a vector that is too short": (task_geneses.VECTOR, bytes(5)),
    "a vector that is too long": (task_geneses.VECTOR, bytes(8)),
    "an empty vector": (task_geneses.VECTOR, b""),
    "scores that are too short": (task_geneses.SCORES, bytes(2)),
    "scores that are too long": (task_geneses.SCORES, bytes(5)),
    "a tensor that is too short": (task_geneses.TENSOR, bytes(1)),
    "a tensor that is too long": (task_geneses.TENSOR, bytes(3)),
    "boxes without their number": (task_geneses.BOXES, b""),
    "boxes with half their number": (task_geneses.BOXES, b"\0"),
    "more boxes than the task allows": (task_geneses.BOXES, boxes(CAT, DOG, after(DOG, 5, -1))),
    "fewer boxes than they say": (task_geneses.BOXES, boxes(CAT, count=2)),
    "more boxes than they say": (task_geneses.BOXES, boxes(CAT, DOG, count=1)),
    "a byte behind the boxes": (task_geneses.BOXES, boxes(CAT) + b"\0"),
    "a box that is cut short": (task_geneses.BOXES, boxes(CAT)[:-1]),
    "a box of an unknown class": (task_geneses.BOXES, boxes((2, *CAT[1:]))),
    "a box without width": (task_geneses.BOXES, boxes(after(CAT, 1, 200))),
    "a box that ends left of its begin": (task_geneses.BOXES, boxes(after(CAT, 1, 201))),
    "a box without height": (task_geneses.BOXES, boxes(after(CAT, 2, 200))),
    "a box that ends above its begin": (task_geneses.BOXES, boxes(after(CAT, 2, 201))),
    "the better box last": (task_geneses.BOXES, boxes(CAT, after(CAT, 5, 1))),
    **{
        f"boxes that descend in number {place}": (task_geneses.BOXES, boxes(after(CAT, place, 1), CAT))
        for place in (0, 1, 2, 3, 4)
    },
    "a box twice": (task_geneses.BOXES, boxes(CAT, CAT)),
}
