"""Blocks are notarized for long and nothing becomes final: once it does, nobody may ask for a snapshot that nobody has.

Found by schedules with a snapshot every second height (seed 343, n = 4): every replica was more than LAG_INTERVALS
behind the first finalization, asked for the snapshot that it proves, and stood still for good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from dropbeard.agreement import finality
from dropbeard.simulator.options import options_for
from dropbeard.simulator.plan import START_US
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.simulator.settling import is_settled, stalls
from dropbeard.simulator.world import World
from dropbeard.types.ids import OwnerId
from dropbeard.types.messages import PeerMessage
from dropbeard.types.parameters import MILLISECOND
from dropbeard.types.statements import Finalize
from dropbeard.types.votes import SignedVote

FINAL_FROM_US = START_US + 600 * MILLISECOND


class LateFinality(World):
    """Every Finalize is lost for a while."""

    def _send(self, replica: SimulatedReplica, peers: Sequence[OwnerId], message: PeerMessage) -> None:
        late = isinstance(message, SignedVote) and isinstance(message.vote, Finalize)
        if not late or self.now_us >= FINAL_FROM_US:
            super()._send(replica, peers, message)


def run() -> World:
    calm = replace(options_for(3, 4, "none", 3), loss=0.0, crashes=0, partitions=0, one_way_cuts=0, full_disks=0)
    world = LateFinality(replace(calm, snapshot_interval=2))
    world.run(is_settled)
    return world


def test_what_is_in_hand_becomes_final_however_far_the_first_finalization_is_ahead() -> None:
    world = run()
    assert (world.oracle.found, stalls(world)) == ([], [])


def test_a_mutant_that_asks_for_a_snapshot_in_any_case_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finality, "_is_in_hand", lambda state, block: False)
    assert stalls(run())
