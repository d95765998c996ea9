"""Certified requests a second with real ImageNet models: P4 a cheap one, P5 the four of the demo against a bare loop.

Four nodes on one machine, inputs raw arrays cut out of free pictures, no two alike, real inference on every node,
every certificate verified. P5's floor: ONNX Runtime in one process for each model, preparing and running the same
inputs, all four at once; the cores over the CPU time that one input costs all four. P4 needs the directory of
mobilenet_v1_0.25_128.onnx and mobilenet_v1_0.25_128_int8.onnx (github.com/google-coral/test_data, converted to ONNX)
in DROPBEARD_BENCH_MODELS; without it there is no P4.
"""

from __future__ import annotations

import multiprocessing
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from blake3 import blake3

from dropbeard.daemon.local_group import OWNERS, LocalGroup
from dropbeard.daemon.new_group import read_labels
from dropbeard.serving.backends import make_engine
from dropbeard.serving.catalogue import add, fetch_set
from dropbeard.serving.free_images import free_images
from dropbeard.serving.images import picture_array
from dropbeard.serving.manifest import load_manifest
from dropbeard.types.genesis_file import task_schema
from dropbeard.types.node_config import EngineTable
from dropbeard.types.task import Input, InputKind
from perf._load import Load, Sample
from perf._measure import Figure, Length, figure
from perf._observed import passing_group

MODELS_VARIABLE: Final = "DROPBEARD_BENCH_MODELS"
CHEAP: Final = {
    "mobilenet-v1-0.25-128": "mobilenet_v1_0.25_128.onnx",
    "mobilenet-v1-int8": "mobilenet_v1_0.25_128_int8.onnx",
}
CHEAP_SIDE: Final = 128
CHEAP_MANIFEST: Final = """\
name = "{name}"
label = "1.0"
license = "Apache-2.0"
source = "google-coral/test_data"
task = "imagenet"
backends = ["onnx"]
[artefact]
file = "{file}"
bytes = {size}
blake3 = "{digest}"
[input]
size = 128
crop = 1.0
resample = "bilinear"
channel_order = "rgb"
layout = "nchw"
mean = [127.5, 127.5, 127.5]
scale = [{scale}, {scale}, {scale}]
[output]
rule = "softmax of logits"
classes = 1000
[profile]
batch_max = 32
preferred = [8, 16, 32]
[accuracy]
top1 = 0.452
top5 = 0.719
images = 1000
caveat = "one photograph per class: not a validation accuracy"
"""
SIDE: Final = 224
CUTS: Final = 64
"""Different cuts of pictures; a number in the first pixels tells inputs of one cut apart."""

FULL: Final = Length(5, 20.0, 5.0)
QUICK: Final = Length(1, 5.0, 2.0)
PATIENCE_US: Final = 2_000_000
"""Long enough that every owner's answer counts."""

CHEAP_IN_FLIGHT: Final = 256
IN_FLIGHT: Final = 48


def bench(quick: bool) -> list[Figure]:
    """P4, if its models are there, and P5."""
    runs, seconds, warm_s = QUICK if quick else FULL
    found: list[Figure] = []
    if MODELS_VARIABLE in os.environ:
        with own_catalogue(Path(os.environ[MODELS_VARIABLE])) as names:
            owners = [(owner, names[place // 2]) for place, (owner, _) in enumerate(OWNERS)]
            engine = EngineTable("", max_batch=32, queue_max=1_024)
            cheap = [certified(owners, engine, CHEAP_SIDE, CHEAP_IN_FLIGHT, seconds, warm_s) for _ in range(runs)]
        found.append(figure("P4", "certified requests/s", [sample.rate for sample in cheap], (), **_middle(cheap)))
    fetch_set("imagenet")
    samples, floors = [], []
    for _ in range(runs):
        samples.append(certified(OWNERS, EngineTable("", max_batch=8), SIDE, IN_FLIGHT, seconds, warm_s))
        floors.append(bare_loops([model for _, model in OWNERS], SIDE, seconds / 2))
    rates = [sample.rate for sample in samples]
    found.append(figure("P5", "certified requests/s", rates, floors, **_middle(samples)))
    return found


def _middle(samples: Sequence[Sample]) -> dict[str, float]:
    return sorted(samples, key=lambda sample: sample.rate)[len(samples) // 2].summary()


def certified(
    owners: Sequence[tuple[str, str]],
    engine: EngineTable,
    side: int,
    in_flight: int,
    seconds: float,
    warm_s: float,
) -> Sample:
    """One run of a fresh group."""
    with passing_group(LocalGroup, engine, owners) as local, Load(local, cut_inputs(side), PATIENCE_US) as load:
        return load.closed(in_flight, seconds, warm_s)


def cut_inputs(side: int) -> Callable[[], Input]:
    """Raw inputs cut out of free pictures."""
    schema = task_schema("imagenet", read_labels(None))
    files = [Input(InputKind.ENCODED_IMAGE, (0, 0, 0), path.read_bytes()) for path in sorted(free_images())]
    pictures = [picture_array(given, schema) for given in files]
    random = np.random.default_rng(1)
    cuts = []
    for number in range(CUTS):
        picture = pictures[number % len(pictures)]
        top, left = (int(random.integers(0, length - side + 1)) for length in picture.shape[:2])
        cuts.append(picture[top : top + side, left : left + side].tobytes()[8:])
    count = secrets.randbits(40)

    def make() -> Input:
        nonlocal count
        count += 1
        return Input(InputKind.RAW_RGB8, (side, side, 3), count.to_bytes(8, "little") + cuts[count % CUTS])

    return make


@contextmanager
def own_catalogue(directory: Path) -> Iterator[list[str]]:
    """The cheap models in a catalogue of their own; their names."""
    before = os.environ.get("DROPBEARD_CACHE")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["DROPBEARD_CACHE"] = cache
        try:
            for name, file in CHEAP.items():
                data = (directory / file).read_bytes()
                text = CHEAP_MANIFEST.format(
                    name=name, file=file, size=len(data), digest=blake3(data).hexdigest(), scale=1 / 127.5
                )
                manifest = Path(cache) / f"{name}.toml"
                manifest.write_text(text)
                add(manifest, directory / file)
            yield list(CHEAP)
        finally:
            del os.environ["DROPBEARD_CACHE"]
            if before is not None:
                os.environ["DROPBEARD_CACHE"] = before


def bare_loops(models: Sequence[str], side: int, seconds: float) -> float:
    """Inputs a second that all models together could take on the cores here, each prepared and run for each model."""
    start = multiprocessing.get_context("spawn")
    with start.Pool(len(models)) as pool:
        costs = pool.starmap(_bare_loop, [(model, side, seconds) for model in models], chunksize=1)
    return len(os.sched_getaffinity(0)) / sum(costs)


def _bare_loop(model: str, side: int, seconds: float) -> float:
    """CPU seconds for each input."""
    schema = task_schema("imagenet", read_labels(None))
    engine: Any = make_engine("onnx", load_manifest(model), schema, threads=1, batch_max=8)
    engine.load()
    engine.warm_up(8)
    make, done = cut_inputs(side), 0
    batch = [make() for _ in range(8)]
    until, before = time.monotonic() + seconds, time.process_time()
    while time.monotonic() < until:
        engine.infer([engine.prepare(given) for given in batch])
        done += len(batch)
    return (time.process_time() - before) / done
