"""A drained leader is not waited for, on the virtual clock (rule 3.6)."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from dropbeard.agreement.events import NodeEnds
from dropbeard.simulator import keys
from dropbeard.simulator.options import SIMULATED, Options, options_for
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.simulator.world import World
from dropbeard.types.messages import Presence
from dropbeard.types.parameters import MILLISECOND, SECOND

PROPOSE_US = SECOND
FLOOR_US = PROPOSE_US // 2
"""No measured time-out is below this (rule 3.7)."""

REQUEST_EVERY_US = 4 * MILLISECOND
STOP_US = 3 * SECOND


def calm() -> Options:
    """Four replicas on links of a millisecond, whose engines always have something to do; nothing goes wrong."""
    made = options_for(1, 4, "none")
    trouble = {"updates": 0, "crashes": 0, "partitions": 0, "one_way_cuts": 0, "engine_losses": 0, "full_disks": 0}
    quiet = replace(made, **trouble, floods=0, drains=0, changes=0, skew_us=0)  # type: ignore[arg-type]
    quiet = replace(quiet, loss=0.0, duplicates=0.0, slow_share=0.0, delay_us=MILLISECOND, requests=400)
    return replace(quiet, heal_us=4 * SECOND, end_us=5 * SECOND)


def stop(replica: SimulatedReplica, world: World, says_so: bool) -> None:
    if says_so:
        world.turn(replica, [NodeEnds(Presence.DRAINS)])
        world.turn(replica, [NodeEnds(Presence.LEAVES)])
    replica.up = False


def longest_gap_us(monkeypatch: pytest.MonkeyPatch, says_so: bool) -> int:
    """The longest time without a final block in the second after the leader of the view has stopped."""
    parameters = replace(SIMULATED, block_interval_us=2 * MILLISECOND, propose_timeout_us=PROPOSE_US)
    monkeypatch.setattr(keys, "SIMULATED", parameters)
    world = World(calm())
    finals: list[int] = []
    stopped: list[int] = []

    def look() -> None:
        if not stopped and world.now_us >= STOP_US:
            leader = world.replicas[world.replicas[0].turn.state.group.leader(world.replicas[0].turn.state.view)]
            stop(leader, world, says_so)
            stopped.append(world.now_us)
        while len(finals) < len(world.oracle.final):
            finals.append(world.now_us)
        if world.now_us < 4 * SECOND - 2 * MILLISECOND:
            world.at(world.now_us + MILLISECOND, look)

    world.at(STOP_US, look)
    world.run()
    assert world.oracle.found == []
    times = [*stopped, *(time for time in finals if time > stopped[0]), 4 * SECOND]
    return max(later - sooner for sooner, later in pairwise(times))


def test_without_a_block_after_a_drained_leader_it_is_a_fraction_of_the_time_that_leaders_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert longest_gap_us(monkeypatch, says_so=True) < FLOOR_US // 8
    assert longest_gap_us(monkeypatch, says_so=False) >= FLOOR_US
