"""A store on SQLite: one file, WAL, every commit synced; one process at a time."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from dropbeard.errors import DiskFull, StorageFailed
from dropbeard.storage.mark import MENDING, Mark, sync_directory
from dropbeard.storage.stores import PEEK_BYTES, Change

FORMAT: Final = 5
BUSY_TIMEOUT_S: Final = 1.0
GIVEN_BACK_PAGES: Final = 256
"""Free pages of 4 KiB that one call gives back to the file system: some milliseconds."""

INCREMENTAL: Final = 2
"""SQLite's auto_vacuum under which free pages can be given back bit by bit."""
WAL_PAGES: Final = 4_096
"""Pages in the write-ahead log before SQLite copies them into the file."""

QUERIES: Final = {
    "records": "SELECT number, row FROM records WHERE number BETWEEN ? AND ? ORDER BY number",
    "parts": "SELECT number, row FROM parts WHERE number BETWEEN ? AND ? ORDER BY number",
}
PARTS_MAX: Final = 1 << 24
"""Parts of one checkpoint; its generation stands above them in a part's number."""


class SqliteStore:
    """``directory`` is the node's state directory; it is made, mode 0700, when it does not exist.

    ``boot`` counts how often this directory was opened; it is durable before the constructor returns. StorageFailed
    when another process holds the directory, when it cannot be written, when rows that were acknowledged are gone, or
    when it was made by another release.
    """

    def __init__(self, directory: Path) -> None:
        with ExitStack() as opened:
            lock = _lock(directory)
            opened.callback(os.close, lock)
            try:
                self._mark = Mark(directory / "journal.mark", fresh=not (directory / "journal.db").exists())
                opened.callback(self._mark.close)
                self._database = sqlite3.connect(
                    directory / "journal.db", timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
                )
                opened.callback(self._database.close)
                self._rows = self._open(directory)
            except (sqlite3.Error, OSError) as wrong:
                raise StorageFailed(f"cannot open the journal in {directory}: {wrong}") from wrong
            self.boot = self._mark.boot
            self.barred = barred_keys(self._database)
            """Public node keys that may sign nothing more (dropbeard.storage.backup)."""
            self._failed = False
            self._opened = opened.pop_all()

    def _open(self, directory: Path) -> int:
        """The number of rows."""
        run = self._database.execute
        (directory / "journal.db").chmod(0o600)
        if int(run("PRAGMA page_count").fetchone()[0]) == 0:
            run(f"PRAGMA auto_vacuum={INCREMENTAL}")
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=FULL")
        run(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
        version = int(run("PRAGMA user_version").fetchone()[0])
        if version not in (0, FORMAT):
            raise StorageFailed(f"the journal in {directory} has format {version}, this release reads {FORMAT}")
        if version == 0:
            run("BEGIN IMMEDIATE")
            run("CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY, row BLOB NOT NULL)")
            run("CREATE TABLE IF NOT EXISTS parts (number INTEGER PRIMARY KEY, row BLOB NOT NULL)")
            run(f"PRAGMA user_version={FORMAT}")
            run("COMMIT")
        rows = run("SELECT MAX(number) FROM records").fetchone()[0] or 0
        self._check_end(rows)
        return int(rows)

    def append(self, rows: Sequence[bytes]) -> None:
        """One transaction, synced."""
        self.commit(Change(rows))

    def commit(self, change: Change) -> None:
        """One transaction, synced."""
        if self._failed:
            raise StorageFailed("the journal cannot be written since a write or sync failed; restart the node")
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT INTO records VALUES (?, ?)", enumerate(change.rows, self._rows + 1))
            self._change_others(change)
            self._database.execute("COMMIT")
            self._rows += len(change.rows)
            if change.rows:
                self._mark.acknowledge(self._rows)
        except (sqlite3.Error, OSError) as wrong:
            # A full disk refuses before anything is promised, and SQLite takes the transaction back. After any other
            # failure nobody knows what the disk holds, and a sync that is tried again may succeed without its data:
            # only a new start reads what is there.
            full = getattr(wrong, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            self._failed = not full or self._database.in_transaction
            kind = StorageFailed if self._failed else DiskFull
            raise kind(f"the journal cannot be written: {wrong}; free space or check the disk") from wrong

    def _change_others(self, change: Change) -> None:
        """Parts and what is pruned; nothing for most commits."""
        run = self._database.executemany
        if change.parts:
            run("INSERT INTO parts VALUES (?, ?)", ((_place(of, number), row) for of, number, row in change.parts))
        if change.pruned:
            stubs = [(stub, number) for number, stub in change.pruned if stub is not None]
            run("UPDATE records SET row = ? WHERE number = ?", stubs)
            run("DELETE FROM records WHERE number = ?", ((number,) for number, stub in change.pruned if stub is None))
        if change.dropped:
            run("DELETE FROM parts WHERE number = ?", ((_place(of, number),) for of, number in change.dropped))

    def rows(self, first: int = 1) -> Iterator[tuple[int, bytes]]:
        """Every row from number ``first`` on."""
        seen = first - 1
        for number, row in _read(self._database, "records", first):
            seen = number
            yield number, row
        self._check_end(seen)

    def peek(self, first: int, last: int, most: int) -> Sequence[tuple[int, bytes]]:
        """The beginnings of some rows."""
        query = "SELECT number, substr(row, 1, ?) FROM records WHERE number BETWEEN ? AND ? ORDER BY number LIMIT ?"
        try:
            return self._database.execute(query, (PEEK_BYTES, first, last, most)).fetchall()
        except sqlite3.Error as wrong:
            raise StorageFailed(f"the journal cannot be read after record {first - 1}: {wrong}; {MENDING}") from wrong

    def generations(self) -> Sequence[tuple[int, int]]:
        """Every checkpoint with its last part's number."""
        return _generations(self._database)

    def parts(self, generation: int, first: int = 0) -> Iterator[bytes]:
        """A checkpoint's parts."""
        return _parts(self._database, generation, first)

    def give_back(self) -> int | None:
        """Give some free pages back to the file system; how many are left. None when this file, of an earlier release,
        must first be packed."""
        run = self._database.execute
        try:
            if int(run("PRAGMA auto_vacuum").fetchone()[0]) != INCREMENTAL:
                return None
            # One page a step, and only a script is stepped to its end.
            self._database.executescript(f"PRAGMA incremental_vacuum({GIVEN_BACK_PAGES})")
            return int(run("PRAGMA freelist_count").fetchone()[0])
        except sqlite3.Error as wrong:
            raise StorageFailed(f"the journal's free space cannot be given back: {wrong}") from wrong

    def pack(self) -> None:
        """Write the whole file anew, without free pages; takes its size once more on the disk."""
        try:
            self._database.execute(f"PRAGMA auto_vacuum={INCREMENTAL}")
            self._database.execute("VACUUM")
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as wrong:
            raise StorageFailed(f"the journal cannot be packed: {wrong}; free space as large as it is") from wrong

    def _check_end(self, rows: int) -> None:
        if rows < self._mark.rows:
            raise StorageFailed(
                f"the journal ends at record {rows}, but {self._mark.rows} were acknowledged; {MENDING}"
            )

    def cut(self, keep: int) -> bool:
        """Never: a transaction is there as a whole or not at all, so a row that is cut short is damage."""
        del keep
        return False

    def close(self) -> None:
        """Close the file and let the next process in."""
        self._opened.close()


class ReadOnlyStore:
    """The rows of a state directory, read without its lock and without writing to it, also while a node runs on it."""

    def __init__(self, directory: Path) -> None:
        path = (directory / "journal.db").resolve()
        # Without a log beside it nobody has the file open, and SQLite would want to make one.
        mode = "mode=ro" if path.with_name("journal.db-wal").exists() else "immutable=1"
        try:
            self._database = sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, timeout=BUSY_TIMEOUT_S)
            version = int(self._database.execute("PRAGMA user_version").fetchone()[0])
        except sqlite3.Error as wrong:
            raise StorageFailed(f"cannot read a node's journal in {directory}: {wrong}") from wrong
        if version != FORMAT:
            self.close()
            raise StorageFailed(f"the journal in {directory} has format {version}, this release reads {FORMAT}")

    def append(self, rows: Sequence[bytes]) -> None:
        """Never."""
        raise StorageFailed(f"a journal that was opened to be read takes no {len(rows)} rows")

    def commit(self, change: Change) -> None:
        """Never."""
        self.append(change.rows)

    def rows(self, first: int = 1) -> Iterator[tuple[int, bytes]]:
        """Every row from number ``first`` on."""
        return _read(self._database, "records", first)

    def peek(self, first: int, last: int, most: int) -> Sequence[tuple[int, bytes]]:
        """Never: nothing is pruned by who only reads."""
        del first, last, most
        return ()

    def generations(self) -> Sequence[tuple[int, int]]:
        """Every checkpoint with its last part's number."""
        return _generations(self._database)

    def parts(self, generation: int, first: int = 0) -> Iterator[bytes]:
        """A checkpoint's parts."""
        return _parts(self._database, generation, first)

    def cut(self, keep: int) -> bool:
        """Never."""
        del keep
        return False

    def copy_to(self, other: sqlite3.Connection) -> None:
        """Everything as of one commit, also while a node goes on writing."""
        self._database.backup(other)

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def barred_keys(database: sqlite3.Connection) -> frozenset[bytes]:
    """What a backup says of node keys; nothing in a file that none was made of."""
    if database.execute("SELECT name FROM sqlite_master WHERE name = 'barred'").fetchone() is None:
        return frozenset()
    return frozenset(bytes(key) for (key,) in database.execute("SELECT node_key FROM barred"))


def _place(generation: int, number: int) -> int:
    return generation * PARTS_MAX + number


def _read(
    database: sqlite3.Connection, table: str, first: int, last: int = (1 << 63) - 1
) -> Iterator[tuple[int, bytes]]:
    """Rows of a table by number; StorageFailed after which one it cannot be read."""
    seen = first - 1
    try:
        for number, row in database.execute(QUERIES[table], (first, last)):
            if not isinstance(row, bytes):
                raise StorageFailed(f"journal record {number} is damaged (no such row); {MENDING}")
            seen = number
            yield number, row
    except sqlite3.Error as wrong:
        raise StorageFailed(f"the journal cannot be read after record {seen}: {wrong}; {MENDING}") from wrong


def _parts(database: sqlite3.Connection, generation: int, first: int) -> Iterator[bytes]:
    rows = _read(database, "parts", _place(generation, first), _place(generation + 1, 0) - 1)
    return (row for _, row in rows)


def _generations(database: sqlite3.Connection) -> Sequence[tuple[int, int]]:
    """One look at the index for each checkpoint, of which there are few."""
    found, query = [], "SELECT MAX(number) FROM parts WHERE number < ?"
    try:
        below = (1 << 63) - 1
        while (last := database.execute(query, (below,)).fetchone()[0]) is not None:
            found.append((last // PARTS_MAX, last % PARTS_MAX))
            below = _place(last // PARTS_MAX, 0)
    except sqlite3.Error as wrong:
        raise StorageFailed(f"the journal's checkpoints cannot be read: {wrong}; {MENDING}") from wrong
    return found[::-1]


def _lock(directory: Path) -> int:
    """Hold the state directory for this process alone."""
    try:
        _make(directory)
        handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as wrong:
        raise StorageFailed(f"cannot use the state directory {directory}: {wrong.strerror}") from wrong
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as wrong:
        os.close(handle)
        raise StorageFailed(f"another process uses the state directory {directory}; stop it first") from wrong
    return handle


def _make(directory: Path) -> None:
    """A new directory is as durable as what will be promised in it: its name is synced too."""
    if directory.exists():
        return
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    sync_directory(directory.parent)
