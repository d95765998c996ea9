"""The seeded network: loses, delays, reorders, duplicates, splits; kind to everyone after the heal."""

from __future__ import annotations

import random

from dropbeard.simulator.options import Options

SLOW_FACTOR = 30
HEALED_DELAY_US = 2_000


class Network:
    """Says when copies of a message arrive. ``sides`` are changed by the schedule's partitions."""

    def __init__(self, options: Options, rng: random.Random) -> None:
        self._options = options
        self._rng = rng
        self.sides = [0] * options.n

    def split(self) -> None:
        """Put every replica on one of two sides, at random."""
        self.sides = [self._rng.randint(0, 1) for _ in range(self._options.n)]

    def heal(self) -> None:
        """One side again."""
        self.sides = [0] * self._options.n

    def arrivals(self, now_us: int, sender: int | None, receiver: int) -> list[int]:
        """Times at which copies arrive; a client (sender None) is on every side."""
        options, rng = self._options, self._rng
        if now_us >= options.heal_us:
            return [now_us + rng.randint(100, HEALED_DELAY_US)]
        if sender is not None and self.sides[sender] != self.sides[receiver]:
            return []
        if rng.random() < options.loss:
            return []
        copies = 2 if rng.random() < options.duplicates else 1
        return [now_us + self._delay() for _ in range(copies)]

    def _delay(self) -> int:
        slow = self._rng.random() < self._options.slow_share
        return self._rng.randint(100, self._options.delay_us * (SLOW_FACTOR if slow else 1))
