"""Records of a node's state directory, read without keys, lock or writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dropbeard.agreement.records import Record, decode_record
from dropbeard.errors import MessageInvalid, StorageFailed
from dropbeard.storage.records import Journal
from dropbeard.storage.sqlite_store import ReadOnlyStore
from dropbeard.types.group import Group

UNREADABLE = 2


@dataclass(slots=True)
class LedgerRecords:
    """A journal's records, and where some were pruned the records of the oldest checkpoint that is still there."""

    records: list[Record]
    checkpoint: list[Record] = field(default_factory=list)


def read_ledger(directory: Path, group: Group) -> LedgerRecords:
    """Everything of a state directory that an auditor replays; errors as in ``read_records``."""
    with _opened(directory) as journal:
        found = LedgerRecords([_decoded(data, n, group) for n, data in enumerate(journal.replay(), start=1)])
        if journal.pruned:
            found.checkpoint += [_decoded(data, n, group) for n, data in enumerate(journal.earliest(), start=1)]
            if not found.checkpoint:
                raise StorageFailed(f"the journal in {directory} was pruned and has no checkpoint; copy all of it")
    return found


def read_records(directory: Path, group: Group) -> Iterator[Record]:
    """Every record in order; StorageFailed, with exit code 2, names what cannot be read."""
    with _opened(directory) as journal:
        for number, data in enumerate(journal.replay(), start=1):
            yield _decoded(data, number, group)


@contextmanager
def _opened(directory: Path) -> Iterator[Journal]:
    try:
        if not (directory / "journal.db").is_file():
            raise StorageFailed(f"{directory} is no node's state directory: it has no journal.db")
        store = ReadOnlyStore(directory)
        try:
            yield Journal(store)
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
