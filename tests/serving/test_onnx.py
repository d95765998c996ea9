"""The ONNX Runtime backend answers what its model computes, whatever the batch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import onnx
import pytest

from dropbeard.errors import EngineFailed, InputInvalid, ModelMissing
from dropbeard.serving.backends import make_engine
from dropbeard.serving.cache import store
from dropbeard.serving.catalogue import artefact_path, fetch, models_of
from dropbeard.serving.engine import EngineStats
from dropbeard.serving.image_engine import ImageEngine
from dropbeard.serving.labels import imagenet_labels
from dropbeard.serving.manifest import Manifest
from dropbeard.serving.packages import package_file
from dropbeard.types.task import Input, InputKind, TaskSchema
from tests.serving.colours import encoded, manifest_of, mean_colour_model, plain


@pytest.fixture
def engine(manifest: Manifest, schema: TaskSchema) -> ImageEngine:
    loaded = make_engine("onnx", manifest, schema)
    loaded.load()
    return loaded


def best(engine: ImageEngine, schema: TaskSchema, *given: Input) -> list[int]:
    outputs = engine.infer([engine.prepare(one) for one in given])
    return [schema.decode_output(output).choices[0][0] for output in outputs]


def test_the_answer_is_the_models(engine: ImageEngine, schema: TaskSchema) -> None:
    inputs = [plain(200, 9, 9), plain(9, 200, 9), plain(9, 9, 200), plain(9, 9, 9)]
    assert best(engine, schema, *inputs) == [0, 1, 2, 3]


def test_the_answer_has_the_softmax_in_fixed_point(engine: ImageEngine, schema: TaskSchema) -> None:
    (output,) = engine.infer([engine.prepare(plain(112, 0, 0))])
    logits = np.array([7.0, 0.0, 0.0, 8.0])
    expected = np.exp(logits) / np.exp(logits).sum() * 65_535
    assert schema.decode_output(output).choices == ((3, round(expected[3])), (0, round(expected[0])))


def test_an_image_is_answered_alike_in_any_company(engine: ImageEngine) -> None:
    values = np.random.default_rng(3).integers(0, 256, (8, 3))
    prepared = [engine.prepare(plain(*(int(value) for value in row))) for row in values]
    alone = [engine.infer([one])[0] for one in prepared]
    assert engine.infer(prepared) == alone
    assert engine.infer(prepared[::-1]) == alone[::-1]


@pytest.mark.parametrize("threads", [1, 2])
def test_batches_that_run_at_once_are_answered_as_one_after_the_other(
    manifest: Manifest, schema: TaskSchema, threads: int
) -> None:
    engine = make_engine("onnx", manifest, schema, threads=threads, streams=3)
    engine.load()
    values = np.random.default_rng(4).integers(0, 256, (60, 3))
    prepared = [engine.prepare(plain(*(int(value) for value in row))) for row in values]
    batches = [prepared[first : first + size] for first, size in zip(range(50), [1, 2, 5, 10] * 13, strict=False)]
    with ThreadPoolExecutor(engine.in_flight) as callers:
        assert list(callers.map(engine.infer, batches)) == [engine.infer(batch) for batch in batches]


def test_copies_are_a_part_of_the_time_that_a_batch_took(engine: ImageEngine) -> None:
    before = engine.stats()
    engine.infer([engine.prepare(plain(1, 2, 3))] * 8)
    after = engine.stats()
    assert before.copied_us < after.copied_us < after.busy_us - before.busy_us


def test_no_inputs_have_no_outputs(engine: ImageEngine) -> None:
    assert engine.infer([]) == []


def test_a_bad_input_is_refused_before_it_joins_a_batch(engine: ImageEngine) -> None:
    with pytest.raises(InputInvalid):
        engine.prepare(encoded(b"no image"))


def test_statistics_count_batches_but_not_the_warm_up(engine: ImageEngine) -> None:
    engine.warm_up(4)
    assert engine.stats() == EngineStats()
    engine.infer([engine.prepare(plain(1, 2, 3))] * 3)
    stats = engine.stats()
    assert (stats.batches, stats.inputs) == (1, 3)


def test_an_unloaded_engine_says_so(engine: ImageEngine) -> None:
    prepared = engine.prepare(plain(1, 2, 3))
    engine.unload()
    with pytest.raises(EngineFailed, match="mean-colour is not loaded"):
        engine.infer([prepared])
    with pytest.raises(EngineFailed, match="mean-colour is not loaded"):
        engine.warm_up(2)
    engine.load()
    assert len(engine.infer([prepared])) == 1


def test_a_model_that_was_not_fetched_is_not_loaded(schema: TaskSchema) -> None:
    with pytest.raises(ModelMissing, match="dropbeard models fetch colours"):
        make_engine("onnx", manifest_of(mean_colour_model()), schema).load()


def test_a_file_that_is_no_model_is_one_clear_error(schema: TaskSchema) -> None:
    manifest = manifest_of(b"no model")
    store(artefact_path(manifest), b"no model")
    with pytest.raises(EngineFailed, match="cannot load mean-colour") as caught:
        make_engine("onnx", manifest, schema).load()
    assert "\n" not in str(caught.value)


def test_a_model_of_another_shape_than_its_manifest_is_refused(manifest: Manifest, schema: TaskSchema) -> None:
    other = msgspec.structs.replace(manifest, input=msgspec.structs.replace(manifest.input, size=9))
    with pytest.raises(EngineFailed, match=r"takes \[3, 8, 8\].*says \[3, 9, 9\]"):
        make_engine("onnx", other, schema).load()


def test_a_model_with_a_second_input_is_refused(schema: TaskSchema) -> None:
    model = onnx.load_from_string(mean_colour_model())
    model.graph.input.append(onnx.helper.make_tensor_value_info("more", onnx.TensorProto.FLOAT, [1]))
    manifest = manifest_of(model.SerializeToString())
    store(artefact_path(manifest), model.SerializeToString())
    with pytest.raises(EngineFailed, match="takes 2 inputs"):
        make_engine("onnx", manifest, schema).load()


def test_a_model_of_another_number_of_classes_than_the_task_is_refused(manifest: Manifest) -> None:
    with pytest.raises(EngineFailed, match="4 classes, the task pairs has 2"):
        make_engine("onnx", manifest, TaskSchema("pairs", ("a", "b"), 1, 100, 100)).load()


@pytest.mark.system
def test_the_real_models_see_what_they_saw_when_they_were_measured() -> None:
    # A photograph of a desk that one of the packages carries: best class and its units of 1/65535.
    data = package_file("ndf", "tests/book-2020460_640.jpg").read_bytes()
    schema = TaskSchema("imagenet", imagenet_labels(), 5, 16 << 20, 50_000_000)
    found = {}
    for manifest in models_of("imagenet"):
        fetch(manifest.name)
        engine = make_engine("onnx", manifest, schema, threads=2)
        engine.load()
        (output,) = engine.infer([engine.prepare(Input(InputKind.ENCODED_IMAGE, (0, 0, 0), data))])
        found[manifest.name] = schema.decode_output(output).choices[0]
    measured = {
        "efficientnet-lite0": (738, 25_554),
        "efficientnet-lite1": (738, 7_514),
        "efficientnet-lite2": (738, 3_554),
        "squeezenet1.1": (804, 5_338),
    }
    assert {name: class_id for name, (class_id, _) in found.items()} == {
        name: class_id for name, (class_id, _) in measured.items()
    }
    # Decoders and processors may differ by a little, a wrong mean or channel order differs by more.
    assert all(abs(found[name][1] - units) <= 100 for name, (_, units) in measured.items())
