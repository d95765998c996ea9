"""Records of a node's state directory, read without keys, lock or writing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dropbeard.agreement.records import Record, decode_record
from dropbeard.errors import MessageInvalid, StorageFailed
from dropbeard.storage.records import Journal
from dropbeard.storage.sqlite_store import ReadOnlyStore
from dropbeard.types.group import Group

UNREADABLE = 2


def read_records(directory: Path, group: Group) -> Iterator[Record]:
    """Every record in order; StorageFailed, with exit code 2, names what cannot be read."""
    try:
        if not (directory / "journal.db").is_file():
            raise StorageFailed(f"{directory} is no node's state directory: it has no journal.db")
        store = ReadOnlyStore(directory)
        try:
            for number, data in enumerate(Journal(store).replay(), start=1):
                yield _decoded(data, number, group)
        finally:
            store.close()
    except StorageFailed as wrong:
        wrong.exit_code = UNREADABLE
        raise


def _decoded(data: bytes, number: int, group: Group) -> Record:
    try:
        return decode_record(data, group)
    except MessageInvalid as wrong:
        raise StorageFailed(f"journal record {number} is of another group or release: {wrong}") from wrong
