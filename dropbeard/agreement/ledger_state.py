"""The ledger's state: a base that is final, and one set of changes for each block above it (rules 4.1, 4.2).

Blocks are applied before they are notarized, and the one that is applied may never become final; so a block's
changes are kept apart as a ``Delta`` over its parent's, and merged into the base when the block is final.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from dropbeard.agreement.tables import Delta, ModelInForce, Outcome, Record, Succeeding, Table
from dropbeard.agreement.whole_state import BUCKET_US, WholeState, bucket_of, snapshot_digest, snapshot_root
from dropbeard.evidence.judge import Verdict
from dropbeard.types.group import FIRST_VERSION, Group
from dropbeard.types.hashing import STATE_GENESIS, digest
from dropbeard.types.ids import Digest, Epoch, Height, LaneHeight, OwnerId, RequestId, TimeUs


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
    marks: dict[Verdict, Height] = field(default_factory=dict)
    """Convicted owners: of what, and since which height (rule 8.1)."""
    succeeding: Succeeding | None = None
    """The last membership change that was ordered (rule 8.4)."""
    dues: list[tuple[TimeUs, RequestId]] = field(default_factory=list)
    ripe: list[tuple[TimeUs, RequestId]] = field(default_factory=list)

    def merge(self, delta: Delta, time: TimeUs, height: Height) -> None:
        """Make the changes of the block at ``height``, whose time is ``time``, final."""
        self.height = height
        _merge_small(self, delta)
        for request, record in delta.open.items():
            _replace(self.open, request, record, self.whole, Table.OPEN)
        for request, outcome in delta.outcomes.items():
            _replace(self.outcomes, request, outcome, self.whole, Table.OUTCOMES)
        for due in delta.dues:
            heapq.heappush(self.dues, due)
        self.ripe = [due for due in self.ripe if due[0] > time]
        if height % self.whole.interval == 0 or (self.succeeding is not None and self.succeeding.last == height):
            self.take_snapshot()

    def take_snapshot(self) -> None:
        """Keep the state as it is at this height (rule 4.1)."""
        self.whole.take_snapshot(
            self.height, b"".join(self.small().rows()), {Table.OPEN: self.open, Table.OUTCOMES: self.outcomes}
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
            marks=dict(self.marks),
            succeeding=self.succeeding,
        )

    def small(self) -> Delta:
        """A copy of the tables whose size depends on n alone."""
        found = Delta()
        _merge_small(found, self)
        return found

    def ripen(self, time: TimeUs) -> Sequence[tuple[TimeUs, RequestId]]:
        """Hints: everything in the final state that may be due at block time ``time``."""
        while self.dues and self.dues[0][0] <= time:
            self.ripe.append(heapq.heappop(self.dues))
        return [due for due in self.ripe if due[0] <= time]


Members = dict[int, dict[tuple[Table, RequestId], None]]

Changed = Mapping[RequestId, Record | Outcome | None]

Row = TypeVar("Row", Record, Outcome)


def _merge_small(into: Base | Delta, later: Base | Delta) -> None:
    """Let the later rows of the tables whose size depends on n alone replace the earlier ones."""
    into.models.update(later.models)
    into.lane_times.update(later.lane_times)
    into.charges.update(later.charges)
    into.usage.update(later.usage)
    into.marks.update(later.marks)
    into.succeeding = later.succeeding or into.succeeding


def _replace(rows: dict[RequestId, Row], request: RequestId, row: Row | None, whole: WholeState, table: Table) -> None:
    before = rows.pop(request, None) if row is None else rows.get(request)
    if row is not None:
        rows[request] = row
    whole.note(table, request, before, row)


def genesis_base(group: Group) -> Base:
    """The state before the first block: every owner's first model is in force since height 0."""
    models = {o.id: ModelInForce(FIRST_VERSION, o.model, Height(0), LaneHeight(0)) for o in group.owners}
    base = Base(models, WholeState(group.parameters.snapshot_interval), Height(0))
    base.take_snapshot()
    return base


def genesis_state_root(group: Group) -> Digest:
    """State root of the genesis header."""
    return digest(STATE_GENESIS, group.id)


class StateView:
    """The state after some block: the base seen through the deltas above it, newest last."""

    __slots__ = ("_newest", "base", "deltas")

    def __init__(self, base: Base, deltas: Sequence[Delta]) -> None:
        self.base = base
        self.deltas = tuple(deltas)
        self._newest = self.deltas[::-1]

    def model(self, owner: OwnerId) -> ModelInForce:
        """The version in force."""
        for delta in self._newest:
            if owner in delta.models:
                return delta.models[owner]
        return self.base.models[owner]

    def models(self) -> dict[OwnerId, ModelInForce]:
        """The version in force of every owner."""
        found = dict(self.base.models)
        for delta in self.deltas:
            found.update(delta.models)
        return found

    def lane_time(self, owner: OwnerId) -> TimeUs:
        """The latest time of the owner's ordered batches; 0 before the first (rule 3.1)."""
        for delta in self._newest:
            if owner in delta.lane_times:
                return delta.lane_times[owner]
        return self.base.lane_times.get(owner, TimeUs(0))

    def record(self, request: RequestId) -> Record | None:
        """The open record of a request."""
        for delta in self._newest:
            if request in delta.open:
                return delta.open[request]
        return self.base.open.get(request)

    def outcome(self, request: RequestId) -> Outcome | None:
        """The remembered outcome of an agreed request."""
        for delta in self._newest:
            if request in delta.outcomes:
                return delta.outcomes[request]
        return self.base.outcomes.get(request)

    def charge(self, owner: OwnerId) -> int:
        """Records charged to the owner's lane."""
        for delta in self._newest:
            if owner in delta.charges:
                return delta.charges[owner]
        return self.base.charges.get(owner, 0)

    def used(self, owner: OwnerId) -> int:
        """Promises of the owner in agreed entries and supplements so far."""
        for delta in self._newest:
            if owner in delta.usage:
                return delta.usage[owner]
        return self.base.usage.get(owner, 0)

    def is_marked(self, verdict: Verdict) -> bool:
        """Does the ledger know of this conviction?"""
        return verdict in self.base.marks or any(verdict in delta.marks for delta in self.deltas)

    def succeeding(self, epoch: Epoch) -> Succeeding | None:
        """The change that ends ``epoch``, once it is ordered (rule 8.4)."""
        found = self._last_change()
        return found if found is not None and found.epoch == epoch else None

    def ending_at(self, epoch: Epoch, height: Height) -> Succeeding | None:
        """The change that ends ``epoch`` with the block at ``height``."""
        found = self.succeeding(epoch)
        return found if found is not None and found.last == height else None

    def _last_change(self) -> Succeeding | None:
        return next((d.succeeding for d in self._newest if d.succeeding is not None), self.base.succeeding)

    def epoch_root(self, height: Height) -> Height:
        """The height that the epoch of the block at ``height`` stands on."""
        change = self._last_change()
        if change is None:
            return Height(0)
        return change.last if change.last < height else change.root

    def all_open(self) -> dict[RequestId, Record]:
        """Every open record."""
        rows: dict[RequestId, Record | None] = dict(self.base.open)
        for delta in self.deltas:
            rows.update(delta.open)
        return {request: record for request, record in rows.items() if record is not None}

    def whole_at(self, height: Height) -> Digest:
        """Digest of the whole state after the newest change, at the cost of the buckets that changed since the last
        snapshot: voters wait for it once an epoch (rule 8.4)."""
        whole = self.base.whole
        members = {bucket: dict(whole.members.get(bucket, {})) for bucket in whole.touched}
        for delta in self.deltas:
            self._note_members(members, Table.OPEN, delta.open)
            self._note_members(members, Table.OUTCOMES, delta.outcomes)
        buckets = {number: found for number, (found, _) in whole.buckets.items() if number not in members}
        for number, names in members.items():
            found = bucket_of(names, self._row)
            if found is not None:
                buckets[number] = found[0]
        small = self.base.small()
        for delta in self.deltas:
            _merge_small(small, delta)
        return snapshot_digest(height, b"".join(small.rows()), sorted(buckets.items()))

    def _note_members(self, members: Members, table: Table, changed: Changed) -> None:
        for request, row in changed.items():
            known = self._known_row(table, request) if row is None else row
            if known is None:
                continue
            bucket = known.deadline // BUCKET_US
            held = members.get(bucket)
            if held is None:
                held = members[bucket] = dict(self.base.whole.members.get(bucket, {}))
            if row is None:
                held.pop((table, request), None)
            else:
                held[table, request] = None

    def _known_row(self, table: Table, request: RequestId) -> Record | Outcome | None:
        """A removed row as it once was; None when it came and went within one block."""
        for delta in self._newest:
            row = delta.open.get(request) if table is Table.OPEN else delta.outcomes.get(request)
            if row is not None:
                return row
        return self.base.open.get(request) if table is Table.OPEN else self.base.outcomes.get(request)

    def _row(self, table: Table, request: RequestId) -> Record | Outcome | None:
        return self.record(request) if table is Table.OPEN else self.outcome(request)

    def seal(self, height: Height, root: Digest) -> Digest:
        """The state root at ``height``: at mK it covers the digest of the whole state at (m-1)K (rule 4.1), or at the
        root of the epoch if that is later.

        That height is final long before, unless K blocks in a row were notarized and not finalized; then it is worked
        out for this branch, at the cost of the whole state, so that progress depends on no finalization.
        """
        whole = self.base.whole
        if height % whole.interval:
            return root
        since = max(Height(height - whole.interval), self.epoch_root(height))
        if since > self.base.height:
            branch = self.base.copy()
            for delta in self.deltas[: since - self.base.height]:
                branch.merge(delta, TimeUs(0), Height(branch.height + 1))
            whole = branch.whole
        return snapshot_root(root, whole.snapshots[since].digest)

    def due(self, time: TimeUs) -> list[RequestId]:
        """Hints for what falls due by ``time``: rows decide by their own ``due``; each id once, in no set's order."""
        hints = dict.fromkeys(request for _, request in self.base.ripen(time))
        for delta in self.deltas:
            hints.update(dict.fromkeys(request for due, request in delta.dues if due <= time))
        return list(hints)
