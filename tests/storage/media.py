"""Two media for one suite: real files under SQLite, and the simulated disk."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from dropbeard.simulator.disk import SimulatedDisk, SimulatedStore
from dropbeard.storage.records import Journal
from dropbeard.storage.sqlite_store import SqliteStore
from dropbeard.storage.stores import Store

RECORDS = [b"first", b"second record", b"", bytes(range(256)) * 40, b"the fifth and last"]
"""Two commits' worth; the fourth needs more than one page of a database."""


class OpenStore(Store, Protocol):
    """A store that a process holds."""

    boot: int

    def close(self) -> None: ...


class Medium(Protocol):
    """What outlives the process. ``tears``: a crash can leave a row cut short."""

    tears: bool

    def open(self) -> OpenStore: ...

    def rows(self) -> list[bytes]:
        """Every row, while no store is open."""

    def put(self, rows: Sequence[bytes]) -> None:
        """Exactly these rows, while no store is open."""

    def change(self, at: int, row: bytes) -> None:
        """Another row in the place of the one at index ``at`` of ``rows``, while no store is open."""

    def fill(self, store: OpenStore) -> None:
        """From now on the disk is full."""

    def free(self, store: OpenStore) -> None:
        """There is space again."""


class SqliteMedium:
    """A state directory."""

    tears = False

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def open(self) -> SqliteStore:
        return SqliteStore(self.directory)

    def rows(self) -> list[bytes]:
        with sqlite3.connect(self.directory / "journal.db") as database:
            rows = [row for (row,) in database.execute("SELECT row FROM records ORDER BY number")]
        database.close()
        return rows

    def put(self, rows: Sequence[bytes]) -> None:
        with sqlite3.connect(self.directory / "journal.db") as database:
            database.execute("DELETE FROM records")
            database.executemany("INSERT INTO records VALUES (?, ?)", enumerate(rows, 1))
        database.close()

    def change(self, at: int, row: bytes) -> None:
        with sqlite3.connect(self.directory / "journal.db") as database:
            number = database.execute("SELECT number FROM records ORDER BY number LIMIT 1 OFFSET ?", (at,)).fetchone()
            database.execute("UPDATE records SET row = ? WHERE number = ?", (row, *number))
        database.close()

    def fill(self, store: OpenStore) -> None:
        self._allow(store, 1)

    def free(self, store: OpenStore) -> None:
        self._allow(store, 100_000)

    def _allow(self, store: OpenStore, pages: int) -> None:
        assert isinstance(store, SqliteStore)
        # SQLite never lowers the limit below the pages in use, and then says "full" as it does for a full disk.
        store._database.execute(f"PRAGMA max_page_count={pages}")


class SimulatedMedium:
    """A simulated disk."""

    tears = True

    def __init__(self, seed: int) -> None:
        self.disk = SimulatedDisk(random.Random(seed))

    def open(self) -> SimulatedStore:
        return SimulatedStore(self.disk)

    def rows(self) -> list[bytes]:
        return list(self.disk.records.values())

    def put(self, rows: Sequence[bytes]) -> None:
        self.disk.records = dict(enumerate(rows, 1))

    def change(self, at: int, row: bytes) -> None:
        self.disk.records[list(self.disk.records)[at]] = row

    def fill(self, store: OpenStore) -> None:
        self.disk.full = True

    def free(self, store: OpenStore) -> None:
        self.disk.full = False


def written(medium: Medium, records: Sequence[bytes] = RECORDS) -> list[bytes]:
    """Write ``records`` in two commits and close; the rows."""
    store = medium.open()
    journal = Journal(store)
    assert list(journal.replay()) == []
    journal.append(records[:2])
    journal.append(records[2:])
    store.close()
    return medium.rows()


def replayed(medium: Medium) -> list[bytes]:
    """Open, replay and close."""
    store = medium.open()
    try:
        return list(Journal(store).replay())
    finally:
        store.close()
