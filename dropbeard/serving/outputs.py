"""From a model's numbers to canonical output bytes: fixed point, never raw floats (rule 2.5).

What does not fit into the task's numbers becomes the nearest that does: a picture that drives one model out of range
must not fail the batch it is in. What is not finite does fail, for then the model or its input rule is wrong.
"""

from __future__ import annotations

from typing import Final, assert_never

import numpy as np
import numpy.typing as npt

from dropbeard.errors import EngineFailed
from dropbeard.serving.manifest import BoxesRule, EmbeddingRule, LogitsRule, Manifest, ScoresRule, TensorRule
from dropbeard.types.outputs import Box, Boxes, OutputForm, OutputKind, boxes_in_order
from dropbeard.types.task import PROBABILITY_ONE, Classification, TaskSchema

KINDS: Final = {
    LogitsRule: OutputKind.CLASSIFICATION,
    EmbeddingRule: OutputKind.EMBEDDING,
    ScoresRule: OutputKind.SCORES,
    BoxesRule: OutputKind.BOXES,
    TensorRule: OutputKind.TENSOR,
}

Raw = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float64]


def check_rule(manifest: Manifest, schema: TaskSchema) -> None:
    """EngineFailed unless the model answers what the task asks for, by its manifest."""
    rule, name, task = manifest.output, manifest.name, f"the task {schema.name}"
    if KINDS[type(rule)] is not schema.kind:
        found, asked = KINDS[type(rule)].name.lower(), schema.kind.name.lower()
        raise EngineFailed(f"{name} answers with {found}, {task} asks for {asked}")
    if isinstance(rule, LogitsRule) and rule.classes != schema.classes:
        raise EngineFailed(f"{name} has {rule.classes} classes, {task} has {schema.classes}")
    form = schema.form
    if form is not None and not isinstance(rule, BoxesRule) and rule.shape != form.shape:
        raise EngineFailed(f"{name} gives {list(rule.shape)} numbers, {task} asks for {list(form.shape)}")


def canonical_outputs(raw: Raw, manifest: Manifest, schema: TaskSchema) -> list[bytes]:
    """The task's bytes of each of ``raw`` [batch, ...], what the model gave; the rule was checked against the task."""
    rule, form = manifest.output, schema.form
    if form is None:
        return top_choices(raw, schema.top_k)
    if not np.isfinite(raw).all():
        raise EngineFailed("the model's output is not finite: check its manifest's input rule")
    match rule:
        case EmbeddingRule():
            return fixed_point(_unit_length(raw) if rule.normalise else raw, form)
        case ScoresRule():
            return fixed_point(raw.astype(np.float64) * rule.multiply + rule.add, form)
        case TensorRule():
            return fixed_point(raw, form)
        case BoxesRule():
            frame = (manifest.input.size if rule.coordinates == "pixels" else 1, manifest.input.crop)
            return [_boxes(rows, rule, frame, form, schema.classes) for rows in raw.astype(np.float64)]
        case LogitsRule():
            raise EngineFailed(f"{manifest.name} classifies, the task {schema.name} does not ask for it")
        case _:
            assert_never(rule)


def fixed_point(values: Raw, form: OutputForm) -> list[bytes]:
    """Each row of ``values`` [batch, ...] times 2**fraction_bits, halves to even, in the form's element type."""
    low, high = form.element.bounds
    dtype = np.dtype(f"<{form.element.letter}")
    if np.issubdtype(values.dtype, np.integer) and not form.fraction_bits:
        whole: Raw = np.clip(values.astype(np.int64), low, high)
    else:
        # The largest 64-bit number is none in floating point; the next below it is.
        most = float(high) if int(float(high)) <= high else np.nextafter(float(high), 0)
        whole = np.clip(np.rint(np.ldexp(values.astype(np.float64), form.fraction_bits)), low, most)
    return [row.tobytes() for row in whole.astype(dtype)]


def _unit_length(raw: Raw) -> Floats:
    """Rows of length 1; a row of zeros stays one."""
    exact = raw.astype(np.float64)
    lengths = np.sqrt((exact * exact).sum(axis=1, keepdims=True))
    units: Floats = np.divide(exact, lengths, out=np.zeros_like(exact), where=lengths > 0)
    return units


def _boxes(rows: Floats, rule: BoxesRule, frame: tuple[float, float], form: OutputForm, classes: int) -> bytes:
    """The best boxes of one image; coordinates in the picture's centre square, of which the model saw ``crop``."""
    side, crop = frame
    ids = np.rint(rows[:, 5])
    if (ids >= classes).any():
        raise EngineFailed(f"the model names class {int(ids.max())}, the task has {classes}")
    shares = rows[:, :4] / side * crop + (1 - crop) / 2
    units = np.clip(np.rint(np.column_stack([shares, rows[:, 4]]) * PROBABILITY_ONE), 0, PROBABILITY_ONE)
    real = (ids >= 0) & (rows[:, 4] >= rule.score_min)
    real &= (units[:, 0] < units[:, 2]) & (units[:, 1] < units[:, 3])
    found = [Box(int(class_id), *map(int, row)) for class_id, row in zip(ids[real], units[real], strict=True)]
    return Boxes(boxes_in_order(found).boxes[: form.numbers]).encode()


def softmax(logits: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Probabilities of each row, in 64 bits."""
    exact = logits.astype(np.float64)
    powers: npt.NDArray[np.float64] = np.exp(exact - exact.max(axis=1, keepdims=True))
    shares: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def top_choices(logits: npt.NDArray[np.generic], top_k: int) -> list[bytes]:
    """The ``top_k`` best classes of each row as the task's bytes; ties go to the lower class id."""
    if not np.isfinite(logits).all():
        raise EngineFailed("the model's output is not finite: check its manifest's input rule")
    units = np.rint(softmax(logits) * PROBABILITY_ONE).astype(np.int64)
    # Ordered by the units that are sent, not by the floats behind them, so that the bytes are canonical. No two places
    # are equal, so only the few best need to be sorted.
    classes = units.shape[1]
    places = np.arange(classes) - units * classes
    few = np.argpartition(places, min(top_k, classes) - 1, axis=1)[:, :top_k]
    best = np.take_along_axis(few, np.argsort(np.take_along_axis(places, few, axis=1), axis=1), axis=1)
    return [
        Classification(tuple((int(class_id), int(row[class_id])) for class_id in choices)).encode()
        for row, choices in zip(units, best, strict=True)
    ]
