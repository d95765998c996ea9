"""Bytes of requests and responses, and the vote."""

from __future__ import annotations

import json

import pytest

from dropbeard.types.task import Classification, TaskSchema
from perf.peers.http_messages import answer_in, head_of, voted
from perf.peers.workload import Workload

WORKLOAD = Workload("model", 4, 8, 5, 1, 32)
TASK = TaskSchema("digits", tuple("0123456789"), 2, 100, 100)
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello"


def best(class_id: int) -> bytes:
    return Classification(((class_id, 60_000), ((class_id + 1) % 10, 5_000))).encode()


def test_a_request_says_how_long_the_picture_is() -> None:
    head = head_of("/predict", WORKLOAD)
    assert head.startswith(b"POST /predict HTTP/1.1\r\n") and head.endswith(b"\r\n\r\n")
    assert b"Content-Length: 48\r\n" in head


def test_a_request_to_triton_has_its_json_before_the_picture() -> None:
    head, _, given = head_of("/v2/models/m/infer", WORKLOAD).partition(b"\r\n\r\n")
    assert json.loads(given)["inputs"][0]["shape"] == [1, 48]
    assert f"Inference-Header-Content-Length: {len(given)}\r\n".encode() in head + b"\r\n"
    assert f"Content-Length: {len(given) + 48}".encode() in head


@pytest.mark.parametrize("length", range(len(RESPONSE)))
def test_a_part_of_a_response_is_no_response(length: int) -> None:
    assert answer_in(bytearray(RESPONSE[:length])) is None


def test_a_response_ends_where_it_says() -> None:
    assert answer_in(bytearray(RESPONSE + b"HTTP/1.1 ")) == (200, b"hello", len(RESPONSE))


def test_the_json_of_triton_is_no_part_of_the_answer() -> None:
    whole = b"HTTP/1.1 200 OK\r\nInference-Header-Content-Length: 2\r\nContent-Length: 5\r\n\r\n{}abc"
    assert answer_in(bytearray(whole)) == (200, b"abc", len(whole))


def test_a_response_without_a_length_ends_the_measurement() -> None:
    with pytest.raises(SystemExit, match="does not say how long"):
        answer_in(bytearray(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))


def test_the_class_that_most_answers_put_first_wins_and_a_tie_decides_nothing() -> None:
    assert voted([best(3), best(3), best(4), best(3)], TASK) == 3
    assert voted([best(3), best(3), best(4), best(4)], TASK) is None
    assert voted([best(7)], TASK) == 7
