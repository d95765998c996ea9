"""What all backends of image models share: preprocessing in, a library's runner in the middle, answers out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from dropbeard.errors import EngineFailed
from dropbeard.serving.catalogue import artefact_bytes
from dropbeard.serving.engine import EngineStats, Prepared
from dropbeard.serving.images import normalise, preprocess
from dropbeard.serving.manifest import Manifest
from dropbeard.serving.outputs import canonical_outputs, check_rule
from dropbeard.types.task import Input, TaskSchema

STREAM_S: Final = 60.0

T = TypeVar("T")
Shape = tuple[int, ...]
"""Of a tensor, without its batch dimension."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """What a loaded model takes and gives."""

    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]


class Copies:
    """How long the copies of one batch took, in nanoseconds."""

    def __init__(self) -> None:
        self.took_ns = 0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """The block copies and does nothing else."""
        started_ns = time.perf_counter_ns()
        yield
        self.took_ns += time.perf_counter_ns() - started_ns


class Runner(Protocol):
    """A model in one library. Everything raises ``EngineFailed`` with one line when it cannot go on."""

    @property
    def in_flight(self) -> int:
        """How many threads may be inside ``run`` at once."""

    @property
    def is_tuned(self) -> bool:
        """Whether the manifest's batch sizes were compiled in."""

    def open(self, manifest: Manifest, model: bytes) -> Shapes:
        """Load an ONNX model whose digest was checked."""

    def run(self, batch: Sequence[Prepared], copies: Copies) -> npt.NDArray[np.generic]:
        """Numbers [len(batch), ...] of images [3, size, size], in order; the array is the caller's to keep."""

    def check(self) -> None:
        """A tiny real operation on the device, to find one that was lost."""

    def close(self) -> None:
        """Give back all memory; ``open`` may follow."""


def one_line(error: object) -> str:
    """What a library said, on one line."""
    return " ".join(str(error).split())


class BatchMemory:
    """One array that batches are put into, as large as the largest so far: fresh memory costs more than the copy."""

    def __init__(self) -> None:
        self._memory: npt.NDArray[np.generic] = np.empty(0, np.float32)

    def fill(self, batch: Sequence[Prepared]) -> npt.NDArray[np.generic]:
        """The batch as one array [len(batch), ...], until the next call."""
        first = batch[0]
        if len(self._memory) < len(batch) or self._memory.shape[1:] != first.shape or self._memory.dtype != first.dtype:
            self._memory = np.empty((len(batch), *first.shape), first.dtype)
        return np.stack(batch, out=self._memory[: len(batch)])


class Streams(Generic[T]):
    """What runs batches, one for each that may run at once, each with the memory of its own batches."""

    def __init__(self, runners: Iterable[T] = ()) -> None:
        self._free: SimpleQueue[tuple[T, BatchMemory]] = SimpleQueue()
        for runner in runners:
            self._free.put((runner, BatchMemory()))

    @contextmanager
    def one(self) -> Iterator[tuple[T, BatchMemory]]:
        """One that is free, for the block; as many callers as there are streams never wait for one."""
        try:
            held = self._free.get(timeout=STREAM_S)
        except Empty:
            raise EngineFailed(f"no stream of the engine became free in {STREAM_S:g} s") from None
        try:
            yield held
        finally:
            self._free.put(held)


class ImageEngine:
    """One manifest's model; an ``Engine``."""

    def __init__(self, manifest: Manifest, schema: TaskSchema, runner: Runner) -> None:
        self._manifest = manifest
        self._schema = schema
        self._runner = runner
        self._loaded = False
        self._counting = threading.Lock()
        self._stats = EngineStats()

    @property
    def in_flight(self) -> int:
        """As the library allows."""
        return self._runner.in_flight

    @property
    def preferred(self) -> Sequence[int]:
        """The manifest's, where the model is compiled for them."""
        return self._manifest.profile.preferred if self._runner.is_tuned else ()

    def load(self) -> None:
        """Check the artefact's digest, load the checked bytes, check the shapes."""
        model = artefact_bytes(self._manifest)
        check_rule(self._manifest, self._schema)
        shapes = self._runner.open(self._manifest, model)
        try:
            self._check_shapes(shapes)
        except EngineFailed:
            self._runner.close()
            raise
        self._loaded = True
        self._stats = EngineStats()

    def _check_shapes(self, shapes: Shapes) -> None:
        name, size = self._manifest.name, self._manifest.input.size
        if len(shapes.inputs) != 1:
            raise EngineFailed(f"{name} takes {len(shapes.inputs)} inputs, expected one image batch")
        found = (list(shapes.inputs[0]), list(shapes.outputs[0]))
        expected = ([3, size, size], list(self._manifest.output.shape))
        if found != expected:
            raise EngineFailed(
                f"{name} takes {found[0]} and gives {found[1]}, its manifest says {expected[0]} and {expected[1]}"
            )

    def warm_up(self, batch_max: int) -> None:
        """Run a grey image alone and as the largest batch; the statistics do not count them."""
        size = self._manifest.input.size
        grey = normalise(np.full((size, size, 3), 128, np.uint8), self._manifest.input)
        for batch in sorted({1, batch_max}):
            self.logits([grey] * batch)

    def prepare(self, given: Input) -> Prepared:
        """Decode and preprocess as the manifest says."""
        return preprocess(given, self._schema, self._manifest.input)

    def infer(self, batch: Sequence[Prepared]) -> list[bytes]:
        """The batch in one run, then each image's answer."""
        started, copies = time.perf_counter_ns(), Copies()
        outputs = canonical_outputs(self._run(batch, copies), self._manifest, self._schema) if batch else []
        took_us = (time.perf_counter_ns() - started) // 1000
        with self._counting:
            self._stats = self._stats.after(len(batch), took_us, copies.took_ns // 1000)
        return outputs

    def logits(self, batch: Sequence[Prepared]) -> npt.NDArray[np.generic]:
        """The model's own numbers [len(batch), ...], before they become an answer: to compare backends by."""
        return self._run(batch, Copies())

    def _run(self, batch: Sequence[Prepared], copies: Copies) -> npt.NDArray[np.generic]:
        if not self._loaded:
            raise EngineFailed(f"{self._manifest.name} is not loaded")
        return self._runner.run(batch, copies)

    def check(self) -> None:
        """As the library can."""
        if self._loaded:
            self._runner.check()

    def stats(self) -> EngineStats:
        """What was done since load."""
        return self._stats

    def unload(self) -> None:
        """Drop the model."""
        if self._loaded:
            self._loaded = False
            self._runner.close()
