"""Backups of a node's journal that cannot be used to equivocate (rule 7.4).

A backup is the journal as it was at one commit, with the node keys that its owner had until then: whoever starts from
it signs nothing with these. The node may have signed more after the backup, nobody knows all of it, and lanes must not
skip; so a new node key is the only safe way to speak again. There is no ``journal.mark`` in it, without which no node
starts, so copying the file by hand does not make a state directory.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from dropbeard.errors import StorageFailed
from dropbeard.storage.mark import Mark, sync_directory
from dropbeard.storage.sqlite_store import BUSY_TIMEOUT_S, FORMAT, ReadOnlyStore, barred_keys

JOURNAL = "journal.db"


def write_backup(directory: Path, output: Path, node_keys: Iterable[bytes]) -> int:
    """Copy the journal of ``directory``, also while its node runs, for ``node_keys`` to sign nothing more; its rows.

    Raises StorageFailed when the journal cannot be read or the file, which must be new, cannot be written.
    """
    if not (directory / JOURNAL).is_file():
        raise StorageFailed(f"{directory} is no node's state directory: it has no {JOURNAL}")
    if output.exists():
        raise StorageFailed(f"{output} exists; name a new file")
    scratch = output.with_name(f".{output.name}.new")
    scratch.unlink(missing_ok=True)
    try:
        os.close(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with closing(ReadOnlyStore(directory)) as store, closing(sqlite3.connect(scratch)) as copy:
            store.copy_to(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
            _bar(copy, node_keys)
            rows = copy.execute("SELECT MAX(number) FROM records").fetchone()[0] or 0
        _sync(scratch)
        scratch.rename(output)
        sync_directory(output.parent)
    except (OSError, sqlite3.Error) as wrong:
        raise StorageFailed(f"cannot write the backup {output}: {wrong}") from wrong
    finally:
        scratch.unlink(missing_ok=True)
    return int(rows)


def restore_backup(backup: Path, directory: Path, node_keys: Iterable[bytes]) -> int:
    """Make a state directory of a backup, in which ``node_keys`` sign nothing either; its rows.

    Raises StorageFailed when the file is no backup, or the directory holds a journal already.
    """
    if (directory / JOURNAL).exists() or (directory / "journal.mark").exists():
        raise StorageFailed(f"{directory} holds a journal; a node that has its own state needs no backup")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        scratch = directory / f".{JOURNAL}.new"
        scratch.unlink(missing_ok=True)
        rows = _copied(backup, scratch, node_keys)
        _sync(scratch)
        # The mark first: with it and without the journal nothing starts either.
        mark = Mark(directory / "journal.mark", fresh=True)
        mark.acknowledge(rows)
        mark.close()
        scratch.rename(directory / JOURNAL)
        sync_directory(directory)
    except (OSError, sqlite3.Error) as wrong:
        raise StorageFailed(f"cannot restore {backup} to {directory}: {wrong}") from wrong
    return rows


def _copied(backup: Path, scratch: Path, node_keys: Iterable[bytes]) -> int:
    if not backup.is_file():
        raise StorageFailed(f"cannot read {backup}: there is no such file")
    os.close(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    source = sqlite3.connect(f"{backup.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
    with closing(source), closing(sqlite3.connect(scratch)) as copy:
        if not barred_keys(source):
            raise StorageFailed(f"{backup} is no backup that dropbeard ledger backup made: it bars no node key")
        version = int(source.execute("PRAGMA user_version").fetchone()[0])
        if version != FORMAT:
            raise StorageFailed(f"the backup {backup} has format {version}, this release reads {FORMAT}")
        source.backup(copy)
        _bar(copy, node_keys)
        return int(copy.execute("SELECT MAX(number) FROM records").fetchone()[0] or 0)


def _bar(database: sqlite3.Connection, node_keys: Iterable[bytes]) -> None:
    with database:
        database.execute("CREATE TABLE IF NOT EXISTS barred (node_key BLOB PRIMARY KEY)")
        database.executemany("INSERT OR IGNORE INTO barred VALUES (?)", ((key,) for key in node_keys))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
