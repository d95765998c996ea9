"""The synthetic backend takes its time and answers from the input's digest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbeard.errors import EngineFailed, InputInvalid
from dropbeard.serving.engine import Engine, EngineStats
from dropbeard.serving.synthetic import MeasuredTime, ServiceTime, SyntheticEngine, synthetic_output
from dropbeard.types.task import TaskSchema
from tests.serving.colours import encoded

COST = ServiceTime(batch_us=2000, input_us=500)


def loaded(schema: TaskSchema, slept: list[float], flavour: bytes = b"") -> Engine:
    engine = SyntheticEngine(schema, COST, flavour, slept.append)
    engine.load()
    return engine


def test_a_batch_takes_its_fixed_and_its_growing_part(schema: TaskSchema) -> None:
    slept: list[float] = []
    engine = loaded(schema, slept)
    engine.infer([engine.prepare(encoded(b"x"))] * 4)
    assert slept == [0.004]
    assert engine.stats() == EngineStats(batches=1, inputs=4, busy_us=4000)


def test_the_same_input_has_the_same_answer(schema: TaskSchema) -> None:
    engine = loaded(schema, [])
    first, second, other = engine.infer([engine.prepare(encoded(data)) for data in (b"x", b"x", b"yy")])
    assert first == second != other


def test_another_flavour_answers_otherwise(schema: TaskSchema) -> None:
    answers = {synthetic_output(b"digest", bytes([flavour]), schema) for flavour in range(16)}
    assert len(answers) > 1


def test_an_input_that_the_task_refuses_is_refused(schema: TaskSchema) -> None:
    with pytest.raises(InputInvalid, match="empty"):
        loaded(schema, []).prepare(encoded(b""))


def test_an_engine_that_is_not_loaded_says_so(schema: TaskSchema) -> None:
    engine = loaded(schema, [])
    prepared = engine.prepare(encoded(b"x"))
    engine.unload()
    with pytest.raises(EngineFailed, match="not loaded"):
        engine.infer([prepared])


@given(st.binary(max_size=40), st.integers(1, 30))
def test_every_answer_is_canonical(digest: bytes, top_k: int) -> None:
    schema = TaskSchema("numbers", tuple(str(number) for number in range(30)), top_k, 1, 1)
    output = synthetic_output(digest, b"", schema)
    assert schema.decode_output(output).encode() == output


@pytest.mark.parametrize(
    ("rows", "inputs", "us"),
    [
        (((4, 400),), 1, 100),
        (((4, 400),), 8, 800),
        (((1, 2_080), (8, 3_290), (32, 6_590)), 1, 2_080),
        (((1, 2_080), (8, 3_290), (32, 6_590)), 20, 4_940),
        (((1, 2_080), (8, 3_290), (32, 6_590)), 56, 9_890),
        (((2, 100), (4, 200)), 1, 50),
    ],
)
def test_a_measured_time_lies_on_lines_between_its_rows(
    rows: tuple[tuple[int, int], ...], inputs: int, us: int
) -> None:
    assert MeasuredTime(rows).seconds(inputs) == pytest.approx(us / 1e6)
