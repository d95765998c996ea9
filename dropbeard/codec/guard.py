"""Open received bytes without giving them a chance to hurt (architecture: hostile bytes).

pycapnp aborts the whole interpreter on some malformed messages, and no ``try`` helps; so framing is checked by hand,
limits are tight, a reader is never shown, copied or kept, and every field is read once, into plain values.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any, Final, TypeVar

import capnp

from dropbeard.errors import MessageInvalid, VersionRefused
from dropbeard.types import versions

T = TypeVar("T")

NESTING_MAX: Final = 8
SLACK_WORDS: Final = 64
"""Words that may be read beyond the message's own length: honest messages are read once, field by field."""

_FRAME = struct.Struct("<II")


@cache
def schema(name: str) -> Any:
    """The compiled schema ``schemas/NAME.capnp``."""
    with resources.as_file(resources.files("dropbeard") / "schemas" / f"{name}.capnp") as path:
        return capnp.load(str(path))


def open_message(form: Any, data: bytes, bytes_max: int, read: Callable[[Any], T]) -> T:
    """Check the frame, let ``read`` take every field once, and drop the reader; MessageInvalid on anything else."""
    segment = _only_segment(data, bytes_max)
    try:
        reader = form.from_segments([segment], len(segment) // 8 + SLACK_WORDS, NESTING_MAX)
        if reader.version != versions.WIRE_VERSION:
            raise VersionRefused(reader.version, versions.WIRE_VERSION)
        return read(reader)
    except MessageInvalid:
        raise
    except Exception as wrong:
        # Cap'n Proto's own text may quote the message; the kind of error is enough.
        raise MessageInvalid(f"not a readable message ({type(wrong).__name__})") from None


def _only_segment(data: bytes, bytes_max: int) -> bytes:
    if not isinstance(data, bytes):
        raise MessageInvalid("a message must be immutable bytes")
    if not 16 <= len(data) <= bytes_max or len(data) % 8:
        raise MessageInvalid(f"a message of {len(data)} bytes is not whole words between 16 and {bytes_max} bytes")
    more, words = _FRAME.unpack_from(data)
    if more or 8 + 8 * words != len(data):
        raise MessageInvalid("a message must be exactly one segment of the framed length")
    return data[8:]


def close_message(build: Callable[[Any], None], form: Any, payload_bytes: int) -> bytes:
    """Build one message in one segment; ``payload_bytes``: an upper estimate of the Data in it."""
    message = form.new_message(num_first_segment_words=payload_bytes // 8 + 256)
    message.version = versions.WIRE_VERSION
    build(message)
    segments = message.to_segments()
    if len(segments) != 1:
        raise AssertionError("the estimate of a message's size was too small")
    return _FRAME.pack(0, len(segments[0]) // 8) + bytes(segments[0])


def exactly(data: bytes, count: int, what: str) -> bytes:
    """``data`` if it has ``count`` bytes."""
    if len(data) != count:
        raise MessageInvalid(f"{what} has {len(data)} bytes, expected {count}")
    return data


def at_most(rows: Any, count: int, what: str) -> Any:
    """A list reader if it has at most ``count`` elements."""
    if len(rows) > count:
        raise MessageInvalid(f"{len(rows)} {what}, at most {count} are allowed")
    return rows
