"""The journal's chain: a torn tail is cut, damage is named, and what was acknowledged comes back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from dropbeard.errors import StorageFailed
from dropbeard.storage.records import Journal

RECORDS = [b"first", b"second record", b"", b"the fourth and last"]


class MemoryStore:
    """Rows in a list."""

    def __init__(self, rows: Sequence[bytes] = ()) -> None:
        self.kept = list(rows)

    def append(self, rows: Sequence[bytes]) -> None:
        self.kept += rows

    def rows(self) -> Iterator[bytes]:
        return iter(list(self.kept))

    def cut(self, keep: int) -> None:
        del self.kept[keep:]


def written() -> list[bytes]:
    store = MemoryStore()
    journal = Journal(store)
    assert list(journal.replay()) == []
    journal.append(RECORDS[:2])
    journal.append(RECORDS[2:])
    assert journal.records == 4
    return store.kept


def test_records_come_back_in_order() -> None:
    journal = Journal(MemoryStore(written()))
    assert list(journal.replay()) == RECORDS
    assert (journal.records, journal.torn) == (4, 0)


def test_appending_goes_on_after_a_replay() -> None:
    store = MemoryStore(written())
    journal = Journal(store)
    list(journal.replay())
    journal.append([b"fifth"])
    assert list(Journal(store).replay()) == [*RECORDS, b"fifth"]


@pytest.mark.parametrize("length", range(len(written()[-1])))
def test_a_last_record_cut_anywhere_is_dropped(length: int) -> None:
    rows = written()
    store = MemoryStore([*rows[:-1], rows[-1][:length]])
    journal = Journal(store)
    assert list(journal.replay()) == RECORDS[:-1]
    assert journal.torn == 1
    assert len(store.kept) == 3


def test_a_record_cut_in_the_middle_is_damage() -> None:
    rows = written()
    rows[1] = rows[1][:-1]
    with pytest.raises(StorageFailed, match="record 2 is damaged"):
        list(Journal(MemoryStore(rows)).replay())


def test_every_flipped_byte_is_damage_also_in_the_last_record() -> None:
    original = written()
    for number, row in enumerate(original):
        for at in range(len(row)):
            rows = list(original)
            rows[number] = row[:at] + bytes([row[at] ^ 0x40]) + row[at + 1 :]
            store = MemoryStore(rows)
            with pytest.raises(StorageFailed, match=f"record {number + 1} is damaged"):
                list(Journal(store).replay())
            assert store.kept == rows


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_missing_record_is_damage(gone: int) -> None:
    rows = written()
    del rows[gone]
    with pytest.raises(StorageFailed, match=f"record {gone + 1} is damaged"):
        list(Journal(MemoryStore(rows)).replay())


def test_two_records_in_the_other_order_are_damage() -> None:
    rows = written()
    rows[0], rows[1] = rows[1], rows[0]
    with pytest.raises(StorageFailed, match="record 1 is damaged"):
        list(Journal(MemoryStore(rows)).replay())
