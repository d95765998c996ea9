"""Engines alone: throughput by batch size, overlap, what the daemon and the socket cost.

``python -m perf.engines --backend onnx``: real pictures' worth of random pixels, real models. One JSON object. Ratios
are of alternating runs in one process: hand-off to ONNX Runtime's own time, our backend to a bare loop.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, get_args

import numpy as np

from dropbeard.daemon.new_group import read_labels
from dropbeard.daemon.solo_engine import solo_engine
from dropbeard.serving.backends import make_engine
from dropbeard.serving.catalogue import artefact_bytes, fetch
from dropbeard.serving.image_engine import ImageEngine
from dropbeard.serving.manifest import ImageBackend, Manifest, load_manifest
from dropbeard.types.genesis_file import task_schema
from dropbeard.types.task import Input, InputKind
from perf._measure import Figure, figure

BATCHES: Final = (1, 4, 8, 16, 32)
HAND_OFF_BATCH: Final = 16
SIDE: Final = 224
ROUNDS: Final = 15
SECONDS: Final = 3.0
RUNS: Final = 5


def timed(work: Callable[[], Any]) -> float:
    """Seconds that it took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def loaded(manifest: Manifest, backend: ImageBackend, threads: int, batch_max: int) -> ImageEngine:
    """An engine that is warm."""
    schema = task_schema(manifest.task, read_labels(None))
    engine = make_engine(backend, manifest, schema, threads=threads, batch_max=batch_max)
    engine.load()
    engine.warm_up(batch_max)
    return engine


def by_batch(engine: ImageEngine, manifest: Manifest, seconds: float) -> dict[int, float]:
    """Images a second by batch size, with as many batches in flight as the backend takes."""
    rates = {}
    size = manifest.input.size
    for batch in [one for one in BATCHES if one <= manifest.profile.batch_max]:
        images = list(np.random.default_rng(1).random((batch, 3, size, size), np.float32))
        rates[batch] = round(rate(engine, images, engine.in_flight, seconds), 1)
    return rates


def rate(engine: ImageEngine, images: Sequence[Any], callers: int, seconds: float) -> float:
    """Images a second with so many callers."""
    until = time.perf_counter() + seconds

    def call(_: int) -> int:
        done = 0
        while time.perf_counter() < until:
            engine.logits(images)
            done += len(images)
        return done

    started = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        total = sum(pool.map(call, range(callers)))
    return total / (time.perf_counter() - started)


def overlap(engine: ImageEngine, manifest: Manifest, seconds: float) -> float | None:
    """Rate with every slot in use to the rate of one batch at a time; None where only one may be in flight."""
    if engine.in_flight == 1:
        return None
    size = manifest.input.size
    images = list(np.random.default_rng(1).random((HAND_OFF_BATCH, 3, size, size), np.float32))
    alone, together = rate(engine, images, 1, seconds), rate(engine, images, engine.in_flight, seconds)
    return round(together / alone, 2)


def against_bare_loop(manifest: Manifest, threads: int, batch: int) -> float:
    """Rate of the onnx backend to that of a bare ONNX Runtime loop: same batch, same threads, alternating.

    Never both loaded at once: the threads of a bare session go on spinning after a run, on cores that the other needs.
    """
    size = manifest.input.size
    rows = list(np.random.default_rng(1).random((batch, 3, size, size), np.float32))
    ratios = [_bare_loop(manifest, threads, rows) / _backend_loop(manifest, threads, rows) for _ in range(ROUNDS)]
    return round(statistics.median(ratios), 3)


def _bare_loop(manifest: Manifest, threads: int, rows: Sequence[Any]) -> float:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(artefact_bytes(manifest), options, providers=["CPUExecutionProvider"])
    name, whole = session.get_inputs()[0].name, np.stack(rows)
    session.run(None, {name: whole})
    return timed(lambda: [session.run(None, {name: whole}) for _ in range(RUNS)])


def _backend_loop(manifest: Manifest, threads: int, rows: Sequence[Any]) -> float:
    engine = loaded(manifest, "onnx", threads, len(rows))
    took = timed(lambda: [engine.infer(rows) for _ in range(RUNS)])
    engine.unload()
    return took


def hand_off(manifest: Manifest, threads: int) -> dict[str, float]:
    """A batch of 16 raw images to an engine daemon that computes nothing and back, to ONNX Runtime's own time."""
    schema = task_schema(manifest.task, read_labels(None))
    random = np.random.default_rng(1)
    rows = []
    for number in range(HAND_OFF_BATCH):
        pixels = random.integers(0, 256, (SIDE, SIDE, 3), np.uint8).tobytes()
        rows.append((number, Input(InputKind.RAW_RGB8, (SIDE, SIDE, 3), pixels)))
    reference = loaded(manifest, "onnx", threads, HAND_OFF_BATCH)
    prepared = [reference.prepare(given) for _, given in rows]
    with solo_engine("synthetic", "synthetic", schema, max_batch=HAND_OFF_BATCH) as engine:
        engine.ask(rows)
        pairs = [(timed(lambda: engine.ask(rows)), timed(lambda: reference.infer(prepared))) for _ in range(ROUNDS)]
    return {
        "hand_off_ms": round(statistics.median(pair[0] for pair in pairs) * 1e3, 2),
        "onnx_runtime_ms": round(statistics.median(pair[1] for pair in pairs) * 1e3, 2),
        "share": round(statistics.median(pair[0] / pair[1] for pair in pairs), 4),
    }


def measure(model: str, backend: ImageBackend, threads: int, seconds: float) -> dict[str, Any]:
    """All figures of one model on one backend."""
    fetch(model)
    manifest = load_manifest(model)
    engine = loaded(manifest, backend, threads, manifest.profile.batch_max)
    figures: dict[str, Any] = {
        "model": model,
        "backend": backend,
        "threads": threads,
        "images_per_s_by_batch": by_batch(engine, manifest, seconds),
        "overlap": overlap(engine, manifest, seconds),
    }
    engine.unload()
    if backend == "onnx":
        figures["kept_of_a_bare_loop"] = against_bare_loop(manifest, threads, HAND_OFF_BATCH)
        figures |= hand_off(manifest, threads)
    return figures


def bench(quick: bool) -> list[Figure]:
    """EfficientNet-Lite0 on onnx, one thread: kept of a bare loop, and the hand-off's share."""
    fetch("efficientnet-lite0")
    manifest = load_manifest("efficientnet-lite0")
    runs = range(1 if quick else RUNS)
    kept = [against_bare_loop(manifest, 1, HAND_OFF_BATCH) for _ in runs]
    shares = [hand_off(manifest, 1)["share"] for _ in runs]
    return [
        figure("kept of a bare loop", "share", kept, ()),
        figure("hand-off", "share of ONNX Runtime's time", shares, ()),
    ]


def main() -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m perf.engines", description="Engines alone.")
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--backend", choices=get_args(ImageBackend), default="onnx")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each batch size")
    chosen = parser.parse_args()
    print(json.dumps(measure(chosen.model, chosen.backend, chosen.threads, chosen.seconds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
