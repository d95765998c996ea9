"""Tensors of the Open Inference Protocol v2, and the two forms in which they travel: JSON values and raw bytes.

Raw bytes are row-major and little-endian; each element of BYTES follows its length, 4 bytes (the binary tensor data
extension of Triton).
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dropbeard.gateway.faults import Fault, Reason

DIMENSIONS_MAX: Final = 8
NAME_CHARACTERS_SHOWN: Final = 64

_LENGTH: Final = struct.Struct("<I")
_RAW: Final = {
    **{f"INT{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": f"<u{size}" for size in (1, 2, 4)},
    **{f"FP{8 * size}": f"<f{size}" for size in (4, 8)},
}


@dataclass(frozen=True, slots=True)
class Given:
    """An input: ``shape`` as the client says, ``data`` its bytes for UINT8, its elements for BYTES."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: memoryview | tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """An output: an array, or the elements of BYTES. ``is_text``: whether JSON can carry these as they are."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: npt.NDArray[Any] | Sequence[bytes]
    is_text: bool = True

    def raw(self) -> bytes:
        """Its bytes."""
        if isinstance(self.data, np.ndarray):
            return self.data.astype(_RAW[self.datatype], copy=False).tobytes()
        return b"".join(_LENGTH.pack(len(element)) + element for element in self.data)

    def values(self) -> list[Any]:
        """Its values for JSON, flat; elements that are no text in base64."""
        if isinstance(self.data, np.ndarray):
            return self.data.ravel().tolist()
        if self.is_text:
            return [element.decode() for element in self.data]
        return [base64.b64encode(element).decode() for element in self.data]


def shown(name: str) -> str:
    """A client's own word in our sentence."""
    return repr(name[:NAME_CHARACTERS_SHOWN])


def count_of(name: str, shape: Sequence[int]) -> int:
    """How many elements a shape has; Fault when it is none."""
    if not 1 <= len(shape) <= DIMENSIONS_MAX or any(side < 1 for side in shape):
        raise Fault(Reason.INVALID, f"input {shown(name)} has the shape {list(shape[: DIMENSIONS_MAX + 1])}")
    return math.prod(shape)


def given_raw(name: str, datatype: str, shape: Sequence[int], data: memoryview) -> Given:
    """An input that came as bytes; Fault unless there are as many as the shape says."""
    count = count_of(name, shape)
    if datatype == "BYTES":
        elements = _elements(name, data, count)
        return Given(name, datatype, tuple(shape), elements)
    check_datatype(name, datatype)
    if len(data) != count:
        text = f"input {shown(name)} of shape {list(shape)} needs {count} bytes, got {len(data)}"
        raise Fault(Reason.INVALID, text)
    return Given(name, datatype, tuple(shape), data)


def check_datatype(name: str, datatype: str) -> None:
    """Fault unless it is one that a group takes."""
    if datatype not in ("UINT8", "BYTES"):
        text = f"input {shown(name)} has the datatype {shown(datatype)}; send UINT8 pictures, or image files as BYTES"
        raise Fault(Reason.INVALID, text)


def _elements(name: str, data: memoryview, count: int) -> tuple[bytes, ...]:
    found: list[bytes] = []
    at = 0
    while at < len(data) and len(found) < count:
        if at + _LENGTH.size > len(data):
            break
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if length > len(data) - at:
            break
        found.append(bytes(data[at : at + length]))
        at += length
    if at != len(data) or len(found) != count:
        text = f"the bytes of input {shown(name)} are not {count} elements, each after its length"
        raise Fault(Reason.INVALID, text)
    return tuple(found)


def given_values(name: str, datatype: str, shape: Sequence[int], values: Any) -> Given:
    """An input that came as JSON values, flat or nested as its shape: numbers 0..255, or files in base64."""
    count = count_of(name, shape)
    check_datatype(name, datatype)
    flat = _flat(values)
    if len(flat) != count:
        raise Fault(Reason.INVALID, f"input {shown(name)} of shape {list(shape)} needs {count} values, got {len(flat)}")
    if datatype == "BYTES":
        return Given(name, datatype, tuple(shape), tuple(_decoded(name, value) for value in flat))
    try:
        if set(map(type, flat)) != {int}:  # true and false are numbers to Python, and none to JSON
            raise TypeError
        return Given(name, datatype, tuple(shape), memoryview(bytes(flat)))
    except (TypeError, ValueError):
        raise Fault(Reason.INVALID, f"input {shown(name)} is UINT8: its values are whole numbers 0 to 255") from None


def _flat(values: Any) -> list[Any]:
    for _ in range(DIMENSIONS_MAX):
        if not isinstance(values, list):
            return [values]
        if not values or not isinstance(values[0], list):
            return values
        if not all(isinstance(row, list) for row in values):
            return values
        values = [value for row in values for value in row]
    return list(values)


def _decoded(name: str, value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError):
        raise Fault(Reason.INVALID, f"input {shown(name)} is BYTES: JSON carries image files in base64") from None
