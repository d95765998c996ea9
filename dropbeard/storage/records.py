"""The journal: records in a chain over a small store, checkpoints, and what is pruned (rules 3.8, 7.1, 7.3).

On a store that can tear a write, a record that is cut short at the very end was never acknowledged and is cut off;
anything else that does not check is damage, and is named. A start reads the newest whole checkpoint and replays the
rows after it. Rows keep their numbers when others are pruned, and the last one is never missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import Final, NamedTuple

from dropbeard.errors import StorageFailed
from dropbeard.storage.checkpoints import Checkpoints, Head
from dropbeard.storage.folding import Folder, Unfolder
from dropbeard.storage.rows import chain_of, damaged, framed, is_stub, read_row, thinned, unfolded, unpruned
from dropbeard.storage.stores import Change, Store
from dropbeard.types.ids import NO_DIGEST, Digest
from dropbeard.types.journal import Piece

PRUNED_ROWS_TURN: Final = 256
"""Rows that one commit looks at to prune them."""


class Recovered(NamedTuple):
    """What a start reads: the newest checkpoint, the rows that it stands for and that are not pruned, the rows after
    it. Read ``records`` to its end before the first ``append``."""

    checkpoint: Iterator[bytes]
    shelf: Iterator[bytes]
    records: Iterator[bytes]


def _everything(record: bytes) -> bool:
    del record
    return True


class Journal:
    """Appends and replays records. ``replay`` or ``recover`` must be read to its end before the first ``append``.

    ``stays``: does a record, of which it sees the first bytes, belong to the audit chain that is never pruned?
    """

    def __init__(self, store: Store, stays: Callable[[bytes], bool] = _everything) -> None:
        self._store = store
        self._stays = stays
        self._chain = NO_DIGEST
        self.records = 0
        """The number of the last record, those included that were pruned."""
        self.torn = 0
        """Torn records that the last replay cut off."""
        self.pruned = False
        """Did the last replay come upon records that are gone?"""
        self._checkpoints = Checkpoints()
        self._folder = Folder()
        self._floor = self._looked = 0
        """Rows up to the first may be pruned, and were up to the second."""

    # --- writing ------------------------------------------------------------------------------------------------------

    def append(self, records: Sequence[bytes], piece: Piece | None = None) -> None:
        """One durable commit; StorageFailed when it cannot be promised: a checkpoint under way is then given up."""
        chain, rows = self._chain, []
        for record in records:
            chain, row = framed(chain, self._folder.fold(record))
            rows.append(row)
        last = self.records + len(rows)
        before = (self._floor, self._looked, copy(self._checkpoints))
        parts = [] if piece is None else self._take(piece, last, chain)
        pruned, dropped = self._next_pruned(), self._checkpoints.next_dropped()
        try:
            if parts or pruned or dropped:
                self._store.commit(Change(rows, parts, pruned, dropped))
            elif rows:
                self._store.append(rows)
        except StorageFailed:
            self._folder.afresh()  # these rows may not be there
            self._floor, self._looked, self._checkpoints = before
            self._checkpoints.abandon()
            raise
        self._chain, self.records = chain, last
        if piece is not None and piece.first:
            self._folder.afresh()

    def _take(self, piece: Piece, last: int, chain: Digest) -> list[tuple[int, int, bytes]]:
        head = Head(piece.height, last, chain, self._floor, self._looked, piece.kept)
        parts = self._checkpoints.grow(piece, head)
        row = None if piece.forget is None else self._checkpoints.row_of(piece.forget)
        if row is not None and row > self._floor:
            self._floor = row
            self._checkpoints.forget_below(row)
        return parts

    def _next_pruned(self) -> list[tuple[int, bytes | None]]:
        """What becomes of the next rows up to the floor."""
        if self._looked >= self._floor:
            return []
        rows = self._store.peek(self._looked + 1, self._floor, PRUNED_ROWS_TURN)
        self._looked = rows[-1][0] if rows else self._floor
        return thinned(rows, self._stays)

    def finish_pruning(self) -> None:
        """All that may go goes now, commit by commit; ``recover`` was read to its end."""
        while True:
            pruned, dropped = self._next_pruned(), self._checkpoints.next_dropped()
            if pruned or dropped:
                self._store.commit(Change((), (), pruned, dropped))
            elif self._looked >= self._floor:
                return

    # --- reading ------------------------------------------------------------------------------------------------------

    def recover(self) -> Recovered:
        """What a start needs; a torn last record is cut off, damage anywhere is StorageFailed with its place."""
        self._checkpoints.load(self._store)
        found = self._checkpoints.newest()
        if found is None:
            return Recovered(iter(()), iter(()), self._replay(1, NO_DIGEST, whole=True))
        generation, head = found
        self._floor, self._looked = head.floor, head.pruned
        start, known = max(head.floor, 1), None if head.floor else NO_DIGEST
        return Recovered(
            self._checkpoints.records(self._store, generation),
            unpruned(self._store.rows(start), start, head.row, known),
            self._replay(head.row + 1, head.chain, whole=True),
        )

    def replay(self) -> Iterator[bytes]:
        """Every record that is still there, checked as in ``recover``."""
        return self._replay(1, NO_DIGEST, whole=False)

    def earliest(self) -> Iterator[bytes]:
        """Records of the oldest whole checkpoint; nothing when there is none."""
        self._checkpoints.load(self._store)
        generation = next(iter(self._checkpoints.whole), None)
        return iter(()) if generation is None else self._checkpoints.records(self._store, generation)

    def _replay(self, first: int, chain: Digest, whole: bool) -> Iterator[bytes]:
        """``whole``: none of these rows may be pruned."""
        self._chain, self.records = chain, first - 1
        rows, unfolder = self._store.rows(first), Unfolder()
        pair = next(rows, None)
        while pair is not None:
            following = next(rows, None)
            number, row = pair
            pruned = not whole and is_stub(row)
            if number != self.records + 1 and not pruned:
                raise damaged(self.records + 1, "no such row")
            stored = b"" if pruned else read_row(row, self._chain)
            if not isinstance(stored, bytes):
                self._end(stored, following is None)
                return
            self._chain, self.records = chain_of(row), number
            self.pruned = self.pruned or pruned
            if pruned:
                unfolder.skip()
            elif (record := unfolded(unfolder, number, stored)) is not None:
                yield record
            pair = following

    def _end(self, damage: str | None, last: bool) -> None:
        if damage is not None or not last or not self._store.cut(self.records):
            raise damaged(self.records + 1, damage or "cut short")
        self.torn += 1
