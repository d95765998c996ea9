"""The journal's promises on every store: what was acknowledged comes back, and damage is named, never passed on."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropbeard.errors import StorageFailed
from dropbeard.storage.records import Journal
from dropbeard.storage.rows import HEAD_BYTES
from tests.storage.media import RECORDS, Medium, SimulatedMedium, SqliteMedium, replayed, written

LARGE_BYTES = 3 << 20


def make_medium(kind: str, directory: Path) -> Medium:
    return SqliteMedium(directory / "state") if kind == "sqlite" else SimulatedMedium(1)


@pytest.fixture(params=["sqlite", "simulated"])
def medium(request: pytest.FixtureRequest, tmp_path: Path) -> Medium:
    return make_medium(request.param, tmp_path)


def test_a_new_journal_is_empty(medium: Medium) -> None:
    assert replayed(medium) == []
    assert replayed(medium) == []


def test_records_come_back_in_order_over_commits_and_openings(medium: Medium) -> None:
    expected: list[bytes] = []
    for life in range(4):
        store = medium.open()
        journal = Journal(store)
        assert list(journal.replay()) == expected
        assert (journal.records, journal.torn) == (len(expected), 0)
        for commit in (RECORDS, [b"%d" % life], [b"", b""]):
            journal.append(commit)
            expected += commit
        assert journal.records == len(expected)
        store.close()
    assert replayed(medium) == expected


def test_a_large_record_comes_back(medium: Medium) -> None:
    large = bytes(range(256)) * (LARGE_BYTES // 256)
    written(medium, [large, b"small", large[::-1]])
    assert replayed(medium) == [large, b"small", large[::-1]]


def test_a_record_too_large_to_read_back_is_never_written(medium: Medium, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropbeard.storage.rows.RECORD_BYTES_MAX", 10)
    store = medium.open()
    journal = Journal(store)
    list(journal.replay())
    with pytest.raises(StorageFailed, match="11 bytes, at most 10"):
        journal.append([b"small", bytes(11)])
    store.close()
    assert medium.rows() == []


def test_a_full_disk_takes_all_records_of_a_commit_or_none_and_goes_on_once_there_is_space(medium: Medium) -> None:
    store = medium.open()
    journal = Journal(store)
    list(journal.replay())
    journal.append([b"kept", b"also kept"])
    medium.fill(store)
    for _ in range(2):
        with pytest.raises(StorageFailed, match=r"^the journal cannot be written: .* full; free space[^\n]*$"):
            journal.append([b"small", bytes(100_000), b"small"])
        assert journal.records == 2
        assert list(Journal(store).replay()) == [b"kept", b"also kept"]
    medium.free(store)
    journal.append([b"after", bytes(100_000)])
    store.close()
    assert replayed(medium) == [b"kept", b"also kept", b"after", bytes(100_000)]


def bytes_to_flip(row: bytes) -> list[int]:
    """Every byte of the length, and both ends and the middle of the chain value and of the record."""
    record = range(HEAD_BYTES, len(row))
    chosen = {*range(4), 4, 20, HEAD_BYTES - 1, *record[:1], *record[len(record) // 2 :][:1], *record[-1:]}
    return sorted(chosen)


def test_every_class_of_flipped_byte_in_every_record_is_damage_and_nothing_is_cut(medium: Medium) -> None:
    original = written(medium)
    for number, row in enumerate(original):
        for at in bytes_to_flip(row):
            flipped = row[:at] + bytes([row[at] ^ 0x40]) + row[at + 1 :]
            rows = [*original[:number], flipped, *original[number + 1 :]]
            medium.put(rows)
            with pytest.raises(StorageFailed, match=f"record {number + 1} is damaged"):
                replayed(medium)
            assert medium.rows() == rows
    medium.put(original)
    assert replayed(medium) == RECORDS


@pytest.mark.parametrize("number", range(len(RECORDS) - 1))
def test_a_record_cut_short_in_the_middle_is_damage(medium: Medium, number: int) -> None:
    original = written(medium)
    for length in (0, 1, HEAD_BYTES - 1, len(original[number]) - 1):
        medium.put([*original[:number], original[number][:length], *original[number + 1 :]])
        with pytest.raises(StorageFailed, match=f"record {number + 1} is damaged"):
            replayed(medium)


def test_a_last_record_cut_short_anywhere_is_dropped_where_writes_tear_and_is_damage_elsewhere(medium: Medium) -> None:
    original = written(medium)
    for length in range(len(original[-1])):
        medium.put([*original[:-1], original[-1][:length]])
        if not medium.tears:
            with pytest.raises(StorageFailed, match=f"record {len(RECORDS)} is damaged"):
                replayed(medium)
            continue
        store = medium.open()
        journal = Journal(store)
        assert list(journal.replay()) == RECORDS[:-1]
        assert journal.torn == 1
        assert medium.rows() == original[:-1]
        journal.append([b"goes on"])
        store.close()
        assert replayed(medium) == [*RECORDS[:-1], b"goes on"]


def test_a_whole_last_record_under_another_length_is_damage_and_no_torn_write(medium: Medium) -> None:
    original = written(medium)
    length = len(RECORDS[-1])
    for wrong in (length + 1, length - 1, 0, length | 1 << 30):
        medium.put([*original[:-1], wrong.to_bytes(4, "little") + original[-1][4:]])
        with pytest.raises(StorageFailed, match=f"record {len(RECORDS)} is damaged"):
            replayed(medium)


@pytest.mark.parametrize("gone", range(len(RECORDS) - 1))
def test_a_missing_record_is_damage(medium: Medium, gone: int) -> None:
    rows = written(medium)
    del rows[gone]
    medium.put(rows)
    with pytest.raises(StorageFailed, match=f"record {gone + 1} is damaged|ends at record {len(rows)}"):
        replayed(medium)


def test_two_records_in_the_other_order_are_damage(medium: Medium) -> None:
    rows = written(medium)
    rows[1], rows[2] = rows[2], rows[1]
    medium.put(rows)
    with pytest.raises(StorageFailed, match="record 2 is damaged"):
        replayed(medium)


def test_a_record_put_in_twice_is_damage(medium: Medium) -> None:
    rows = written(medium)
    medium.put([*rows[:3], rows[2], *rows[3:]])
    with pytest.raises(StorageFailed, match="record 4 is damaged"):
        replayed(medium)


def test_a_second_opener_is_refused_until_the_first_closes(medium: Medium) -> None:
    store = medium.open()
    with pytest.raises(StorageFailed, match="another process uses .*; stop it first"):
        medium.open()
    store.append([b"the first still writes"])
    store.close()
    medium.open().close()


def test_the_boot_counter_grows_by_one_for_each_start(medium: Medium) -> None:
    for boot in range(1, 6):
        store = medium.open()
        assert store.boot == boot
        with pytest.raises(StorageFailed, match="another process"):
            medium.open()
        store.append([b"row"] * boot)
        store.close()
