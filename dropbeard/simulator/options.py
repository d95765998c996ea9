"""What one seed turns on and off: each schedule has some of the trouble, few have all of it (swarm testing)."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Final

from dropbeard.types.limits import CHECKPOINT_BYTES_TURN
from dropbeard.types.parameters import MILLISECOND, SECOND, Parameters

SEVEN_SHARE: Final = 0.03
"""Schedules of seven replicas; they cost three times those of four."""

REAL_KEYS_EVERY: Final = 20
"""Every twentieth seed signs with P-256; the others with a keyed-BLAKE3 stand-in."""

SIMULATED: Final = Parameters(
    block_interval_us=30 * MILLISECOND,
    propose_timeout_us=60 * MILLISECOND,
    advance_timeout_us=120 * MILLISECOND,
    finalize_timeout_us=40 * MILLISECOND,
    status_interval_us=200 * MILLISECOND,
    starvation_us=400 * MILLISECOND,
    near_us=100 * MILLISECOND,
    horizon_us=30 * SECOND,
    retention_us=30 * SECOND,
    open_max=400,
    client_open_max=200,
    lane_window=64,
    block_batches_max=8,
    snapshot_interval=8,
    update_gap=2,
    epoch_delay=3,
)
"""Time-outs for links of 1 to 10 ms, so that a schedule of a few virtual seconds holds many views."""

CAST: Final = (
    "silent",
    "slow",
    "equivocating-leader",
    "equivocating-lane",
    "vote-flipper",
    "copycat",
    "withholder",
    "forger",
    "replayer",
    "stale-version",
    "starving-leader",
    "unjustified-leader",
    "lying-header",
    "rotten-evidence",
    "amnesiac",
    "snapshot-liar",
    "rolled-back",
    "lying-disk",
    "rotten-disk",
    "twins",
)
"""Every way in which a simulated owner lies (rule 10)."""

CHANGES_SHARE: Final = 0.15
"""Schedules in which owners join, leave or change their node keys."""

DRAINS_SHARE: Final = 0.2
"""Schedules in which replicas are drained as for an upgrade."""

PRUNING_SHARE: Final = 0.05
"""Schedules that last longer than retention, with small snapshots and more crashes."""

RETENTION_MIN_US: Final = SECOND
"""The shortest retention that a genesis may have."""

TWINS_EVERY: Final = 5
"""Every fifth seed runs one key in two instances."""

STRETCH_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Options:
    """One schedule. Times in microseconds, shares from 0 to 1."""

    seed: int
    n: int
    requests: int
    clients: int
    loss: float
    duplicates: float
    delay_us: int
    slow_share: float
    """Messages that take up to thirty times ``delay_us``: reordering."""
    byzantine: tuple[str, ...]
    """What each liar does; the owners are drawn by the seed. More than f of them is allowed, and breaks safety."""
    updates: int
    crashes: int
    partitions: int
    one_way_cuts: int
    engine_losses: int
    full_disks: int
    floods: int
    """Bursts of one client at one replica."""
    skew_us: int
    through_codec: bool
    real_keys: bool
    heal_us: int
    end_us: int
    changes: int = 0
    """Membership changes that the owners sign (rule 8.4)."""
    drains: int = 0
    """Replicas that are drained, stopped and started again."""
    snapshot_interval: int = SIMULATED.snapshot_interval
    """Heights between snapshots, and so between checkpoints (rule 7.1)."""
    piece_bytes: int = CHECKPOINT_BYTES_TURN
    """What one turn writes of a checkpoint."""
    retention_us: int = SIMULATED.retention_us
    """How long an outcome is shown; journals are pruned after that (rules 4.6, 7.1)."""
    without: frozenset[int] = frozenset()
    """Numbers of planned events that are left out, to make a failing schedule smaller."""

    @property
    def f(self) -> int:
        """Faults tolerated."""
        return (self.n - 1) // 3

    def calm(self, what: str) -> Options:
        """The same without one kind of trouble; ValueError when there is no such kind."""
        if what not in CALMED:
            raise ValueError(f"{what} is none of {', '.join(CALMED)}")
        return replace(self, **{what: CALMED[what]})  # type: ignore[arg-type]


CALMED: Final[dict[str, object]] = {
    "loss": 0.0,
    "duplicates": 0.0,
    "slow_share": 0.0,
    "skew_us": 0,
    "through_codec": False,
    "byzantine": (),
}
"""Trouble that is no planned event, and its absence."""


def options_for(seed: int, n: int | None = None, byzantine: str = "auto", stretch: int = 1) -> Options:
    """The schedule of a seed; ``n`` is 4 or 7 by the seed unless given.

    ``byzantine``: "auto" (by the seed), "none", or a name of CAST for every liar. ``stretch``: as many times longer,
    with as many times the requests and faults.
    """
    rng = random.Random(f"options {seed}")
    drawn = 7 if rng.random() < SEVEN_SHARE else 4
    size = drawn if n is None else n  # the draw is made either way, so that naming the size changes nothing else

    def sometimes(share: float, low: float, high: float) -> float:
        value = rng.uniform(low, high)
        return value if rng.random() < share else 0.0

    def now_and_then(share: float, most: int) -> int:
        value = stretch * rng.randint(1, most)
        return value if rng.random() < share else 0

    heal_us = SECOND + stretch * rng.randint(150, 500) * MILLISECOND
    made = Options(
        seed=seed,
        n=size,
        requests=20 * stretch,
        clients=rng.randint(1, 3),
        loss=sometimes(0.5, 0.01, 0.25),
        duplicates=sometimes(0.4, 0.01, 0.2),
        delay_us=rng.choice((1, 3, 8)) * MILLISECOND,
        slow_share=sometimes(0.4, 0.02, 0.3),
        byzantine=_liars(rng, seed, size, byzantine),
        updates=2,
        crashes=now_and_then(0.45, 3),
        partitions=now_and_then(0.25, 2),
        one_way_cuts=now_and_then(0.2, 2),
        engine_losses=now_and_then(0.2, 2),
        full_disks=now_and_then(0.15, 1),
        floods=now_and_then(0.1, 2),
        skew_us=int(sometimes(0.4, 0, 30 * MILLISECOND)),
        through_codec=rng.random() < 0.2,
        real_keys=seed % REAL_KEYS_EVERY == 0,
        heal_us=heal_us,
        end_us=heal_us + 9 * SECOND,
        changes=_changes(seed),
        drains=_drains(seed, stretch),
    )
    if not (made.byzantine or made.crashes or made.partitions or made.one_way_cuts or made.loss):
        made = replace(made, crashes=1)
    return _pruned(made)


def _pruned(made: Options) -> Options:
    """Drawn apart: snapshots and checkpoints come often, and what they stand for goes while the schedule lasts."""
    rng = random.Random(f"pruning {made.seed}")
    some, longer_us = rng.random() < PRUNING_SHARE, rng.randint(1_500, 3_000) * MILLISECOND
    often = rng.choice((2, 3, 4, 8))
    if not some:
        return made
    return replace(
        made,
        requests=2 * made.requests,
        crashes=made.crashes + rng.randint(1, 5),
        heal_us=made.heal_us + longer_us,
        end_us=made.end_us + longer_us,
        snapshot_interval=often,
        piece_bytes=rng.choice((256, 2_048, 16_384)),
        retention_us=RETENTION_MIN_US,
    )


def _changes(seed: int) -> int:
    """Drawn apart, so that the other draws of a seed do not depend on it."""
    rng = random.Random(f"changes {seed}")
    return rng.randint(1, 2) if rng.random() < CHANGES_SHARE else 0


def _drains(seed: int, stretch: int) -> int:
    """Drawn apart, too."""
    rng = random.Random(f"drains {seed}")
    return stretch * rng.randint(1, 2) if rng.random() < DRAINS_SHARE else 0


def _liars(rng: random.Random, seed: int, n: int, byzantine: str) -> tuple[str, ...]:
    """At most f of them; one of any kind in most schedules that have some."""
    drawn = tuple(rng.choice(CAST) for _ in range(rng.randint(1, (n - 1) // 3)))
    some = rng.random() < 0.7
    if byzantine == "none":
        return ()
    if byzantine != "auto":
        if byzantine not in CAST:
            raise ValueError(f"{byzantine} is none of auto, none, {', '.join(CAST)}")
        return (byzantine,) * len(drawn)
    if seed % TWINS_EVERY == 0:
        return ("twins", *drawn[1:])
    return drawn if some else ()
