"""The signing guard: refuses a statement that conflicts with one already promised (rules 3.4, 3.8)."""

from __future__ import annotations

from typing import assert_never

from dropbeard.errors import PromiseConflict
from dropbeard.types.group import GENESIS_EPOCH
from dropbeard.types.ids import Digest, Epoch, LaneHeight, View
from dropbeard.types.statements import Finalize, LanePromise, Notarize, Nullify, Statement

VIEWS_KEPT = 8_192
"""Views behind the highest promised one that are remembered; anything older is refused outright."""


class Guard:
    """Knows every promise of one replica in the latest epoch that it signed in. It stands apart from the core, so that
    a bug there cannot sign two statements for one slot: ``promise`` raises instead.
    """

    def __init__(self) -> None:
        self._start_epoch(GENESIS_EPOCH)

    def _start_epoch(self, epoch: Epoch) -> None:
        self._epoch = epoch
        self._notarized: dict[View, Digest] = {}
        self._finalized: dict[View, Digest] = {}
        self._nullified: dict[View, None] = {}
        self._lane: tuple[LaneHeight, bytes] = (LaneHeight(0), b"")
        self._floor = View(0)

    def promise(self, statement: Statement) -> None:
        """Remember the statement, or raise PromiseConflict; the very same statement may be promised again."""
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
        if view < self._floor + VIEWS_KEPT // 4:
            return
        for table in (self._notarized, self._finalized, self._nullified):
            for old in [v for v in table if v < view]:
                del table[old]
        self._floor = view
