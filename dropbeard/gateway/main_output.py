"""The one output that the metadata names, by the kind of the task: what the group agreed on, a row for each answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dropbeard.client.answers import Answer
from dropbeard.gateway.tensors import Output
from dropbeard.types.group import Group
from dropbeard.types.outputs import Boxes, Element, Numbers, OutputForm, OutputKind
from dropbeard.types.task import PROBABILITY_ONE, TaskSchema

SCORES: Final = "scores"
"""Of a classification, and of the task of that kind."""

NO_CLASS: Final = -1
"""Stands first in a row of ``boxes`` that holds none."""

EXACT_BYTES: Final = 2
"""Numbers of more bytes are not all exact as FP32."""


@dataclass(frozen=True, slots=True)
class MainOutput:
    """``dims`` without the batch."""

    name: str
    datatype: str
    dims: tuple[int, ...]


def main_output(task: TaskSchema) -> MainOutput:
    """What this task's answers look like.

    A classification: FP32 [classes]. Boxes: FP32 [most, 6], a row (class id, x0, y0, x1, y1, score). Numbers: in the
    task's shape, whole ones in their own datatype, those with a fraction as FP32, or FP64 where that is not exact.
    """
    form = task.form
    if form is None:
        return MainOutput(SCORES, "FP32", (task.classes,))
    if form.kind is OutputKind.BOXES:
        return MainOutput("boxes", "FP32", (*form.shape, 6))
    return MainOutput(form.kind.name.lower(), _datatype(form), form.shape)


def _datatype(form: OutputForm) -> str:
    if form.fraction_bits:
        return "FP32" if form.element.bytes <= EXACT_BYTES else "FP64"
    return f"{'UINT' if form.element >= Element.U8 else 'INT'}{8 * form.element.bytes}"


def main_tensor(answers: Sequence[Answer], group: Group) -> Output:
    """The rows of these answers."""
    form = main_output(group.task)
    table = np.stack([_row(answer, group) for answer in answers])
    return Output(form.name, form.datatype, table.shape, table)


def _row(answer: Answer, group: Group) -> npt.NDArray[Any]:
    measured = answer.measured
    if measured is None:
        return scores_of(answer, group)
    if isinstance(measured.value, Numbers):
        form, values = measured.value.form, np.array(measured.value.values).reshape(measured.value.form.shape)
        return np.ldexp(values.astype(np.float64), -form.fraction_bits) if form.fraction_bits else values
    assert isinstance(measured.value, Boxes) and group.task.form is not None
    return _boxes(measured.value, group.task.form.numbers)


def scores_of(answer: Answer, group: Group) -> npt.NDArray[np.float32]:
    """The share of the group's owners that put each class first."""
    row = np.zeros(group.task.classes, np.float32)
    for class_id, votes in Counter(owner.class_id for owner in answer.owners).items():
        row[class_id] = votes / group.n
    return row


def _boxes(found: Boxes, most: int) -> npt.NDArray[np.float32]:
    """The best ones, in shares of the centre square's side and of one."""
    row = np.zeros((most, 6), np.float32)
    row[:, 0] = NO_CLASS
    for at, box in enumerate(found.boxes[:most]):
        row[at] = (box.class_id, *(units / PROBABILITY_ONE for units in box[1:]))
    return row
