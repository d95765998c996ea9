"""Lane batches: a replica's signed, hash-chained promises (rule 2.7).

Layout of a batch's items: clients u16 and each 32 bytes (distinct, in the order of first use), attestations u16
and each (client index u16, deadline u64, patience u32, body 32, commitment 32). A batch: group 32, epoch u32,
owner u16, version u32, lane height u64, parent 32, time u64, items. One batch has exactly one such form (rule 2.8).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property

from dropbeard.errors import MessageInvalid
from dropbeard.types import wire
from dropbeard.types.hashing import ITEMS, LANE_BATCH, digest
from dropbeard.types.ids import (
    ClientKey,
    Digest,
    Epoch,
    GroupId,
    LaneHeight,
    OwnerId,
    RequestId,
    Signature,
    TimeUs,
    Version,
)
from dropbeard.types.requests import request_id
from dropbeard.types.statements import LanePromise

_ATTESTATION = struct.Struct("<HQI32s32s")


@dataclass(frozen=True, slots=True)
class Attestation:
    """I answered this request, and this commitment hides what I said. ``patience_us`` is a u32."""

    client: ClientKey
    deadline: TimeUs
    patience_us: int
    body: Digest
    commitment: Digest

    def request_id(self) -> RequestId:
        """Recomputed, so no lane can name a request by a wrong id."""
        return request_id(self.client, self.deadline, self.patience_us, self.body)


@dataclass(frozen=True)
class LaneBatch:
    """One link of a lane. Lane heights count from 1; the first batch's parent is 32 zero bytes."""

    group: GroupId
    epoch: Epoch
    owner: OwnerId
    version: Version
    lane_height: LaneHeight
    parent: Digest
    time: TimeUs
    attestations: tuple[Attestation, ...]

    @cached_property
    def items_bytes(self) -> bytes:
        """Canonical bytes of the items."""
        index: dict[ClientKey, int] = {}
        rows = []
        for item in self.attestations:
            at = index.setdefault(item.client, len(index))
            rows.append(_ATTESTATION.pack(at, item.deadline, item.patience_us, item.body, item.commitment))
        clients = wire.u16(len(index)) + b"".join(index)
        return clients + wire.u16(len(rows)) + b"".join(rows)

    @cached_property
    def promise(self) -> LanePromise:
        """The statement that is signed for this batch."""
        return LanePromise(
            self.group,
            self.epoch,
            self.owner,
            self.version,
            self.lane_height,
            self.parent,
            self.time,
            digest(ITEMS, self.items_bytes),
        )

    @cached_property
    def digest(self) -> Digest:
        """The batch's name in cuts and as the parent of the next one."""
        return digest(LANE_BATCH, self.promise.encode())

    @cached_property
    def request_ids(self) -> tuple[RequestId, ...]:
        """Request id of each attestation, in order."""
        return tuple(item.request_id() for item in self.attestations)

    def encode(self) -> bytes:
        """Canonical bytes."""
        place = wire.u16(self.owner) + wire.u32(self.version) + wire.u64(self.lane_height) + self.parent
        return self.group + wire.u32(self.epoch) + place + wire.u64(self.time) + self.items_bytes


@dataclass(frozen=True, slots=True)
class SignedBatch:
    """A batch with its owner's signature over ``batch.promise``."""

    batch: LaneBatch
    signature: Signature


def decode_batch(data: bytes, items_max: int) -> LaneBatch:
    """Read canonical bytes; MessageInvalid unless they are the one form of a batch with at most ``items_max`` items."""
    reader = wire.Reader(data)
    group, epoch = GroupId(reader.take(32)), Epoch(reader.u32())
    owner, version = OwnerId(reader.u16()), Version(reader.u32())
    lane_height, parent = LaneHeight(reader.u64()), Digest(reader.take(32))
    time = TimeUs(reader.u64())
    items_at = len(data) - reader.remaining
    clients = [ClientKey(reader.take(32)) for _ in range(reader.count(items_max, "clients"))]
    rows = reader.take(_ATTESTATION.size * reader.count(items_max, "attestations"))
    reader.end()
    attestations = _decode_rows(rows, clients)
    batch = LaneBatch(group, epoch, owner, version, lane_height, parent, time, attestations)
    if lane_height < 1 or batch.items_bytes != data[items_at:]:
        raise MessageInvalid("a lane batch is not in its canonical form")
    return batch


def _decode_rows(rows: bytes, clients: list[ClientKey]) -> tuple[Attestation, ...]:
    attestations = []
    for at, deadline, patience_us, body, commitment in _ATTESTATION.iter_unpack(rows):
        if at >= len(clients):
            raise MessageInvalid(f"an attestation names client {at} of {len(clients)}")
        attestations.append(Attestation(clients[at], TimeUs(deadline), patience_us, Digest(body), Digest(commitment)))
    return tuple(attestations)
