"""Planted bugs of checkpoints and pruning (rules 7.1, 7.3), each caught by the check that is there for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, TypedDict

import pytest

from dropbeard.agreement import checkpoints, resuming
from dropbeard.agreement.records import Record
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.agreement.standing import Milestone, OwnRecord, StandingRecord
from dropbeard.signing.guard import Guard
from dropbeard.simulator.options import RETENTION_MIN_US
from dropbeard.storage.checkpoints import Checkpoints, Head
from dropbeard.types import wire
from dropbeard.types.blocks import LaneTip
from dropbeard.types.ids import GENESIS_VIEW, NO_DIGEST, Epoch, Height, LaneHeight, TimeUs, View
from dropbeard.types.journal import Piece
from tests.simulator.mutants import DOUBLE_VOTES, STALLS, Patch, caught_by

SEEDS = range(1, 60)
SLOW_SEEDS = range(20, 80)
SLOW_US = 15_000
"""A view is still open when the block before it becomes final."""


class _Often(TypedDict):
    snapshot_interval: int
    piece_bytes: int
    crashes: int


OFTEN: Final = _Often(snapshot_interval=2, piece_bytes=16_384, crashes=12)


def forgets(monkeypatch: Patch, change: Any) -> None:
    """Every start reads the checkpoint through ``change``."""
    plain = resuming._Held.take

    def take(self: Any, record: Record) -> None:
        changed = change(record)
        if changed is not None:
            plain(self, changed)

    monkeypatch.setattr(resuming._Held, "take", take)


def forgets_votes(monkeypatch: Patch) -> None:
    monkeypatch.setattr(checkpoints, "votes_of", lambda state, round_, view, signer: [])


def no_memory(self: Guard, epoch: Epoch, before: View) -> bytes:
    """A guard that writes down its lane alone."""
    return wire.u32(epoch) + wire.u64(0) + wire.u32(0) + wire.u64(self._lane[0]) + self._lane[1]


def test_a_mutant_whose_checkpoint_forgets_the_own_vote_of_the_open_view_is_stopped_by_the_guard(
    monkeypatch: Patch,
) -> None:
    forgets_votes(monkeypatch)
    caught_by(["guard"], seeds=SLOW_SEEDS, delay_us=SLOW_US, updates=0, **OFTEN)


def test_a_mutant_whose_checkpoint_and_guard_forget_the_own_vote_is_caught(monkeypatch: Patch) -> None:
    forgets_votes(monkeypatch)
    monkeypatch.setattr(Guard, "encode", no_memory)
    caught_by([*DOUBLE_VOTES, "halted"], seeds=SLOW_SEEDS, delay_us=SLOW_US, updates=0, **OFTEN)


def test_a_mutant_whose_checkpoint_forgets_the_highest_own_vote_is_caught(monkeypatch: Patch) -> None:
    def change(record: Record) -> Record:
        return replace(record, own_vote_view=GENESIS_VIEW) if isinstance(record, StandingRecord) else record

    forgets(monkeypatch, change)
    caught_by(["halted", "unobtainable", *STALLS], seeds=SEEDS, **OFTEN)


def test_a_mutant_whose_checkpoint_forgets_the_end_of_the_own_lane_is_caught(monkeypatch: Patch) -> None:
    def change(record: Record) -> Record:
        if not isinstance(record, StandingRecord):
            return record
        return replace(record, own_tip=LaneTip(record.own_tip.owner, LaneHeight(0), NO_DIGEST))

    forgets(monkeypatch, change)
    caught_by(["guard", "halted", "double-lane"], seeds=SEEDS, **OFTEN)


def test_a_mutant_whose_checkpoint_forgets_open_promises_is_caught(monkeypatch: Patch) -> None:
    forgets(monkeypatch, lambda record: None if isinstance(record, OwnRecord) else record)
    monkeypatch.setattr("dropbeard.agreement.shelving._Shelf._take_own", lambda self, signed: None)
    caught_by(["unobtainable", *STALLS], seeds=SEEDS, **OFTEN)


def test_a_mutant_that_shows_nothing_of_what_a_checkpoint_stands_for_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(resuming, "shelve", lambda state, rows, served, roots, read: None)
    caught_by(["unobtainable"], seeds=SEEDS, **OFTEN)


def test_a_mutant_that_prunes_before_retention_has_passed_is_caught(monkeypatch: Patch) -> None:
    def hasty(state: ReplicaState) -> Height | None:
        return state.milestones.pop(0).height if state.milestones else None

    monkeypatch.setattr(checkpoints, "_forgettable", hasty)
    caught_by(["unobtainable", *STALLS], seeds=SEEDS, **OFTEN)


def test_a_mutant_that_counts_retention_from_the_wrong_end_is_caught(monkeypatch: Patch) -> None:
    plain = Milestone

    def early(height: Height, time: TimeUs, until: TimeUs) -> Any:
        return plain(height, time, TimeUs(until - 2 * RETENTION_MIN_US))

    monkeypatch.setattr("dropbeard.agreement.checkpoints.Milestone", early)
    caught_by(["unobtainable"], seeds=SEEDS, retention_us=RETENTION_MIN_US, **OFTEN)


def test_a_mutant_whose_checkpoint_counts_before_its_end_is_caught(monkeypatch: Patch) -> None:
    plain = Checkpoints.grow

    def early(self: Checkpoints, piece: Piece, head: Head) -> list[tuple[int, int, bytes]]:
        return plain(self, piece._replace(last=piece.first), head)

    monkeypatch.setattr(Checkpoints, "grow", early)
    with pytest.raises((KeyError, AssertionError)):  # the snapshot's parts are not there
        caught_by(
            ["unobtainable", *STALLS, "halted", "guard"], seeds=SEEDS, snapshot_interval=2, piece_bytes=256, crashes=12
        )
