"""Backups: taken beside a writer, whole, and of no use to somebody who would sign twice (rule 7.4)."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dropbeard.errors import StorageFailed
from dropbeard.storage.backup import restore_backup, write_backup
from dropbeard.storage.records import Journal
from dropbeard.storage.sqlite_store import SqliteStore

KEY, LATER_KEY = b"\2" * 33, b"\3" * 33
FIRST = [b"promise %d" % number for number in range(5)]
LATER = [b"another promise", b"and one more"]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    store = SqliteStore(tmp_path / "state")
    journal = Journal(store)
    list(journal.replay())
    journal.append(FIRST)
    store.close()
    return tmp_path / "state"


def records(directory: Path) -> list[bytes]:
    store = SqliteStore(directory)
    found = list(Journal(store).replay())
    store.close()
    return found


def test_a_backup_is_one_moment_of_a_journal_that_is_being_written(state: Path, tmp_path: Path) -> None:
    store = SqliteStore(state)
    journal = Journal(store)
    list(journal.replay())
    assert write_backup(state, tmp_path / "b", [KEY]) == len(FIRST)
    journal.append(LATER)
    store.close()
    assert records(state) == [*FIRST, *LATER]
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600
    assert restore_backup(tmp_path / "b", tmp_path / "again", [LATER_KEY]) == len(FIRST)
    assert records(tmp_path / "again") == FIRST


def test_what_is_restored_bars_the_keys_of_then_and_of_now_for_ever(state: Path, tmp_path: Path) -> None:
    write_backup(state, tmp_path / "b", [KEY])
    restore_backup(tmp_path / "b", tmp_path / "again", [LATER_KEY])
    for _ in range(2):
        store = SqliteStore(tmp_path / "again")
        assert store.barred == {KEY, LATER_KEY}
        store.close()
    write_backup(tmp_path / "again", tmp_path / "second", [KEY])
    restore_backup(tmp_path / "second", tmp_path / "third", [])
    store = SqliteStore(tmp_path / "third")
    assert store.barred == {KEY, LATER_KEY}
    store.close()


def test_a_state_directory_of_its_own_bars_no_key(state: Path) -> None:
    store = SqliteStore(state)
    assert store.barred == frozenset()
    store.close()


def test_a_backup_copied_by_hand_starts_no_node(state: Path, tmp_path: Path) -> None:
    write_backup(state, tmp_path / "b", [KEY])
    (tmp_path / "hand").mkdir()
    shutil.copy(tmp_path / "b", tmp_path / "hand" / "journal.db")
    with pytest.raises(StorageFailed, match=r"journal\.mark is gone"):
        SqliteStore(tmp_path / "hand")
    shutil.copy(state / "journal.mark", tmp_path / "hand" / "journal.mark")
    store = SqliteStore(tmp_path / "hand")  # whoever insists observes, too
    assert store.barred == {KEY}
    store.close()


def existing_state(state: Path, tmp_path: Path) -> Path:
    write_backup(state, tmp_path / "b", [KEY])
    return state


def plain_copy(state: Path, tmp_path: Path) -> Path:
    shutil.copy(state / "journal.db", tmp_path / "b")
    return tmp_path / "new"


def later_format(state: Path, tmp_path: Path) -> Path:
    write_backup(state, tmp_path / "b", [KEY])
    database = sqlite3.connect(tmp_path / "b")
    database.execute("PRAGMA user_version=99")
    database.close()
    return tmp_path / "new"


def no_database(state: Path, tmp_path: Path) -> Path:
    (tmp_path / "b").write_bytes(b"no database" * 100)
    return tmp_path / "new"


def nothing(state: Path, tmp_path: Path) -> Path:
    return tmp_path / "new"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (existing_state, "holds a journal"),
        (plain_copy, "bars no node key"),
        (later_format, "has format 99"),
        (no_database, "cannot restore"),
        (nothing, "there is no such file"),
    ],
)
def test_what_cannot_be_restored_is_refused_in_a_line(
    state: Path, tmp_path: Path, make: Callable[[Path, Path], Path], why: str
) -> None:
    with pytest.raises(StorageFailed, match=why):
        restore_backup(tmp_path / "b", make(state, tmp_path), [KEY])
    assert not (tmp_path / "new" / "journal.db").exists()


def test_a_restore_that_was_cut_off_leaves_nothing_that_starts_empty(state: Path, tmp_path: Path) -> None:
    write_backup(state, tmp_path / "b", [KEY])
    restore_backup(tmp_path / "b", tmp_path / "new", [])
    (tmp_path / "new" / "journal.db").unlink()  # as after a crash between the mark and the journal
    with pytest.raises(StorageFailed, match="ends at record 0, but 5 were acknowledged"):
        SqliteStore(tmp_path / "new")


def test_a_backup_never_overwrites_a_file(state: Path, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("precious")
    with pytest.raises(StorageFailed, match="exists"):
        write_backup(state, tmp_path / "b", [KEY])
    assert (tmp_path / "b").read_text() == "precious"
