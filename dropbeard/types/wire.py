"""Read and write fixed little-endian layouts: every byte is asked for once, and none may be left over."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from dropbeard.errors import MessageInvalid

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")
_I64 = struct.Struct("<q")


def u8(value: int) -> bytes:
    """One byte."""
    return bytes((value,))


def u16(value: int) -> bytes:
    """Two bytes, little-endian."""
    return _U16.pack(value)


def u32(value: int) -> bytes:
    """Four bytes, little-endian."""
    return _U32.pack(value)


def u64(value: int) -> bytes:
    """Eight bytes, little-endian."""
    return _U64.pack(value)


def i64(value: int) -> bytes:
    """Eight bytes, little-endian, two's complement (views: the genesis has -1)."""
    return _I64.pack(value)


def short_bytes(value: bytes) -> bytes:
    """A u16 length and the bytes."""
    return _U16.pack(len(value)) + value


def long_bytes(value: bytes) -> bytes:
    """A u32 length and the bytes."""
    return _U32.pack(len(value)) + value


def tailed_rows(form: struct.Struct, data: bytes, most: int, tail_max: int) -> Iterator[tuple[tuple[Any, ...], bytes]]:
    """Rows one after the other, each of fields whose last one is the length of the bytes that follow it.

    Gives (fields before the length, bytes); MessageInvalid unless ``data`` is at most ``most`` whole rows with at most
    ``tail_max`` bytes behind each.
    """
    at = 0
    for _ in range(most):
        if at == len(data):
            return
        if len(data) - at < form.size:
            break
        *fields, length = form.unpack_from(data, at)
        at += form.size + length
        if length > tail_max or at > len(data):
            raise MessageInvalid(f"a row ends with {length} bytes, at most {tail_max} are possible")
        yield tuple(fields), data[at - length : at]
    if at != len(data):
        raise MessageInvalid(f"{len(data)} bytes are not at most {most} rows")


class Reader:
    """Takes fields off the front of immutable bytes; any shortfall or leftover is MessageInvalid."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def remaining(self) -> int:
        """Bytes not yet taken."""
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        end = self._at + count
        if end > len(self._data):
            raise MessageInvalid(f"{count} bytes wanted at offset {self._at}, {self.remaining} left")
        part = self._data[self._at : end]
        self._at = end
        return part

    def fields(self, form: struct.Struct) -> tuple[Any, ...]:
        """The next fields of a layout."""
        return form.unpack(self.take(form.size))

    def u8(self) -> int:
        """The next byte as a number."""
        return self.take(1)[0]

    def u16(self) -> int:
        """The next u16."""
        return int(_U16.unpack(self.take(2))[0])

    def u32(self) -> int:
        """The next u32."""
        return int(_U32.unpack(self.take(4))[0])

    def u64(self) -> int:
        """The next u64."""
        return int(_U64.unpack(self.take(8))[0])

    def i64(self) -> int:
        """The next i64."""
        return int(_I64.unpack(self.take(8))[0])

    def short_bytes(self) -> bytes:
        """A u16 length and that many bytes."""
        return self.take(self.u16())

    def long_bytes(self) -> bytes:
        """A u32 length and that many bytes."""
        return self.take(self.u32())

    def count(self, most: int, what: str) -> int:
        """A u16 count that may not exceed ``most``."""
        number = self.u16()
        if number > most:
            raise MessageInvalid(f"{number} {what}, at most {most} allowed")
        return number

    def end(self) -> None:
        """Refuse leftovers."""
        if self.remaining:
            raise MessageInvalid(f"{self.remaining} bytes left over")
