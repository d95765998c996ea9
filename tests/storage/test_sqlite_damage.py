"""Real files cut and flipped everywhere: the same records, a prefix with all acknowledged ones, or StorageFailed."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dropbeard.errors import StorageFailed
from dropbeard.storage.records import Journal
from dropbeard.storage.sqlite_store import SqliteStore

RECORDS = [b"record %02d " % number + bytes([65 + number]) * (number * 37 % 600) for number in range(16)]
RECORDS[9] += bytes(range(256)) * 40  # spills over several pages
LOG_HEAD_BYTES = 32
FRAME_HEAD_BYTES = 24
PAGE_BYTES = 4_096
FLIP_EVERY_BYTES = 17
"""A prime, so that the samples drift over every field of a page."""

Image = Mapping[str, bytes]


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A directory without a disk where there is one: thousands of starts sync, and none has to outlive power."""
    shared = Path("/dev/shm")
    with TemporaryDirectory(dir=shared if shared.is_dir() else None) as directory:
        yield Path(directory)


def read_image(directory: Path) -> Image:
    """The files as a kill would leave them."""
    names = ("journal.db", "journal.db-wal", "journal.mark")
    return {name: (directory / name).read_bytes() for name in names if (directory / name).exists()}


def running(directory: Path) -> list[Image]:
    """The files after each commit of one record, while the store is open and all is still in the log."""
    store = SqliteStore(directory)
    journal = Journal(store)
    list(journal.replay())
    images = [read_image(directory)]
    for record in RECORDS:
        journal.append([record])
        images.append(read_image(directory))
    store.close()
    shutil.rmtree(directory)
    return images


def closed(directory: Path) -> Image:
    """The files after a clean end: no log."""
    store = SqliteStore(directory)
    journal = Journal(store)
    list(journal.replay())
    for record in RECORDS:
        journal.append([record])
    store.close()
    image = read_image(directory)
    shutil.rmtree(directory)
    assert sorted(image) == ["journal.db", "journal.mark"]
    return image


def found(directory: Path, image: Image) -> list[bytes] | None:
    """What a node that starts on these files finds, None when it refuses them."""
    directory.mkdir()
    try:
        for name, data in image.items():
            (directory / name).write_bytes(data)
        store = SqliteStore(directory)
        try:
            return list(Journal(store).replay())
        finally:
            store.close()
    except StorageFailed as wrong:
        assert "\n" not in str(wrong)
        return None
    finally:
        shutil.rmtree(directory)


def outcomes(directory: Path, images: Sequence[Image], acknowledged: int = len(RECORDS)) -> list[int | None]:
    """How many records each start finds, after checking that they are right and lack nothing acknowledged."""
    counts: list[int | None] = []
    for image in images:
        records = found(directory, image)
        if records is not None:
            assert records == RECORDS[: len(records)]
            assert len(records) >= acknowledged
        counts.append(None if records is None else len(records))
    return counts


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]


def frame_ends(log: bytes) -> list[int]:
    return list(range(LOG_HEAD_BYTES, len(log) + 1, FRAME_HEAD_BYTES + PAGE_BYTES))


def cuts(log: bytes) -> list[int]:
    """Every end of a frame, and places inside each frame's head and page."""
    inside = [end + part for end in frame_ends(log) for part in (1, FRAME_HEAD_BYTES, FRAME_HEAD_BYTES + 2_000)]
    return sorted({0, 1, LOG_HEAD_BYTES - 1, *frame_ends(log), *(place for place in inside if place < len(log))})


def test_the_files_after_each_commit_hold_what_was_committed(in_memory: Path) -> None:
    images = running(in_memory / "state")
    assert outcomes(in_memory / "state", images, 0) == list(range(len(RECORDS) + 1))


def test_a_log_cut_anywhere_forgets_nothing_that_was_acknowledged(in_memory: Path) -> None:
    image = running(in_memory / "state")[-1]
    log = image["journal.db-wal"]
    images = [{**image, "journal.db-wal": log[:length]} for length in cuts(log)]
    assert outcomes(in_memory / "state", images) == [None] * (len(images) - 1) + [len(RECORDS)]


@pytest.mark.parametrize("acknowledged", [0, 1, 8, len(RECORDS) - 1])
def test_a_log_cut_in_what_was_not_acknowledged_keeps_the_rest(in_memory: Path, acknowledged: int) -> None:
    images = running(in_memory / "state")
    log, mark = images[-1]["journal.db-wal"], images[acknowledged]["journal.mark"]
    kept = {len(image["journal.db-wal"]): number for number, image in enumerate(images)}
    lengths = [length for length in cuts(log) if length >= min(kept)]
    expected = [max(number for end, number in kept.items() if end <= length) for length in lengths]
    counts = outcomes(
        in_memory / "state",
        [{**images[-1], "journal.db-wal": log[:length], "journal.mark": mark} for length in lengths],
        acknowledged,
    )
    assert counts == [number if number >= acknowledged else None for number in expected]


def test_a_log_with_a_flipped_byte_anywhere_forgets_nothing(in_memory: Path) -> None:
    image = running(in_memory / "state")[-1]
    log = image["journal.db-wal"]
    heads = [end + part for end in frame_ends(log)[:-1] for part in (0, 4, 8, 16, FRAME_HEAD_BYTES - 1)]
    places = sorted({*range(LOG_HEAD_BYTES), *heads, *range(LOG_HEAD_BYTES, len(log), 4 * FLIP_EVERY_BYTES)})
    counts = outcomes(in_memory / "state", [{**image, "journal.db-wal": flipped(log, at)} for at in places])
    assert counts.count(None) > len(places) / 2


def test_a_database_cut_anywhere_is_refused(in_memory: Path) -> None:
    image = closed(in_memory / "state")
    data = image["journal.db"]
    ends = range(0, len(data), PAGE_BYTES)
    places = sorted({1, 100, *ends, *(end + part for end in ends for part in (PAGE_BYTES // 2, PAGE_BYTES - 1))})
    images = [{**image, "journal.db": data[:length]} for length in places]
    assert outcomes(in_memory / "state", images) == [None] * len(images)


def test_a_database_with_a_flipped_byte_anywhere_gives_no_wrong_record_and_forgets_none(in_memory: Path) -> None:
    image = closed(in_memory / "state")
    data = image["journal.db"]
    places = [*range(200), *range(200, len(data), FLIP_EVERY_BYTES)]
    counts = outcomes(in_memory / "state", [{**image, "journal.db": flipped(data, at)} for at in places])
    assert None in counts
    assert len(RECORDS) in counts


def test_every_record_hit_by_a_flipped_byte_in_the_database_is_named(in_memory: Path) -> None:
    image = closed(in_memory / "files")
    for number in range(len(RECORDS)):
        data = image["journal.db"]
        (in_memory / f"{number}").mkdir()
        (in_memory / f"{number}" / "journal.mark").write_bytes(image["journal.mark"])
        (in_memory / f"{number}" / "journal.db").write_bytes(flipped(data, data.index(b"record %02d" % number) + 3))
        store = SqliteStore(in_memory / f"{number}")
        with pytest.raises(StorageFailed, match=f"record {number + 1} is damaged"):
            list(Journal(store).replay())
        store.close()


def test_a_row_under_another_number_is_damage(in_memory: Path) -> None:
    image = closed(in_memory / "state")
    for name, data in image.items():
        (in_memory / name).write_bytes(data)
    with sqlite3.connect(in_memory / "journal.db") as database:
        database.execute("UPDATE records SET number = number + 128 WHERE number = ?", (len(RECORDS),))
    database.close()
    store = SqliteStore(in_memory)
    with pytest.raises(StorageFailed, match=f"record {len(RECORDS)} is damaged"):
        list(Journal(store).replay())
    store.close()


@pytest.mark.parametrize("kept", [["journal.db"], ["journal.mark"], ["journal.db", "journal.mark"]])
def test_a_file_that_is_gone_is_noticed(in_memory: Path, kept: list[str]) -> None:
    image = running(in_memory / "state")[-1]
    assert found(in_memory / "state", {name: image[name] for name in kept}) is None


def test_a_damaged_mark_takes_neither_the_boot_counter_nor_the_journal_back(in_memory: Path) -> None:
    directory = in_memory / "state"
    for boot in (1, 2, 3):
        store = SqliteStore(directory)
        assert store.boot == boot
        store.close()
    mark = (directory / "journal.mark").read_bytes()
    for places in ([at] for at in range(48)), ([4_096 + at] for at in range(48)), ([0, 4_096],):
        for both in places:
            data = mark
            for at in both:
                data = flipped(data, at)
            (directory / "journal.mark").write_bytes(data)
            if len(both) == 1:
                store = SqliteStore(directory)
                assert store.boot == 4
                store.close()
            else:
                with pytest.raises(StorageFailed, match=r"journal\.mark is damaged"):
                    SqliteStore(directory)


def test_a_start_that_was_cut_off_before_the_journal_was_made_is_begun_again(in_memory: Path) -> None:
    (in_memory / "journal.mark").touch()
    store = SqliteStore(in_memory)
    assert (store.boot, list(store.rows())) == (1, [])
    store.close()
