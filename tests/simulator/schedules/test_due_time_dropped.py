"""Seed 768 with n = 4 (slow links, one silent replica), shrunk to the events at one replica.

A record's patience runs out while the block that holds it is applied here but not yet notarized. The best state does
not show the record then, and the due time was dropped for good: no replica ticked, block time stood still, and the
request had no outcome although enough owners had answered. (Rule 2.7.)
"""

from __future__ import annotations

import heapq

import pytest

from dropbeard.agreement import requests
from dropbeard.agreement.effects import Effect, PromiseBatch
from dropbeard.agreement.ledger_state import StateView
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.types.lanes import LaneBatch
from dropbeard.types.parameters import SECOND
from tests.agreement.pieces import (
    START,
    attestation,
    batch,
    came,
    certificate_of,
    end_turn,
    feed,
    first_block,
    later,
    notarize,
    replica,
    tell,
)


def promised(effects: list[Effect]) -> list[LaneBatch]:
    return [effect.batch for effect in effects if isinstance(effect, PromiseBatch)]


def run_schedule() -> list[LaneBatch]:
    """What the replica promises once the block is notarized, after its record fell due."""
    state = replica(1)
    made = [batch(i, [attestation(1, patience_us=SECOND, by=i)]) for i in (0, 2, 3)]
    feed(state, [came(b) for b in made])
    proposal = first_block(state, 0, *made)
    tell(state, 0, proposal)
    end_turn(state)
    assert promised(end_turn(state, 2 * SECOND)) == []
    tell(state, 0, certificate_of(notarize(proposal.header)), later(2 * SECOND))
    return promised(end_turn(state, 2 * SECOND + 1))


def test_a_record_whose_block_is_notarized_only_after_it_fell_due_is_ticked_for_then() -> None:
    (tick,) = run_schedule()
    assert tick.time == START.wall_us + 2 * SECOND + 1


def test_with_the_bug_put_back_nobody_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets(state: ReplicaState, best: StateView | None) -> bool:
        while best is not None and state.ticks and state.ticks[0][0] <= state.wall:
            due, request = state.ticks[0]
            record = best.record(request)
            if record is not None and record.due == due and state.own_time < due:
                return True
            heapq.heappop(state.ticks)
        return False

    monkeypatch.setattr(requests, "_tick_is_due", forgets)
    assert run_schedule() == []
