"""The seeded network: loses, delays, reorders, duplicates, splits, cuts one way; kind to everyone after the heal."""

from __future__ import annotations

import random

from dropbeard.simulator.options import Options

SLOW_FACTOR = 30
HEALED_DELAY_US = 2_000
HEALED_LEAST_US = 100


class Network:
    """Says when copies of a message arrive. Replicas are named by their seats: twins have two."""

    def __init__(self, options: Options, seats: int, rng: random.Random) -> None:
        self._options = options
        self._rng = rng
        self._sides = [0] * seats
        self._cut: dict[tuple[int, int], None] = {}

    def split(self, rng: random.Random) -> None:
        """Put every seat on one of two sides, at random."""
        self._sides = [rng.randint(0, 1) for _ in self._sides]

    def cut_one_way(self, rng: random.Random) -> None:
        """One seat no longer reaches another; the other way stays open."""
        sender, receiver = rng.sample(range(len(self._sides)), 2)
        self._cut[sender, receiver] = None

    def heal(self) -> None:
        """One side again, no cut."""
        self._sides = [0] * len(self._sides)
        self._cut.clear()

    def arrivals(self, now_us: int, sender: int | None, receiver: int) -> list[int]:
        """Times at which copies arrive; a client (sender None) is on every side."""
        options, rng = self._options, self._rng
        if now_us >= options.heal_us:
            return [now_us + _between(rng, HEALED_LEAST_US, HEALED_DELAY_US)]
        if sender is not None and (self._sides[sender] != self._sides[receiver] or (sender, receiver) in self._cut):
            return []
        if options.loss and rng.random() < options.loss:
            return []
        copies = 2 if options.duplicates and rng.random() < options.duplicates else 1
        return [now_us + self._delay() for _ in range(copies)]

    def _delay(self) -> int:
        options, rng = self._options, self._rng
        slow = bool(options.slow_share) and rng.random() < options.slow_share
        return _between(rng, 100, options.delay_us * (SLOW_FACTOR if slow else 1))


def _between(rng: random.Random, low: int, high: int) -> int:
    """What ``rng.randint`` draws, in a third of its time: every copy of every message takes one."""
    span = high - low + 1
    bits = span.bit_length()
    while (drawn := rng.getrandbits(bits)) >= span:
        pass
    return low + drawn
