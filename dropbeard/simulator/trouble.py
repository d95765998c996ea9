"""Trouble with disks: they fill up, go back to an earlier day, lose what they said they had, rot (rules 7.3, 7.4)."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from dropbeard.simulator.disk import Snapshot
from dropbeard.simulator.plan import CRASH_MAX_US, DISK_TROUBLE
from dropbeard.simulator.replica import SimulatedReplica

if TYPE_CHECKING:
    from dropbeard.simulator.world import World


def spoil_disks(world: World, what: str, rng: random.Random) -> None:
    """The disks of those whose lie is their disk let them down, and they start again."""
    for seat, liar in world.liars.items():
        replica = world.replicas[seat]
        if DISK_TROUBLE.get(world.roles[liar.owner]) != what:
            continue
        if what == "roll-back":
            records = replica.disk.records
            earlier = tuple(records[: int(rng.random() * len(records))])
            replica.disk.roll_back(Snapshot(earlier, replica.disk.boot))
        elif what == "rot" and replica.disk.records:
            replica.disk.rot()
        replica.up = False
        world.restart(replica)


def fill_disk(world: World, replica: SimulatedReplica, rng: random.Random) -> None:
    """No room for a while: the node stops, and comes back when there is some."""
    replica.disk.full = True

    def freed() -> None:
        replica.disk.full = False
        world.restart(replica)

    world.at(world.now_us + rng.randint(1_000, CRASH_MAX_US), freed)
