"""Answers that are no classification have one canonical form each, and a genesis says which (rules 1.3, 2.5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbeard.errors import ConfigInvalid, MessageInvalid
from dropbeard.types import limits
from dropbeard.types.genesis_file import genesis_from_toml, genesis_to_toml
from dropbeard.types.outputs import Box, Boxes, Element, Numbers, OutputForm, OutputKind, boxes_in_order
from dropbeard.types.task import TaskSchema
from dropbeard.types.task_table import read_task
from tests.verification.building import world
from tests.verification.portable_file import portable

GROUP = world().group
EMBEDDING = OutputForm(OutputKind.EMBEDDING, (4,), Element.I16, 14)
SCORES = OutputForm(OutputKind.SCORES, (2,), Element.I32, 8, scale=256, unit="EUR")
BOXES = OutputForm(OutputKind.BOXES, (3,), Element.U16)
TENSOR = OutputForm(OutputKind.TENSOR, (2, 3), Element.U8)
TASKS = {
    "embedding": TaskSchema("vectors", (), 0, 100, 50, EMBEDDING),
    "scores": TaskSchema("prices", ("low", "high"), 0, 100, 50, SCORES),
    "boxes": TaskSchema("pets", ("cat", "dog"), 0, 100, 50, BOXES),
    "tensor": TaskSchema("maps", (), 0, 100, 50, TENSOR),
}

units = st.integers(0, 65_535)


@st.composite
def real_boxes(draw: st.DrawFn) -> Box:
    """A box with an area."""
    x0, x1 = sorted(draw(st.lists(units, min_size=2, max_size=2, unique=True)))
    y0, y1 = sorted(draw(st.lists(units, min_size=2, max_size=2, unique=True)))
    return Box(draw(st.integers(0, 1)), x0, y0, x1, y1, draw(units))


@pytest.mark.parametrize("form", [EMBEDDING, SCORES, TENSOR], ids=["embedding", "scores", "tensor"])
@given(st.data())
def test_numbers_read_back_as_they_were_written(form: OutputForm, data: st.DataObject) -> None:
    numbers = st.lists(st.integers(*form.element.bounds), min_size=form.numbers, max_size=form.numbers)
    answer = Numbers(form, tuple(data.draw(numbers)))
    task = next(task for task in TASKS.values() if task.form == form)
    assert task.read_output(answer.encode()) == answer


@given(st.lists(real_boxes(), max_size=3))
def test_boxes_read_back_in_one_order(boxes: list[Box]) -> None:
    answer = boxes_in_order(boxes)
    assert boxes_in_order(boxes[::-1]) == answer
    assert TASKS["boxes"].read_output(answer.encode()) == answer


def test_a_number_stands_for_its_share_of_a_power_of_two() -> None:
    assert Numbers(SCORES, (256, -384)).reals() == (1.0, -1.5)


CAT = Box(0, 1, 2, 30, 40, 900)
WRONG_BOXES = {
    "too many": Boxes(tuple(CAT._replace(score=9 - number) for number in range(4))).encode(),
    "unknown class": Boxes((CAT._replace(class_id=2),)).encode(),
    "no width": Boxes((CAT._replace(x1=1),)).encode(),
    "upside down": Boxes((CAT._replace(y1=1),)).encode(),
    "disorder": Boxes((CAT._replace(score=1), CAT)).encode(),
    "tie in disorder": Boxes((CAT._replace(class_id=1), CAT)).encode(),
    "one twice": Boxes((CAT, CAT)).encode(),
    "a byte more": Boxes((CAT,)).encode() + b"\0",
    "cut off": Boxes((CAT,)).encode()[:-1],
    "empty": b"",
}


def portable_accepts(task: TaskSchema, output: bytes) -> bool:
    """What the second verifier says of the same bytes."""
    genesis = portable.read_genesis(genesis_to_toml(replace(GROUP, task=task)))
    return bool(portable.well_formed(output, genesis))


@pytest.mark.parametrize("name", WRONG_BOXES)
def test_boxes_that_are_not_canonical_are_refused_by_both_verifiers(name: str) -> None:
    with pytest.raises(MessageInvalid):
        TASKS["boxes"].read_output(WRONG_BOXES[name])
    assert not portable_accepts(TASKS["boxes"], WRONG_BOXES[name])


@pytest.mark.parametrize("good", [Boxes(()), Boxes((CAT,)), Boxes((CAT, CAT._replace(class_id=1)))])
def test_both_verifiers_accept_canonical_boxes(good: Boxes) -> None:
    assert TASKS["boxes"].read_output(good.encode()) == good
    assert portable_accepts(TASKS["boxes"], good.encode())


@pytest.mark.parametrize("kind", ["embedding", "scores", "tensor"])
def test_numbers_of_another_size_are_refused_by_both_verifiers(kind: str) -> None:
    form = TASKS[kind].form
    assert form is not None
    for size in (0, form.layout.size - 1, form.layout.size + 1):
        with pytest.raises(MessageInvalid):
            TASKS[kind].read_output(bytes(size))
        assert not portable_accepts(TASKS[kind], bytes(size))
    assert portable_accepts(TASKS[kind], bytes(form.layout.size))


def test_a_task_that_does_not_classify_gives_no_classification() -> None:
    with pytest.raises(MessageInvalid, match="the task vectors answers with embedding"):
        TASKS["embedding"].decode_output(bytes(8))


@pytest.mark.parametrize("kind", TASKS)
def test_a_genesis_of_any_kind_reads_back_as_the_same_group_in_both_verifiers(kind: str) -> None:
    group = replace(GROUP, task=TASKS[kind])
    text = genesis_to_toml(group)
    assert genesis_from_toml(text) == group
    assert portable.read_genesis(text).id == group.id


def test_every_value_of_a_form_makes_another_group() -> None:
    forms = [
        SCORES,
        replace(SCORES, element=Element.I64),
        replace(SCORES, fraction_bits=9),
        replace(SCORES, scale=257),
        replace(SCORES, unit="USD"),
        OutputForm(OutputKind.TENSOR, (2,), Element.I32, 8, scale=256, unit="EUR"),
        OutputForm(OutputKind.TENSOR, (2, 1), Element.I32, 8, scale=256, unit="EUR"),
    ]
    groups = {replace(GROUP, task=replace(TASKS["scores"], form=form)).id for form in forms}
    assert len(groups) == len(forms)


def test_a_classification_keeps_the_bytes_that_it_always_had() -> None:
    task = TaskSchema("pets", ("cat", "dog"), 2, 1_048_576, 1_000_000)
    assert task.encode().hex() == "04007065747302000000100040420f0002000000030063617403" + "00646f67"
    assert "kind" not in genesis_to_toml(GROUP)


TABLE = '[task]\nname = "t"\nencoded_bytes_max = 100\npixels_max = 100\n'
WRONG_TABLES = {
    'kind = "embeding"\nshape = [4]': "did you mean `embedding`",
    'kind = "embedding"': "needs `shape`",
    'kind = "embedding"\nshape = [4, 4]': "2 dimensions",
    'kind = "embedding"\nshape = []': "0 dimensions",
    'kind = "embedding"\nshape = [0]': "a dimension of shape",
    'kind = "embedding"\nshape = [-1]': "a dimension of shape",
    'kind = "embedding"\nshape = [8193]': "more than 16384 bytes",
    'kind = "embedding"\nshape = [4]\nfraction_bits = 16': "fraction_bits = 16 does not fit i16",
    'kind = "embedding"\nshape = [4]\nscale = 1': "it has no scale",
    'kind = "embedding"\nshape = [4]\ntop_k = 1': "top_k belongs to a classification",
    'kind = "embedding"\nshape = [4]\nlabels = ["a"]': "needs no labels",
    'kind = "embedding"\nshape = [4]\nelement = "f32"': "element",
    'kind = "scores"\nlabels = ["a"]': "scale = 0 must be 1",
    'kind = "scores"\nlabels = ["a"]\nshape = [1]\nscale = 1': "scores have no shape",
    'kind = "scores"\nscale = 1': "needs 1 to",
    'kind = "scores"\nlabels = ["a"]\nscale = 4294967296': "scale = 4294967296",
    'kind = "scores"\nlabels = ["a"]\nscale = 1\nunit = " x"': "unit",
    'kind = "boxes"\nlabels = ["a"]\nshape = [257]': "at most 256",
    'kind = "boxes"\nlabels = ["a"]\nshape = [9]\nelement = "i16"': "boxes are u16",
    'kind = "tensor"\nshape = [1, 1, 1, 1, 1]': "5 dimensions",
    'kind = "tensor"\nshape = [200, 200]': "more than 16384 bytes",
    'labels = ["a", "b"]\ntop_k = 1\nscale = 3': "a classification has no scale",
    'labels = ["a", "b"]': "top_k = None",
}


@pytest.mark.parametrize("text", WRONG_TABLES)
def test_a_wrong_task_table_is_one_line_that_names_the_file(text: str) -> None:
    with pytest.raises(ConfigInvalid) as wrong:
        read_task(TABLE + text, "T.toml")
    assert str(wrong.value).startswith("T.toml")
    assert WRONG_TABLES[text] in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_the_largest_answers_fit_into_a_message() -> None:
    largest = OutputForm(OutputKind.BOXES, (limits.BOXES_MAX,), Element.U16)
    boxes = Boxes(tuple(Box(0, 0, 0, 1, 1, 65_535 - number) for number in range(limits.BOXES_MAX)))
    task = replace(TASKS["boxes"], form=largest)
    assert len(task.read_output(boxes.encode()).encode()) <= limits.OUTPUT_BYTES_MAX
