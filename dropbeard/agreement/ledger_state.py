"""The ledger's state: a base that is final, and one set of changes for each block above it (rules 4.1, 4.2).

Blocks are applied before they are notarized, and the one that is applied may never become final; so a block's
changes are kept apart as a ``Delta`` over its parent's, and merged into the base when the block is final.
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from dropbeard.types import wire
from dropbeard.types.group import FIRST_VERSION, Group
from dropbeard.types.hashing import STATE, STATE_BUCKET, STATE_GENESIS, STATE_SNAPSHOT, STATE_WHOLE, digest
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

    def rows(self) -> list[bytes]:
        """The changes in their one order, by table, then key: table u8, key, u8 1 and the row or u8 0 (rule 4.1)."""
        parts: list[bytes] = []
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
        return parts

    def root(self, parent: Digest) -> Digest:
        """H(parent's state root, these changes), rule 4.1."""
        return digest(STATE, parent, *self.rows())


def _row(table: Table, key: bytes, value: bytes | None) -> bytes:
    return wire.u8(table) + key + (wire.u8(0) if value is None else wire.u8(1) + wire.u32(len(value)) + value)


BUCKET_US = 1_000_000
"""Open records and outcomes lie in buckets of one second of deadline; only touched buckets are hashed again."""

SNAPSHOTS_KEPT = 2


@dataclass(slots=True)
class WholeState:
    """Digests of the whole final state at heights that are multiples of ``interval`` (rule 4.1).

    The header at mK covers the digest of the state at (m-1)K, so that no voter has to compute it in a hurry.
    """

    interval: int
    snapshots: dict[Height, Digest] = field(default_factory=dict)
    members: dict[int, dict[tuple[Table, RequestId], None]] = field(default_factory=dict)
    digests: dict[int, Digest] = field(default_factory=dict)
    touched: dict[int, None] = field(default_factory=dict)

    def note(
        self, table: Table, request: RequestId, before: Record | Outcome | None, after: Record | Outcome | None
    ) -> None:
        """A row changed."""
        deadline = after.deadline if after is not None else before.deadline if before is not None else None
        if deadline is None:
            return
        bucket = deadline // BUCKET_US
        self.touched[bucket] = None
        members = self.members.setdefault(bucket, {})
        if after is None:
            members.pop((table, request), None)
        else:
            members[table, request] = None

    def take_snapshot(
        self, height: Height, small: bytes, tables: Mapping[Table, Mapping[RequestId, Record | Outcome]]
    ) -> None:
        """Digest of the whole state: height u64, the small tables, then each bucket (u64, digest) in order."""
        for bucket in self.touched:
            members = self.members[bucket]
            if members:
                rows = [_row(table, request, tables[table][request].encode()) for table, request in sorted(members)]
                self.digests[bucket] = digest(STATE_BUCKET, *rows)
            else:
                del self.members[bucket]
                self.digests.pop(bucket, None)
        self.touched.clear()
        buckets = [wire.u64(bucket) + found for bucket, found in sorted(self.digests.items())]
        self.snapshots[height] = digest(STATE_WHOLE, wire.u64(height), small, *buckets)
        for old in sorted(self.snapshots)[:-SNAPSHOTS_KEPT]:
            del self.snapshots[old]

    def copy(self) -> WholeState:
        """A copy that may go another way."""
        members = {bucket: dict(rows) for bucket, rows in self.members.items()}
        return WholeState(self.interval, dict(self.snapshots), members, dict(self.digests), dict(self.touched))


@dataclass(slots=True)
class Base:
    """The final state. ``dues`` is a heap; ``ripe`` holds what was taken off it for blocks that are not final yet.

    ``whole`` keeps digests of the whole state at the heights that snapshots are of (rule 4.1).
    """

    models: dict[OwnerId, ModelInForce]
    whole: WholeState
    height: Height
    lane_times: dict[OwnerId, TimeUs] = field(default_factory=dict)
    open: dict[RequestId, Record] = field(default_factory=dict)
    outcomes: dict[RequestId, Outcome] = field(default_factory=dict)
    charges: dict[OwnerId, int] = field(default_factory=dict)
    usage: dict[OwnerId, int] = field(default_factory=dict)
    dues: list[tuple[TimeUs, RequestId]] = field(default_factory=list)
    ripe: list[tuple[TimeUs, RequestId]] = field(default_factory=list)

    def merge(self, delta: Delta, time: TimeUs, height: Height) -> None:
        """Make the changes of the block at ``height``, whose time is ``time``, final."""
        self.height = height
        self.models.update(delta.models)
        self.lane_times.update(delta.lane_times)
        self.charges.update(delta.charges)
        self.usage.update(delta.usage)
        for request, record in delta.open.items():
            _replace(self.open, request, record, self.whole, Table.OPEN)
        for request, outcome in delta.outcomes.items():
            _replace(self.outcomes, request, outcome, self.whole, Table.OUTCOMES)
        for due in delta.dues:
            heapq.heappush(self.dues, due)
        self.ripe = [due for due in self.ripe if due[0] > time]
        if height % self.whole.interval == 0:
            self.whole.take_snapshot(
                height, self._small_tables(), {Table.OPEN: self.open, Table.OUTCOMES: self.outcomes}
            )

    def copy(self) -> Base:
        """A copy that may go another way; what is due is left out, since only digests are asked of it."""
        return Base(
            models=dict(self.models),
            whole=self.whole.copy(),
            height=self.height,
            lane_times=dict(self.lane_times),
            open=dict(self.open),
            outcomes=dict(self.outcomes),
            charges=dict(self.charges),
            usage=dict(self.usage),
        )

    def _small_tables(self) -> bytes:
        """Every row of the tables whose size depends on n alone, by table, then key."""
        whole = Delta(models=self.models, lane_times=self.lane_times, charges=self.charges, usage=self.usage)
        return b"".join(whole.rows())

    def ripen(self, time: TimeUs) -> Sequence[tuple[TimeUs, RequestId]]:
        """Hints: everything in the final state that may be due at block time ``time``."""
        while self.dues and self.dues[0][0] <= time:
            self.ripe.append(heapq.heappop(self.dues))
        return [due for due in self.ripe if due[0] <= time]


Row = TypeVar("Row", Record, Outcome)


def _replace(rows: dict[RequestId, Row], request: RequestId, row: Row | None, whole: WholeState, table: Table) -> None:
    before = rows.pop(request, None) if row is None else rows.get(request)
    if row is not None:
        rows[request] = row
    whole.note(table, request, before, row)


def genesis_base(group: Group) -> Base:
    """The state before the first block: every owner's first model is in force since height 0."""
    models = {o.id: ModelInForce(FIRST_VERSION, o.model, Height(0)) for o in group.owners}
    base = Base(models, WholeState(group.parameters.snapshot_interval), Height(0))
    base.whole.take_snapshot(Height(0), base._small_tables(), {})
    return base


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

    def seal(self, height: Height, root: Digest) -> Digest:
        """The state root at ``height``: at mK it covers the digest of the whole state at (m-1)K (rule 4.1).

        That height is final long before, unless K blocks in a row were notarized and not finalized; then it is worked
        out for this branch, at the cost of the whole state, so that progress depends on no finalization.
        """
        whole = self.base.whole
        if height % whole.interval:
            return root
        since = Height(height - whole.interval)
        if since > self.base.height:
            branch = self.base.copy()
            for delta in self.deltas[: since - self.base.height]:
                branch.merge(delta, TimeUs(0), Height(branch.height + 1))
            whole = branch.whole
        return digest(STATE_SNAPSHOT, root, whole.snapshots[since])

    def due(self, time: TimeUs) -> list[RequestId]:
        """Hints for what falls due by ``time``: rows decide by their own ``due``; each id once, in no set's order."""
        hints = dict.fromkeys(request for _, request in self.base.ripen(time))
        for delta in self.deltas:
            hints.update(dict.fromkeys(request for due, request in delta.dues if due <= time))
        return list(hints)
