"""Free pages of a journal go back to the file system: bit by bit while it is written, or all at once."""

from __future__ import annotations

import sqlite3
from itertools import pairwise
from pathlib import Path

from dropbeard.storage.records import Journal
from dropbeard.storage.sqlite_store import GIVEN_BACK_PAGES, INCREMENTAL, SqliteStore
from dropbeard.types.journal import Piece

ROWS, ROW_BYTES = 3_000, 2_000


def nothing_stays(record: bytes) -> bool:
    del record
    return False


def pruned(state: Path) -> tuple[SqliteStore, Journal]:
    """A journal of which most may go and nothing has gone yet."""
    store = SqliteStore(state)
    journal = Journal(store, nothing_stays)
    list(journal.replay())
    journal.append([bytes(ROW_BYTES) for _ in range(ROWS)])
    journal.append([], Piece(7, (b"snapshot",), first=True, last=True, kept=True))
    journal.append([b"after"], Piece(7, forget=7))
    journal.append([], Piece(9, (b"later",), first=True, last=True))
    return store, journal


def size(state: Path) -> int:
    return (state / "journal.db").stat().st_size


def checkpoint(store: SqliteStore) -> None:
    store._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def test_a_running_node_gives_back_a_bounded_bit_at_each_call(tmp_path: Path) -> None:
    store, journal = pruned(tmp_path)
    journal.finish_pruning()
    checkpoint(store)
    before = size(tmp_path)
    left: list[int] = []
    while not left or left[-1]:
        found = store.give_back()
        assert found is not None
        left.append(found)
        journal.append([b"goes on"])
    steps = [a - b for a, b in pairwise(left)]
    assert len(left) > 3
    assert all(0 <= step <= GIVEN_BACK_PAGES for step in steps)
    checkpoint(store)
    assert size(tmp_path) < before // 10
    store.close()
    store = SqliteStore(tmp_path)
    assert list(Journal(store, nothing_stays).recover().records)[-1] == b"goes on"
    store.close()


def test_a_stopped_nodes_file_of_any_form_is_packed(tmp_path: Path) -> None:
    store, journal = pruned(tmp_path)
    store.close()
    with sqlite3.connect(tmp_path / "journal.db") as database:  # as an earlier release made it
        database.execute("PRAGMA journal_mode=DELETE")
        database.execute("PRAGMA auto_vacuum=0")
    database.execute("VACUUM")
    database.close()
    store = SqliteStore(tmp_path)
    assert store.give_back() is None
    journal = Journal(store, nothing_stays)
    found = journal.recover()
    assert next(list(part) for part in found) == [b"later"]
    before = size(tmp_path)
    journal.finish_pruning()
    store.pack()
    assert store.give_back() == 0
    store.close()
    assert size(tmp_path) < before // 10
    store = SqliteStore(tmp_path)
    assert list(Journal(store, nothing_stays).recover().records) == []
    store.close()


def test_new_journals_can_give_back(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    assert store.give_back() == 0
    assert store._database.execute("PRAGMA auto_vacuum").fetchone() == (INCREMENTAL,)
    store.close()


def test_packing_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    store, journal = pruned(tmp_path)
    journal.finish_pruning()
    store.pack()
    journal.append([b"last"])
    store.close()
    store = SqliteStore(tmp_path)
    assert list(Journal(store, nothing_stays).recover().records) == [b"last"]
    store.close()
