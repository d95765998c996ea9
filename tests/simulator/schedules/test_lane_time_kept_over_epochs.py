"""Seeds 11886 (a silent owner) and 10364 (one with stale versions), shrunk to the events at one replica.

A record falls due; every lane ticks, and the epoch ends before any of these ticks is ordered. In the next epoch lanes
are empty, but a replica that took its lane's time along held that it had said so already: no replica ticked, block time
stood still, and the record was decided only when somebody asked for something else. (Rules 2.7 and 8.4.)
"""

from __future__ import annotations

import pytest

from dropbeard.agreement import epochs
from dropbeard.agreement.effects import Effect, PromiseBatch
from dropbeard.types.lanes import LaneBatch
from dropbeard.types.parameters import SECOND
from tests.agreement.epoch_pieces import finalized, grown
from tests.agreement.pieces import attestation, batch, end_turn, replica, tell

DUE_S = 20


def promised(effects: list[Effect]) -> list[LaneBatch]:
    return [effect.batch for effect in effects if isinstance(effect, PromiseBatch)]


def run_schedule() -> tuple[list[LaneBatch], list[LaneBatch]]:
    """What the replica promises once the record is due, and after the epoch ended without that."""
    state = replica(1)
    last = grown(state, *(batch(i, [attestation(1, by=i)]) for i in (2, 3)))
    before = promised(end_turn(state, DUE_S * SECOND))
    tell(state, 3, finalized(last))
    end_turn(state, DUE_S * SECOND + 1)
    assert state.group.epoch == 1
    return before, promised(end_turn(state, (DUE_S + 1) * SECOND))


def test_a_record_that_fell_due_as_the_epoch_ended_is_ticked_for_in_the_next() -> None:
    (before,), (after,) = run_schedule()
    assert (before.epoch, before.attestations) == (0, ())
    assert (after.epoch, after.attestations, after.lane_height) == (1, (), 1)


def test_with_the_bug_put_back_nobody_ticks_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epochs, "KEPT", epochs.KEPT | {"own_time"})
    (_,), after = run_schedule()
    assert after == []
