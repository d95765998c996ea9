"""The pictures of a call: one request to the group for each row of its batch (rule 2.5)."""

from __future__ import annotations

import math
from typing import Final

from dropbeard.gateway.calls import Call
from dropbeard.gateway.faults import Fault, Reason
from dropbeard.gateway.tensors import Given, shown
from dropbeard.types.task import Input, InputKind, TaskSchema

INPUT: Final = "image"
CHANNELS: Final = 3


def rows_of(call: Call, task: TaskSchema, batch_max: int) -> list[Input]:
    """UINT8 [batch, height, width, 3] or one picture [height, width, 3]; BYTES [batch] or [batch, 1], each a file.

    Fault for anything else, more rows than ``batch_max``, or a picture that the task does not take (InputInvalid).
    """
    if [given.name for given in call.inputs] != [INPUT]:
        names = ", ".join(shown(given.name) for given in call.inputs) or "none"
        raise Fault(Reason.INVALID, f"the model has one input, {INPUT!r}; the call's are {names}")
    given = call.inputs[0]
    rows = _files(given) if isinstance(given.data, tuple) else _pictures(given, given.data, batch_max)
    if len(rows) > batch_max:
        raise _too_many(len(rows), batch_max)
    for row in rows:
        task.check_input(row)
    return rows


def _files(given: Given) -> list[Input]:
    if not (len(given.shape) == 1 or (len(given.shape) == 2 and given.shape[1] == 1)):
        text = f"BYTES have the shape [batch] or [batch, 1], one image file for each row, not {list(given.shape)}"
        raise Fault(Reason.INVALID, text)
    return [Input(InputKind.ENCODED_IMAGE, (0, 0, 0), bytes(element)) for element in given.data]


def _pictures(given: Given, data: memoryview, batch_max: int) -> list[Input]:
    shape = given.shape if len(given.shape) == 4 else (1, *given.shape)
    if len(shape) != 4 or shape[3] != CHANNELS:
        text = f"UINT8 pictures have the shape [batch, height, width, {CHANNELS}], not {list(given.shape)}"
        raise Fault(Reason.INVALID, text)
    if shape[0] > batch_max:
        raise _too_many(shape[0], batch_max)
    sides = (shape[1], shape[2], CHANNELS)
    size = math.prod(sides)
    starts = range(0, shape[0] * size, size)
    return [Input(InputKind.RAW_RGB8, sides, bytes(data[start : start + size])) for start in starts]


def _too_many(rows: int, batch_max: int) -> Fault:
    return Fault(Reason.INVALID, f"the batch has {rows} pictures, at most {batch_max} are taken in one call")
