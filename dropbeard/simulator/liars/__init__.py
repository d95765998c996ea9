"""The Byzantine cast, one small class each (rule 10).

A liar runs a real replica without a guard and twists what that replica says; ``make`` finds the class of a name.
"""

from __future__ import annotations

import random

from dropbeard.simulator.keys import Keys
from dropbeard.simulator.liars.base import Liar
from dropbeard.simulator.liars.conspiracy import ForkMaker
from dropbeard.simulator.liars.lanes import Copycat, EquivocatingLane, RottenEvidence, StaleVersion
from dropbeard.simulator.liars.leaders import EquivocatingLeader, LyingHeader, StarvingLeader, UnjustifiedLeader
from dropbeard.simulator.liars.speech import Forger, Replayer, Silent, Slow, SnapshotLiar, VoteFlipper, Withholder
from dropbeard.simulator.replica import SimulatedReplica

KINDS: dict[str, type[Liar]] = {
    "silent": Silent,
    "slow": Slow,
    "equivocating-leader": EquivocatingLeader,
    "equivocating-lane": EquivocatingLane,
    "vote-flipper": VoteFlipper,
    "copycat": Copycat,
    "withholder": Withholder,
    "forger": Forger,
    "replayer": Replayer,
    "stale-version": StaleVersion,
    "starving-leader": StarvingLeader,
    "unjustified-leader": UnjustifiedLeader,
    "lying-header": LyingHeader,
    "rotten-evidence": RottenEvidence,
    "amnesiac": Liar,
    "snapshot-liar": SnapshotLiar,
    "rolled-back": Liar,
    "lying-disk": Liar,
    "rotten-disk": Liar,
    "twins": Liar,
    "fork-maker": ForkMaker,
}
"""Twins are two honest replicas with one key; the disks of some lie, not they. An amnesiac asks nobody after it."""

UNGUARDED = frozenset(KINDS) - {"rolled-back", "lying-disk", "rotten-disk"}
"""Those that sign anything; the others run all of the product and are let down by their disks."""


def make(kind: str, replica: SimulatedReplica, keys: Keys, rng: random.Random) -> Liar:
    """The liar of this kind around a replica."""
    return KINDS[kind](replica, keys, rng)
