"""Reads a PyTorch state dict (.pth) into numpy arrays: no torch, and no code of the file is ever run.

Both containers are read: the stream of pickles that torch wrote before 1.6, and the zip archive since. A
pickle may name only what the tables below allow; everything else in it is refused.
"""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from dropbeard.errors import ModelMissing

Array = npt.NDArray[np.generic]

LEGACY_MAGIC: Final = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL: Final = 1001
STORAGE_BYTES_MAX: Final = 1 << 30

STORAGES: Final[Mapping[str, npt.DTypeLike]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


@dataclass(frozen=True, slots=True)
class _Storage:
    """A run of elements that tensors are views of."""

    key: str
    dtype: np.dtype[np.generic]
    length: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A view of a storage, as the pickle describes it; nothing is checked yet."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(stride))


class _StateDictUnpickler(pickle.Unpickler):
    """Allows an ordered dict, tensor views and the storages above."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in STORAGES:
            return np.dtype(STORAGES[name])
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: tuple[object, ...]) -> _Storage:
        kind, dtype, key, _, length = pid[:5]
        if kind != "storage" or not isinstance(dtype, np.dtype) or not isinstance(length, int):
            raise pickle.UnpicklingError("an external object is not a storage")
        if not 0 <= length * dtype.itemsize <= STORAGE_BYTES_MAX:
            raise pickle.UnpicklingError(f"a storage of {length} elements")
        return _Storage(str(key), dtype, length)


def _elements(storage: _Storage, data: bytes) -> Array:
    if len(data) != storage.length * storage.dtype.itemsize:
        raise ValueError(f"storage {storage.key} has {len(data)} bytes, not {storage.length} elements")
    return np.frombuffer(data, storage.dtype)


def _view(tensor: _Tensor, storages: Mapping[str, Array]) -> Array:
    data, shape, stride = storages[tensor.storage.key], tensor.shape, tensor.stride
    if len(shape) != len(stride) or any(value < 0 for value in (tensor.offset, *shape, *stride)):
        raise ValueError("a tensor has no proper shape")
    # as_strided would read whatever lies beyond the storage: the last element must be inside it.
    last = tensor.offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    if 0 not in shape and last >= len(data):
        raise ValueError("a tensor reaches beyond its storage")
    bytes_stride = [step * data.itemsize for step in stride]
    return np.array(np.lib.stride_tricks.as_strided(data[tensor.offset :], shape, bytes_stride))


def _state(loaded: object, read: Callable[[_Storage], Array]) -> dict[str, Array]:
    if not isinstance(loaded, dict) or not all(isinstance(value, _Tensor) for value in loaded.values()):
        raise ValueError("it holds something else than tensors by name")
    storages = {value.storage.key: value.storage for value in loaded.values()}
    arrays = {key: read(storage) for key, storage in storages.items()}
    return {str(name): _view(value, arrays) for name, value in loaded.items()}


def _read_zip(archive: zipfile.ZipFile) -> dict[str, Array]:
    index = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
    root = index.removesuffix("data.pkl")

    def read(storage: _Storage) -> Array:
        info = archive.getinfo(f"{root}data/{storage.key}")
        if info.file_size > STORAGE_BYTES_MAX:
            raise ValueError(f"storage {storage.key} has {info.file_size} bytes")
        return _elements(storage, archive.read(info))

    return _state(_StateDictUnpickler(io.BytesIO(archive.read(index))).load(), read)


def _read_legacy(stream: BinaryIO) -> dict[str, Array]:
    # Five pickles in a row (magic, protocol, system, object, storage keys), then each storage's elements.
    magic, protocol, _, loaded, keys = (_StateDictUnpickler(stream).load() for _ in range(5))
    if magic != LEGACY_MAGIC or protocol != LEGACY_PROTOCOL:
        raise ValueError("it has not the magic number of a state dict")
    tensors = loaded.values() if isinstance(loaded, dict) else ()
    storages = {value.storage.key: value.storage for value in tensors if isinstance(value, _Tensor)}
    arrays: dict[str, Array] = {}
    for key in keys:
        storage = storages[key]
        if int.from_bytes(stream.read(8), "little") != storage.length:
            raise ValueError(f"storage {key} has another length than its tensors say")
        arrays[key] = _elements(storage, stream.read(storage.length * storage.dtype.itemsize))
    return _state(loaded, lambda storage: arrays[storage.key])


def read_state_dict(data: bytes) -> dict[str, Array]:
    """Tensors by name, each an array of its own; ``ModelMissing`` for anything that is not a state dict."""
    stream = io.BytesIO(data)
    try:
        if zipfile.is_zipfile(stream):
            with zipfile.ZipFile(stream) as archive:
                return _read_zip(archive)
        stream.seek(0)
        return _read_legacy(stream)
    # A broken pickle can raise nearly anything; whatever it is, the file is not usable.
    except Exception as error:
        raise ModelMissing(f"not a PyTorch state dict ({error}): install its package again") from error
