"""A store on SQLite: one file, WAL, every commit synced; one process at a time."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from dropbeard.errors import StorageFailed
from dropbeard.storage.mark import MENDING, Mark, sync_directory

FORMAT: Final = 2
BUSY_TIMEOUT_S: Final = 1.0
WAL_PAGES: Final = 4_096
"""Pages in the write-ahead log before SQLite copies them into the file."""


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
            self._failed = False
            self._opened = opened.pop_all()

    def _open(self, directory: Path) -> int:
        """The number of rows."""
        run = self._database.execute
        (directory / "journal.db").chmod(0o600)
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=FULL")
        run(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
        version = int(run("PRAGMA user_version").fetchone()[0])
        if version not in (0, FORMAT):
            raise StorageFailed(f"the journal in {directory} has format {version}, this release reads {FORMAT}")
        if version == 0:
            run("BEGIN IMMEDIATE")
            run("CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY, row BLOB NOT NULL)")
            run(f"PRAGMA user_version={FORMAT}")
            run("COMMIT")
        rows = run("SELECT MAX(number) FROM records").fetchone()[0] or 0
        self._check_end(rows)
        return int(rows)

    def append(self, rows: Sequence[bytes]) -> None:
        """One transaction, synced."""
        if self._failed:
            raise StorageFailed("the journal cannot be written since a write or sync failed; restart the node")
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT INTO records VALUES (?, ?)", enumerate(rows, self._rows + 1))
            self._database.execute("COMMIT")
            self._rows += len(rows)
            self._mark.acknowledge(self._rows)
        except (sqlite3.Error, OSError) as wrong:
            # A full disk refuses before anything is promised, and SQLite takes the transaction back. After any other
            # failure nobody knows what the disk holds, and a sync that is tried again may succeed without its data:
            # only a new start reads what is there.
            full = getattr(wrong, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            self._failed = not full or self._database.in_transaction
            raise StorageFailed(f"the journal cannot be written: {wrong}; free space or check the disk") from wrong

    def rows(self) -> Iterator[bytes]:
        """Every row in order."""
        seen = 0
        try:
            for number, row in self._database.execute("SELECT number, row FROM records ORDER BY number"):
                if number != seen + 1 or not isinstance(row, bytes):
                    raise StorageFailed(f"journal record {seen + 1} is damaged (no such row); {MENDING}")
                seen = number
                yield row
        except sqlite3.Error as wrong:
            raise StorageFailed(f"the journal cannot be read after record {seen}: {wrong}; {MENDING}") from wrong
        self._check_end(seen)

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

    def rows(self) -> Iterator[bytes]:
        """Every row in order."""
        try:
            for (row,) in self._database.execute("SELECT row FROM records ORDER BY number"):
                if not isinstance(row, bytes):
                    raise StorageFailed("the journal holds a row that is no record")
                yield row
        except sqlite3.Error as wrong:
            raise StorageFailed(f"the journal cannot be read: {wrong}") from wrong

    def cut(self, keep: int) -> bool:
        """Never."""
        del keep
        return False

    def close(self) -> None:
        """Close the file."""
        self._database.close()


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
