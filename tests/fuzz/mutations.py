"""Ways to spoil bytes that a decoder must survive: blind ones, and ones that know what Cap'n Proto looks like."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
POINTERS = (
    0x0000_0000_0000_0000,
    0xFFFF_FFFF_FFFF_FFFF,
    0x0000_0001_FFFF_FFFC,  # a struct that is itself
    0xFFFF_FFFF_0000_0001,  # a list as long as can be
    0x0000_0007_0000_0001,  # a list of composites
    0x0000_0000_0000_0002,  # a far pointer
    0x0000_0000_0000_0006,  # a double far pointer
    0x0000_0000_0000_0003,  # a capability
)


def mutate(frames: Sequence[bytes], other: Sequence[bytes], rng: random.Random) -> tuple[bytes, ...]:
    """One to three mutations of one frame; now and then a frame more or less."""
    rows = list(frames)
    at = rng.randrange(len(rows))
    for _ in range(rng.randint(1, 3)):
        rows[at] = rng.choice(_WAYS)(rows[at], rng.choice(other), rng)
    if rng.random() < 0.03:
        rows.append(rng.choice(other))
    elif len(rows) > 1 and rng.random() < 0.05:
        rows.pop()
    return tuple(rows)


def _flip(data: bytes, other: bytes, rng: random.Random) -> bytes:
    if not data:
        return other
    row = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        row[rng.randrange(len(row))] ^= 1 << rng.randrange(8)
    return bytes(row)


def _cut(data: bytes, other: bytes, rng: random.Random) -> bytes:
    size = rng.randrange(len(data) + 1)
    return data[: size - size % 8] if rng.random() < 0.7 else data[:size]


def _extend(data: bytes, other: bytes, rng: random.Random) -> bytes:
    return data + rng.choice((bytes(8), other[:64], rng.randbytes(rng.randint(1, 64))))


def _splice(data: bytes, other: bytes, rng: random.Random) -> bytes:
    here, there = rng.randrange(len(data) + 1) // 8 * 8, rng.randrange(len(other) + 1) // 8 * 8
    return data[:here] + other[there:]


def _number(data: bytes, other: bytes, rng: random.Random) -> bytes:
    size = rng.choice((1, 2, 4, 8))
    if len(data) < size:
        return data
    at = rng.randrange(len(data) - size + 1)
    value = (rng.choice(NUMBERS) & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    return data[:at] + value + data[at + size :]


def _pointer(data: bytes, other: bytes, rng: random.Random) -> bytes:
    if len(data) < 16:
        return data
    at = rng.randrange(1, len(data) // 8) * 8
    word = rng.choice(POINTERS) ^ (rng.getrandbits(34) << 2 if rng.random() < 0.4 else 0)
    return data[:at] + struct.pack("<Q", word & (1 << 64) - 1) + data[at + 8 :]


def _reframed(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """A segment table that fits again, so that what is wrong lies deeper."""
    body = data[8:] if len(data) >= 16 else bytes(8)
    body = body[: len(body) // 8 * 8] or bytes(8)
    return struct.pack("<II", 0, len(body) // 8) + body


def _repeat(data: bytes, other: bytes, rng: random.Random) -> bytes:
    at, size = rng.randrange(len(data) + 1), rng.randint(1, 80)
    return data[:at] + data[at : at + size] + data[at:]


_WAYS = (_flip, _flip, _cut, _extend, _splice, _number, _number, _pointer, _pointer, _reframed, _repeat)
