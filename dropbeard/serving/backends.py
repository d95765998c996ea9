"""Backends by name. Each library is imported only when a model is put on it."""

from __future__ import annotations

from typing import Literal, assert_never

from dropbeard.errors import EngineFailed
from dropbeard.serving.image_engine import ImageEngine, Runner
from dropbeard.serving.manifest import ImageBackend, Manifest
from dropbeard.types.task import TaskSchema

ModelBackend = ImageBackend | Literal["oip"]
"""What runs a model: a library in this process, or a server."""


def make_engine(
    backend: ModelBackend,
    manifest: Manifest,
    schema: TaskSchema,
    *,
    threads: int = 1,
    streams: int = 1,
    batch_max: int = 1,
    device: int = 0,
    url: str | None = None,
    remote_model: str | None = None,
) -> ImageEngine:
    """An engine for a manifest's model, not loaded yet; ``threads`` are CPU cores of each of ``streams`` batches at
    once, ``device`` counts GPUs from 0, ``url`` and ``remote_model`` are for a server, which may know the model by
    another name.

    Raises ExtraMissing when the library is not installed, EngineFailed when the model is not for this backend, and
    ConfigInvalid when there is no such URL.
    """
    if backend == "oip":
        from dropbeard.serving.oip import OipRunner, Remote

        return ImageEngine(manifest, schema, OipRunner(Remote(url or "", remote_model or manifest.name)))
    if backend not in manifest.backends:
        known = ", ".join(manifest.backends)
        raise EngineFailed(f"{manifest.name} is not for the backend {backend}: its manifest names {known}")
    return ImageEngine(manifest, schema, _runner(backend, threads, streams, batch_max, device))


def _runner(backend: ImageBackend, threads: int, streams: int, batch_max: int, device: int) -> Runner:
    match backend:
        case "onnx":
            from dropbeard.serving.onnx import OnnxRunner

            return OnnxRunner(threads, streams)
        case "openvino":
            from dropbeard.serving.openvino import OpenvinoRunner

            return OpenvinoRunner(threads, streams)
        case "tensorrt":
            from dropbeard.serving.tensorrt.runner import TensorrtRunner

            return TensorrtRunner(batch_max, device)
        case _:
            assert_never(backend)
