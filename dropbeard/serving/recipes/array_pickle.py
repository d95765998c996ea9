"""Reads a pickle of plain containers and numpy arrays; no code of the file is ever run."""

from __future__ import annotations

import io
import pickle

import numpy as np

from dropbeard.errors import ModelMissing


def _empty_array(kind: type, shape: tuple[int, ...], _: object) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    # Stands in for numpy's own private function: an array whose state the pickle sets next.
    if kind is not np.ndarray or tuple(shape) != (0,):
        raise pickle.UnpicklingError("an array is built in an unknown way")
    return np.empty(0, np.uint8)


class _ArrayUnpickler(pickle.Unpickler):
    """Allows numpy arrays of numbers."""

    def find_class(self, module: str, name: str) -> object:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return _empty_array
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def read_arrays(data: bytes) -> object:
    """The pickled containers; ``ModelMissing`` for a broken pickle or one that names anything else."""
    try:
        return _ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()
    # A broken pickle can raise nearly anything; whatever it is, the file is not usable.
    except Exception as error:
        raise ModelMissing(f"not a pickle of arrays ({error}): install its package again") from error
