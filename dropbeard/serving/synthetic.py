"""The ``synthetic`` backend: takes the time of a model and answers from the input's digest.

It classifies nothing. It is for benchmarks and tests, where it stands for an engine of a known cost; whoever
offers it to clients must say so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from blake3 import blake3

from dropbeard.errors import EngineFailed
from dropbeard.serving.engine import EngineStats, Prepared
from dropbeard.types.ids import Digest
from dropbeard.types.outputs import Box, Boxes, OutputKind
from dropbeard.types.task import PROBABILITY_ONE, Classification, Input, TaskSchema

CONTEXT: Final = "dropbeard 1 synthetic output"
DIGEST_CONTEXT: Final = "dropbeard 1 synthetic engine"


@dataclass(frozen=True, slots=True)
class ServiceTime:
    """A batch of b inputs takes ``batch_us`` + b * ``input_us`` microseconds."""

    batch_us: int
    input_us: int

    def seconds(self, inputs: int) -> float:
        """Time of one batch."""
        return (self.batch_us + self.input_us * inputs) / 1e6


@dataclass(frozen=True, slots=True)
class MeasuredTime:
    """What an engine was measured to take: ``rows`` are (inputs, microseconds) by ascending inputs, at least one.

    Between two rows, and beyond the last two, times lie on a line; of one row alone they are in proportion.
    """

    rows: tuple[tuple[int, int], ...]

    def seconds(self, inputs: int) -> float:
        """Time of one batch."""
        rows = ((0, 0), *self.rows) if len(self.rows) == 1 else self.rows
        at = next((place for place in range(1, len(rows)) if inputs <= rows[place][0]), len(rows) - 1)
        (few, shorter), (many, longer) = rows[at - 1], rows[at]
        return max(0.0, shorter + (inputs - few) * (longer - shorter) / (many - few)) / 1e6


def synthetic_name(owner: str, version: int) -> str:
    """Tells an owner's versions apart."""
    return owner if version == 1 else f"{owner} {version}"


def synthetic_digest(owner: str, version: int = 1) -> Digest:
    """What a synthetic engine is registered as: no model's digest, so nobody can take its answers for a model's."""
    return Digest(blake3(synthetic_name(owner, version).encode(), derive_key_context=DIGEST_CONTEXT).digest())


def synthetic_output(input_digest: bytes, flavour: bytes, schema: TaskSchema) -> bytes:
    """An answer that two engines share exactly when input digest and flavour are the same."""
    form = schema.form
    hashed = blake3(flavour + input_digest, derive_key_context=CONTEXT)
    if form is not None and form.kind is not OutputKind.BOXES:
        # Any bytes are numbers.
        return hashed.digest(form.layout.size)
    seed = hashed.digest(8)
    first = int.from_bytes(seed, "little") % schema.classes
    if form is not None:
        x, y = (int.from_bytes(seed[at : at + 2], "little") // 2 for at in (0, 2))
        return Boxes((Box(first, x, y, x + 9_999, y + 9_999, PROBABILITY_ONE),)).encode()
    # Halving keeps the sum below one whatever top_k is.
    choices = (((first + place) % schema.classes, PROBABILITY_ONE >> (place + 1)) for place in range(schema.top_k))
    return Classification(tuple(sorted(choices, key=lambda choice: (-choice[1], choice[0])))).encode()


class SyntheticEngine:
    """An engine with a cost and no model. ``flavour`` makes its answers differ from another owner's."""

    in_flight: Final = 1
    preferred: Final = ()

    def __init__(
        self,
        schema: TaskSchema,
        cost: ServiceTime | MeasuredTime,
        flavour: bytes = b"",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._schema = schema
        self._cost = cost
        self._flavour = flavour
        self._sleep = sleep
        self._loaded = False
        self._stats = EngineStats()

    def load(self) -> None:
        """Nothing is read."""
        self._loaded = True
        self._stats = EngineStats()

    def warm_up(self, batch_max: int) -> None:
        """A model that is not there needs no warming."""

    def prepare(self, given: Input) -> Prepared:
        """The input's digest; the bytes are checked as the task says, but never decoded."""
        self._schema.check_input(given)
        return np.frombuffer(given.digest(), np.uint8)

    def infer(self, batch: Sequence[Prepared]) -> list[bytes]:
        """Sleep as long as the batch costs, then answer."""
        if not self._loaded:
            raise EngineFailed("the synthetic engine is not loaded")
        if not batch:
            return []
        took = self._cost.seconds(len(batch))
        if took > 0:
            self._sleep(took)
        self._stats = self._stats.after(len(batch), round(took * 1e6))
        return [synthetic_output(prepared.tobytes(), self._flavour, self._schema) for prepared in batch]

    def check(self) -> None:
        """There is no device to lose."""

    def stats(self) -> EngineStats:
        """What was done since load."""
        return self._stats

    def unload(self) -> None:
        """Nothing is held."""
        self._loaded = False
