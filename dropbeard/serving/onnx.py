"""The ``onnx`` backend: ONNX Runtime on CPU cores.

Batch size, neighbours in the batch and the number of threads do not change a bit of an image's output here as
long as weights are prepacked and the optimisation level stays the same, so both are left at their defaults.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dropbeard.errors import EngineFailed, ExtraMissing
from dropbeard.serving.engine import Prepared
from dropbeard.serving.image_engine import Copies, Shapes, Streams, one_line
from dropbeard.serving.manifest import Manifest

try:
    import onnxruntime
except ImportError as missing:
    raise ExtraMissing("the onnx backend needs the package onnxruntime: pip install 'dropbeard[onnx]'") from missing

ERRORS_ONLY: Final = 3


def _session(model: bytes, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    # A pool that spins while nothing runs would take the cores that the node's vote needs; while a batch runs it helps.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class OnnxRunner:
    """ONNX Runtime on ``streams`` batches at once, each on ``threads`` cores."""

    is_tuned: Final = False

    def __init__(self, threads: int = 1, streams: int = 1) -> None:
        self.in_flight = streams
        self._threads = threads
        self._streams: Streams[Any] = Streams()
        self._input = ""
        self._name = ""

    def open(self, manifest: Manifest, model: bytes) -> Shapes:
        """Make the sessions: one alone where no batch needs more than its caller's thread, for that needs no pool."""
        try:
            made = [_session(model, self._threads) for _ in range(self.in_flight if self._threads > 1 else 1)]
        except Exception as error:  # ONNX Runtime's exceptions have no common root
            raise EngineFailed(f"ONNX Runtime cannot load {manifest.name}: {one_line(error)}") from error
        self._streams = Streams(made[number % len(made)] for number in range(self.in_flight))
        inputs, outputs = made[0].get_inputs(), made[0].get_outputs()
        self._input, self._name = inputs[0].name, manifest.name
        return Shapes(tuple(tuple(one.shape[1:]) for one in inputs), tuple(tuple(one.shape[1:]) for one in outputs))

    def run(self, batch: Sequence[Prepared], copies: Copies) -> npt.NDArray[np.generic]:
        """One run of a session that is free."""
        with self._streams.one() as (session, memory):
            try:
                with copies.timed():
                    given = memory.fill(batch)
                logits: npt.NDArray[np.generic] = session.run(None, {self._input: given})[0]
            except Exception as error:  # as in open
                raise EngineFailed(f"ONNX Runtime cannot run {self._name}: {one_line(error)}") from error
        return logits

    def check(self) -> None:
        """A CPU is not lost while this runs on it."""

    def close(self) -> None:
        """Drop the sessions."""
        self._streams = Streams()
