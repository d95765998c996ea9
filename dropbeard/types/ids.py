"""Names for the numbers and byte strings of the protocol, so that swapped arguments fail in the type checker."""

from __future__ import annotations

from typing import NewType

GroupId = NewType("GroupId", bytes)
"""32 bytes: BLAKE3 of the canonical genesis (rule 1.3)."""

Digest = NewType("Digest", bytes)
"""32 bytes of BLAKE3 under some context of :mod:`dropbeard.types.hashing`."""

RequestId = NewType("RequestId", bytes)
"""32 bytes, rule 2.1."""

ClientKey = NewType("ClientKey", bytes)
"""32 bytes: a client's CURVE public key (rule 1.4)."""

Signature = NewType("Signature", bytes)
"""64 bytes r||s, big-endian, low s (rule 1.3)."""

OwnerId = NewType("OwnerId", int)
"""u16; names a model owner and its replica, never reused (rule 8.4)."""

Epoch = NewType("Epoch", int)
View = NewType("View", int)
Height = NewType("Height", int)
LaneHeight = NewType("LaneHeight", int)
Version = NewType("Version", int)
Nonce = NewType("Nonce", int)

TimeUs = NewType("TimeUs", int)
"""Microseconds since 1970-01-01 UTC by some replica's or client's clock; u64."""

DIGEST_BYTES = 32
KEY_BYTES = 32
SIGNATURE_BYTES = 64
PUBLIC_KEY_BYTES = 33
NO_DIGEST = Digest(bytes(DIGEST_BYTES))
"""Stands where there is no parent: before the first batch of a lane, before the genesis header."""

GENESIS_VIEW = View(-1)
GENESIS_HEIGHT = Height(0)
