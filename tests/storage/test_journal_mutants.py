"""Each guard of the journal taken away: the suite's own checks notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dropbeard.errors import StorageFailed
from dropbeard.storage import records, rows, sqlite_store
from dropbeard.storage.mark import Mark
from dropbeard.storage.records import Journal
from dropbeard.storage.rows import HEAD_BYTES
from dropbeard.types.ids import NO_DIGEST, Digest
from tests.storage import test_journal_suite as suite
from tests.storage import test_sqlite_damage as damage
from tests.storage import test_sqlite_failures as failures

Patch = pytest.MonkeyPatch
KINDS = ["sqlite", "simulated"]


def is_caught(check: Callable[..., None], *arguments: Any) -> None:
    with pytest.raises((AssertionError, StorageFailed, pytest.fail.Exception)):
        check(*arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutant_that_checks_no_chain_is_caught(monkeypatch: Patch, tmp_path: Path, kind: str) -> None:
    monkeypatch.setattr(records, "read_row", lambda row, chain: row[HEAD_BYTES:])
    is_caught(suite.test_two_records_in_the_other_order_are_damage, suite.make_medium(kind, tmp_path / "a"))
    is_caught(suite.test_a_record_put_in_twice_is_damage, suite.make_medium(kind, tmp_path / "b"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutant_that_skips_a_corrupt_middle_is_caught(monkeypatch: Patch, tmp_path: Path, kind: str) -> None:
    plain = rows.read_row

    def skips(self: Journal) -> Iterator[bytes]:
        chain = NO_DIGEST
        for _, row in self._store.rows():
            record = plain(row, chain)
            if isinstance(record, bytes):
                yield record
                chain = Digest(row[4:HEAD_BYTES])

    monkeypatch.setattr(Journal, "replay", skips)
    is_caught(
        suite.test_every_class_of_flipped_byte_in_every_record_is_damage_and_nothing_is_cut,
        suite.make_medium(kind, tmp_path),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutant_that_cuts_off_any_damaged_end_is_caught(monkeypatch: Patch, tmp_path: Path, kind: str) -> None:
    plain = rows.read_row

    def lenient(row: bytes, chain: Digest) -> bytes | str | None:
        record = plain(row, chain)
        return record if isinstance(record, bytes) else None

    monkeypatch.setattr(records, "read_row", lenient)
    monkeypatch.setattr(sqlite_store.SqliteStore, "cut", lambda self, keep: True)
    is_caught(
        suite.test_a_whole_last_record_under_another_length_is_damage_and_no_torn_write,
        suite.make_medium(kind, tmp_path),
    )


def test_a_mutant_that_leaves_the_torn_tail_is_caught(monkeypatch: Patch, tmp_path: Path) -> None:
    monkeypatch.setattr("dropbeard.simulator.disk.SimulatedDisk.truncate", lambda self, keep: None)
    is_caught(
        suite.test_a_last_record_cut_short_anywhere_is_dropped_where_writes_tear_and_is_damage_elsewhere,
        suite.make_medium("simulated", tmp_path),
    )


def test_a_mutant_that_takes_a_damaged_row_of_a_database_for_a_torn_one_is_caught(
    monkeypatch: Patch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sqlite_store.SqliteStore, "cut", lambda self, keep: True)
    is_caught(
        suite.test_a_last_record_cut_short_anywhere_is_dropped_where_writes_tear_and_is_damage_elsewhere,
        suite.make_medium("sqlite", tmp_path),
    )


def test_a_mutant_that_writes_on_after_a_failed_write_is_caught(monkeypatch: Patch, tmp_path: Path) -> None:
    never = property(lambda self: False, lambda self, value: None)
    monkeypatch.setattr(sqlite_store.SqliteStore, "_failed", never, raising=False)
    is_caught(failures.test_after_a_failed_write_nothing_is_written_before_a_new_start, tmp_path)


def test_a_mutant_without_a_lock_is_caught(monkeypatch: Patch, tmp_path: Path) -> None:
    monkeypatch.setattr("fcntl.flock", lambda handle, how: None)
    is_caught(suite.test_a_second_opener_is_refused_until_the_first_closes, suite.make_medium("sqlite", tmp_path))


def test_a_mutant_that_believes_the_end_of_the_log_is_caught(monkeypatch: Patch, tmp_path: Path) -> None:
    monkeypatch.setattr(sqlite_store.SqliteStore, "_check_end", lambda self, rows: None)
    is_caught(damage.test_a_log_cut_anywhere_forgets_nothing_that_was_acknowledged, tmp_path)
    is_caught(damage.test_a_log_with_a_flipped_byte_anywhere_forgets_nothing, tmp_path)


def test_a_mutant_that_marks_nothing_is_caught(monkeypatch: Patch, tmp_path: Path) -> None:
    monkeypatch.setattr(Mark, "acknowledge", lambda self, rows: None)
    is_caught(damage.test_a_log_cut_anywhere_forgets_nothing_that_was_acknowledged, tmp_path)


def test_a_mutant_that_marks_before_it_commits_is_caught(monkeypatch: Patch, tmp_path: Path) -> None:
    plain = sqlite_store.SqliteStore.append

    def early(self: sqlite_store.SqliteStore, rows: Sequence[bytes]) -> None:
        self._mark.acknowledge(self._rows + len(rows))
        plain(self, rows)

    monkeypatch.setattr(sqlite_store.SqliteStore, "append", early)
    is_caught(failures.test_after_a_failed_write_nothing_is_written_before_a_new_start, tmp_path)


def test_a_mutant_that_writes_one_slot_at_a_start_is_caught(monkeypatch: Patch, tmp_path: Path) -> None:
    plain = Mark._write

    def once(self: Mark) -> None:
        if getattr(self, "written", None) != (self.boot, self.rows):
            plain(self)
        self.written = (self.boot, self.rows)  # type: ignore[attr-defined]

    monkeypatch.setattr(Mark, "_write", once)
    is_caught(damage.test_a_damaged_mark_takes_neither_the_boot_counter_nor_the_journal_back, tmp_path)
