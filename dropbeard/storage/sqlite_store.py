"""A store on SQLite: one file, WAL, every commit synced; one process at a time."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from dropbeard.errors import StorageFailed

FORMAT: Final = 1
BUSY_TIMEOUT_S: Final = 1.0
WAL_PAGES: Final = 4_096
"""Pages in the write-ahead log before SQLite copies them into the file."""


class SqliteStore:
    """``directory`` is the node's state directory; it is made, mode 0700, when it does not exist.

    ``boot`` counts how often this directory was opened. StorageFailed when another process holds it, when it cannot
    be written, or when it was made by a newer release.
    """

    def __init__(self, directory: Path) -> None:
        self._lock = _lock(directory)
        try:
            self._database = sqlite3.connect(
                directory / "journal.db", timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            self.boot = self._open(directory)
        except (sqlite3.Error, OSError) as wrong:
            os.close(self._lock)
            raise StorageFailed(f"cannot open the journal in {directory}: {wrong}") from wrong
        except StorageFailed:
            self._database.close()
            os.close(self._lock)
            raise

    def _open(self, directory: Path) -> int:
        run = self._database.execute
        (directory / "journal.db").chmod(0o600)
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=FULL")
        run(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
        version = int(run("PRAGMA user_version").fetchone()[0])
        if version not in (0, FORMAT):
            raise StorageFailed(f"the journal in {directory} has format {version}, this release reads {FORMAT}")
        run("BEGIN IMMEDIATE")
        run("CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY, row BLOB NOT NULL)")
        run("CREATE TABLE IF NOT EXISTS boots (number INTEGER PRIMARY KEY AUTOINCREMENT)")
        run("INSERT INTO boots DEFAULT VALUES")
        run(f"PRAGMA user_version={FORMAT}")
        run("COMMIT")
        return int(run("SELECT MAX(number) FROM boots").fetchone()[0])

    def append(self, rows: Sequence[bytes]) -> None:
        """One transaction, synced."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT INTO records (row) VALUES (?)", ((row,) for row in rows))
            self._database.execute("COMMIT")
        except sqlite3.Error as wrong:
            # After a failed write or sync nothing further may be promised: the caller stops.
            raise StorageFailed(f"the journal cannot be written: {wrong}; free space or check the disk") from wrong

    def rows(self) -> Iterator[bytes]:
        """Every row in order."""
        try:
            for (row,) in self._database.execute("SELECT row FROM records ORDER BY number"):
                yield row
        except sqlite3.Error as wrong:
            raise StorageFailed(f"the journal cannot be read: {wrong}") from wrong

    def cut(self, keep: int) -> None:
        """Drop every row after the first ``keep``."""
        numbers = "SELECT number FROM records ORDER BY number LIMIT -1 OFFSET ?"
        try:
            self._database.execute(f"DELETE FROM records WHERE number IN ({numbers})", (keep,))  # noqa: S608
        except sqlite3.Error as wrong:
            raise StorageFailed(f"the journal cannot be written: {wrong}") from wrong

    def close(self) -> None:
        """Close the file and let the next process in."""
        self._database.close()
        os.close(self._lock)


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
    parent = os.open(directory.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
