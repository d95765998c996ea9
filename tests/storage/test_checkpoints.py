"""Checkpoints and pruning on every store: whole or not there, bounded in every commit, what stays can be checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dropbeard.errors import StorageFailed
from dropbeard.simulator.disk import Crashed
from dropbeard.storage import rows
from dropbeard.storage.checkpoints import DROPPED_PARTS_TURN
from dropbeard.storage.records import PRUNED_ROWS_TURN, Journal
from dropbeard.storage.rows import HEAD_BYTES, is_stub
from dropbeard.storage.stores import Change
from dropbeard.types.journal import Piece
from tests.storage.media import Medium, OpenStore, SimulatedMedium, replayed
from tests.storage.test_journal_suite import make_medium

STAYS = b"audit"


def stays(record: bytes) -> bool:
    return record.startswith(STAYS)


@pytest.fixture(params=["sqlite", "simulated"])
def medium(request: pytest.FixtureRequest, tmp_path: Path) -> Medium:
    return make_medium(request.param, tmp_path)


def opened(medium: Medium) -> tuple[OpenStore, Journal, tuple[list[bytes], list[bytes], list[bytes]]]:
    """A store, its journal, and what a start finds: checkpoint, shelf, records."""
    store = medium.open()
    journal = Journal(store, stays)
    try:
        found = journal.recover()
        return store, journal, (list(found.checkpoint), list(found.shelf), list(found.records))
    except StorageFailed:
        store.close()
        raise


def start(medium: Medium) -> tuple[list[bytes], list[bytes], list[bytes]]:
    store, _, found = opened(medium)
    store.close()
    return found


def names(first: int, last: int) -> list[bytes]:
    """Records; every seventh belongs to the audit chain."""
    return [(STAYS if number % 7 == 0 else b"other") + b" %d" % number for number in range(first, last + 1)]


def checkpoint(journal: Journal, height: int, parts: Sequence[bytes], kept: bool = True) -> None:
    """A whole checkpoint in as many commits as it has parts."""
    for at, part in enumerate(parts):
        last = at == len(parts) - 1
        journal.append([b"while it grows %d" % at], Piece(height, (part,), at == 0, last, kept))


def pruned_to(journal: Journal, height: int) -> None:
    journal.append([b"forget"], Piece(height, forget=height))
    for turn in range(100):
        journal.append([b"turn %d" % turn])


def test_a_start_finds_the_newest_whole_checkpoint_and_the_rows_after_its_first_commit(medium: Medium) -> None:
    store, journal, found = opened(medium)
    assert found == ([], [], [])
    journal.append(names(1, 9))
    checkpoint(journal, 4, [b"a", b"b", b"c"], kept=False)
    checkpoint(journal, 8, [b"d", b"e"], kept=False)
    journal.append([b"after"])
    store.close()
    grown = [b"while it grows %d" % at for at in (0, 1, 2, 0)]
    assert start(medium) == ([b"d", b"e"], [*names(1, 9), *grown], [b"while it grows 1", b"after"])


def test_an_unfinished_checkpoint_is_as_if_it_had_never_been_begun(medium: Medium) -> None:
    store, journal, _ = opened(medium)
    journal.append(names(1, 3))
    checkpoint(journal, 4, [b"whole"])
    journal.append([b"x"], Piece(8, (b"half",), first=True))
    store.close()
    for _ in range(3):
        store, journal, found = opened(medium)
        assert found[0] == [b"whole"]
        assert found[2][:1] == [b"x"]
        journal.append([b"y"], Piece(8, (b"again",), first=True))
        store.close()
    store, journal, _ = opened(medium)
    checkpoint(journal, 8, [b"at last"])
    store.close()
    assert start(medium)[0] == [b"at last"]


def check_a_crash_anywhere_in_a_checkpoint_leaves_the_old_one_or_the_new_one() -> None:
    seen = set()
    for seed in range(150):
        medium = SimulatedMedium(seed)
        _, journal, _ = opened(medium)
        journal.append(names(1, 5))
        checkpoint(journal, 4, [b"old"])
        commit = seed % 3
        try:
            for at, part in enumerate((b"new 1", b"new 2", b"new 3")):
                medium.disk.crash_before = at == commit
                journal.append([b"row %d" % at], Piece(8, (part,), at == 0, at == 2, True))
        except Crashed:
            medium.disk.crash()
        parts, shelf, rows = start(medium)
        assert parts in ([b"old"], [b"new 1", b"new 2", b"new 3"])
        assert [*shelf, *rows][:6] == [*names(1, 5), b"while it grows 0"]
        assert len(shelf) == (6 if parts == [b"old"] else 7)
        seen.add((commit, parts[0], len(rows)))
    assert {parts for _, parts, _ in seen} == {b"old", b"new 1"}
    assert {commit for commit, parts, _ in seen if parts == b"new 1"} == {2}


def test_a_crash_anywhere_in_a_checkpoint_leaves_the_old_one_or_the_new_one() -> None:
    check_a_crash_anywhere_in_a_checkpoint_leaves_the_old_one_or_the_new_one()


def part_rows(medium: Medium) -> list[bytes]:
    store = medium.open()
    rows = [row for generation, _ in store.generations() for row in store.parts(generation)]
    store.close()
    return rows


def test_every_class_of_flipped_byte_in_a_whole_checkpoint_is_named_or_leads_to_the_rows_alone(medium: Medium) -> None:
    store, journal, _ = opened(medium)
    journal.append(names(1, 5))
    checkpoint(journal, 4, [b"one part", b"another"])
    store.close()
    parts = part_rows(medium)
    assert len(parts) == 4
    for number, row in enumerate(parts):
        for at in (0, 5, HEAD_BYTES, len(row) - 1):
            flipped = row[:at] + bytes([row[at] ^ 0x10]) + row[at + 1 :]
            store = medium.open()
            store.commit(Change(dropped=[(1, number)]))
            store.commit(Change(parts=[(1, number, flipped)]))
            store.close()
            try:
                found = start(medium)
            except StorageFailed as wrong:
                assert f"part {number + 1} of checkpoint 1 is damaged" in str(wrong)
            else:  # its end is gone, so it never was
                assert number == 3
                assert found == ([], [], [*names(1, 5), b"while it grows 0", b"while it grows 1"])
            store = medium.open()
            store.commit(Change(dropped=[(1, number)]))
            store.commit(Change(parts=[(1, number, row)]))
            store.close()
    assert start(medium)[0] == [b"one part", b"another"]


def pruned(medium: Medium) -> list[bytes]:
    """Two kept checkpoints, everything before the second one pruned; what was on the audit chain."""
    store, journal, _ = opened(medium)
    journal.append(names(1, 700))
    checkpoint(journal, 4, [b"first"])
    journal.append(names(701, 1_400))
    checkpoint(journal, 8, [b"second"])
    pruned_to(journal, 8)
    store.close()
    return [name for name in names(1, 1_400) if stays(name)]


def test_what_is_pruned_is_gone_and_the_audit_chain_stays_and_can_be_checked(medium: Medium) -> None:
    audit = pruned(medium)
    after = [b"forget", *(b"turn %d" % turn for turn in range(100))]
    assert start(medium) == ([b"second"], audit, after)
    assert replayed(medium) == [*audit, *after]
    left = medium.rows()
    assert sum(map(is_stub, left)) <= len(audit) + 1_400 // PRUNED_ROWS_TURN + 2
    for at, row in enumerate(left):
        if not is_stub(row):
            medium.change(at, row[:-1] + bytes([row[-1] ^ 1]))
            with pytest.raises(StorageFailed, match="is damaged"):
                replayed(medium)
            medium.change(at, row)
            if at > 20:
                break


def test_a_journal_goes_on_after_pruning_over_many_starts(medium: Medium) -> None:
    audit = pruned(medium)
    expected = [b"forget", *(b"turn %d" % turn for turn in range(100))]
    for life in range(3):
        store, journal, found = opened(medium)
        assert found == ([b"second"], audit, expected)
        journal.append([b"life %d" % life])
        expected.append(b"life %d" % life)
        store.close()
    assert replayed(medium) == [*audit, *expected]


def test_the_last_row_is_never_missing_so_that_the_count_of_acknowledged_rows_holds(medium: Medium) -> None:
    store, journal, _ = opened(medium)
    journal.append(names(1, 50))
    journal.append([], Piece(4, (b"all",), True, True, True))
    journal.append([], Piece(4, forget=4))
    for _ in range(3):
        journal.append([], Piece(4))
    store.close()
    assert is_stub(medium.rows()[-1])
    store, journal, found = opened(medium)
    audit = [name for name in names(1, 50) if stays(name)]
    assert found == ([b"all"], audit, [])
    assert journal.records == 50
    journal.append([b"fifty-first"])
    store.close()
    assert start(medium) == ([b"all"], audit, [b"fifty-first"])


def test_pruning_and_dropping_are_bounded_in_every_commit(medium: Medium, monkeypatch: pytest.MonkeyPatch) -> None:
    store, journal, _ = opened(medium)
    journal.append(names(1, 3 * PRUNED_ROWS_TURN))
    parts = [b"part %d" % number for number in range(3 * DROPPED_PARTS_TURN)]
    checkpoint(journal, 4, parts, kept=False)
    checkpoint(journal, 8, [b"second"])
    changes: list[Change] = []
    plain = type(store).commit

    def watched(self: OpenStore, change: Change) -> None:
        changes.append(change)
        plain(self, change)

    monkeypatch.setattr(type(store), "commit", watched)
    pruned_to(journal, 8)
    store.close()
    assert max(len(change.pruned) for change in changes) <= PRUNED_ROWS_TURN
    assert max(len(change.dropped) for change in changes) <= DROPPED_PARTS_TURN
    assert sum(bool(change.pruned) for change in changes) >= 3
    assert len(part_rows(medium)) == 3


def test_a_start_in_the_middle_of_pruning_reads_on_and_prunes_the_rest(medium: Medium) -> None:
    store, journal, _ = opened(medium)
    journal.append(names(1, 4 * PRUNED_ROWS_TURN))
    checkpoint(journal, 4, [b"first"])
    checkpoint(journal, 8, [b"second"])
    journal.append([b"forget"], Piece(8, forget=8))
    store.close()
    before = len(medium.rows())
    store, journal, found = opened(medium)
    assert found[0] == [b"second"]
    assert set(found[1]) < {*names(1, 4 * PRUNED_ROWS_TURN), b"while it grows 0"}
    journal.append([b"goes on"])
    assert len(list(store.rows())) >= before
    pruned_to(journal, 8)
    store.close()
    assert len(medium.rows()) < before
    assert start(medium)[0] == [b"second"]


def check_a_crash_in_the_middle_of_a_pruning_commit_leaves_a_journal_that_can_be_read() -> None:
    left = set()
    for seed in range(100):
        medium = SimulatedMedium(seed)
        _, journal, _ = opened(medium)
        journal.append(names(1, 40))
        checkpoint(journal, 4, [b"first"])
        medium.disk.crash_before = True
        with pytest.raises(Crashed):
            journal.append([], Piece(4, forget=4))
        medium.disk.crash()
        _, journal, found = opened(medium)
        assert found[0] == [b"first"]
        assert {name for name in names(1, 40) if stays(name)} <= set(found[1])
        left.add(len(found[1]))
        pruned_to(journal, 4)
        audit = [name for name in names(1, 40) if stays(name)]
        medium.disk.crash()
        assert replayed(medium)[: len(audit)] == audit
    assert len(left) > 10


def test_a_crash_in_the_middle_of_a_pruning_commit_leaves_a_journal_that_can_be_read() -> None:
    check_a_crash_in_the_middle_of_a_pruning_commit_leaves_a_journal_that_can_be_read()


def test_a_mutant_that_prunes_upwards_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = rows.thinned
    monkeypatch.setattr("dropbeard.storage.records.thinned", lambda found, keeps: sorted(plain(found, keeps)))
    with pytest.raises(StorageFailed, match="no such row"):
        check_a_crash_in_the_middle_of_a_pruning_commit_leaves_a_journal_that_can_be_read()


@pytest.mark.parametrize("gone", range(5))
def test_a_row_that_is_missing_after_the_floor_is_damage(medium: Medium, gone: int) -> None:
    store, journal, _ = opened(medium)
    journal.append(names(1, 4))
    checkpoint(journal, 4, [b"whole"])
    journal.append([b"after"])
    store.commit(Change(pruned=[(gone + 1, None)]))
    store.close()
    with pytest.raises(StorageFailed, match=f"record {gone + 1} is damaged"):
        start(medium)


def test_a_mutant_whose_checkpoint_counts_before_its_end_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropbeard.storage.checkpoints._END", b"")
    with pytest.raises((AssertionError, IndexError, StorageFailed)):
        check_a_crash_anywhere_in_a_checkpoint_leaves_the_old_one_or_the_new_one()


@pytest.mark.parametrize("kind", ["sqlite", "simulated"])
def test_a_mutant_that_leaves_no_stub_is_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str) -> None:
    def bare(rows: Sequence[tuple[int, bytes]], keeps: object) -> list[tuple[int, bytes | None]]:
        del keeps
        return [(number, None) for number, row in rows if not stays(row[HEAD_BYTES:])]

    monkeypatch.setattr("dropbeard.storage.records.thinned", bare)
    with pytest.raises((AssertionError, StorageFailed)):
        test_what_is_pruned_is_gone_and_the_audit_chain_stays_and_can_be_checked(make_medium(kind, tmp_path))
