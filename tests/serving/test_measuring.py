"""A real engine answers tasks that do not classify in canonical bytes, whatever its library."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dropbeard.errors import ConfigInvalid, EngineFailed
from dropbeard.serving.backends import make_engine
from dropbeard.serving.cache import store
from dropbeard.serving.catalogue import artefact_path
from dropbeard.serving.image_engine import ImageEngine
from dropbeard.serving.manifest import ImageBackend, parse_manifest
from dropbeard.serving.outputs import fixed_point
from dropbeard.serving.synthetic import synthetic_output
from dropbeard.types.outputs import Box, Boxes, Element, Numbers, OutputForm, OutputKind
from dropbeard.types.task import Output, TaskSchema
from tests.serving.colours import TEXT, plain
from tests.serving.measuring import BOXES, COLOURS, EMBEDDING, SCORES, TENSOR, linear_model, measuring_manifest

BACKENDS: list[ImageBackend] = ["onnx", "openvino"]
ZEROS = np.zeros(3)


def engine_of(
    model: bytes, output: str, schema: TaskSchema, backend: ImageBackend = "onnx", *, loaded: bool = True
) -> ImageEngine:
    """An engine of this model, loaded unless asked otherwise."""
    manifest = measuring_manifest(model, output)
    store(artefact_path(manifest), model)
    engine = make_engine(backend, manifest, schema)
    if loaded:
        engine.load()
    return engine


def answers(engine: ImageEngine, schema: TaskSchema, *colours: tuple[int, int, int]) -> list[Output]:
    """Answers to pictures of one colour each, as one batch."""
    outputs = engine.infer([engine.prepare(plain(*colour)) for colour in colours])
    return [schema.read_output(output) for output in outputs]


def values(answer: Output) -> tuple[int, ...]:
    """Numbers of an answer that has them."""
    assert isinstance(answer, Numbers)
    return answer.values


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_embedding_is_quantised_and_normalised_where_the_manifest_says_so(backend: ImageBackend) -> None:
    model = linear_model(COLOURS, ZEROS, (3,))
    raw = engine_of(model, 'rule = "embedding"\nnumbers = 3', EMBEDDING, backend)
    unit = engine_of(model, 'rule = "embedding"\nnumbers = 3\nnormalise = true', EMBEDDING, backend)
    colours = ((128, 64, 0), (0, 0, 0), (96, 0, 128))
    assert [values(row) for row in answers(raw, EMBEDDING, *colours)] == [
        (16_384, 8_192, 0),
        (0, 0, 0),
        (12_288, 0, 16_384),
    ]
    first, zero, last = (values(row) for row in answers(unit, EMBEDDING, *colours))
    assert zero == (0, 0, 0)
    assert last == (round(0.6 * 16_384), 0, round(0.8 * 16_384))
    assert abs(sum(value * value for value in first) - 16_384**2) < 16_384 * 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_scores_are_scaled_as_the_manifest_says(backend: ImageBackend) -> None:
    model = linear_model(COLOURS, [0, 0, 0.5], (3,))
    engine = engine_of(model, 'rule = "scores"\nnumbers = 3\nmultiply = 10\nadd = -1.5', SCORES, backend)
    # 10 x - 1.5 in sixteenths.
    assert [values(row) for row in answers(engine, SCORES, (128, 64, 0))] == [(136, 56, 56)]


def test_what_does_not_fit_becomes_the_nearest_that_does() -> None:
    model = linear_model(COLOURS * 1e6, ZEROS, (3,))
    engine = engine_of(model, 'rule = "scores"\nnumbers = 3\nadd = -5000', SCORES)
    assert values(answers(engine, SCORES, (128, 0, 0))[0]) == (32_767, -32_768, -32_768)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_tensor_keeps_its_shape(backend: ImageBackend) -> None:
    model = linear_model(COLOURS * 128, ZEROS, (1, 3))
    engine = engine_of(model, 'rule = "tensor"\nshape = [1, 3]', TENSOR, backend)
    assert [values(row) for row in answers(engine, TENSOR, (200, 7, 0), (1, 2, 3))] == [(200, 7, 0), (1, 2, 3)]


ROWS = np.array(
    [
        [2, 2, 6, 6, 0.5, 0],
        [0, 0, 8, 4, 0.75, 1],
        [1, 1, 1, 3, 0.99, 0],
        [1, 1, 3, 3, 0.04, 0],
        [1, 1, 3, 3, 0.9, -1],
        [-3, 0, 9, 4, 0.3, 0],
    ]
)
"""A cat, a dog, a box of no width, one below the least score, an empty row, the worst cat."""


@pytest.mark.parametrize("backend", BACKENDS)
def test_boxes_are_put_into_the_centre_square_best_first(backend: ImageBackend) -> None:
    model = linear_model(np.zeros((36, 3)), ROWS.ravel(), (6, 6))
    engine = engine_of(model, 'rule = "boxes"\nrows = 6\ncoordinates = "pixels"\nscore_min = 0.05', BOXES, backend)
    # The model saw the inner half of the square: 0..8 pixels are its second and third quarter.
    quarter, half, most = 16_384, 32_768, 49_151
    dog = Box(1, quarter, quarter, most, half, 49_151)
    cat = Box(0, 24_576, 24_576, 40_959, 40_959, 32_768)
    assert answers(engine, BOXES, (9, 9, 9)) == [Boxes((dog, cat))]


def test_boxes_in_shares_are_the_same_as_in_pixels() -> None:
    rows = ROWS.copy()
    rows[:, :4] /= 8
    model = linear_model(np.zeros((36, 3)), rows.ravel(), (6, 6))
    shares = engine_of(model, 'rule = "boxes"\nrows = 6\ncoordinates = "shares"\nscore_min = 0', BOXES)
    pixels = engine_of(
        linear_model(np.zeros((36, 3)), ROWS.ravel(), (6, 6)),
        'rule = "boxes"\nrows = 6\ncoordinates = "pixels"\nscore_min = 0',
        BOXES,
    )
    assert answers(shares, BOXES, (9, 9, 9)) == answers(pixels, BOXES, (9, 9, 9))


def test_a_class_that_the_task_does_not_have_is_the_models_fault() -> None:
    rows = ROWS.copy()
    rows[0, 5] = 2
    model = linear_model(np.zeros((36, 3)), rows.ravel(), (6, 6))
    engine = engine_of(model, 'rule = "boxes"\nrows = 6\ncoordinates = "pixels"\nscore_min = 0', BOXES)
    with pytest.raises(EngineFailed, match="names class 2, the task has 2"):
        answers(engine, BOXES, (9, 9, 9))


def test_numbers_that_are_not_finite_are_refused() -> None:
    model = linear_model(COLOURS * 3e38, ZEROS, (3,))
    engine = engine_of(model, 'rule = "embedding"\nnumbers = 3', EMBEDDING)
    with pytest.raises(EngineFailed, match="not finite"):
        answers(engine, EMBEDDING, (255, 0, 0))


MISMATCHES = {
    "another kind": (
        'rule = "scores"\nnumbers = 3',
        EMBEDDING,
        "answers with scores, the task measures asks for embed",
    ),
    "another length": (
        'rule = "embedding"\nnumbers = 4',
        EMBEDDING,
        r"gives \[4\] numbers, the task measures asks for \[3\]",
    ),
    "another number of labels": ('rule = "scores"\nnumbers = 2', SCORES, r"gives \[2\] numbers"),
    "another shape": ('rule = "tensor"\nshape = [3, 1]', TENSOR, r"gives \[3, 1\] numbers"),
    "a classifier": (
        'rule = "embedding"\nnumbers = 3',
        TaskSchema("c", ("a", "b"), 1, 9, 9),
        "asks for classification",
    ),
    "not the model's": ('rule = "tensor"\nshape = [1, 3]', TENSOR, r"gives \[3\], its manifest says .* \[1, 3\]"),
}


@pytest.mark.parametrize("name", MISMATCHES)
def test_a_model_that_does_not_answer_the_task_is_refused(name: str) -> None:
    output, schema, message = MISMATCHES[name]
    engine = engine_of(linear_model(COLOURS, ZEROS, (3,)), output, schema, loaded=False)
    with pytest.raises(EngineFailed, match=message):
        engine.load()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('rule = "embedding"', 'rule = "guess"', "guess"),
        ("numbers = 3", "numbers = 3\nclasses = 3", "classes"),
        ("[profile]", "[accuracy]\ntop1 = 1\ntop5 = 1\nimages = 1\ncaveat = 'x'\n[profile]", r"has \[accuracy\]"),
        ("[profile]", "[[reference]]\npicture = 'a.png'\nchoices = [[1, 1]]\n[profile]", "is of a classifier"),
    ],
)
def test_a_manifest_that_mixes_kinds_is_refused(old: str, new: str, message: str) -> None:
    text = measuring_manifest(b"model", 'rule = "embedding"\nnumbers = 3').file_bytes.decode()
    assert old in text
    with pytest.raises(ConfigInvalid, match=message):
        parse_manifest(text.replace(old, new).encode(), "test")


def test_a_classifier_states_its_accuracy() -> None:
    text = TEXT.format(bytes=1, blake3="0" * 64, classes=2)
    with pytest.raises(ConfigInvalid, match=r"has \[accuracy\]"):
        parse_manifest(text[: text.index("[accuracy]")].encode(), "test")


@pytest.mark.parametrize("element", list(Element))
@given(data=st.data())
def test_fixed_point_is_the_nearest_number_of_the_element(element: Element, data: st.DataObject) -> None:
    bits = data.draw(st.integers(0, 8 * element.bytes - 1))
    form = OutputForm(OutputKind.TENSOR, (3,), element, bits)
    floats = st.floats(-(2.0**40), 2.0**40, width=32)
    raw: npt.NDArray[np.float32] = data.draw(arrays(np.float32, (2, 3), elements=floats))
    low, high = element.bounds
    for row, output in zip(raw, fixed_point(raw, form), strict=True):
        found = np.frombuffer(output, f"<{element.letter}")
        for given_number, number in zip(row, found, strict=True):
            exact = float(given_number) * 2**bits
            if low <= exact <= high and abs(exact) < 2**52:
                assert int(number) == round(exact)
            elif exact > high:
                assert int(number) >= high - high // 2**52
            elif exact < low:
                assert int(number) == low


def test_whole_numbers_of_64_bits_stay_exact() -> None:
    form = OutputForm(OutputKind.TENSOR, (2,), Element.I64)
    raw = np.array([[2**62 + 1, -(2**63)]], np.int64)
    assert np.frombuffer(fixed_point(raw, form)[0], "<i8").tolist() == raw[0].tolist()


@pytest.mark.parametrize("schema", [EMBEDDING, SCORES, BOXES, TENSOR], ids=lambda schema: schema.kind.name)
@given(digest=st.binary(min_size=32, max_size=32))
def test_synthetic_answers_of_every_kind_are_canonical(schema: TaskSchema, digest: bytes) -> None:
    output = synthetic_output(digest, b"one", schema)
    assert schema.read_output(output).encode() == output
