"""The one interface of all backends: load, warm up, prepare an input, infer a batch, stats, unload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dropbeard.types.task import Input

Prepared = npt.NDArray[np.generic]
"""One input as its backend takes it; only the engine that made it knows the shape."""


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Counts since load. ``busy_us`` is the time spent inside ``infer``, in microseconds; ``copied_us`` what of it went
    into copying batches to where the library takes them, and answers back.
    """

    batches: int = 0
    inputs: int = 0
    busy_us: int = 0
    copied_us: int = 0

    def after(self, inputs: int, took_us: int, copied_us: int = 0) -> EngineStats:
        """The counts after one more batch."""
        return EngineStats(self.batches + 1, self.inputs + inputs, self.busy_us + took_us, self.copied_us + copied_us)


class Engine(Protocol):
    """A loaded model. Used by one thread, except ``prepare``, which may run beside ``infer``, and ``infer``.

    Everything but ``prepare`` raises ``EngineFailed`` when it cannot go on.
    """

    @property
    def in_flight(self) -> int:
        """How many threads may be inside ``infer`` at once, each with a batch of its own."""

    @property
    def preferred(self) -> Sequence[int]:
        """Batch sizes that it was tuned for, ascending; none where every size is as good."""

    def load(self) -> None:
        """Read and check the model; afterwards it can infer."""

    def warm_up(self, batch_max: int) -> None:
        """Run the smallest and the largest batch once, so that the first request is not slow."""

    def prepare(self, given: Input) -> Prepared:
        """Decode and preprocess one input; ``InputInvalid`` concerns this input alone."""

    def infer(self, batch: Sequence[Prepared]) -> list[bytes]:
        """Output bytes of the task schema, one for each prepared input, in order."""

    def check(self) -> None:
        """A tiny real operation on the device that the model is on, to find one that was lost."""

    def stats(self) -> EngineStats:
        """What was done since load."""

    def unload(self) -> None:
        """Give back memory; ``load`` may follow."""
