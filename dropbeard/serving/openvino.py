"""The ``openvino`` backend: OpenVINO on CPU cores, in 32 bits.

OpenVINO would choose 16-bit floats where the processor has them, which is faster and answers a little otherwise; two
machines of one owner would then disagree. Precision is therefore pinned, as everywhere here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dropbeard.errors import EngineFailed, ExtraMissing
from dropbeard.serving.engine import Prepared
from dropbeard.serving.image_engine import Copies, Shape, Shapes, Streams, one_line
from dropbeard.serving.manifest import Manifest

try:
    import openvino
except ImportError as missing:
    raise ExtraMissing(
        "the openvino backend needs the package openvino: pip install 'dropbeard[openvino]'"
    ) from missing


def _shape(port: Any) -> Shape:
    return tuple(one.get_length() for one in list(port.get_partial_shape())[1:] if one.is_static)


class OpenvinoRunner:
    """A compiled model that takes ``streams`` batches at once; each uses ``threads`` cores."""

    is_tuned: Final = False

    def __init__(self, threads: int = 1, streams: int = 1) -> None:
        self.in_flight = streams
        self._threads = threads
        self._streams: Streams[Any] = Streams()
        self._name = ""

    def open(self, manifest: Manifest, model: bytes) -> Shapes:
        """Compile for the batch sizes that come."""
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": str(self._threads * self.in_flight),
            "NUM_STREAMS": str(self.in_flight),
        }
        try:
            core = openvino.Core()
            compiled = core.compile_model(core.read_model(model, b""), "CPU", options)
        except Exception as error:  # openvino raises RuntimeError and others
            raise EngineFailed(f"OpenVINO cannot load {manifest.name}: {one_line(error)}") from error
        self._streams = Streams(compiled.create_infer_request() for _ in range(self.in_flight))
        self._name = manifest.name
        return Shapes(tuple(map(_shape, compiled.inputs)), tuple(map(_shape, compiled.outputs)))

    def run(self, batch: Sequence[Prepared], copies: Copies) -> npt.NDArray[np.generic]:
        """One inference of a request that is free; the result is copied out of the request's own memory."""
        with self._streams.one() as (request, memory):
            try:
                with copies.timed():
                    given = memory.fill(batch)
                request.infer([given])
                with copies.timed():
                    logits: npt.NDArray[np.generic] = np.array(request.get_output_tensor(0).data)
            except Exception as error:  # as in open
                raise EngineFailed(f"OpenVINO cannot run {self._name}: {one_line(error)}") from error
        return logits

    def check(self) -> None:
        """A CPU is not lost while this runs on it."""

    def close(self) -> None:
        """Drop the compiled model."""
        self._streams = Streams()
