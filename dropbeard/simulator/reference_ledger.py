"""The ledger again, written from the rules alone, for the oracle: slow, plain, sharing no code with the product.

One dictionary of records, everything looked at after every block. Entries come out as (kind, request id, client,
((owner, commitment), ...)) in their order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dropbeard.types.group import Group
from dropbeard.types.lanes import LaneBatch

AGREED, EXPIRED, SUPPLEMENT = 1, 2, 3

PlainEntry = tuple[int, bytes, bytes, tuple[tuple[int, bytes], ...]]


@dataclass(slots=True)
class _Seen:
    client: bytes
    deadline: int
    patience: int
    said: dict[int, bytes] = field(default_factory=dict)
    charged: int | None = None
    enough_at: int | None = None
    entered: dict[int, bytes] | None = None
    """Owners in its entries once it is agreed."""


class ReferenceLedger:
    """Apply blocks of the final chain in order."""

    def __init__(self, group: Group) -> None:
        self._n, self._f, self._answers = len(group.owners), group.f, group.answers
        self._rules = group.parameters
        self._time = 0
        self._lane_time = dict.fromkeys(range(self._n), 0)
        self._seen: dict[bytes, _Seen] = {}
        self._height = 0

    def apply(self, lanes: dict[int, list[LaneBatch]]) -> tuple[int, list[PlainEntry]]:
        """Block time and entries of the next block, which orders these batches (each lane ascending)."""
        self._height += 1
        for owner, batches in lanes.items():
            for batch in batches:
                self._lane_time[owner] = max(self._lane_time[owner], batch.time)
        heard = sorted(self._lane_time.values())
        self._time = max(self._time, heard[self._n - 1 - self._f])
        late: dict[bytes, dict[int, bytes]] = {}
        for step in range(self._n):
            owner = (self._height + step) % self._n
            for batch in lanes.get(owner, []):
                self._take(owner, batch, late)
        entries = self._decide() + self._supplements(late)
        return self._time, sorted(entries, key=lambda entry: (entry[0], entry[1]))

    def _take(self, owner: int, batch: LaneBatch, late: dict[bytes, dict[int, bytes]]) -> None:
        if batch.version != 1:
            return
        for item in batch.attestations:
            name = item.request_id()
            seen = self._seen.get(name)
            if seen is not None and seen.entered is not None:
                if owner not in seen.entered:
                    late.setdefault(name, {}).setdefault(owner, item.commitment)
                continue
            if item.deadline <= self._time or item.deadline - batch.time > self._rules.horizon_us:
                continue
            if seen is None:
                if sum(1 for s in self._seen.values() if s.charged == owner) >= self._rules.open_max:
                    continue
                seen = self._seen[name] = _Seen(item.client, item.deadline, item.patience_us, charged=owner)
            elif owner not in seen.said and seen.charged != owner:
                seen.charged = None
            seen.said.setdefault(owner, item.commitment)

    def _decide(self) -> list[PlainEntry]:
        entries = []
        for name, seen in list(self._seen.items()):
            if seen.entered is not None:
                if self._time >= seen.deadline + self._rules.retention_us:
                    del self._seen[name]
                continue
            if len(seen.said) >= self._answers and seen.enough_at is None:
                seen.enough_at = self._time
            if self._is_agreed(seen):
                seen.entered, seen.charged = dict(seen.said), None
                entries.append(_entry(AGREED, name, seen.client, seen.said))
            elif self._time >= seen.deadline:
                if len(seen.said) > self._f:
                    entries.append(_entry(EXPIRED, name, seen.client, seen.said))
                del self._seen[name]
        return entries

    def _is_agreed(self, seen: _Seen) -> bool:
        if seen.enough_at is None or len(seen.said) < self._answers:
            return False
        waited = self._time - seen.enough_at >= seen.patience
        near = seen.deadline - self._time <= self._rules.near_us
        return len(seen.said) == self._n or waited or near

    def _supplements(self, late: dict[bytes, dict[int, bytes]]) -> list[PlainEntry]:
        entries = []
        for name, said in late.items():
            seen = self._seen.get(name)
            if seen is not None and seen.entered is not None:
                seen.entered.update(said)
                entries.append(_entry(SUPPLEMENT, name, seen.client, said))
        return entries


def _entry(kind: int, name: bytes, client: bytes, said: dict[int, bytes]) -> PlainEntry:
    return kind, name, client, tuple(sorted(said.items()))
