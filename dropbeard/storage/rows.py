"""Rows as they lie on a store: length u32, chain value 32, folded record; or the stub of a pruned one.

The chain value is H(previous chain value, record). A stub has the length ``GONE``, the chain value, and no record: what
follows it can still be checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from dropbeard.errors import StorageFailed
from dropbeard.storage.folding import Unfolder
from dropbeard.types import wire
from dropbeard.types.hashing import RECORD, digest
from dropbeard.types.ids import Digest

HEAD_BYTES: Final = 36
RECORD_BYTES_MAX: Final = 512 << 20
"""The largest is a snapshot that was fetched: some 100 bytes for each request of a retention, so ten minutes at 5,000 a
second fit."""

GONE: Final = b"\xff\xff\xff\xff"


def framed(chain: Digest, record: bytes) -> tuple[Digest, bytes]:
    """The record's chain value and row; StorageFailed when it is too large to be read back."""
    if len(record) > RECORD_BYTES_MAX:
        raise StorageFailed(f"a journal record has {len(record)} bytes, at most {RECORD_BYTES_MAX} are possible")
    following = digest(RECORD, chain, record)
    return following, wire.u32(len(record)) + following + record


def chain_of(row: bytes) -> Digest:
    """The chain value that a row or stub names."""
    return Digest(row[4:HEAD_BYTES])


def stub_of(row: bytes) -> bytes:
    """What a pruned row leaves where the next one stays."""
    return GONE + row[4:HEAD_BYTES]


def is_stub(row: bytes) -> bool:
    """Was the record pruned?"""
    return row[:4] == GONE and len(row) == HEAD_BYTES


def read_row(row: bytes, chain: Digest) -> bytes | str | None:
    """The record, what is wrong with it, or None when it is cut short."""
    if len(row) < HEAD_BYTES:
        return None
    length, record = int.from_bytes(row[:4], "little"), row[HEAD_BYTES:]
    whole = digest(RECORD, chain, record) == row[4:HEAD_BYTES]
    # A whole record under a damaged length was acknowledged: to cut it off would be to forget a promise (rule 7.3).
    if whole and len(record) != length:
        return "its length is wrong"
    if len(record) < length:
        return None
    return record if whole else "its chain value or length is wrong"


def thinned(rows: Sequence[tuple[int, bytes]], stays: Callable[[bytes], bool]) -> list[tuple[int, bytes | None]]:
    """What becomes of the rows that do not stay: a stub before one that does, and at the end; otherwise nothing.

    Stubs come first, then what goes from the highest down: a crash that leaves a part of it leaves gaps before stubs.
    """
    stubs: list[tuple[int, bytes | None]] = []
    gone: list[tuple[int, bytes | None]] = []
    keeps = [not is_stub(row) and stays(row[HEAD_BYTES:]) for _, row in rows]
    for at, (number, row) in enumerate(rows):
        if keeps[at]:
            continue
        if at + 1 < len(rows) and not keeps[at + 1]:
            gone.append((number, None))
        elif not is_stub(row):
            stubs.append((number, stub_of(row)))
    return [*stubs, *reversed(gone)]


def unpruned(rows: Iterable[tuple[int, bytes]], first: int, last: int, chain: Digest | None) -> Iterator[bytes]:
    """Records from row ``first`` to ``last`` that are still there, each checked; StorageFailed names what does not.

    ``chain``: that of the row before the first; None to take it from the first row, which is then not given. A gap is
    no damage before a stub.
    """
    expected, unfolder = first, Unfolder()
    for number, row in rows:
        if number > last:
            break
        if is_stub(row):
            chain = chain_of(row)
            unfolder.skip()
        elif number != expected:
            raise damaged(expected, "no such row")
        elif chain is None:
            chain = chain_of(row)
        else:
            stored = read_row(row, chain)
            if not isinstance(stored, bytes):
                raise damaged(number, stored or "cut short")
            chain = chain_of(row)
            record = unfolded(unfolder, number, stored)
            if record is not None:
                yield record
        expected = number + 1
    if expected != last + 1:
        raise damaged(expected, "no such row")


def unfolded(unfolder: Unfolder, number: int, stored: bytes) -> bytes | None:
    """The record of a row; None when it refers to one that was pruned. StorageFailed when it refers to nothing."""
    record = unfolder.unfold(stored)
    if record is None and not unfolder.skipped:
        raise damaged(number, "it refers to what is not there")
    return record


MENDING: Final = "restore it from a copy made by this node, or take a new node key"


def damaged(number: int, how: str) -> StorageFailed:
    """The error that names a row."""
    return StorageFailed(f"journal record {number} is damaged ({how}); {MENDING}")
