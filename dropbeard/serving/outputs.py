"""From a model's logits to canonical output bytes: fixed point, never raw floats (rule 2.5)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dropbeard.errors import EngineFailed
from dropbeard.types.task import PROBABILITY_ONE, Classification


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
