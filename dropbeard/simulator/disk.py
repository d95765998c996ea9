"""A simulated disk: what is not synced may be lost or torn in a crash, and it can rot, fill up, lie and go back."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dropbeard.errors import StorageFailed

TORN_SHARE = 0.5
"""Of the crashes after which some unsynced row is left: how often the last such row is cut short."""


class Crashed(Exception):
    """Power went in the middle of a commit; nothing was acknowledged."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A disk as it was once."""

    records: tuple[bytes, ...]
    boot: int


class SimulatedDisk:
    """The medium, which outlives every store opened on it.

    ``full`` refuses what is written; ``lies`` acknowledges without syncing, so that its owner counts among the f.
    ``crash_before`` and ``crash_after`` make the next commit the last act of a life: before its sync, or after it.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.records: list[bytes] = []
        """Rows that are synced."""
        self.unsynced: list[bytes] = []
        """Rows written since the last sync: a reader sees them, a crash may not leave them."""
        self.boot = 0
        self._synced_boot = 0
        self.held = False
        """A store is open on it."""
        self.full = False
        self.lies = False
        self.crash_before = False
        self.crash_after = False

    def write(self, rows: Sequence[bytes]) -> None:
        """Write without syncing: all rows, or none and StorageFailed."""
        if self.full:
            raise StorageFailed("the journal cannot be written: the disk is full; free space or check the disk")
        self.unsynced += rows

    def sync(self) -> None:
        """Make everything written so far durable, unless the disk lies or power goes now."""
        if self.crash_before:
            raise Crashed
        if not self.lies:
            self.records += self.unsynced
            self.unsynced.clear()
            self._synced_boot = self.boot
        if self.crash_after:
            raise Crashed

    def truncate(self, keep: int) -> None:
        """Drop every row after the first ``keep``."""
        del self.unsynced[max(0, keep - len(self.records)) :]
        del self.records[keep:]

    def crash(self) -> None:
        """Power is gone and comes back: of the unsynced rows a prefix is left, or none, its last one perhaps torn."""
        left = self.unsynced[: self._rng.randint(0, len(self.unsynced))]
        if left and self._rng.random() < TORN_SHARE:
            left[-1] = left[-1][: self._rng.randrange(len(left[-1]))]
        self.records += left
        self.unsynced.clear()
        self.boot = self._synced_boot
        self.held = self.crash_before = self.crash_after = False

    def rot(self) -> int:
        """Flip one bit of a synced row; the row's number, from 1."""
        at = self._rng.randrange(len(self.records))
        row = bytearray(self.records[at])
        bit = self._rng.randrange(8 * len(row))
        row[bit // 8] ^= 1 << bit % 8
        self.records[at] = bytes(row)
        return at + 1

    def snapshot(self) -> Snapshot:
        """What ``roll_back`` can return to."""
        return Snapshot(tuple(self.records), self._synced_boot)

    def roll_back(self, snapshot: Snapshot) -> None:
        """Become what the disk was, as a restored virtual machine does: no check of its own can notice (rule 7.4)."""
        self.records = list(snapshot.records)
        self.unsynced.clear()
        self.boot = self._synced_boot = snapshot.boot


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
        self._disk.write(rows)
        self._disk.sync()

    def rows(self) -> Iterator[bytes]:
        """Every row in order."""
        return iter([*self._disk.records, *self._disk.unsynced])

    def cut(self, keep: int) -> bool:
        """Drop every row after the first ``keep``."""
        self._disk.truncate(keep)
        return True

    def close(self) -> None:
        """Let the next process in."""
        self._disk.held = False
