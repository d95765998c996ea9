"""On a real GPU: plans of real models, answers against ONNX Runtime, nothing left behind. ``make gpu-check``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from dropbeard.errors import DropbeardError
from dropbeard.serving.backends import make_engine
from dropbeard.serving.catalogue import fetch
from dropbeard.serving.image_engine import ImageEngine
from dropbeard.serving.labels import imagenet_labels
from dropbeard.serving.manifest import load_manifest
from dropbeard.serving.packages import package_directory
from dropbeard.types.task import TaskSchema

MODEL = "squeezenet1.1"
BATCH_MAX = 32
TOLERANCE = 1e-2
PROBE_S = 60

Images = list[npt.NDArray[np.generic]]


def reason() -> str:
    """Why there is no GPU here; asked in a process of its own, which a broken driver may take down."""
    if package_directory("pycuda") is None:
        return "pycuda is not installed"
    probe = "from dropbeard.serving.tensorrt.libraries import load_libraries as f\nf()"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=PROBE_S, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason"])[-1]


NO_GPU = reason()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(NO_GPU), reason=f"no GPU with TensorRT: {NO_GPU}")]


def schema() -> TaskSchema:
    return TaskSchema("imagenet", imagenet_labels(), 5, 16 << 20, 50_000_000)


@pytest.fixture
def engine(cache: object) -> Iterator[ImageEngine]:
    from dropbeard.serving.tensorrt.command import build

    fetch(MODEL)
    build(MODEL, 0)
    loaded = make_engine("tensorrt", load_manifest(MODEL), schema(), batch_max=BATCH_MAX)
    loaded.load()
    yield loaded
    loaded.unload()


@pytest.fixture
def images() -> Images:
    manifest = load_manifest(MODEL)
    random = np.random.default_rng(3)
    size = manifest.input.size
    return list((random.random((BATCH_MAX, 3, size, size), np.float32) - 0.5) * 200)


@pytest.mark.parametrize("batch", [1, 3, 8, 32])
def test_it_answers_as_onnx_runtime_does(engine: ImageEngine, images: Images, batch: int) -> None:
    reference = make_engine("onnx", load_manifest(MODEL), schema())
    reference.load()
    expected = reference.logits(images[:batch])
    scale = float(np.abs(expected).max())
    assert np.allclose(engine.logits(images[:batch]), expected, atol=TOLERANCE * scale)


def test_equal_rows_of_a_batch_are_answered_alike(engine: ImageEngine, images: Images) -> None:
    answers = engine.logits([images[0]] * BATCH_MAX)
    assert np.allclose(answers, answers[0], atol=TOLERANCE * float(np.abs(answers).max()))


def test_a_thousand_batches_leave_no_memory_behind(engine: ImageEngine, images: Images) -> None:
    from dropbeard.serving.tensorrt.device import cuda_thread
    from dropbeard.serving.tensorrt.libraries import load_libraries

    libraries = load_libraries()
    thread = cuda_thread(libraries, 0)
    engine.warm_up(BATCH_MAX)
    before = thread.call(libraries.cuda.mem_get_info)[0]
    for _ in range(1000):
        engine.logits(images[:4])
    engine.unload()
    assert thread.call(libraries.cuda.mem_get_info)[0] >= before


def test_the_device_answers_its_watchdog(engine: ImageEngine) -> None:
    engine.check()


def test_a_second_model_is_loaded_beside_the_first(engine: ImageEngine, images: Images) -> None:
    beside = make_engine("tensorrt", load_manifest(MODEL), schema(), batch_max=BATCH_MAX)
    beside.load()
    assert np.array_equal(beside.logits(images[:2]).shape, engine.logits(images[:2]).shape)
    beside.unload()


def test_a_lack_of_memory_is_told_and_what_is_loaded_goes_on(engine: ImageEngine, images: Images) -> None:
    from dropbeard.serving.tensorrt.device import cuda_thread
    from dropbeard.serving.tensorrt.libraries import load_libraries

    cuda = load_libraries().cuda
    thread = cuda_thread(load_libraries(), 0)
    engine.warm_up(BATCH_MAX)
    beside = make_engine("tensorrt", load_manifest(MODEL), schema(), batch_max=BATCH_MAX)
    taken = thread.call(lambda: take_all_memory(cuda))
    try:
        with pytest.raises(DropbeardError, match="memory"):
            beside.load()
        assert len(engine.logits(images[:2])) == 2
    finally:
        thread.call(lambda: give_back(taken))
    beside.load()
    beside.unload()


def take_all_memory(cuda: Any) -> list[Any]:
    """In pieces from 64 GiB down, until not even a MiB is left."""
    taken: list[Any] = []
    size = 64 << 30
    while size >= 1 << 20:
        try:
            taken.append(cuda.mem_alloc(size))
        except cuda.MemoryError:
            size //= 2
    return taken


def give_back(taken: list[Any]) -> None:
    while taken:
        taken.pop().free()


def test_a_lost_device_is_told_and_its_process_ends_well(cache: object) -> None:
    from dropbeard.serving.tensorrt.command import build

    fetch(MODEL)
    build(MODEL, 0)
    command = [sys.executable, "-m", "tests.serving.tensorrt.lose_device", MODEL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S, check=False)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["answers", "lost", "lost", "lost", "ends"]), done.stderr


def test_a_model_without_a_plan_is_refused(cache: object) -> None:
    fetch(MODEL)
    with pytest.raises(DropbeardError, match="dropbeard engine build"):
        make_engine("tensorrt", load_manifest(MODEL), schema()).load()
