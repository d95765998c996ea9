"""What a cut log cannot take along: how often the state was opened, and how many rows were acknowledged.

SQLite reads a write-ahead log up to its first damaged frame and says nothing of the rest: a flipped bit or a cut there
would silently forget promises (rule 7.3). The count stands in a file of its own, so the loss is found. It is synced at
each opening and at the end only: a kill leaves it exact, a power failure leaves a lower bound and costs no second sync
for each commit. Two slots are written in turn, so that a torn write leaves the other one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from dropbeard.errors import StorageFailed
from dropbeard.types import wire
from dropbeard.types.hashing import digest

CONTEXT: Final = "dropbeard 1 journal mark"
FIGURES_BYTES: Final = 16
SLOT_BYTES: Final = FIGURES_BYTES + 32
SLOT_OFFSETS: Final = (0, 4_096)
"""Far enough apart that no disk tears both with one write."""
MENDING: Final = "restore the whole state directory from a copy made by this node, or take a new node key"


class Mark:
    """``boot`` counts the openings, this one included; ``rows`` is what was acknowledged at least."""

    def __init__(self, path: Path, fresh: bool) -> None:
        """``fresh`` when there is no journal yet; otherwise a mark that is gone or damaged is StorageFailed."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if fresh else 0)
        try:
            self._handle = os.open(path, flags, 0o600)
        except FileNotFoundError as wrong:
            raise StorageFailed(f"cannot open the journal: {path} is gone; {MENDING}") from wrong
        try:
            self._start(path, fresh)
        except BaseException:
            os.close(self._handle)
            raise

    def _start(self, path: Path, fresh: bool) -> None:
        slots = [(_read(self._handle, offset), offset) for offset in SLOT_OFFSETS]
        (self.boot, self.rows), self._newest = max(slots)
        if self.boot == 0 and not fresh:
            raise StorageFailed(f"cannot open the journal: {path} is damaged; {MENDING}")
        self.boot += 1
        for _ in SLOT_OFFSETS:
            # Into both, one after the other: no single damaged slot takes the counter back.
            self._write()
            os.fsync(self._handle)
        if fresh:
            sync_directory(path.parent)

    def acknowledge(self, rows: int) -> None:
        """``rows`` are durable."""
        self.rows = rows
        self._write()

    def _write(self) -> None:
        older = SLOT_OFFSETS[0] if self._newest == SLOT_OFFSETS[1] else SLOT_OFFSETS[1]
        figures = wire.u64(self.boot) + wire.u64(self.rows)
        os.pwrite(self._handle, figures + digest(CONTEXT, figures), older)
        self._newest = older

    def close(self) -> None:
        """Sync and close."""
        try:
            os.fsync(self._handle)
        finally:
            os.close(self._handle)


def _read(handle: int, offset: int) -> tuple[int, int]:
    """(boot, rows) of a slot, (0, 0) when it is not whole."""
    slot = os.pread(handle, SLOT_BYTES, offset)
    figures, check = slot[:FIGURES_BYTES], slot[FIGURES_BYTES:]
    if digest(CONTEXT, figures) != check:
        return 0, 0
    return int.from_bytes(figures[:8], "little"), int.from_bytes(figures[8:], "little")


def sync_directory(directory: Path) -> None:
    """Make the names in ``directory`` durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
