"""A simulated disk: what is not synced may be lost or torn in a crash, and it can rot, fill up, lie and go back."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dropbeard.errors import StorageFailed
from dropbeard.storage.stores import PEEK_BYTES, Change

TORN_SHARE = 0.5
"""Of the crashes after which some unsynced row is left: how often the last such row is cut short."""


class Crashed(Exception):
    """Power went in the middle of a commit; nothing was acknowledged."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A disk as it was once."""

    records: tuple[tuple[int, bytes], ...]
    parts: tuple[tuple[tuple[int, int], bytes], ...]
    boot: int


class _Write(NamedTuple):
    """One row or part that is written, replaced or, with nothing, removed."""

    at: int | tuple[int, int]
    row: bytes | None


class SimulatedDisk:
    """The medium, which outlives every store opened on it.

    ``full`` refuses what is written; ``lies`` acknowledges without syncing, so that its owner counts among the f.
    ``crash_before`` and ``crash_after`` make the next commit the last act of a life: before its sync, or after it; with
    ``crash_beside`` the next one that writes a checkpoint or prunes.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.records: dict[int, bytes] = {}
        """Rows that are synced, by number."""
        self.parts: dict[tuple[int, int], bytes] = {}
        """Parts of checkpoints that are synced."""
        self.unsynced: list[_Write] = []
        """What was written since the last sync: a reader sees it, a crash may not leave it."""
        self.days: list[Snapshot] | None = None
        """What the disk was after each sync, if somebody means to go back to it."""
        self.boot = 0
        self._synced_boot = 0
        self.held = False
        """A store is open on it."""
        self.full = False
        self.lies = False
        self.crash_before = False
        self.crash_after = False
        self.crash_beside = False
        self._beside = False

    def write(self, change: Change) -> None:
        """Write without syncing: all of it, or nothing and StorageFailed."""
        if self.full:
            raise StorageFailed("the journal cannot be written: the disk is full; free space or check the disk")
        first = self._last() + 1
        self._beside = bool(change.parts or change.pruned or change.dropped)
        self.unsynced += [_Write(number, row) for number, row in enumerate(change.rows, first)]
        self.unsynced += [_Write((generation, number), row) for generation, number, row in change.parts]
        self.unsynced += [_Write(number, stub) for number, stub in change.pruned]
        self.unsynced += [_Write(place, None) for place in change.dropped]

    def sync(self) -> None:
        """Make everything written so far durable, unless the disk lies or power goes now."""
        crashes = self._beside or not self.crash_beside
        if self.crash_before and crashes:
            raise Crashed
        if not self.lies:
            self._apply(self.unsynced)
            self.unsynced.clear()
            self._synced_boot = self.boot
            if self.days is not None:
                self.days.append(self.snapshot())
        if self.crash_after and crashes:
            raise Crashed

    def _last(self) -> int:
        """Number of the last row that was written."""
        unsynced = (write.at for write in reversed(self.unsynced) if isinstance(write.at, int) and write.row)
        return max(next(reversed(self.records), 0), *unsynced, 0)

    def _apply(self, writes: Sequence[_Write]) -> None:
        _write_into(self.records, self.parts, writes)

    def seen(self) -> tuple[dict[int, bytes], dict[tuple[int, int], bytes]]:
        """Rows and parts as a reader sees them."""
        records, parts = dict(self.records), dict(self.parts)
        _write_into(records, parts, self.unsynced)
        return records, parts

    def truncate(self, keep: int) -> None:
        """Drop every row after number ``keep``."""
        self.records = {number: row for number, row in self.records.items() if number <= keep}
        self.unsynced = [write for write in self.unsynced if not isinstance(write.at, int) or write.at <= keep]

    def crash(self) -> None:
        """Power is gone and comes back: of the unsynced writes a prefix is left, or none, a last new row perhaps torn.

        What replaces or removes a row is there or not: media that tear those keep a log, as SQLite does.
        """
        left = self.unsynced[: self._rng.randint(0, len(self.unsynced))]
        if left and self._rng.random() < TORN_SHARE:
            at, row = left[-1]
            if row is not None and at not in self.records:
                left[-1] = _Write(at, row[: self._rng.randrange(len(row))])
        self._apply(left)
        self.unsynced.clear()
        self.boot = self._synced_boot
        self.held = self.crash_before = self.crash_after = self.crash_beside = False

    def rot(self) -> int:
        """Flip one bit of a synced row; the row's number, from 1."""
        at = self._rng.choice(list(self.records))
        row = bytearray(self.records[at])
        bit = self._rng.randrange(8 * len(row))
        row[bit // 8] ^= 1 << bit % 8
        self.records[at] = bytes(row)
        return at

    def snapshot(self) -> Snapshot:
        """What ``roll_back`` can return to."""
        return Snapshot(tuple(self.records.items()), tuple(self.parts.items()), self._synced_boot)

    def roll_back(self, snapshot: Snapshot) -> None:
        """Become what the disk was, as a restored virtual machine does: no check of its own can notice (rule 7.4)."""
        self.records, self.parts = dict(snapshot.records), dict(snapshot.parts)
        self.unsynced.clear()
        self.boot = self._synced_boot = snapshot.boot


def _write_into(records: dict[int, bytes], parts: dict[tuple[int, int], bytes], writes: Sequence[_Write]) -> None:
    for at, row in writes:
        table: dict[Any, bytes] = records if isinstance(at, int) else parts
        if row is None:
            table.pop(at, None)
        else:
            table[at] = row


class SimulatedStore:
    """A disk opened by one process; ``boot`` counts the openings. StorageFailed when another one holds it."""

    def __init__(self, disk: SimulatedDisk) -> None:
        if disk.held:
            raise StorageFailed("another process uses the simulated disk; stop it first")
        disk.held = True
        disk.boot += 1
        disk.sync()
        self.boot = disk.boot
        self._disk = disk

    def append(self, rows: Sequence[bytes]) -> None:
        """Write and sync."""
        self.commit(Change(rows))

    def commit(self, change: Change) -> None:
        """Write and sync."""
        self._disk.write(change)
        self._disk.sync()

    def rows(self, first: int = 1) -> Iterator[tuple[int, bytes]]:
        """Every row from number ``first`` on, in order."""
        return iter(sorted(pair for pair in self._disk.seen()[0].items() if pair[0] >= first))

    def peek(self, first: int, last: int, most: int) -> Sequence[tuple[int, bytes]]:
        """The beginnings of some rows."""
        found = [(number, row[:PEEK_BYTES]) for number, row in self.rows(first) if number <= last]
        return found[:most]

    def generations(self) -> Sequence[tuple[int, int]]:
        """Every checkpoint with its last part's number."""
        return sorted(dict(sorted(self._disk.seen()[1])).items())

    def parts(self, generation: int, first: int = 0) -> Iterator[bytes]:
        """A checkpoint's parts."""
        parts = self._disk.seen()[1]
        return iter([parts[place] for place in sorted(parts) if place[0] == generation and place[1] >= first])

    def cut(self, keep: int) -> bool:
        """Drop every row after the first ``keep``."""
        self._disk.truncate(keep)
        return True

    def close(self) -> None:
        """Let the next process in."""
        self._disk.held = False
