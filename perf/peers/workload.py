"""What every server of a comparison serves: one model on ONNX Runtime, its input rule, its answer; and how it is told.

A server's worker calls the product's own engine, so that model, precision, threads, preprocessing and answer are the
same on all sides, and what differs is the way of a request to it and back.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import msgspec

from dropbeard.daemon.new_group import read_labels
from dropbeard.serving.backends import make_engine
from dropbeard.serving.manifest import load_manifest
from dropbeard.types.genesis_file import task_schema
from dropbeard.types.task import Input, InputKind, TaskSchema

VARIABLE: Final = "DROPBEARD_PEER_WORKLOAD"
HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Workload:
    """One model of the catalogue and how it is served; ``side`` of raw square pictures, as large as the model takes."""

    model: str
    side: int
    batch_max: int
    wait_ms: int
    """How long a server waits for more of a batch, where it has such a setting."""
    workers: int
    """How many batches are computed at once, each by one thread."""
    in_flight: int

    @property
    def input_bytes(self) -> int:
        """Of one picture."""
        return 3 * self.side * self.side

    def on_cores(self, cores: int) -> Workload:
        """The same with a worker for each core."""
        return replace(self, workers=cores)

    def variables(self) -> dict[str, str]:
        """How another process is told."""
        return {VARIABLE: msgspec.json.encode(asdict(self)).decode()}


def told() -> Workload:
    """What this process was told to serve."""
    return msgspec.json.decode(os.environ[VARIABLE], type=Workload)


def schema() -> TaskSchema:
    """What is answered."""
    return task_schema("imagenet", read_labels(None))


class Model:
    """The model loaded, warm, on one thread."""

    def __init__(self, workload: Workload) -> None:
        self._side = workload.side
        self._engine = make_engine(
            "onnx", load_manifest(workload.model), schema(), threads=1, batch_max=workload.batch_max
        )
        self._engine.load()
        self._engine.warm_up(workload.batch_max)

    def answers(self, bodies: Sequence[bytes]) -> list[bytes]:
        """The answer to each picture, in one run of the model."""
        shape = (self._side, self._side, 3)
        given = [Input(InputKind.RAW_RGB8, shape, body) for body in bodies]
        return self._engine.infer([self._engine.prepare(one) for one in given])
