"""The ledger again, written from the rules alone, for the oracle: slow, plain, sharing no code with the product.

One dictionary of records, everything looked at after every block. Entries come out as (kind, request id, client,
((owner, commitment), ...)) in their order; ``models`` says which version and model of each owner is in force.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dropbeard.types.group import Group
from dropbeard.types.lanes import LaneBatch

AGREED, EXPIRED, SUPPLEMENT = 1, 2, 3

PlainEntry = tuple[int, bytes, bytes, tuple[tuple[int, bytes], ...]]
Late = list[tuple[int, int, bytes]]


@dataclass(slots=True)
class _Seen:
    client: bytes
    deadline: int
    patience: int
    said: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """Version and commitment, by owner."""
    charged: int | None = None
    enough_at: int | None = None
    entered: set[int] | None = None
    """Owners in its entries once it is agreed."""


class ReferenceLedger:
    """Apply blocks of the final chain in order."""

    def __init__(self, groups: Mapping[int, Group]) -> None:
        group = groups[0]
        self._groups = groups
        self._epoch = 0
        self._ends_at: int | None = None
        self._rules = group.parameters
        self._time = 0
        self._lane_time: dict[int, int] = {}
        self._seen: dict[bytes, _Seen] = {}
        self._height = 0
        self.models: dict[int, tuple[int, bytes]] = {int(o.id): (1, bytes(o.model)) for o in group.owners}
        self._updated_at: dict[int, int] = {}
        self._members: list[int] = []
        self._take_group(group)

    def _take_group(self, group: Group) -> None:
        self._members = [int(owner.id) for owner in group.owners]
        self._n, self._f, self._answers = len(group.owners), group.f, group.answers
        self._updated_at = dict.fromkeys(self._members, 0)

    def apply(self, lanes: dict[int, list[LaneBatch]]) -> tuple[int, list[PlainEntry]]:
        """Block time and entries of the next block, which orders these batches (each lane ascending)."""
        self._height += 1
        for owner, batches in lanes.items():
            for batch in batches:
                self._lane_time[owner] = max(self._lane_time.get(owner, 0), batch.time)
                if batch.change is not None and self._ends_at is None:
                    self._ends_at = self._height + self._rules.epoch_delay
        heard = sorted(self._lane_time.get(owner, 0) for owner in self._members)
        self._time = max(self._time, heard[self._n - 1 - self._f])
        late: dict[bytes, Late] = {}
        for step in range(self._n):
            owner = self._members[(self._height + step) % self._n]
            for batch in lanes.get(owner, []):
                if batch.version == self.models[owner][0]:
                    self._take(owner, batch, late)
                    self._update(owner, batch)
        entries = self._decide() + self._supplements(late)
        if self._ends_at == self._height:
            self._next_epoch()
        return self._time, sorted(entries, key=lambda entry: (entry[0], entry[1]))

    def _next_epoch(self) -> None:
        """Who leaves takes its attestations along; who comes brings its first model (rule 8.4)."""
        self._ends_at, self._epoch = None, self._epoch + 1
        before, following = set(self._members), self._groups[self._epoch]
        self._take_group(following)
        for owner in following.owners:
            if int(owner.id) not in before:
                self.models[int(owner.id)] = (1, bytes(owner.model))
        for name, seen in list(self._seen.items()):
            if seen.entered is not None:
                continue
            said = {o: seen.said[o] for o in self._in_force(seen) if o in self._members}
            seen.said = said
            seen.charged = seen.charged if seen.charged in self._members else None
            if not said:
                del self._seen[name]

    def _update(self, owner: int, batch: LaneBatch) -> None:
        given, version = batch.update, self.models[owner][0]
        soonest = self._updated_at[owner] + self._rules.update_gap
        if given is not None and given.update.version - 1 == version and batch.lane_height >= soonest:
            self.models[owner] = (int(given.update.version), bytes(given.update.model))
            self._updated_at[owner] = int(batch.lane_height)

    def _take(self, owner: int, batch: LaneBatch, late: dict[bytes, Late]) -> None:
        for item in batch.attestations:
            name = item.request_id()
            seen = self._seen.get(name)
            if seen is not None and seen.entered is not None:
                late.setdefault(name, []).append((owner, int(batch.version), item.commitment))
                continue
            if item.deadline <= self._time or item.deadline - batch.time > self._rules.horizon_us:
                continue
            if seen is None:
                if sum(1 for s in self._seen.values() if s.charged == owner) >= self._rules.open_max:
                    continue
                seen = self._seen[name] = _Seen(item.client, item.deadline, item.patience_us, charged=owner)
                seen.said[owner] = (int(batch.version), item.commitment)
            elif owner not in self._in_force(seen):
                seen.said[owner] = (int(batch.version), item.commitment)
                if len(self._in_force(seen)) > self._f:
                    seen.charged = None

    def _in_force(self, seen: _Seen) -> dict[int, bytes]:
        return {o: said for o, (version, said) in sorted(seen.said.items()) if version == self.models[o][0]}

    def _decide(self) -> list[PlainEntry]:
        entries = []
        for name, seen in list(self._seen.items()):
            if seen.entered is not None:
                if self._time >= seen.deadline + self._rules.retention_us:
                    del self._seen[name]
                continue
            said = self._in_force(seen)
            if len(said) >= self._answers and seen.enough_at is None:
                seen.enough_at = self._time
            if self._is_agreed(seen, len(said)):
                seen.entered, seen.charged = set(said), None
                entries.append(_entry(AGREED, name, seen.client, said))
            elif self._time >= seen.deadline:
                if len(said) > self._f:
                    entries.append(_entry(EXPIRED, name, seen.client, said))
                del self._seen[name]
        return entries

    def _is_agreed(self, seen: _Seen, count: int) -> bool:
        if seen.enough_at is None or count < self._answers:
            return False
        waited = self._time - seen.enough_at >= seen.patience
        near = seen.deadline - self._time <= self._rules.near_us
        return count == self._n or waited or near

    def _supplements(self, late: dict[bytes, Late]) -> list[PlainEntry]:
        entries = []
        for name, rows in late.items():
            seen = self._seen.get(name)
            if seen is None or seen.entered is None:
                continue
            said: dict[int, bytes] = {}
            for owner, version, commitment in rows:
                if owner not in seen.entered and version == self.models[owner][0]:
                    said.setdefault(owner, commitment)
            if said:
                seen.entered |= set(said)
                entries.append(_entry(SUPPLEMENT, name, seen.client, said))
        return entries


def _entry(kind: int, name: bytes, client: bytes, said: dict[int, bytes]) -> PlainEntry:
    return kind, name, client, tuple(sorted(said.items()))
