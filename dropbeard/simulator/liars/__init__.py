"""The Byzantine cast, one small class each (rule 10).

A liar runs a real replica without a guard and twists what that replica says; ``make`` finds the class of a name.
"""

from __future__ import annotations

import random

from dropbeard.simulator.keys import Keys
from dropbeard.simulator.liars.base import Liar
from dropbeard.simulator.liars.lanes import Copycat, EquivocatingLane, RottenEvidence, StaleVersion
from dropbeard.simulator.liars.leaders import EquivocatingLeader, StarvingLeader, UnjustifiedLeader
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
    "rotten-evidence": RottenEvidence,
    "amnesiac": Liar,
    "snapshot-liar": SnapshotLiar,
    "twins": Liar,
}
"""An amnesiac says what an honest replica with a rolled-back disk says; twins are two honest ones with one key."""


def make(kind: str, replica: SimulatedReplica, keys: Keys, rng: random.Random) -> Liar:
    """The liar of this kind around a replica."""
    return KINDS[kind](replica, keys, rng)
