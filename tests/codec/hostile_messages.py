"""Malformed messages by name: every crash class that pycapnp is known for, built by hand from words."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from dropbeard.codec.guard import schema

WORD = 8


def framed(*words: int | bytes) -> bytes:
    """One segment of the given words (ints little-endian), exactly framed."""
    body = b"".join(w if isinstance(w, bytes) else struct.pack("<Q", w & (2**64 - 1)) for w in words)
    return struct.pack("<II", 0, len(body) // WORD) + body


def struct_pointer(offset: int, data_words: int, pointers: int) -> int:
    return ((offset << 2) & 0xFFFFFFFF) | (data_words << 32) | (pointers << 48)


def list_pointer(offset: int, size_code: int, count: int) -> int:
    return 1 | ((offset << 2) & 0xFFFFFFFF) | (size_code << 32) | (count << 35)


def far_pointer(segment: int, offset: int, double: bool = False) -> int:
    return 2 | (int(double) << 2) | (offset << 3) | (segment << 32)


CAPABILITY = 3 | (0 << 32)
VERSION_AND_UNION = 1 | (2 << 16)
"""version 1, union member 2 (each outer struct's first real one)."""


def honest(form: str = "VotesFrame", name: str = "peer") -> bytes:
    """A well-formed message to damage."""
    frame = getattr(schema(name), form).new_message()
    frame.version = 1
    vote = frame.init("vote")
    vote.signer, vote.signature = 1, b"s" * 64
    inner = vote.init("vote")
    inner.kind, inner.view, inner.header = "notarize", 7, b"d" * 32
    data: bytes = frame.to_bytes()
    return data


def deep(levels: int) -> bytes:
    """A struct inside a struct inside a struct."""
    return framed(struct_pointer(0, 1, 1), VERSION_AND_UNION, *[struct_pointer(0, 0, 1)] * levels, 0)


def zero_size_list(count: int) -> bytes:
    """A list of ``count`` elements that take no room."""
    tag = (count << 2) & 0xFFFFFFFF
    return framed(struct_pointer(0, 1, 1), VERSION_AND_UNION, list_pointer(0, 7, 0), tag)


def with_pages(pointer: int) -> bytes:
    """A Proposal whose list of pages is the given pointer."""
    return framed(struct_pointer(0, 1, 1), 1 | (3 << 16), struct_pointer(0, 0, 4), 0, 0, 0, pointer, 0)


def unknown_kind() -> bytes:
    """A vote of a kind that the schema does not have."""
    frame = schema("peer").VotesFrame.new_message()
    frame.version = 1
    frame.init("vote").init("vote").kind = 900
    data: bytes = frame.to_bytes()
    return data


def bad_text() -> bytes:
    """A Rejected whose detail is not UTF-8."""
    frame = schema("client").ToClient.new_message()
    frame.version = 1
    rejected = frame.init("rejected")
    rejected.request, rejected.reason, rejected.detail = b"r" * 32, 1, "detail-detail"
    data: bytes = frame.to_bytes()
    return data.replace(b"detail-detail", b"\xff\xfe\xc0\xaf\x80etail-det")


def two_segments() -> bytes:
    """The same content in two segments."""
    body = honest()[8:]
    half = len(body) // 16 * 8
    return struct.pack("<IIII", 1, half // 8, (len(body) - half) // 8, 0) + body


def damaged(change: Callable[[bytearray], Any]) -> bytes:
    data = bytearray(honest())
    change(data)
    return bytes(data)


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "one byte": b"\x00",
    "header only": bytes(8),
    "packed stream of 16 bytes": b"\x11" + b"\x02" * 15,
    "two segments": two_segments(),
    "trailing word": honest() + bytes(8),
    "trailing byte": honest() + b"\x00",
    "huge segment count": struct.pack("<II", 0xFFFFFFFF, 0) + bytes(64),
    "huge segment size": struct.pack("<II", 0, 0xFFFFFFFF) + bytes(64),
    "size beyond the frame": struct.pack("<II", 0, 99) + honest()[8:],
    "root points beyond the end": framed(struct_pointer(1_000, 1, 1), 0),
    "root points before the start": framed(struct_pointer(-100, 1, 1), 0),
    "root is a list": framed(list_pointer(0, 7, 4), 0, 0, 0, 0),
    "root is a capability": framed(CAPABILITY, 0),
    "root points to itself": framed(struct_pointer(-1, 0, 1)),
    "cyclic struct": framed(struct_pointer(0, 1, 1), VERSION_AND_UNION, struct_pointer(-3, 1, 1)),
    "far pointer to nowhere": framed(far_pointer(7, 0), 0),
    "far pointer to itself": framed(far_pointer(0, 0), 0),
    "double far pointer": framed(far_pointer(0, 1, double=True), far_pointer(0, 0), struct_pointer(0, 0, 0)),
    "inner far pointer": framed(struct_pointer(0, 1, 1), VERSION_AND_UNION, far_pointer(0, 2)),
    "inner capability": framed(struct_pointer(0, 1, 1), VERSION_AND_UNION, CAPABILITY),
    "a list where a struct should be": framed(struct_pointer(0, 1, 1), VERSION_AND_UNION, list_pointer(0, 2, 8), 0),
    "text where a struct should be": framed(struct_pointer(0, 1, 1), VERSION_AND_UNION, list_pointer(0, 2, 5), 0),
    "nested 10 deep": deep(10),
    "nested 1000 deep": deep(1_000),
    "nested 100000 deep": deep(100_000),
    "a million elements of no size": zero_size_list(1_000_000),
    "half a billion elements of no size": zero_size_list((1 << 29) - 1),
    "a list of pages beyond the end": with_pages(list_pointer(500, 6, 3)),
    "half a billion pages": with_pages(list_pointer(0, 6, (1 << 29) - 1)),
    "a million void pages": with_pages(list_pointer(0, 0, 1_000_000)),
    "pages that are one capability": with_pages(CAPABILITY),
    "unknown vote kind": unknown_kind(),
    "unknown union member": framed(struct_pointer(0, 1, 1), 1 | (999 << 16), 0),
    "unset union": framed(struct_pointer(0, 1, 1), 1, 0),
    "wire version 0": framed(struct_pointer(0, 1, 1), 2 << 16, 0),
    "wire version 65535": framed(struct_pointer(0, 1, 1), 0xFFFF | (2 << 16), 0),
    "null pointers everywhere": framed(struct_pointer(0, 1, 1), VERSION_AND_UNION, 0),
    "text that is not UTF-8": bad_text(),
    "all ones": b"\xff" * 256,
    "framed ones": framed(*[b"\xff" * 8] * 31),
    "framed zeros": framed(*[0] * 31),
    "a megabyte and a word": framed(*[0] * (1 << 17)),
    "half a word": honest()[:-4],
    "signature cut": damaged(lambda data: data.__setitem__(slice(-8, None), b"")),
}
