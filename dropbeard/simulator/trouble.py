"""Crashes, drains, engines that go away, disks that fill up, go back to an earlier day, lie or rot (rules 7.3, 7.4)."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dropbeard.agreement.events import EngineWasLost, NodeEnds
from dropbeard.simulator.disk import Snapshot
from dropbeard.simulator.plan import CRASH_MAX_US, DISK_TROUBLE
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.types.messages import Presence

if TYPE_CHECKING:
    from dropbeard.simulator.world import World


def crash(world: World, replica: SimulatedReplica, rng: random.Random) -> None:
    """Now, or in the middle of its next commit, or of the next one that writes a checkpoint or prunes."""
    how = rng.randrange(5)
    replica.disk.crash_before = how in (1, 3)
    replica.disk.crash_after = how in (2, 4)
    replica.disk.crash_beside = how > 2
    if how == 0:
        replica.up = False
    world.at(world.now_us + rng.randint(1_000, CRASH_MAX_US), lambda: world.restart(replica))


def lose_engine(world: World, replica: SimulatedReplica, rng: random.Random) -> None:
    """What it was running is lost."""
    replica.engine_life += 1
    replica.at_work.clear()
    world.turn(replica, [EngineWasLost()])
    back_us = world.now_us + rng.randint(1_000, CRASH_MAX_US)
    world.at(back_us, lambda: world.turn(replica, [replica.ready()]))


def spoil_disks(world: World, what: str, rng: random.Random) -> None:
    """The disks of those whose lie is their disk let them down, and they start again."""
    for seat, liar in world.liars.items():
        replica = world.replicas[seat]
        if DISK_TROUBLE.get(world.roles[liar.owner]) != what:
            continue
        if what == "roll-back":
            days = replica.disk.days or [Snapshot((), (), replica.disk.boot)]
            replica.disk.roll_back(replace(days[int(rng.random() * len(days))], boot=replica.disk.boot))
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


def drain(world: World, replica: SimulatedReplica, rng: random.Random) -> None:
    """It says that it takes nothing new, a little later that it ends, and comes back after a while."""
    life = replica.life

    def leave() -> None:
        if replica.life == life:
            world.turn(replica, [NodeEnds(Presence.LEAVES)])
            replica.up = False

    world.turn(replica, [NodeEnds(Presence.DRAINS)])
    left_us = min(world.now_us + rng.randint(1_000, CRASH_MAX_US), world.options.heal_us - 1)
    world.at(left_us, leave)
    world.at(left_us + rng.randint(1_000, CRASH_MAX_US), lambda: world.restart(replica))


TROUBLE: Final[Mapping[str, Callable[[World, SimulatedReplica, random.Random], None]]] = {
    "crash": crash,
    "drain": drain,
    "engine": lose_engine,
    "full": fill_disk,
}
"""What may happen to one replica."""
