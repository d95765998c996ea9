"""Writes state dicts as torch does, in both containers, without torch."""

from __future__ import annotations

import collections
import io
import pickle
import sys
import zipfile
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

KEY = "storage-1"


@dataclass(frozen=True, slots=True)
class View:
    """One tensor of a file: a view of the file's only storage."""

    data: npt.NDArray[np.float32]
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        storage = _StorageReference(len(self.data))
        rebuild = sys.modules["torch._utils"].__dict__["_rebuild_tensor_v2"]
        return rebuild, (storage, self.offset, self.shape, self.stride, False, collections.OrderedDict())


@dataclass(frozen=True, slots=True)
class _StorageReference:
    length: int


class _Pickler(pickle.Pickler):
    def __init__(self, out: io.BytesIO, *, legacy: bool) -> None:
        super().__init__(out, protocol=2)
        self.legacy = legacy

    def persistent_id(self, obj: object) -> tuple[Any, ...] | None:
        if not isinstance(obj, _StorageReference):
            return None
        kind = sys.modules["torch"].__dict__["FloatStorage"]
        tail = (None,) if self.legacy else ()
        return ("storage", kind, KEY, "cpu", obj.length, *tail)


def pretend_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the pickler the two names it writes; the reader under test never looks them up."""
    torch, utilities = ModuleType("torch"), ModuleType("torch._utils")
    storage = type("FloatStorage", (), {"__module__": "torch"})

    def rebuild(*_: object) -> None:
        """Never called."""

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    torch.__dict__["FloatStorage"] = storage
    utilities.__dict__["_rebuild_tensor_v2"] = rebuild
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utilities)


def _pickled(value: object, *, legacy: bool) -> bytes:
    out = io.BytesIO()
    _Pickler(out, legacy=legacy).dump(value)
    return out.getvalue()


def legacy_file(state: object, data: npt.NDArray[np.float32], magic: int = 0x1950A86A20F9469CFC6C) -> bytes:
    """The stream that torch wrote before 1.6."""
    parts = [magic, 1001, {"little_endian": True}, state, [KEY]]
    stream = b"".join(_pickled(part, legacy=True) for part in parts)
    return stream + len(data).to_bytes(8, "little") + data.tobytes()


def zip_file(state: object, data: npt.NDArray[np.float32]) -> bytes:
    """The archive that torch writes since."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("weights/data.pkl", _pickled(state, legacy=False))
        archive.writestr(f"weights/data/{KEY}", data.tobytes())
    return out.getvalue()
