"""Logits become canonical answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbeard.errors import EngineFailed
from dropbeard.serving.outputs import softmax, top_choices
from dropbeard.types.task import TaskSchema

SCHEMA = TaskSchema("letters", tuple("abcdefgh"), 8, 1, 1)

ROWS = st.lists(st.floats(-500, 500, width=32), min_size=8, max_size=8)


def choices(*logits: float, top_k: int = 8) -> list[tuple[int, int]]:
    """What is answered for one row."""
    output = top_choices(np.array([logits], np.float32), top_k)[0]
    return list(TaskSchema("letters", SCHEMA.labels, top_k, 1, 1).decode_output(output).choices)


def test_a_probability_is_in_units_of_one_in_65535() -> None:
    assert choices(np.log(3), 0, *[-1000] * 6, top_k=2) == [(0, 49_151), (1, 16_384)]


def test_equal_probabilities_go_by_class_id() -> None:
    assert choices(*[1.0] * 8) == [(class_id, 8192) for class_id in range(8)]


def test_logits_that_differ_by_less_than_a_unit_go_by_class_id() -> None:
    # 435.6 units each, and the later class has a little more.
    assert choices(5.0, 0.0, 0.00001, *[-1000] * 5, top_k=3)[1:] == [(1, 436), (2, 436)]


def test_large_logits_do_not_overflow() -> None:
    assert choices(3e38, *[-3e38] * 7, top_k=1) == [(0, 65_535)]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_output_that_is_not_finite_is_an_error(value: float) -> None:
    with pytest.raises(EngineFailed, match="not finite"):
        top_choices(np.array([[0.0, value]], np.float32), 1)


@given(ROWS)
def test_every_answer_is_canonical(row: list[float]) -> None:
    output = top_choices(np.array([row], np.float32), 8)[0]
    assert SCHEMA.decode_output(output).encode() == output


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_rows_do_not_touch_each_other(rows: list[list[float]]) -> None:
    together = top_choices(np.array(rows, np.float32), 3)
    assert together == [top_choices(np.array([row], np.float32), 3)[0] for row in rows]


@given(ROWS)
def test_probabilities_add_up_to_one(row: list[float]) -> None:
    assert abs(softmax(np.array([row], np.float32)).sum() - 1) < 1e-12
