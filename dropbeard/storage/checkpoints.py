"""Checkpoints beside the rows: each takes the place of every row up to the one that it names (rule 7.1).

A checkpoint grows over many commits and counts once its end is there. Its parts are rows with a chain of their own:
a head (kind u8, height u64, row number u64, that row's chain value 32, floor u64, pruned u64, kept u8), the core's
records, each behind kind u8, and an end (kind u8). ``floor``: rows up to it may be pruned, and were up to ``pruned``.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from dropbeard.errors import StorageFailed
from dropbeard.storage.rows import HEAD_BYTES, MENDING, chain_of, framed, read_row
from dropbeard.storage.stores import Store
from dropbeard.types.ids import NO_DIGEST, Digest
from dropbeard.types.journal import Piece

DROPPED_PARTS_TURN: Final = 8
"""Parts of old checkpoints that one commit removes: each holds some 10 KB to 100 KB."""

_HEAD_FIELDS = struct.Struct("<BQQ32sQQB")
_PART, _END = b"\1", b"\2"


class Head(NamedTuple):
    """What a checkpoint says of itself."""

    height: int
    row: int
    chain: Digest
    floor: int
    pruned: int
    kept: bool

    def encode(self) -> bytes:
        """The first part's record."""
        return _HEAD_FIELDS.pack(0, self.height, self.row, self.chain, self.floor, self.pruned, self.kept)


class Checkpoints:
    """Every checkpoint on a store: those that are whole, the one under way, those that are being dropped."""

    def __init__(self) -> None:
        self.whole: dict[int, Head] = {}
        """By generation, ascending."""
        self._dropping: deque[tuple[int, int]] = deque()
        self._growing: Head | None = None
        self._generation = self._parts = 0
        self._chain = NO_DIGEST
        self._sizes: dict[int, int] = {}

    def load(self, store: Store) -> None:
        """Look at every checkpoint's head and end; what is not whole, or over, is dropped from now on."""
        for generation, last in store.generations():
            self._generation, self._sizes[generation] = generation, last + 1
            head, end = next(store.parts(generation)), next(store.parts(generation, last))
            if end[HEAD_BYTES:] == _END:
                self._counts(generation, _read_head(head, generation))
            else:
                self._drop(generation)
        newest = self.newest()
        if newest is not None:
            self.forget_below(newest[1].floor)

    def newest(self) -> tuple[int, Head] | None:
        """The generation and head of the one that a start reads."""
        return next(reversed(self.whole.items()), None)

    def row_of(self, height: int) -> int | None:
        """The last row that a kept checkpoint stands for."""
        return next((head.row for head in self.whole.values() if head.kept and head.height == height), None)

    def records(self, store: Store, generation: int) -> Iterator[bytes]:
        """The core's records in a whole checkpoint, each checked; StorageFailed names the part that does not."""
        chain = NO_DIGEST
        for number, row in enumerate(store.parts(generation)):
            record = read_row(row, chain)
            if not isinstance(record, bytes):
                raise _damaged(generation, number)
            chain = chain_of(row)
            if record[:1] == _PART:
                yield record[1:]

    def grow(self, piece: Piece, head: Head) -> list[tuple[int, int, bytes]]:
        """Rows of a piece; ``head`` is written with the first one. What another one left behind is dropped."""
        if piece.first:
            if self._growing is not None:
                self._drop(self._generation)
            self._growing, self._generation = head, self._generation + 1
            self._sizes[self._generation], self._chain = 0, NO_DIGEST
        if self._growing is None:
            return []
        records = [head.encode()] if piece.first else []
        records += [_PART + part for part in piece.parts]
        records += [_END] if piece.last else []
        rows = []
        for record in records:
            self._chain, row = framed(self._chain, record)
            rows.append((self._generation, self._sizes[self._generation], row))
            self._sizes[self._generation] += 1
        if piece.last:
            self._counts(self._generation, self._growing)
            self._growing = None
        return rows

    def __copy__(self) -> Checkpoints:
        """What a commit that fails is taken back to. Heads are few and frozen; what is dropped may be long."""
        other = Checkpoints.__new__(Checkpoints)
        other.__dict__.update(self.__dict__)
        other.whole, other._dropping, other._sizes = dict(self.whole), self._dropping.copy(), dict(self._sizes)
        return other

    def abandon(self) -> None:
        """Drop the one under way: a part of it was not written."""
        if self._growing is not None:
            self._growing = None
            self._drop(self._generation)

    def _counts(self, generation: int, head: Head) -> None:
        """Whole: older ones that are not kept are over."""
        for old in [old for old, known in self.whole.items() if not known.kept]:
            self._drop(old)
        self.whole[generation] = head

    def forget_below(self, row: int) -> None:
        """Kept checkpoints that stand for fewer rows are over."""
        for old in [old for old, known in self.whole.items() if known.row < row]:
            self._drop(old)

    def _drop(self, generation: int) -> None:
        self.whole.pop(generation, None)
        # From its end, so that it stops counting at once.
        self._dropping.extend((generation, part) for part in reversed(range(self._sizes.pop(generation))))

    def next_dropped(self) -> list[tuple[int, int]]:
        """Parts that the next commit removes."""
        return [self._dropping.popleft() for _ in range(min(DROPPED_PARTS_TURN, len(self._dropping)))]


def _read_head(row: bytes, generation: int) -> Head:
    record = read_row(row, NO_DIGEST)
    if not isinstance(record, bytes) or len(record) != _HEAD_FIELDS.size:
        raise _damaged(generation, 0)
    _, height, number, chain, floor, pruned, kept = _HEAD_FIELDS.unpack(record)
    return Head(height, number, Digest(chain), floor, pruned, bool(kept))


def _damaged(generation: int, number: int) -> StorageFailed:
    return StorageFailed(f"part {number + 1} of checkpoint {generation} is damaged; {MENDING}")
