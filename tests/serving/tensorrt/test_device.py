"""An engine on the fake driver: what goes wrong is one line, and leaves nothing behind."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from dropbeard.errors import EngineFailed, ModelMissing
from dropbeard.serving.image_engine import ImageEngine
from dropbeard.serving.manifest import Manifest
from dropbeard.serving.onnx import OnnxRunner
from dropbeard.serving.tensorrt.plans import plan_key, store_plan
from dropbeard.serving.tensorrt.runner import TensorrtRunner
from dropbeard.types.task import TaskSchema
from tests.serving.colours import plain
from tests.serving.tensorrt.conftest import BATCH_MAX
from tests.serving.tensorrt.fakes.runtime import plan_of

DEVICE, PINNED = 0, 1


def engine_of(manifest: Manifest, schema: TaskSchema, libraries: Any, batch_max: int = BATCH_MAX) -> ImageEngine:
    return ImageEngine(manifest, schema, TensorrtRunner(batch_max, 0, libraries))


def left(driver: Any) -> tuple[int, int, int, int]:
    return (
        driver.fake_live(DEVICE),
        driver.fake_live(PINNED),
        driver.fake_live_streams(),
        driver.fake_live_events(),
    )


@pytest.fixture
def engine(planned: Manifest, schema: TaskSchema, driver: Any, libraries: Any) -> ImageEngine:
    loaded = engine_of(planned, schema, libraries)
    loaded.load()
    return loaded


def test_it_answers_as_onnx_runtime_does(engine: ImageEngine, planned: Manifest, schema: TaskSchema) -> None:
    reference = ImageEngine(planned, schema, OnnxRunner())
    reference.load()
    colours = np.random.default_rng(5).integers(0, 256, (BATCH_MAX, 3))
    batch = [engine.prepare(plain(*(int(value) for value in row))) for row in colours]
    assert np.allclose(engine.logits(batch), reference.logits(batch), atol=1e-4)
    engine.unload()


def test_nothing_is_left_when_it_is_unloaded(engine: ImageEngine, driver: Any) -> None:
    engine.warm_up(BATCH_MAX)
    assert all(left(driver))
    engine.unload()
    assert left(driver) == (0, 0, 0, 0)


def test_it_loads_again_after_it_was_unloaded(engine: ImageEngine) -> None:
    engine.unload()
    engine.load()
    engine.warm_up(BATCH_MAX)
    engine.unload()


def test_two_models_share_the_device(
    engine: ImageEngine, planned: Manifest, schema: TaskSchema, driver: Any, libraries: Any
) -> None:
    beside = engine_of(planned, schema, libraries)
    beside.load()
    engine.unload()
    beside.warm_up(BATCH_MAX)
    beside.unload()
    assert left(driver) == (0, 0, 0, 0)


def test_a_batch_larger_than_the_plan_is_refused_and_the_next_one_runs(engine: ImageEngine) -> None:
    for _ in range(5):
        with pytest.raises((EngineFailed, ValueError)):
            engine.logits([engine.prepare(plain(1, 2, 3))] * (BATCH_MAX + 1))
    engine.warm_up(BATCH_MAX)
    engine.unload()


def test_a_plan_that_does_not_know_the_largest_batch_is_refused_and_the_next_batch_runs(
    planned: Manifest, schema: TaskSchema, driver: Any, libraries: Any
) -> None:
    store_plan(plan_key(planned, libraries.device_name(0), libraries.version), plan_of(2))
    engine = engine_of(planned, schema, libraries)
    engine.load()
    image = engine.prepare(plain(1, 2, 3))
    for _ in range(5):
        with pytest.raises(EngineFailed, match="a batch of 3 is outside the plan's profile"):
            engine.logits([image] * 3)
    assert len(engine.logits([image] * 2)) == 2
    engine.unload()


def test_a_batch_above_the_profile_is_refused_at_load(
    planned: Manifest, schema: TaskSchema, driver: Any, libraries: Any
) -> None:
    with pytest.raises(EngineFailed, match=r"max_batch is 9, the profile of mean-colour ends at 8"):
        engine_of(planned, schema, libraries, 9).load()


def test_a_model_without_a_plan_says_how_to_build_it(
    planned: Manifest, schema: TaskSchema, driver: Any, libraries: Any
) -> None:
    profile = msgspec.structs.replace(planned.profile, batch_max=16)
    with pytest.raises(ModelMissing, match="dropbeard engine build mean-colour --backend tensorrt"):
        engine_of(msgspec.structs.replace(planned, profile=profile), schema, libraries).load()


def test_a_plan_of_another_device_is_one_line(
    planned: Manifest, schema: TaskSchema, driver: Any, libraries: Any
) -> None:
    store_plan(plan_key(planned, libraries.device_name(0), libraries.version), b"of another device")
    with pytest.raises(EngineFailed, match=r"cannot load the plan of mean-colour .*incompatible device.*engine build"):
        engine_of(planned, schema, libraries).load()
    assert left(driver) == (0, 0, 0, 0)


def test_a_plan_of_another_shape_than_the_manifest_is_refused(
    planned: Manifest, schema: TaskSchema, driver: Any, libraries: Any
) -> None:
    store_plan(plan_key(planned, libraries.device_name(0), libraries.version), plan_of(BATCH_MAX, side=9))
    with pytest.raises(EngineFailed, match=r"takes \[3, 9, 9\].*says \[3, 8, 8\]"):
        engine_of(planned, schema, libraries).load()
    assert left(driver) == (0, 0, 0, 0)


def test_too_little_memory_is_one_line_and_leaves_nothing(
    planned: Manifest, schema: TaskSchema, driver: Any, libraries: Any
) -> None:
    driver.fake_set_memory(10_000)
    with pytest.raises(EngineFailed, match="GPU 0 is out of memory: lower max_batch"):
        engine_of(planned, schema, libraries).load()
    assert left(driver) == (0, 0, 0, 0)
    driver.fake_set_memory(1 << 20)
    engine = engine_of(planned, schema, libraries)
    engine.load()
    engine.unload()


def test_too_little_memory_for_a_context_is_one_line_and_leaves_nothing(
    planned: Manifest, schema: TaskSchema, driver: Any, libraries: Any
) -> None:
    plan = plan_of(BATCH_MAX, contexts=2)
    store_plan(plan_key(planned, libraries.device_name(0), libraries.version), plan)
    with pytest.raises(EngineFailed, match="GPU 0 is out of memory: lower max_batch"):
        engine_of(planned, schema, libraries).load()
    assert left(driver) == (0, 0, 0, 0)


def test_a_lost_device_is_found_and_stays_lost(engine: ImageEngine, driver: Any) -> None:
    engine.check()
    driver.fake_lose(1)
    with pytest.raises(EngineFailed, match=r"GPU 0 was lost .*restart the engine"):
        engine.check()
    driver.fake_lose(0)
    with pytest.raises(EngineFailed, match="GPU 0 was lost"):
        engine.warm_up(1)
    engine.unload()


def test_a_gpu_that_is_not_there_is_one_line(
    planned: Manifest, schema: TaskSchema, driver: Any, libraries: Any
) -> None:
    with pytest.raises(EngineFailed, match="there is no GPU 3: this machine has 1"):
        ImageEngine(planned, schema, TensorrtRunner(1, 3, libraries)).load()
