"""The signing guard: refuses a statement that conflicts with one already promised (rules 3.4, 3.8)."""

from __future__ import annotations

from typing import assert_never

from dropbeard.errors import PromiseConflict
from dropbeard.types import wire
from dropbeard.types.group import GENESIS_EPOCH
from dropbeard.types.ids import NO_DIGEST, Digest, Epoch, LaneHeight, View
from dropbeard.types.statements import Finalize, LanePromise, Notarize, Nullify, Statement
from dropbeard.types.votes import FINALIZE, NOTARIZE, NULLIFY

VIEWS_KEPT = 8_192
"""Views behind the highest promised one that are remembered; anything older is refused outright."""


class Guard:
    """Knows every promise of one replica in the latest epoch that it signed in. It stands apart from the core, so that
    a bug there cannot sign two statements for one slot: ``promise`` raises instead.
    """

    def __init__(self) -> None:
        self._barred = False
        self._start_epoch(GENESIS_EPOCH)

    def _start_epoch(self, epoch: Epoch) -> None:
        self._epoch = epoch
        self._notarized: dict[View, Digest] = {}
        self._finalized: dict[View, Digest] = {}
        self._nullified: dict[View, None] = {}
        self._lane: tuple[LaneHeight, bytes] = (LaneHeight(0), b"")
        self._floor = View(0)

    def bar(self) -> None:
        """Sign nothing any more: what the key signed before is not all known here (rule 7.4)."""
        self._barred = True

    def encode(self, epoch: Epoch, before: View) -> bytes:
        """Everything that it knows, for a checkpoint; from now on it signs nothing in views of ``epoch`` below
        ``before``, which it forgets.

        epoch u32, floor u64, u32 votes and each (kind u8, view u64, header 32), lane height u64, its promise.
        """
        if epoch == self._epoch:
            self._raise_floor(max(self._floor, before))
        rows = [wire.u8(NOTARIZE) + wire.u64(view) + header for view, header in self._notarized.items()]
        rows += [wire.u8(FINALIZE) + wire.u64(view) + header for view, header in self._finalized.items()]
        rows += [wire.u8(NULLIFY) + wire.u64(view) + NO_DIGEST for view in self._nullified]
        head = wire.u32(self._epoch) + wire.u64(self._floor) + wire.u32(len(rows))
        return head + b"".join(rows) + wire.u64(self._lane[0]) + self._lane[1]

    def resume(self, data: bytes) -> None:
        """Know again what ``encode`` gave; MessageInvalid on other bytes."""
        reader = wire.Reader(data)
        self._start_epoch(Epoch(reader.u32()))
        self._floor = View(reader.u64())
        for _ in range(reader.u32()):
            kind, view, header = reader.u8(), View(reader.u64()), Digest(reader.take(32))
            if kind == NULLIFY:
                self._nullified[view] = None
            else:
                (self._notarized if kind == NOTARIZE else self._finalized)[view] = header
        self._lane = LaneHeight(reader.u64()), reader.take(reader.remaining)

    def promise(self, statement: Statement) -> None:
        """Remember the statement, or raise PromiseConflict; the very same statement may be promised again."""
        if self._barred:
            raise PromiseConflict("this node key may sign nothing more since its state was restored from a backup")
        if statement.epoch < self._epoch:  # rule 8.4
            raise PromiseConflict(f"epoch {statement.epoch} is over; nothing is signed in it any more")
        if statement.epoch > self._epoch:
            self._start_epoch(statement.epoch)
        match statement:
            case Notarize(view=view, header=header):
                self._refuse(view, self._notarized.get(view, header) != header, "R1: another Notarize")
                self._refuse(view, self._finalized.get(view, header) != header, "R2': a Finalize of another header")
                self._notarized[view] = header
            case Finalize(view=view, header=header):
                self._refuse(view, self._finalized.get(view, header) != header, "R1: another Finalize")
                self._refuse(view, view in self._nullified, "R2: a Nullify")
                self._refuse(view, self._notarized.get(view, header) != header, "R2': a Notarize of another header")
                self._finalized[view] = header
            case Nullify(view=view):
                self._refuse(view, view in self._finalized, "R2: a Finalize")
                self._nullified[view] = None
            case LanePromise():
                self._extend_lane(statement)
            case _:
                assert_never(statement)
        if not isinstance(statement, LanePromise):
            self._forget_before(View(statement.view - VIEWS_KEPT))

    def _refuse(self, view: View, conflict: bool, what: str) -> None:
        if view < self._floor:
            raise PromiseConflict(f"view {view} is older than the guard remembers; nothing is signed there any more")
        if conflict:
            raise PromiseConflict(f"{what} of view {view} was promised before")

    def _extend_lane(self, batch: LanePromise) -> None:
        height, encoded = self._lane
        if batch.lane_height == height and batch.encode() == encoded:
            return
        if batch.lane_height != height + 1:
            raise PromiseConflict(
                f"lane height {batch.lane_height} was promised, or skips: the lane stands at {height}"
            )
        self._lane = (batch.lane_height, batch.encode())

    def _forget_before(self, view: View) -> None:
        if view >= self._floor + VIEWS_KEPT // 4:
            self._raise_floor(view)

    def _raise_floor(self, view: View) -> None:
        for table in (self._notarized, self._finalized, self._nullified):
            for old in [v for v in table if v < view]:
                del table[old]
        self._floor = view
