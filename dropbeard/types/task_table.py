"""The ``[task]`` table of a genesis, or of a file of its own: what people write, and the schema it makes (rule 2.5)."""

from __future__ import annotations

from typing import Literal

import msgspec

from dropbeard.errors import ConfigInvalid
from dropbeard.types import limits
from dropbeard.types.cards import check_name, is_plain
from dropbeard.types.outputs import Element, OutputForm, OutputKind
from dropbeard.types.task import TaskSchema
from dropbeard.types.toml_text import read_toml

Kind = Literal["classification", "embedding", "scores", "boxes", "tensor"]
ElementName = Literal["i8", "i16", "i32", "i64", "u8", "u16", "u32"]


class TaskTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a task is. A classification has ``top_k`` and ``labels`` and nothing below them."""

    name: str
    encoded_bytes_max: int
    pixels_max: int
    top_k: int | None = None
    labels: list[str] = []
    kind: Kind = "classification"
    shape: list[int] | None = None
    """(numbers,) of an embedding, (most boxes,) of boxes, any of a tensor; scores have one for each label."""
    element: ElementName | None = None
    fraction_bits: int | None = None
    scale: int | None = None
    unit: str | None = None


class _TaskFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    task: TaskTable


def read_task(text: str, what: str) -> TaskSchema:
    """A task schema from a file with a ``[task]`` table; ConfigInvalid names the key that is wrong."""
    return task_from(read_toml(text, _TaskFile, what).task, what)


def task_from(row: TaskTable, what: str) -> TaskSchema:
    """The task schema, its bounds checked."""
    check_name(row.name, what)
    if not 1 <= row.encoded_bytes_max <= limits.INPUT_BYTES_MAX or not 1 <= row.pixels_max <= limits.PIXELS_MAX:
        raise ConfigInvalid(f"{what}: encoded_bytes_max or pixels_max is out of bounds")
    _check_labels(row, what)
    bounds = row.encoded_bytes_max, row.pixels_max
    labels = tuple(row.labels)
    if row.kind == "classification":
        _check_classification(row, what)
        return TaskSchema(row.name, labels, row.top_k or 0, *bounds)
    if row.top_k is not None:
        raise ConfigInvalid(f"{what}: top_k belongs to a classification, this task's kind is {row.kind}")
    try:
        return TaskSchema(row.name, labels, 0, *bounds, _form(row, what))
    except ConfigInvalid as wrong:
        raise ConfigInvalid(f"{what}: {wrong}") from wrong


def task_values(task: TaskSchema) -> dict[str, object]:
    """What the table of a task holds, in the order of the file; None is left out."""
    form = task.form
    head: dict[str, object] = {"name": task.name}
    if form is None:
        return head | {"top_k": task.top_k} | _bounds(task) | {"labels": task.labels}
    is_scores, is_boxes = form.kind is OutputKind.SCORES, form.kind is OutputKind.BOXES
    return {
        **head,
        "kind": form.kind.name.lower(),
        "shape": None if is_scores else list(form.shape),
        "element": None if is_boxes else form.element.name.lower(),
        "fraction_bits": None if is_boxes else form.fraction_bits,
        "scale": form.scale or None,
        "unit": form.unit or None,
        **_bounds(task),
        "labels": task.labels or None,
    }


def _bounds(task: TaskSchema) -> dict[str, object]:
    return {"encoded_bytes_max": task.encoded_bytes_max, "pixels_max": task.pixels_max}


def _check_labels(row: TaskTable, what: str) -> None:
    # Two classes may share a name (ImageNet has two cranes); the class id is what counts.
    fewest = {"classification": 2, "boxes": 1, "scores": 1}.get(row.kind, 0)
    most = limits.LABELS_MAX if fewest else 0
    if not fewest <= len(row.labels) <= most:
        raise ConfigInvalid(f"{what}: the task needs {f'{fewest} to {most}' if most else 'no'} labels")
    if not all(is_plain(label, limits.LABEL_BYTES_MAX) for label in row.labels):
        raise ConfigInvalid(f"{what}: a label must be 1 to {limits.LABEL_BYTES_MAX} printable bytes")


def _check_classification(row: TaskTable, what: str) -> None:
    extra = [key for key in ("shape", "element", "fraction_bits", "scale", "unit") if getattr(row, key) is not None]
    if extra:
        raise ConfigInvalid(f"{what}: a classification has no {extra[0]}")
    if not 1 <= (row.top_k or 0) <= min(len(row.labels), limits.OUTPUT_BYTES_MAX // 6):
        raise ConfigInvalid(f"{what}: top_k = {row.top_k} does not fit {len(row.labels)} labels")


def _form(row: TaskTable, what: str) -> OutputForm:
    kind = OutputKind[row.kind.upper()]
    if kind is OutputKind.SCORES and row.shape is not None:
        raise ConfigInvalid(f"{what}: scores have no shape, there is one for each label")
    if kind is not OutputKind.SCORES and row.shape is None:
        raise ConfigInvalid(f"{what}: a task of kind {row.kind} needs `shape`")
    shape = (len(row.labels),) if row.shape is None else tuple(row.shape)
    by_default = "u16" if kind is OutputKind.BOXES else "i16"
    element = Element[(row.element or by_default).upper()]
    return OutputForm(kind, shape, element, row.fraction_bits or 0, row.scale or 0, row.unit or "")
