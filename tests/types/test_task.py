"""The task schema admits what it names and answers have one canonical form (rule 2.5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbeard.errors import InputInvalid, MessageInvalid
from dropbeard.types.task import PROBABILITY_ONE, Classification, Input, InputKind, TaskSchema

TASK = TaskSchema("pictures", tuple(f"class {number}" for number in range(6)), 3, 100, 50)
FILE = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), b"x" * 100)
ARRAY = Input(InputKind.RAW_RGB8, (5, 10, 3), bytes(150))


@given(st.permutations(range(6)), st.lists(st.integers(0, 20_000), min_size=3, max_size=3))
def test_decoding_gives_back_the_answer(ids: list[int], probabilities: list[int]) -> None:
    pairs = sorted(zip(ids, probabilities, strict=False), key=lambda choice: (-choice[1], choice[0]))
    answer = Classification(tuple(pairs))
    assert TASK.decode_output(answer.encode()) == answer


@pytest.mark.parametrize(
    "choices",
    [
        ((0, 5), (1, 4)),
        ((0, 5), (1, 4), (2, 3), (3, 2)),
        ((6, 5), (1, 4), (2, 3)),
        ((0, 5), (0, 4), (2, 3)),
        ((0, 4), (1, 5), (2, 3)),
        ((1, 5), (0, 5), (2, 3)),
        ((0, PROBABILITY_ONE), (1, 3), (2, 1)),
    ],
    ids=["too few", "too many", "unknown class", "class twice", "disorder", "tie in disorder", "more than one"],
)
def test_an_answer_that_is_not_canonical_is_refused(choices: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(MessageInvalid):
        TASK.decode_output(Classification(choices).encode())


def test_the_sum_may_exceed_one_by_rounding_only() -> None:
    assert TASK.decode_output(Classification(((0, PROBABILITY_ONE), (1, 2), (2, 1))).encode()).choices[0] == (0, 65_535)


@pytest.mark.parametrize("given_input", [FILE, replace(FILE, data=b"x"), ARRAY, replace(ARRAY, shape=(10, 5, 3))])
def test_an_input_within_the_limits_is_accepted(given_input: Input) -> None:
    TASK.check_input(given_input)


@pytest.mark.parametrize(
    "given_input",
    [
        replace(FILE, data=b""),
        replace(FILE, data=b"x" * 101),
        replace(FILE, shape=(1, 1, 3)),
        replace(ARRAY, shape=(5, 10, 4)),
        replace(ARRAY, shape=(0, 10, 3)),
        replace(ARRAY, shape=(5, 9, 3)),
        replace(ARRAY, shape=(5, 11, 3), data=bytes(165)),
    ],
    ids=["empty", "too long", "a file with a shape", "four channels", "no rows", "bytes left over", "too many pixels"],
)
def test_an_input_beyond_them_is_refused(given_input: Input) -> None:
    with pytest.raises(InputInvalid):
        TASK.check_input(given_input)


def test_the_digest_of_an_input_covers_kind_shape_and_bytes() -> None:
    inputs = [
        ARRAY,
        replace(ARRAY, shape=(10, 5, 3)),
        replace(ARRAY, data=bytes(149) + b"\x01"),
        Input(InputKind.ENCODED_IMAGE, ARRAY.shape, ARRAY.data),
    ]
    assert len({given_input.digest() for given_input in inputs}) == len(inputs)
