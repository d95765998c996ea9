"""Bodies that no honest client sends: each is refused in a line, with its code, before the group is asked."""

from __future__ import annotations

import http.client
import json
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropbeard.gateway.calls import Call
from dropbeard.gateway.faults import Fault, Reason
from dropbeard.gateway.http_body import JSON_BYTES_MAX, call_from
from dropbeard.gateway.rows import rows_of
from tests.gateway.pieces import MODEL, Served, serve_blocking
from tests.verification.building import world

TASK = world().group.task


def read(body: bytes, json_bytes: int | None = None) -> Call:
    return call_from(MODEL, "", body, json_bytes, "scores")


def body(**tensor: Any) -> bytes:
    plain = {"name": "image", "shape": [1, 1, 1, 3], "datatype": "UINT8", "data": [1, 2, 3]}
    return json.dumps({"inputs": [{**plain, **tensor}]}).encode()


@pytest.mark.parametrize("data", [[1, 2, 3], [[1, 2, 3]], [[[[1, 2, 3]]]]])
def test_values_may_be_nested_as_their_shape_or_flat(data: Any) -> None:
    (row,) = rows_of(read(body(data=data)), TASK, 4)
    assert (row.data, row.shape) == (b"\x01\x02\x03", (1, 1, 3))


def test_files_travel_in_json_as_base64() -> None:
    call = read(body(datatype="BYTES", shape=[2], data=["/9g=", "iVBORw=="]))
    assert [row.data for row in rows_of(call, TASK, 4)] == [b"\xff\xd8", b"\x89PNG"]


@pytest.mark.parametrize(
    ("sent", "part"),
    [
        (b"", "0 bytes"),
        (b"{", "not what the protocol asks for"),
        (b"[]", "not what the protocol asks for"),
        (b"\xff\xfe", "not what the protocol asks for"),
        (b'{"inputs":' + b"[" * 100_000, "not what the protocol asks for"),
        (b'{"inputs":[]}', "the call's are none"),
        (json.dumps({"inputs": [], "parameters": {"timeout": [1]}}).encode(), "not what the protocol asks for"),
        (json.dumps({"inputs": [], "outputs": [{"name": "x"}] * 33}).encode(), "33 outputs, at most 32"),
        (json.dumps({"inputs": [], "id": "x" * 1025}).encode(), "the id has more than"),
        (body(name="x\x1b[2J" * 50), "the model has one input"),
        (body(data=None), "needs 3 values, got 1"),
        (body(data=[1, 2]), "needs 3 values, got 2"),
        (body(data=[1, 2, 256]), "0 to 255"),
        (body(data=[1, 2, -1]), "0 to 255"),
        (body(data=[1, 2, 1.5]), "0 to 255"),
        (body(data=[1, 2, True]), "0 to 255"),
        (body(data=[[1], 2, [3]]), "0 to 255"),
        (body(shape=[]), "has the shape"),
        (body(shape=[1, 1, -1, -3]), "has the shape"),
        (body(shape=[1] * 1000), "has the shape"),
        (body(shape=[1 << 62, 1 << 62, 1, 3]), "needs"),
        (body(shape=[1.5]), "not what the protocol asks for"),
        (body(datatype="FP16"), "'FP16'; send UINT8"),
        (body(datatype="BYTES", shape=[1], data=["%"]), "base64"),
        (body(datatype="BYTES", shape=[1], data=[7]), "base64"),
        (body(parameters={"binary_data_size": 9}), "is said to have 9 bytes, the body has 0 more"),
        (body(parameters={"binary_data_size": -1}), "is said to have -1 bytes"),
        (body(parameters={"binary_data_size": True}), "is said to have True bytes"),
    ],
)
def test_what_does_not_fit_is_named(sent: bytes, part: str) -> None:
    with pytest.raises(Fault) as refused:
        rows_of(read(sent), TASK, 4)
    assert refused.value.reason is Reason.INVALID
    assert part in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400


def test_bytes_after_the_json_must_all_belong_to_inputs() -> None:
    head = body(parameters={"binary_data_size": 3}, data=None)
    with pytest.raises(Fault, match="2 bytes that belong to no input"):
        read(head + bytes(5), len(head))
    with pytest.raises(Fault, match="needs 3 bytes, got 2"):
        short = body(parameters={"binary_data_size": 2})
        read(short + bytes(2), len(short))
    with pytest.raises(Fault, match="is said to have"):
        read(head, len(head) + 1)


@pytest.mark.parametrize("tail", [b"", b"\x01", b"\x09\0\0\0abc", b"\x03\0\0\0abcd", b"\xff\xff\xff\xffabc"])
def test_elements_must_have_the_lengths_that_they_say(tail: bytes) -> None:
    head = body(datatype="BYTES", shape=[1], parameters={"binary_data_size": len(tail)})
    with pytest.raises(Fault, match="are not 1 elements"):
        read(head + tail, len(head))


def test_json_is_bounded_apart_from_tensors() -> None:
    with pytest.raises(Fault) as refused:
        read(bytes(JSON_BYTES_MAX + 1))
    assert refused.value.reason is Reason.TOO_LARGE


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.one_of(st.none(), st.integers(0, 320)))
def test_no_bytes_are_more_than_a_fault(sent: bytes, json_bytes: int | None) -> None:
    try:
        rows_of(read(sent, json_bytes), TASK, 4)
    except Fault as fault:
        assert fault.reason is Reason.INVALID
    except Exception as wrong:
        assert type(wrong).__name__ == "InputInvalid"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("name", "shape", "datatype", "parameters", "data"), VALUES)))
def test_no_tensor_is_more_than_a_fault(tensor: dict[str, Any]) -> None:
    try:
        rows_of(read(body(**tensor)), TASK, 4)
    except Fault as fault:
        assert fault.reason is Reason.INVALID
    except Exception as wrong:
        assert type(wrong).__name__ == "InputInvalid"


def post(served: Served, sent: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    line = http.client.HTTPConnection(served.http, timeout=30)
    line.request("POST", f"/v2/models/{MODEL}/infer", sent, headers)
    answer = line.getresponse()
    said = json.loads(answer.read())
    line.close()
    return answer.status, said


def test_a_body_that_unfolds_to_a_thousand_times_its_size_is_refused() -> None:
    def ask(served: Served) -> None:
        status, said = post(served, zlib.compress(bytes(256 << 20), 9), **{"Content-Encoding": "deflate"})
        assert status in (400, 413)
        assert "error" in said
        assert post(served, body())[0] == 200

    serve_blocking(ask)


@pytest.mark.parametrize(
    ("headers", "part"),
    [
        ({"Inference-Header-Content-Length": "-1"}, "no number"),
        ({"Inference-Header-Content-Length": "9" * 5000}, "no number"),
        ({"Content-Encoding": "gzip"}, ""),
    ],
)
def test_headers_are_not_believed(headers: dict[str, str], part: str) -> None:
    def ask(served: Served) -> None:
        status, said = post(served, body(), **headers)
        assert status == 400
        assert part in said["error"]

    serve_blocking(ask)


def test_paths_and_methods_that_are_none_are_answered_in_json() -> None:
    def ask(served: Served) -> None:
        for method, path, status in (
            ("GET", "/", 404),
            ("GET", f"/v2/models/{MODEL}/infer", 405),
            ("POST", f"/v2/repository/models/{MODEL}/load", 501),
            ("GET", "/v2/systemsharedmemory/status", 404),
        ):
            line = http.client.HTTPConnection(served.http, timeout=30)
            line.request(method, path)
            answer = line.getresponse()
            assert (answer.status, list(json.loads(answer.read()))) == (status, ["error"])
            line.close()

    serve_blocking(ask)
