"""The SQLite store's state directory: private, for one process, counted, refused with one clear line."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dropbeard.errors import StorageFailed
from dropbeard.storage.sqlite_store import SqliteStore

TIMEOUT_S = 30


def test_files_are_private_and_boots_are_counted(tmp_path: Path) -> None:
    home = tmp_path / "state"
    for boot in (1, 2, 3):
        store = SqliteStore(home)
        assert store.boot == boot
        store.close()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "journal.db").stat().st_mode) == 0o600


def test_a_second_process_is_refused_until_the_first_ends_even_by_kill_9(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from dropbeard.storage.sqlite_store import SqliteStore;"
        f"store = SqliteStore(Path({str(tmp_path)!r})); print(store.boot, flush=True); time.sleep({TIMEOUT_S})"
    )
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "1\n"
    with pytest.raises(StorageFailed, match="another process"):
        SqliteStore(tmp_path)
    holder.kill()
    holder.wait(TIMEOUT_S)
    holder.stdout.close()
    store = SqliteStore(tmp_path)
    assert store.boot == 2
    store.close()


def test_a_journal_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    SqliteStore(tmp_path).close()
    database = sqlite3.connect(tmp_path / "journal.db")
    database.execute("PRAGMA user_version=99")
    database.commit()
    database.close()
    with pytest.raises(StorageFailed, match="format 99"):
        SqliteStore(tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(StorageFailed, match="cannot open the journal"):
        SqliteStore(tmp_path)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageFailed, match="state directory"):
        SqliteStore(tmp_path / "file" / "state")
