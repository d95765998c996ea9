"""Folded lane batches: fewer bytes, the same records, readable from wherever reading may begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropbeard.agreement.records import BatchRecord, EntriesRecord, encode_record
from dropbeard.agreement.shelving import pack_entries
from dropbeard.errors import StorageFailed
from dropbeard.storage import folding
from dropbeard.storage.folding import Folder, Unfolder
from dropbeard.storage.records import Journal
from dropbeard.types.entries import Entry, EntryKind, Promise
from dropbeard.types.ids import NO_DIGEST, Version
from dropbeard.types.journal import Piece
from dropbeard.types.lanes import LaneBatch
from tests.agreement.pieces import CLIENT, GROUP, attestation, batch, owner, signed_batch
from tests.storage.media import Medium
from tests.storage.test_journal_suite import make_medium


def record_of(made: LaneBatch) -> bytes:
    return encode_record(BatchRecord(signed_batch(made)))


def lanes_of(first: int, last: int) -> list[bytes]:
    """Four lanes that attest the same requests."""
    return [record_of(batch(by, [attestation(n, by=by) for n in range(first, last)])) for by in range(4)]


@pytest.fixture(params=["sqlite", "simulated"])
def medium(request: pytest.FixtureRequest, tmp_path: Path) -> Medium:
    return make_medium(request.param, tmp_path)


def folded(records: list[bytes]) -> list[bytes]:
    folder = Folder()
    return [folder.fold(record) for record in records]


def test_a_request_stands_once_whichever_lanes_attest_it() -> None:
    records = lanes_of(0, 50)
    stored = folded(records)
    assert sum(map(len, records)) - sum(map(len, stored)) == 50 * (3 * 42 - 2)
    unfolder = Unfolder()
    assert [unfolder.unfold(one) for one in stored] == records


def entries_of(first: int, last: int) -> bytes:
    """A block's entries about the same requests."""
    promises = [
        [Promise(owner(by), Version(1), GROUP.owners[by].model, attestation(n, by=by).commitment) for by in range(4)]
        for n in range(first, last)
    ]
    made = [Entry(EntryKind.AGREED, attestation(0).request_id(), CLIENT, tuple(rows)) for rows in promises]
    return encode_record(EntriesRecord(NO_DIGEST, pack_entries(made)))


def test_entries_name_the_commitments_that_lanes_made() -> None:
    records = [*lanes_of(0, 50), entries_of(0, 50), entries_of(40, 60)]
    stored = folded(records)
    assert len(records[4]) - len(stored[4]) == 50 * 4 * 30
    assert len(records[5]) - len(stored[5]) == 10 * 4 * 30 - 10 * 4 * 2
    unfolder = Unfolder()
    assert [unfolder.unfold(one) for one in stored] == records


def test_entries_stand_as_they_are_where_no_batch_has_begun_afresh() -> None:
    record = entries_of(0, 3)
    assert Folder().fold(record) == Unfolder().unfold(record) == record


@pytest.mark.parametrize("first", range(256))
def test_any_record_comes_back_from_its_folded_bytes(first: int) -> None:
    for record in (bytes([first]), bytes([first]) + b"\xff" * 300, bytes([first]) + bytes(300), b""):
        folder, unfolder = Folder(), Unfolder()
        begun = lanes_of(0, 1)[0]
        assert unfolder.unfold(folder.fold(record)) == record
        assert unfolder.unfold(folder.fold(begun)) == begun
        assert unfolder.unfold(folder.fold(record)) == record


def test_what_was_passed_over_cannot_be_referred_to_until_it_begins_afresh() -> None:
    first, second = lanes_of(0, 5)[:2]
    folder = Folder()
    stored = [folder.fold(first), folder.fold(second)]
    folder.afresh()
    stored += [folder.fold(first), folder.fold(second)]
    unfolder = Unfolder()
    unfolder.skip()
    assert [unfolder.unfold(one) for one in stored[1:]] == [None, first, second]


def test_with_too_many_requests_it_begins_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "PLACES_MAX", 24)
    records = [*lanes_of(0, 5), *lanes_of(5, 10), *lanes_of(10, 15)]
    stored = folded(records)
    assert [row[0] for row in stored].count(folding.AFRESH) > 3
    unfolder = Unfolder()
    assert [unfolder.unfold(one) for one in stored] == records


def test_bytes_that_refer_to_nothing_are_no_record() -> None:
    first, second = folded(lanes_of(0, 5)[:2])
    for wrong in (second, first[: folding.ITEMS_AT + 1], first[:-40], b"\x84", b"\x83", b"\x86"):
        assert Unfolder().unfold(wrong) is None
    unfolder, places = Unfolder(), folded([*lanes_of(0, 5), entries_of(0, 5)])
    unfolder.unfold(places[0])
    assert [unfolder.unfold(wrong) for wrong in (places[4], places[4][:-1], b"\x86")] == [None, None, None]


def test_a_start_reads_batches_after_a_checkpoint_without_those_before_it(medium: Medium) -> None:
    lanes = lanes_of(0, 8)
    store = medium.open()
    journal = Journal(store)
    journal.append(lanes[:2], Piece(1, (b"part",), first=True, last=True))
    journal.append(lanes[2:])
    store.close()
    store = medium.open()
    found = Journal(store).recover()
    assert (list(found.checkpoint), list(found.records)) == ([b"part"], lanes[2:])
    store.close()


def test_rows_of_a_commit_that_failed_are_not_referred_to(medium: Medium) -> None:
    lanes = lanes_of(0, 8)
    store = medium.open()
    journal = Journal(store)
    medium.fill(store)
    with pytest.raises(StorageFailed):
        journal.append([lanes[0], bytes(1 << 20)])
    medium.free(store)
    journal.append(lanes[1:])
    store.close()
    store = medium.open()
    assert list(Journal(store).replay()) == lanes[1:]
    store.close()
