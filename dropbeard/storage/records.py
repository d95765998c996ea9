"""Journal records over a small store: length, BLAKE3 chain, bytes (rules 3.8, 7.3).

A record on the store: length u32, chain 32, bytes. The chain value is H(previous chain value, bytes); the first
record's previous value is 32 zero bytes. On a store that can tear a write, a record that is cut short at the very end
was never acknowledged and is cut off; anything else that does not check is damage, and is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from dropbeard.errors import StorageFailed
from dropbeard.types import wire
from dropbeard.types.hashing import RECORD, digest
from dropbeard.types.ids import NO_DIGEST, Digest

HEAD_BYTES: Final = 36
RECORD_BYTES_MAX: Final = 64 << 20


class Store(Protocol):
    """Rows of bytes, appended in commits."""

    def append(self, rows: Sequence[bytes]) -> None:
        """Make all rows durable in one commit, or raise StorageFailed and none is promised."""

    def rows(self) -> Iterator[bytes]:
        """Every row in the order of appending."""

    def cut(self, keep: int) -> bool:
        """Drop every row after the first ``keep``; False on a store that never tears, where a short row is damage."""


class Journal:
    """Appends and replays records. ``replay`` must be read to its end before the first ``append``."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._chain = NO_DIGEST
        self.records = 0
        self.torn = 0
        """Torn records that the last replay cut off."""

    def append(self, records: Sequence[bytes]) -> None:
        """One durable commit; StorageFailed when it cannot be promised."""
        chain, rows = self._chain, []
        for record in records:
            if len(record) > RECORD_BYTES_MAX:
                raise StorageFailed(
                    f"a journal record has {len(record)} bytes, at most {RECORD_BYTES_MAX} are possible"
                )
            chain = digest(RECORD, chain, record)
            rows.append(wire.u32(len(record)) + chain + record)
        self._store.append(rows)
        self._chain = chain
        self.records += len(rows)

    def replay(self) -> Iterator[bytes]:
        """Every record; a torn last one is cut off, damage anywhere else is StorageFailed with its place."""
        chain, kept = NO_DIGEST, 0
        rows = self._store.rows()
        row = next(rows, None)
        while row is not None:
            following = next(rows, None)
            record = _read(row, chain)
            if isinstance(record, str) or record is None:
                self._end(record, kept, following is None)
                break
            kept += 1
            chain = Digest(row[4:HEAD_BYTES])
            yield record
            row = following
        self._chain, self.records = chain, kept

    def _end(self, damage: str | None, kept: int, last: bool) -> None:
        if damage is not None or not last or not self._store.cut(kept):
            raise StorageFailed(
                f"journal record {kept + 1} is damaged ({damage or 'cut short'}); restore it from a copy made by this "
                "node, or take a new node key"
            )
        self.torn += 1


def _read(row: bytes, chain: Digest) -> bytes | str | None:
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
