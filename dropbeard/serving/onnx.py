"""The ``onnx`` backend: ONNX Runtime on CPU cores.

Batch size, neighbours in the batch and the number of threads do not change a bit of an image's output here as
long as weights are prepacked and the optimisation level stays the same, so both are left at their defaults.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from dropbeard.errors import EngineFailed, ExtraMissing
from dropbeard.serving.catalogue import artefact_bytes
from dropbeard.serving.engine import EngineStats, Prepared
from dropbeard.serving.images import normalise, preprocess
from dropbeard.serving.manifest import Manifest
from dropbeard.serving.outputs import top_choices
from dropbeard.types.task import Input, TaskSchema

try:
    import onnxruntime
except ImportError as missing:
    raise ExtraMissing("the onnx backend needs the package onnxruntime: pip install 'dropbeard[onnx]'") from missing

ERRORS_ONLY: Final = 3


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _session(model: bytes, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    # A spinning pool would take the cores that the node's vote needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class OnnxEngine:
    """One manifest's model in an ONNX Runtime session."""

    def __init__(self, manifest: Manifest, schema: TaskSchema, threads: int = 1) -> None:
        self._manifest = manifest
        self._schema = schema
        self._threads = threads
        self._session: Any = None
        self._input = ""
        self._stats = EngineStats()

    def load(self) -> None:
        """Check the artefact's digest and its shapes, and make the session from the checked bytes."""
        model = artefact_bytes(self._manifest)
        if self._manifest.output.classes != self._schema.classes:
            raise EngineFailed(
                f"{self._manifest.name} has {self._manifest.output.classes} classes, "
                f"the task {self._schema.name} has {self._schema.classes}"
            )
        try:
            session = _session(model, self._threads)
        except Exception as error:  # ONNX Runtime's exceptions have no common root
            raise EngineFailed(f"ONNX Runtime cannot load {self._manifest.name}: {_one_line(error)}") from error
        self._check_shapes(session)
        self._session = session
        self._input = session.get_inputs()[0].name
        self._stats = EngineStats()

    def _check_shapes(self, session: Any) -> None:
        size = self._manifest.input.size
        expected = ([3, size, size], [self._manifest.output.classes])
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1:
            raise EngineFailed(f"{self._manifest.name} takes {len(inputs)} inputs, expected one image batch")
        found = (list(inputs[0].shape[1:]), list(outputs[0].shape[1:]))
        if found != expected:
            raise EngineFailed(
                f"{self._manifest.name} takes {found[0]} and gives {found[1]}, "
                f"its manifest says {expected[0]} and {expected[1]}"
            )

    def warm_up(self, batch_max: int) -> None:
        """Run a grey image alone and as the largest batch; the statistics do not count them."""
        size = self._manifest.input.size
        grey = normalise(np.full((size, size, 3), 128, np.uint8), self._manifest.input)
        for batch in sorted({1, batch_max}):
            self._run([grey] * batch)

    def prepare(self, given: Input) -> Prepared:
        """Decode and preprocess as the manifest says."""
        return preprocess(given, self._schema, self._manifest.input)

    def infer(self, batch: Sequence[Prepared]) -> list[bytes]:
        """Logits of the batch in one run, then each image's best classes."""
        started = time.perf_counter_ns()
        outputs = self._run(batch)
        self._stats = self._stats.after(len(batch), (time.perf_counter_ns() - started) // 1000)
        return outputs

    def _run(self, batch: Sequence[Prepared]) -> list[bytes]:
        if self._session is None:
            raise EngineFailed(f"{self._manifest.name} is not loaded")
        if not batch:
            return []
        try:
            logits = self._session.run(None, {self._input: np.stack(batch)})[0]
        except Exception as error:  # as in load
            raise EngineFailed(f"ONNX Runtime cannot run {self._manifest.name}: {_one_line(error)}") from error
        return top_choices(logits, self._schema.top_k)

    def stats(self) -> EngineStats:
        """What was done since load."""
        return self._stats

    def unload(self) -> None:
        """Drop the session."""
        self._session = None
