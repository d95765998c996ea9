"""Requests, commitments and openings (rules 2.1, 2.6, 2.9)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from dropbeard.types import limits, wire
from dropbeard.types.hashing import BODY, COMMITMENT, REQUEST, SALT, digest, keyed
from dropbeard.types.ids import ClientKey, Digest, GroupId, Nonce, OwnerId, RequestId, TimeUs, Version

IDS_KEPT = 16_384
"""Request ids remembered by what they are of: every lane attests the same requests."""

_BODY = struct.Struct("<Q32sH")
_REQUEST = struct.Struct("<32sQI32s")
_PLACE = struct.Struct("<32sHI")
_OPENING = struct.Struct("<32sHI32s32sH")


def body_digest(nonce: Nonce, group: GroupId, options: bytes, input_digest: Digest) -> Digest:
    """H(nonce u64, group 32, options short bytes, input digest 32), rule 2.1."""
    return digest(BODY, _BODY.pack(nonce, group, len(options)), options, input_digest)


@lru_cache(maxsize=IDS_KEPT)
def request_id(client: ClientKey, deadline: TimeUs, patience_us: int, body: Digest) -> RequestId:
    """H(client 32, deadline u64, patience u32, body 32), rule 2.1."""
    return RequestId(digest(REQUEST, _REQUEST.pack(client, deadline, patience_us, body)))


@dataclass(frozen=True, slots=True)
class Request:
    """A client's request without the input itself; ``input_digest`` is what the replica computed from the bytes.

    ``deadline`` in microseconds since the epoch, ``patience_us`` in microseconds (u32).
    """

    client: ClientKey
    group: GroupId
    nonce: Nonce
    deadline: TimeUs
    patience_us: int
    options: bytes
    input_digest: Digest
    body: Digest = field(init=False, repr=False, compare=False)
    """Digest of what the client asks."""
    id: RequestId = field(init=False, repr=False, compare=False)
    """The name by which it is run and charged once."""

    def __post_init__(self) -> None:
        body = body_digest(self.nonce, self.group, self.options, self.input_digest)
        object.__setattr__(self, "body", body)
        object.__setattr__(self, "id", request_id(self.client, self.deadline, self.patience_us, body))


def salt_of(secret: bytes, request: RequestId, version: Version) -> bytes:
    """Keyed BLAKE3 of (request id, version u32) under a 32-byte secret of the node (rule 2.6)."""
    return keyed(secret, SALT.encode(), request, wire.u32(version))


class Opening(NamedTuple):
    """What a commitment hides: one owner's answer to one request (rule 2.9). ``salt`` has 32 bytes."""

    request: RequestId
    owner: OwnerId
    version: Version
    model: Digest
    output: bytes
    salt: bytes

    def commitment(self) -> Digest:
        """H(request id 32, owner u16, version u32, model 32, salt 32, output), rule 2.6."""
        place = _PLACE.pack(self.request, self.owner, self.version)
        return digest(COMMITMENT, place, self.model, self.salt, self.output)


def encode_openings(openings: Iterable[Opening]) -> bytes:
    """One after the other: request id 32, owner u16, version u32, model 32, salt 32, output short bytes."""
    return b"".join(
        _OPENING.pack(o.request, o.owner, o.version, o.model, o.salt, len(o.output)) + o.output for o in openings
    )


def decode_openings(data: bytes, most: int) -> tuple[Opening, ...]:
    """Read at most ``most`` openings; MessageInvalid on any other bytes."""
    openings = []
    for fields, output in wire.tailed_rows(_OPENING, data, most, limits.OUTPUT_BYTES_MAX):
        request, owner, version, model, salt = fields
        openings.append(Opening(RequestId(request), OwnerId(owner), Version(version), Digest(model), output, salt))
    return tuple(openings)
