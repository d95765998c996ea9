"""Snapshots of the whole final state, and what proves them (rules 4.1, 7.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from dropbeard.agreement.tables import Outcome, Record, Table, row_bytes
from dropbeard.types import wire
from dropbeard.types.hashing import STATE_BUCKET, STATE_SNAPSHOT, STATE_WHOLE, digest
from dropbeard.types.ids import Digest, Height, RequestId

BUCKET_US = 1_000_000
"""Open records and outcomes lie in buckets of one second of deadline; only touched buckets are hashed again."""

SNAPSHOTS_KEPT = 3
"""The one that the latest header at mK proves, the one above, and one below for who is still fetching it."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole state at a height: rows of the small tables, and (digest, rows) of each bucket in order."""

    digest: Digest
    small: bytes
    buckets: Mapping[int, tuple[Digest, bytes]]


def snapshot_digest(height: Height, small: bytes, buckets: Iterable[tuple[int, Digest]]) -> Digest:
    """Digest of the whole state: height u64, the small tables (u32 length and bytes: who shows them to us could end
    them elsewhere), then each bucket (u64, digest) in order (rule 4.1)."""
    named = (wire.u64(number) + found for number, found in buckets)
    return digest(STATE_WHOLE, wire.u64(height), wire.long_bytes(small), *named)


def snapshot_root(root: Digest, whole: Digest) -> Digest:
    """The state root at mK: it covers the digest of the whole state at (m-1)K (rule 4.1)."""
    return digest(STATE_SNAPSHOT, root, whole)


def bucket_of(
    names: Iterable[tuple[Table, RequestId]], row: Callable[[Table, RequestId], Record | Outcome | None]
) -> tuple[Digest, bytes] | None:
    """Digest and rows of a bucket, in the order of their names; None when it is empty."""
    rows: list[bytes] = []
    for table, request in sorted(names):
        found = row(table, request)
        rows.append(row_bytes(table, request, None if found is None else found.encode()))
    joined = b"".join(rows)
    return (digest(STATE_BUCKET, joined), joined) if rows else None


@dataclass(slots=True)
class WholeState:
    """Snapshots of the final state at heights that are multiples of ``interval`` (rule 4.1).

    The header at mK covers the digest of the state at (m-1)K, so that no voter has to compute it in a hurry.
    """

    interval: int
    snapshots: dict[Height, Snapshot] = field(default_factory=dict)
    members: dict[int, dict[tuple[Table, RequestId], None]] = field(default_factory=dict)
    buckets: dict[int, tuple[Digest, bytes]] = field(default_factory=dict)
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
        """Keep the whole state as it is now; only buckets that changed are encoded and hashed again."""
        for bucket in self.touched:
            found = bucket_of(self.members[bucket], lambda table, request: tables[table][request])
            if found is not None:
                self.buckets[bucket] = found
            else:
                del self.members[bucket]
                self.buckets.pop(bucket, None)
        self.touched.clear()
        ordered = dict(sorted(self.buckets.items()))
        whole = snapshot_digest(height, small, [(number, found) for number, (found, _) in ordered.items()])
        self.snapshots[height] = Snapshot(whole, small, ordered)
        regular = sorted(h for h in self.snapshots if h % self.interval == 0)[-SNAPSHOTS_KEPT:]
        # The last block of an epoch is proved by itself (rule 8.4): kept as long as the ones around it.
        lowest = min(regular, default=height)
        for old in [h for h in self.snapshots if h not in regular and (h % self.interval == 0 or h < lowest)]:
            del self.snapshots[old]

    @property
    def latest(self) -> tuple[Height, Digest]:
        """Height and digest of the newest snapshot."""
        height = max(self.snapshots)
        return height, self.snapshots[height].digest

    def copy(self) -> WholeState:
        """A copy that may go another way."""
        members = {bucket: dict(rows) for bucket, rows in self.members.items()}
        return WholeState(self.interval, dict(self.snapshots), members, dict(self.buckets), dict(self.touched))
