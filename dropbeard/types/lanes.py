"""Lane batches: a replica's signed, hash-chained promises (rule 2.7).

Layout of a batch's items: clients u16 and each 32 bytes (distinct, in the order of first use), attestations u16
and each (client index u16, deadline u64, patience u32, body 32, commitment 32), evidence u8 and each (u32 length and
bytes), then u8 (1 for a model update, plus 2 for a membership change), the update (version u32, model 32, the owner
key's signature 64) and the change (u32 length and configuration, signatures of owner keys). A batch: group 32,
epoch u32, owner u16, version u32, lane height u64, parent 32, time u64, items. One batch has exactly one such form
(rule 2.8).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from dropbeard.errors import MessageInvalid
from dropbeard.types import limits, wire
from dropbeard.types.hashing import ITEMS, LANE_BATCH, digest
from dropbeard.types.ids import (
    SIGNATURE_BYTES,
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
from dropbeard.types.membership import SignedChange, read_change
from dropbeard.types.parameters import Parameters
from dropbeard.types.requests import request_id
from dropbeard.types.statements import LanePromise, ModelUpdate

WITH_UPDATE, WITH_CHANGE = 1, 2

_HEAD = struct.Struct("<32sIHIQ32sQ")
_ATTESTATION = struct.Struct("<HQI32s32s")


class Attestation(NamedTuple):
    """I answered this request, and this commitment hides what I said. ``patience_us`` is a u32."""

    client: ClientKey
    deadline: TimeUs
    patience_us: int
    body: Digest
    commitment: Digest

    def request_id(self) -> RequestId:
        """Recomputed, so no lane can name a request by a wrong id."""
        return request_id(self.client, self.deadline, self.patience_us, self.body)


@dataclass(frozen=True, slots=True)
class SignedUpdate:
    """A model update with the owner key's signature (rule 4.3)."""

    update: ModelUpdate
    signature: Signature


@dataclass(frozen=True)
class LaneBatch:
    """One link of a lane. Lane heights count from 1; the first batch's parent is 32 zero bytes.

    ``evidence``: files of dropbeard.evidence, unjudged (rule 8.1). ``update`` comes after them: what stands before it
    is under the old version. ``change``: of the membership (rule 8.4).
    """

    group: GroupId
    epoch: Epoch
    owner: OwnerId
    version: Version
    lane_height: LaneHeight
    parent: Digest
    time: TimeUs
    attestations: tuple[Attestation, ...]
    evidence: tuple[bytes, ...] = ()
    update: SignedUpdate | None = None
    change: SignedChange | None = None

    @cached_property
    def items_bytes(self) -> bytes:
        """Canonical bytes of the items."""
        index: dict[ClientKey, int] = {}
        rows = []
        for item in self.attestations:
            at = index.setdefault(item.client, len(index))
            rows.append(_ATTESTATION.pack(at, item.deadline, item.patience_us, item.body, item.commitment))
        clients = wire.u16(len(index)) + b"".join(index)
        shown = wire.u8(len(self.evidence)) + b"".join(map(wire.long_bytes, self.evidence))
        return clients + wire.u16(len(rows)) + b"".join(rows) + shown + self._last_items()

    def _last_items(self) -> bytes:
        marks = (0 if self.update is None else WITH_UPDATE) + (0 if self.change is None else WITH_CHANGE)
        updated = b"" if self.update is None else _encode_update(self.update)
        return wire.u8(marks) + updated + (b"" if self.change is None else self.change.encode())

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
        place = self.owner, self.version, self.lane_height, self.parent, self.time
        return _HEAD.pack(self.group, self.epoch, *place) + self.items_bytes


@dataclass(frozen=True, slots=True)
class SignedPromise:
    """A batch's statement with its owner's signature: enough to show that it was signed."""

    promise: LanePromise
    signature: Signature


@dataclass(frozen=True, slots=True)
class SignedBatch:
    """A batch with its owner's signature over ``batch.promise``."""

    batch: LaneBatch
    signature: Signature

    @property
    def statement(self) -> SignedPromise:
        """What was signed, without the items."""
        return SignedPromise(self.batch.promise, self.signature)


def encode_promise(signed: SignedPromise) -> bytes:
    """version u32, lane height u64, parent 32, time u64, items 32, signature 64."""
    promise = signed.promise
    place = wire.u32(promise.version) + wire.u64(promise.lane_height) + promise.parent
    return place + wire.u64(promise.time) + promise.items + signed.signature


def read_promise(reader: wire.Reader, group: GroupId, epoch: Epoch, owner: OwnerId) -> SignedPromise:
    """Take the statement of one of the owner's batches off ``reader``."""
    version, height, parent = Version(reader.u32()), LaneHeight(reader.u64()), Digest(reader.take(32))
    time, items = TimeUs(reader.u64()), Digest(reader.take(32))
    promise = LanePromise(group, epoch, owner, version, height, parent, time, items)
    return SignedPromise(promise, Signature(reader.take(SIGNATURE_BYTES)))


def _encode_update(signed: SignedUpdate) -> bytes:
    return wire.u32(signed.update.version) + signed.update.model + signed.signature


def decode_batch(data: bytes, rules: Parameters) -> LaneBatch:
    """Read canonical bytes; MessageInvalid unless they are the one form of a batch within a group's bounds (2.8)."""
    reader = wire.Reader(data)
    group, epoch, owner, version, lane_height, parent, time = reader.fields(_HEAD)
    most = rules.batch_items_max
    clients = [ClientKey(reader.take(32)) for _ in range(reader.count(most, "clients"))]
    rows = reader.take(_ATTESTATION.size * reader.count(most, "attestations"))
    evidence = _read_evidence(reader, rules.evidence_max)
    marks = reader.u8()
    if marks > WITH_UPDATE + WITH_CHANGE:
        raise MessageInvalid(f"a batch's last mark is {marks}, at most {WITH_UPDATE + WITH_CHANGE} is known")
    update = _read_update(reader, group, epoch, owner) if marks & WITH_UPDATE else None
    change = read_change(reader) if marks & WITH_CHANGE else None
    reader.end()
    attestations = _decode_rows(rows, clients)
    batch = LaneBatch(group, epoch, owner, version, lane_height, parent, time, attestations, evidence, update, change)
    if lane_height < 1 or batch.items_bytes != data[_HEAD.size :]:
        raise MessageInvalid("a lane batch is not in its canonical form")
    return batch


def _read_evidence(reader: wire.Reader, most: int) -> tuple[bytes, ...]:
    number = reader.u8()
    if number > most:
        raise MessageInvalid(f"{number} pieces of evidence in one batch, at most {most} allowed")
    shown = tuple(reader.long_bytes() for _ in range(number))
    if sum(map(len, shown)) > limits.EVIDENCE_BATCH_BYTES_MAX:
        raise MessageInvalid(f"a batch holds more than {limits.EVIDENCE_BATCH_BYTES_MAX} bytes of evidence")
    return shown


def _read_update(reader: wire.Reader, group: GroupId, epoch: Epoch, owner: OwnerId) -> SignedUpdate:
    update = ModelUpdate(group, epoch, owner, Version(reader.u32()), Digest(reader.take(32)))
    return SignedUpdate(update, Signature(reader.take(SIGNATURE_BYTES)))


def _decode_rows(rows: bytes, clients: list[ClientKey]) -> tuple[Attestation, ...]:
    try:
        return tuple(Attestation._make((clients[at], *row)) for at, *row in _ATTESTATION.iter_unpack(rows))
    except IndexError:
        raise MessageInvalid(f"an attestation names a client beyond the {len(clients)} of its batch") from None
