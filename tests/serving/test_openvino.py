"""The OpenVINO backend answers what ONNX Runtime answers, but for rounding."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dropbeard.errors import EngineFailed
from dropbeard.serving.backends import make_engine
from dropbeard.serving.cache import store
from dropbeard.serving.catalogue import artefact_path
from dropbeard.serving.image_engine import ImageEngine
from dropbeard.serving.manifest import Manifest
from dropbeard.types.task import TaskSchema
from tests.serving.colours import manifest_of, plain

pytest.importorskip("openvino", reason="needs the extra openvino")


@pytest.fixture
def engine(manifest: Manifest, schema: TaskSchema) -> ImageEngine:
    loaded = make_engine("openvino", manifest, schema, threads=2)
    loaded.load()
    return loaded


def test_it_answers_as_onnx_runtime_does(engine: ImageEngine, manifest: Manifest, schema: TaskSchema) -> None:
    reference = make_engine("onnx", manifest, schema)
    reference.load()
    colours = np.random.default_rng(5).integers(0, 256, (8, 3))
    batch = [engine.prepare(plain(*(int(value) for value in row))) for row in colours]
    assert np.allclose(engine.logits(batch), reference.logits(batch), atol=1e-4)
    assert np.allclose(engine.logits(batch[:3]), reference.logits(batch[:3]), atol=1e-4)


def test_an_answer_is_not_overwritten_by_the_next(engine: ImageEngine) -> None:
    first = engine.logits([engine.prepare(plain(200, 9, 9))])
    before = first.copy()
    engine.logits([engine.prepare(plain(9, 200, 9))])
    assert np.array_equal(first, before)


def test_batches_that_run_at_once_are_answered_as_one_after_the_other(manifest: Manifest, schema: TaskSchema) -> None:
    engine = make_engine("openvino", manifest, schema, streams=2)
    engine.load()
    values = np.random.default_rng(4).integers(0, 256, (40, 3))
    prepared = [engine.prepare(plain(*(int(value) for value in row))) for row in values]
    with ThreadPoolExecutor(engine.in_flight) as callers:
        assert list(callers.map(lambda one: engine.infer([one]), prepared)) == [engine.infer([one]) for one in prepared]


def test_an_unloaded_engine_says_so_and_loads_again(engine: ImageEngine) -> None:
    engine.warm_up(4)
    engine.unload()
    with pytest.raises(EngineFailed, match="mean-colour is not loaded"):
        engine.warm_up(1)
    engine.load()
    engine.warm_up(1)


def test_a_file_that_is_no_model_is_one_clear_error(schema: TaskSchema) -> None:
    manifest = manifest_of(b"no model")
    store(artefact_path(manifest), b"no model")
    with pytest.raises(EngineFailed, match="OpenVINO cannot load mean-colour: ") as caught:
        make_engine("openvino", manifest, schema).load()
    assert "\n" not in str(caught.value)
