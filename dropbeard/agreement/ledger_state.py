"""The ledger's state: a base that is final, and one set of changes for each block above it (rules 4.1, 4.2).

Blocks are applied before they are notarized, and the one that is applied may never become final; so a block's
changes are kept apart as a ``Delta`` over its parent's, and merged into the base when the block is final.
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from dropbeard.types import wire
from dropbeard.types.group import FIRST_VERSION, Group
from dropbeard.types.hashing import STATE, STATE_GENESIS, digest
from dropbeard.types.ids import ClientKey, Digest, Height, OwnerId, RequestId, TimeUs, Version


@dataclass(frozen=True, slots=True)
class ModelInForce:
    """A row of the model table: which version of an owner's model counts, since which height."""

    version: Version
    model: Digest
    since: Height

    def encode(self) -> bytes:
        """version u32, model 32, since u64."""
        return wire.u32(self.version) + self.model + wire.u64(self.since)


@dataclass(frozen=True, slots=True)
class Counted:
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
        times = wire.u64(self.deadline) + wire.u32(self.patience_us)
        marks = wire.i64(-1 if self.charged is None else self.charged)
        marks += wire.i64(-1 if self.reached is None else self.reached) + wire.u64(self.due)
        rows = [wire.u16(a.owner) + wire.u32(a.version) + a.commitment for a in self.answers]
        return self.client + times + marks + wire.u16(len(rows)) + b"".join(rows)


@dataclass(frozen=True, slots=True)
class Outcome:
    """An agreed request, remembered until ``due`` = deadline + retention (rule 4.6); ``owners`` are in its entries."""

    client: ClientKey
    deadline: TimeUs
    owners: tuple[OwnerId, ...]
    due: TimeUs

    def encode(self) -> bytes:
        """client 32, deadline u64, due u64, owners u16 and each u16."""
        owners = wire.u16(len(self.owners)) + b"".join(wire.u16(owner) for owner in self.owners)
        return self.client + wire.u64(self.deadline) + wire.u64(self.due) + owners


class Table(enum.IntEnum):
    """Tables in the order in which changes are hashed."""

    MODELS = 1
    LANE_TIMES = 2
    OPEN = 3
    OUTCOMES = 4
    CHARGES = 5
    USAGE = 6


@dataclass(slots=True)
class Delta:
    """What one block changes; None stands for a removed row. ``dues``: (due, request id) of rows it wrote."""

    models: dict[OwnerId, ModelInForce] = field(default_factory=dict)
    lane_times: dict[OwnerId, TimeUs] = field(default_factory=dict)
    open: dict[RequestId, Record | None] = field(default_factory=dict)
    outcomes: dict[RequestId, Outcome | None] = field(default_factory=dict)
    charges: dict[OwnerId, int] = field(default_factory=dict)
    usage: dict[OwnerId, int] = field(default_factory=dict)
    dues: list[tuple[TimeUs, RequestId]] = field(default_factory=list)

    def root(self, parent: Digest) -> Digest:
        """H(parent's state root, changes by table, then key): table u8, key, u8 1 and the row or u8 0 (rule 4.1)."""
        parts: list[bytes] = [parent]
        for owner, model in sorted(self.models.items()):
            parts.append(_row(Table.MODELS, wire.u16(owner), model.encode()))
        for owner, time in sorted(self.lane_times.items()):
            parts.append(_row(Table.LANE_TIMES, wire.u16(owner), wire.u64(time)))
        for request, record in sorted(self.open.items(), key=lambda item: item[0]):
            parts.append(_row(Table.OPEN, request, None if record is None else record.encode()))
        for request, outcome in sorted(self.outcomes.items(), key=lambda item: item[0]):
            parts.append(_row(Table.OUTCOMES, request, None if outcome is None else outcome.encode()))
        for table, counts in ((Table.CHARGES, self.charges), (Table.USAGE, self.usage)):
            parts += [_row(table, wire.u16(owner), wire.u64(count)) for owner, count in sorted(counts.items())]
        return digest(STATE, *parts)


def _row(table: Table, key: bytes, value: bytes | None) -> bytes:
    return wire.u8(table) + key + (wire.u8(0) if value is None else wire.u8(1) + wire.u32(len(value)) + value)


@dataclass(slots=True)
class Base:
    """The final state. ``dues`` is a heap; ``ripe`` holds what was taken off it for blocks that are not final yet."""

    models: dict[OwnerId, ModelInForce]
    lane_times: dict[OwnerId, TimeUs] = field(default_factory=dict)
    open: dict[RequestId, Record] = field(default_factory=dict)
    outcomes: dict[RequestId, Outcome] = field(default_factory=dict)
    charges: dict[OwnerId, int] = field(default_factory=dict)
    usage: dict[OwnerId, int] = field(default_factory=dict)
    dues: list[tuple[TimeUs, RequestId]] = field(default_factory=list)
    ripe: list[tuple[TimeUs, RequestId]] = field(default_factory=list)

    def merge(self, delta: Delta, time: TimeUs) -> None:
        """Make a block's changes final; ``time`` is the block's."""
        self.models.update(delta.models)
        self.lane_times.update(delta.lane_times)
        self.charges.update(delta.charges)
        self.usage.update(delta.usage)
        for request, record in delta.open.items():
            if record is None:
                self.open.pop(request, None)
            else:
                self.open[request] = record
        for request, outcome in delta.outcomes.items():
            if outcome is None:
                self.outcomes.pop(request, None)
            else:
                self.outcomes[request] = outcome
        for due in delta.dues:
            heapq.heappush(self.dues, due)
        self.ripe = [due for due in self.ripe if due[0] > time]

    def ripen(self, time: TimeUs) -> Sequence[tuple[TimeUs, RequestId]]:
        """Hints: everything in the final state that may be due at block time ``time``."""
        while self.dues and self.dues[0][0] <= time:
            self.ripe.append(heapq.heappop(self.dues))
        return [due for due in self.ripe if due[0] <= time]


def genesis_base(group: Group) -> Base:
    """The state before the first block: every owner's first model is in force since height 0."""
    return Base(models={o.id: ModelInForce(FIRST_VERSION, o.model, Height(0)) for o in group.owners})


def genesis_state_root(group: Group) -> Digest:
    """State root of the genesis header."""
    return digest(STATE_GENESIS, group.id)


class StateView:
    """The state after some block: the base seen through the deltas above it, newest last."""

    __slots__ = ("base", "deltas")

    def __init__(self, base: Base, deltas: Sequence[Delta]) -> None:
        self.base = base
        self.deltas = tuple(deltas)

    def model(self, owner: OwnerId) -> ModelInForce:
        """The version in force."""
        for delta in reversed(self.deltas):
            if owner in delta.models:
                return delta.models[owner]
        return self.base.models[owner]

    def lane_time(self, owner: OwnerId) -> TimeUs:
        """The latest time of the owner's ordered batches; 0 before the first (rule 3.1)."""
        for delta in reversed(self.deltas):
            if owner in delta.lane_times:
                return delta.lane_times[owner]
        return self.base.lane_times.get(owner, TimeUs(0))

    def record(self, request: RequestId) -> Record | None:
        """The open record of a request."""
        for delta in reversed(self.deltas):
            if request in delta.open:
                return delta.open[request]
        return self.base.open.get(request)

    def outcome(self, request: RequestId) -> Outcome | None:
        """The remembered outcome of an agreed request."""
        for delta in reversed(self.deltas):
            if request in delta.outcomes:
                return delta.outcomes[request]
        return self.base.outcomes.get(request)

    def charge(self, owner: OwnerId) -> int:
        """Records charged to the owner's lane."""
        for delta in reversed(self.deltas):
            if owner in delta.charges:
                return delta.charges[owner]
        return self.base.charges.get(owner, 0)

    def used(self, owner: OwnerId) -> int:
        """Promises of the owner in agreed entries and supplements so far."""
        for delta in reversed(self.deltas):
            if owner in delta.usage:
                return delta.usage[owner]
        return self.base.usage.get(owner, 0)

    def due(self, time: TimeUs) -> list[RequestId]:
        """Hints for what falls due by ``time``: rows decide by their own ``due``; each id once, in no set's order."""
        hints = dict.fromkeys(request for _, request in self.base.ripen(time))
        for delta in self.deltas:
            hints.update(dict.fromkeys(request for due, request in delta.dues if due <= time))
        return list(hints)
