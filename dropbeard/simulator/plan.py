"""What happens in a schedule besides what the replicas do: a numbered list of events, so that each can be left out."""

from __future__ import annotations

import random
from dataclasses import dataclass

from dropbeard.simulator.options import Options
from dropbeard.types.parameters import MILLISECOND, SECOND

START_US = SECOND
FLOOD_REQUESTS = 40
DISK_TROUBLE = {"amnesiac": "roll-back", "rolled-back": "roll-back", "lying-disk": "crash-liar", "rotten-disk": "rot"}
"""What happens to the disks of those whose lie is their disk."""

CHANGE_TRIES = 2
"""A change may not be ordered when it is first shown to a replica; the next event shows it again."""

CRASH_MAX_US = 300 * MILLISECOND


@dataclass(frozen=True, slots=True)
class Planned:
    """``what`` happens at ``time_us`` to seat or client ``whom``; ``luck`` seeds whatever else is drawn for it."""

    time_us: int
    what: str
    whom: int
    luck: int


def plan_for(options: Options) -> list[Planned]:
    """Every planned event of the schedule, those left out included: numbers must not move."""
    rng = random.Random(f"plan {options.seed}")
    last_us = options.heal_us

    def some(count: int, what: str, until_us: int = last_us) -> list[Planned]:
        return [
            Planned(rng.randint(START_US, until_us), what, rng.randrange(options.n), rng.getrandbits(32))
            for _ in range(count)
        ]

    planned = some(options.requests, "ask", last_us + 100 * MILLISECOND)
    planned += some(options.updates, "update")
    planned += some(options.crashes, "crash")
    planned += some(options.partitions, "split")
    planned += some(options.one_way_cuts, "cut")
    planned += some(options.partitions + options.one_way_cuts, "mend")
    planned += some(options.engine_losses, "engine")
    planned += some(options.floods, "flood")
    planned += some(options.full_disks, "full")
    for kind, what in DISK_TROUBLE.items():
        planned += some(2 * options.byzantine.count(kind), what)
    planned += some(CHANGE_TRIES * options.changes, "change")
    planned += some(options.drains, "drain")
    return sorted(planned, key=lambda event: event.time_us)
