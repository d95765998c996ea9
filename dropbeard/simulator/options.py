"""What one seed turns on and off: each schedule has some of the trouble, few have all of it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from dropbeard.types.parameters import MILLISECOND, SECOND, Parameters

REAL_KEYS_EVERY: Final = 20
"""Every twentieth seed signs with P-256; the others with a keyed-BLAKE3 stand-in."""

SIMULATED: Final = Parameters(
    block_interval_us=5 * MILLISECOND,
    propose_timeout_us=60 * MILLISECOND,
    advance_timeout_us=120 * MILLISECOND,
    finalize_timeout_us=40 * MILLISECOND,
    status_interval_us=150 * MILLISECOND,
    starvation_us=400 * MILLISECOND,
    near_us=100 * MILLISECOND,
    horizon_us=30 * SECOND,
    retention_us=30 * SECOND,
    open_max=400,
    client_open_max=200,
    lane_window=64,
    block_batches_max=8,
    snapshot_interval=8,
)
"""Time-outs for links of 1 to 10 ms, so that a schedule of a few virtual seconds holds many views."""


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
    silent: int
    """Replicas that never say anything: a leader's turn in n."""
    crashes: int
    partitions: int
    skew_us: int
    through_codec: bool
    real_keys: bool
    heal_us: int
    end_us: int

    @property
    def f(self) -> int:
        """Faults tolerated."""
        return (self.n - 1) // 3


def options_for(seed: int, n: int | None = None) -> Options:
    """The schedule of a seed; ``n`` is 4 or 7 by the seed unless given."""
    rng = random.Random(f"options {seed}")
    size = n if n is not None else rng.choice((4, 4, 7))
    faults = (size - 1) // 3

    def sometimes(share: float, low: float, high: float) -> float:
        value = rng.uniform(low, high)
        return value if rng.random() < share else 0.0

    heal_us = rng.randint(1, 4) * SECOND
    return Options(
        seed=seed,
        n=size,
        requests=rng.randint(20, 40),
        clients=rng.randint(1, 3),
        loss=sometimes(0.6, 0.01, 0.25),
        duplicates=sometimes(0.5, 0.01, 0.2),
        delay_us=rng.choice((1, 3, 8)) * MILLISECOND,
        slow_share=sometimes(0.5, 0.02, 0.3),
        silent=rng.randint(1, faults) if rng.random() < 0.35 else 0,
        crashes=rng.randint(1, 4) if rng.random() < 0.45 else 0,
        partitions=rng.randint(1, 3) if rng.random() < 0.3 else 0,
        skew_us=int(sometimes(0.4, 0, 30 * MILLISECOND)),
        through_codec=rng.random() < 0.25,
        real_keys=seed % REAL_KEYS_EVERY == 0,
        heal_us=heal_us,
        end_us=heal_us + 8 * SECOND,
    )
