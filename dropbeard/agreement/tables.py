"""The ledger's tables, and the changes that one block makes to them (rules 4.1, 4.2)."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from dropbeard.evidence.judge import Verdict
from dropbeard.types import wire
from dropbeard.types.hashing import STATE, digest
from dropbeard.types.ids import ClientKey, Digest, Epoch, Height, LaneHeight, OwnerId, RequestId, TimeUs, Version
from dropbeard.types.lanes import LaneBatch

_TIMES = struct.Struct("<32sQIqqQH")
_ANSWER = struct.Struct("<HI32s")
_OUTCOME = struct.Struct("<32sQQH")
_OWNER = struct.Struct("<H")


@dataclass(frozen=True, slots=True)
class ModelInForce:
    """A row of the model table: which version of an owner's model counts, since which height, and at which height of
    its lane the update stood (rule 4.3).
    """

    version: Version
    model: Digest
    since: Height
    lane_height: LaneHeight

    def encode(self) -> bytes:
        """version u32, model 32, since u64, lane height u64."""
        return wire.u32(self.version) + self.model + wire.u64(self.since) + wire.u64(self.lane_height)

    def after(self, batch: LaneBatch, gap: int, since: Height) -> ModelInForce | None:
        """The row after a batch of this lane; None unless a valid update stands in it (rule 4.3)."""
        if batch.update is None or batch.version != self.version or batch.lane_height < self.lane_height + gap:
            return None
        update = batch.update.update
        if update.version != self.version + 1:
            return None
        return ModelInForce(update.version, update.model, since, batch.lane_height)


class Counted(NamedTuple):
    """One owner's attestation in a record."""

    owner: OwnerId
    version: Version
    commitment: Digest


@dataclass(frozen=True, slots=True)
class Record:
    """An open request (rule 4.4). ``reached``: block time at which it first had enough answers; ``due``: block time
    at which it is looked at again; ``charged``: the lane whose open_max it counts against, or None (rule 4.2).
    """

    client: ClientKey
    deadline: TimeUs
    patience_us: int
    answers: tuple[Counted, ...]
    charged: OwnerId | None
    reached: TimeUs | None
    due: TimeUs

    def encode(self) -> bytes:
        """client 32, deadline u64, patience u32, charged i64 (-1 none), reached i64 (-1 none), due u64, answers."""
        charged = -1 if self.charged is None else self.charged
        reached = -1 if self.reached is None else self.reached
        rows = [_ANSWER.pack(a.owner, a.version, a.commitment) for a in self.answers]
        head = _TIMES.pack(self.client, self.deadline, self.patience_us, charged, reached, self.due, len(rows))
        return b"".join((head, *rows))


@dataclass(frozen=True, slots=True)
class Outcome:
    """An agreed request, remembered until ``due`` = deadline + retention (rule 4.6); ``owners`` are in its entries."""

    client: ClientKey
    deadline: TimeUs
    owners: tuple[OwnerId, ...]
    due: TimeUs

    def encode(self) -> bytes:
        """client 32, deadline u64, due u64, owners u16 and each u16."""
        head = _OUTCOME.pack(self.client, self.deadline, self.due, len(self.owners))
        return head + b"".join(map(_OWNER.pack, self.owners))


class Table(enum.IntEnum):
    """Tables in the order in which changes are hashed."""

    MODELS = 1
    LANE_TIMES = 2
    OPEN = 3
    OUTCOMES = 4
    CHARGES = 5
    USAGE = 6
    MARKS = 7
    SUCCESSION = 8


@dataclass(frozen=True, slots=True)
class Succeeding:
    """An ordered membership change (rule 8.4): ``epoch`` stands on height ``root`` and ends with height ``last``."""

    epoch: Epoch
    root: Height
    last: Height
    configuration: bytes

    def encode(self) -> bytes:
        """epoch u32, root u64, last u64, configuration."""
        return wire.u32(self.epoch) + wire.u64(self.root) + wire.u64(self.last) + self.configuration


@dataclass(slots=True)
class Delta:
    """What one block changes; None stands for a removed row. ``dues``: (due, request id) of rows it wrote."""

    models: dict[OwnerId, ModelInForce] = field(default_factory=dict)
    lane_times: dict[OwnerId, TimeUs] = field(default_factory=dict)
    open: dict[RequestId, Record | None] = field(default_factory=dict)
    outcomes: dict[RequestId, Outcome | None] = field(default_factory=dict)
    charges: dict[OwnerId, int] = field(default_factory=dict)
    usage: dict[OwnerId, int] = field(default_factory=dict)
    marks: dict[Verdict, Height] = field(default_factory=dict)
    succeeding: Succeeding | None = None
    dues: list[tuple[TimeUs, RequestId]] = field(default_factory=list)

    def rows(self) -> list[bytes]:
        """The changes in their one order, by table, then key: table u8, key, u8 1 and the row or u8 0 (rule 4.1)."""
        parts: list[bytes] = []
        for owner, model in sorted(self.models.items()):
            parts.append(row_bytes(Table.MODELS, wire.u16(owner), model.encode()))
        for owner, time in sorted(self.lane_times.items()):
            parts.append(row_bytes(Table.LANE_TIMES, wire.u16(owner), wire.u64(time)))
        for request in sorted(self.open):
            record = self.open[request]
            parts.append(row_bytes(Table.OPEN, request, None if record is None else record.encode()))
        for request in sorted(self.outcomes):
            outcome = self.outcomes[request]
            parts.append(row_bytes(Table.OUTCOMES, request, None if outcome is None else outcome.encode()))
        for table, counts in ((Table.CHARGES, self.charges), (Table.USAGE, self.usage)):
            parts += [row_bytes(table, wire.u16(owner), wire.u64(count)) for owner, count in sorted(counts.items())]
        for (owner, offence), height in sorted(self.marks.items()):
            parts.append(row_bytes(Table.MARKS, wire.u16(owner) + wire.u8(offence), wire.u64(height)))
        if self.succeeding is not None:
            parts.append(row_bytes(Table.SUCCESSION, b"", self.succeeding.encode()))
        return parts

    def root(self, parent: Digest) -> Digest:
        """H(parent's state root, these changes), rule 4.1."""
        return digest(STATE, parent, *self.rows())


def row_bytes(table: Table, key: bytes, value: bytes | None) -> bytes:
    """table u8, key, u8 1 and the row (u32 length and bytes), or u8 0 for a removed one."""
    if value is None:
        return b"%c%b\0" % (table, key)
    return b"%c%b\1%b%b" % (table, key, wire.u32(len(value)), value)
