"""The real tritonclient, unchanged, by HTTP: what an image client calls works, and what goes wrong has its code."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from dropbeard.errors import GroupUnreachable, InputInvalid, RequestExpired, RequestRejected
from dropbeard.types.certificates import decode_certificate
from dropbeard.types.task import Input, InputKind
from dropbeard.verification.certificate import verify
from tests.gateway.pieces import MODEL, Served, Teller, serve, serve_blocking


def pictures(rows: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(rows).integers(0, 255, (rows, 6, 5, 3), dtype=np.uint8)


def tensor(array: np.ndarray[Any, Any], datatype: str = "UINT8", binary: bool = True) -> triton.InferInput:
    given = triton.InferInput("image", list(array.shape), datatype)
    given.set_data_from_numpy(array, binary_data=binary)
    return given


def test_tritonclient_finds_a_server_that_lives_and_a_model_that_is_ready() -> None:
    def ask(served: Served) -> None:
        with triton.InferenceServerClient(served.http) as client:
            assert client.is_server_live()
            assert client.is_server_ready()
            assert client.is_model_ready(MODEL)
            assert client.is_model_ready(MODEL, "1")
            server = client.get_server_metadata()
            assert server["name"] == "dropbeard"
            assert "binary_tensor_data" in server["extensions"]
            model = client.get_model_metadata(MODEL)
            assert model["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 256, 256, 3]}]
            assert model["outputs"] == [{"name": "scores", "datatype": "FP32", "shape": [-1, 10]}]
            config = client.get_model_config(MODEL, "1")
            assert config["max_batch_size"] == 64
            assert config["input"][0]["format"] == "FORMAT_NHWC"
            index = client.get_model_repository_index()
            assert index == [{"name": MODEL, "version": "1", "state": "READY", "reason": ""}]

    serve_blocking(ask)


@pytest.mark.parametrize("binary", [True, False])
def test_tritonclient_gets_the_share_of_owners_for_each_class(binary: bool) -> None:
    def ask(served: Served) -> None:
        with triton.InferenceServerClient(served.http) as client:
            wanted = [triton.InferRequestedOutput("scores", binary_data=binary)]
            result = client.infer(MODEL, [tensor(pictures(1), binary=binary)], outputs=wanted, request_id="a picture")
        assert result.as_numpy("scores").tolist() == [[0, 0, 0, 0.75, 0, 0.25, 0, 0, 0, 0]]
        response = result.get_response()
        assert response["id"] == "a picture"
        assert response["parameters"]["dropbeard_margin"] == 2
        assert response["parameters"]["dropbeard_assurance"] == "honest-plurality"
        assert response["parameters"]["dropbeard_decided"] is True

    serve_blocking(ask, Teller(votes=(3, 3, 5, 3)))


def test_tritonclient_gets_every_row_of_a_batch_in_its_place() -> None:
    batch = pictures(5)
    teller = Teller(by_picture={row.tobytes(): (number,) * 4 for number, row in enumerate(batch)})

    def ask(served: Served) -> None:
        with triton.InferenceServerClient(served.http) as client:
            names = ["label", "margin", "label_text", "assurance", "certificate", "request"]
            wanted = [triton.InferRequestedOutput(name, binary_data=True) for name in names]
            result = client.infer(MODEL, [tensor(batch)], outputs=wanted)
        assert result.as_numpy("label").tolist() == [[0], [1], [2], [3], [4]]
        assert result.as_numpy("margin").tolist() == [[4]] * 5
        assert [row[0] for row in result.as_numpy("label_text")] == [b"class %d" % number for number in range(5)]
        assert [row[0] for row in result.as_numpy("assurance")] == [b"robust"] * 5
        for row, picture, name in zip(result.as_numpy("certificate"), batch, result.as_numpy("request"), strict=True):
            given = Input(InputKind.RAW_RGB8, (6, 5, 3), picture.tobytes())
            verified = verify(decode_certificate(row[0]), served.teller.group, given)
            assert verified.request.hex() == name[0].decode()

    serve_blocking(ask, teller)
    assert len(teller.asked) == 5


def test_tritonclient_gets_the_certificate_of_one_picture_unasked_and_it_verifies() -> None:
    picture = pictures(1)

    def ask(served: Served) -> None:
        with triton.InferenceServerClient(served.http) as client:
            parameters = client.infer(MODEL, [tensor(picture)]).get_response()["parameters"]
            without = client.infer(MODEL, [tensor(picture)], parameters={"dropbeard_certificate": False})
        certificate = decode_certificate(base64.b64decode(parameters["dropbeard_certificate"]))
        given = Input(InputKind.RAW_RGB8, (6, 5, 3), picture.tobytes())
        assert verify(certificate, served.teller.group, given).request.hex() == parameters["dropbeard_request"]
        assert "dropbeard_certificate" not in without.get_response()["parameters"]

    serve_blocking(ask)


def test_tritonclient_sends_image_files_as_bytes() -> None:
    files = np.array([b"\x89PNG one", b"\xff\xd8 two"], dtype=np.object_)

    def ask(served: Served) -> None:
        with triton.InferenceServerClient(served.http) as client:
            client.infer(MODEL, [tensor(files, "BYTES")])
            client.infer(MODEL, [tensor(files.reshape(2, 1), "BYTES")])

    teller = Teller()
    serve_blocking(ask, teller)
    assert [given.data for given, _, _ in teller.asked] == [b"\x89PNG one", b"\xff\xd8 two"] * 2
    assert {given.kind for given, _, _ in teller.asked} == {InputKind.ENCODED_IMAGE}


def test_tritonclient_gets_the_best_classes_as_text() -> None:
    def ask(served: Served) -> None:
        with triton.InferenceServerClient(served.http) as client:
            wanted = [triton.InferRequestedOutput("scores", class_count=3)]
            result = client.infer(MODEL, [tensor(pictures(2))], outputs=wanted)
        rows = result.as_numpy("scores")
        assert rows.shape == (2, 3)
        assert rows[0].tolist() == [b"0.750000:3:class 3", b"0.250000:5:class 5", b"0.000000:0:class 0"]

    serve_blocking(ask, Teller(votes=(3, 3, 5, 3)))


def test_tritonclient_asks_for_many_at_once() -> None:
    def ask(served: Served) -> None:
        with triton.InferenceServerClient(served.http, concurrency=4) as client:
            asked = [client.async_infer(MODEL, [tensor(pictures(1))], request_id=str(n)) for n in range(16)]
            assert [one.get_result().get_response()["id"] for one in asked] == [str(n) for n in range(16)]

    serve_blocking(ask)


def test_tritonclient_of_asyncio_works_as_well() -> None:
    async def ask(served: Served) -> None:
        async with triton_aio.InferenceServerClient(served.http) as client:
            assert await client.is_server_ready()
            result = await client.infer(MODEL, [tensor(pictures(1))])
            assert result.as_numpy("scores").argmax() == 3

    serve(ask)


def test_tritonclient_may_compress_what_it_sends() -> None:
    def ask(served: Served) -> None:
        with triton.InferenceServerClient(served.http) as client:
            for algorithm in ("gzip", "deflate"):
                options = {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}
                assert client.infer(MODEL, [tensor(pictures(1))], **options).as_numpy("scores").argmax() == 3

    serve_blocking(ask)


def test_what_a_client_sent_compressed_is_bounded_by_what_it_unfolds_to() -> None:
    def ask(served: Served) -> None:
        with triton.InferenceServerClient(served.http) as client:
            large = np.zeros((1, 200, 200, 3), np.uint8)
            with pytest.raises(InferenceServerException) as refused:
                client.infer(MODEL, [tensor(large)], request_compression_algorithm="gzip")
            assert refused.value.status() == "413"

    serve_blocking(ask, body_bytes_max=1 << 16)


def test_tritonclient_sees_how_calls_were_spent() -> None:
    def ask(served: Served) -> dict[str, Any]:
        with triton.InferenceServerClient(served.http) as client:
            client.infer(MODEL, [tensor(pictures(3))])
            with pytest.raises(InferenceServerException):
                client.infer(MODEL, [tensor(pictures(65))])
            found: dict[str, Any] = client.get_inference_statistics(MODEL)["model_stats"][0]
            assert client.get_inference_statistics()["model_stats"][0]["name"] == MODEL
        return found

    found = serve_blocking(ask)
    assert (found["inference_count"], found["execution_count"]) == (3, 1)
    spent = found["inference_stats"]
    assert spent["fail"]["count"] == 1
    parts = sum(spent[stage]["ns"] for stage in ("queue", "compute_input", "compute_infer", "compute_output"))
    assert spent["success"] == {"count": 1, "ns": parts}


def status(served: Served, given: triton.InferInput, model: str = MODEL, **options: Any) -> tuple[str, str]:
    with triton.InferenceServerClient(served.http) as client, pytest.raises(InferenceServerException) as refused:
        client.infer(model, [given], **options)
    return str(refused.value.status()), str(refused.value.message())


@pytest.mark.parametrize(
    ("options", "code", "part"),
    [
        ({"model": "another"}, "404", "there is no model 'another'"),
        ({"model_version": "7"}, "404", "no version '7'"),
        ({"outputs": [triton.InferRequestedOutput("prob")]}, "400", "no output 'prob'; it has scores, label"),
        ({"outputs": [triton.InferRequestedOutput("label", class_count=2)]}, "400", "classification"),
        ({"parameters": {"dropbeard_patience": 1}}, "400", "did you mean dropbeard_patience_us?"),
        ({"parameters": {"dropbeard_require": "all"}}, "400", "is one of none, decided"),
        ({"sequence_id": 4, "sequence_start": True}, "501", "sequence"),
        ({"parameters": {"dropbeard_require": "robust"}}, "409", "row 0 has a margin of 2"),
    ],
)
def test_tritonclient_is_told_what_is_wrong(options: dict[str, Any], code: str, part: str) -> None:
    found = serve_blocking(lambda served: status(served, tensor(pictures(1)), **options), Teller(votes=(3, 3, 5, 3)))
    assert found[0] == code
    assert part in found[1]


@pytest.mark.parametrize(
    ("given", "part"),
    [
        (tensor(np.zeros((1, 4, 4, 3), np.float32), "FP32"), "'FP32'; send UINT8"),
        (tensor(np.zeros((1, 4, 4, 1), np.uint8)), "[batch, height, width, 3]"),
        (tensor(np.zeros((65, 1, 1, 3), np.uint8)), "at most 64"),
        (tensor(np.array([b""], np.object_), "BYTES"), "empty"),
        (tensor(np.zeros((2, 2), np.object_), "BYTES"), "[batch] or [batch, 1]"),
        (tensor(np.zeros((1, 1001, 1001, 3), np.uint8)), "pixels"),
    ],
)
def test_tritonclient_is_told_which_pictures_a_group_takes(given: triton.InferInput, part: str) -> None:
    code, text = serve_blocking(lambda served: status(served, given))
    assert code == "400"
    assert part in text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestRejected("too few nodes take the request: alice: no image", True), "400"),
        (RequestRejected("too few nodes take the request: alice: another group"), "503"),
        (RequestExpired("the group certified the request as expired"), "504"),
        (GroupUnreachable("0 of 4 nodes answered"), "503"),
        (InputInvalid("no"), "400"),
    ],
)
def test_what_the_group_says_has_the_protocols_code(error: Any, code: str) -> None:
    found = serve_blocking(lambda served: status(served, tensor(pictures(1))), Teller(error=error))
    assert found == (code, str(error))


def test_an_undecided_answer_says_so_and_fails_where_a_decision_is_required() -> None:
    def ask(served: Served) -> None:
        with triton.InferenceServerClient(served.http) as client:
            wanted = [triton.InferRequestedOutput(name) for name in ("scores", "label", "label_text")]
            result = client.infer(MODEL, [tensor(pictures(1))], outputs=wanted)
        assert result.as_numpy("label").tolist() == [[-1]]
        assert result.as_numpy("label_text").tolist() == [[b""]]
        assert result.as_numpy("scores").max() == 0.5
        assert result.get_response()["parameters"]["dropbeard_decided"] is False
        code, text = status(served, tensor(pictures(1)), parameters={"dropbeard_require": "decided"})
        assert code == "409"
        assert "row 0 is undecided" in text

    serve_blocking(ask, Teller(votes=(3, 3, 5, 5)))


def test_a_deadline_of_the_call_is_the_requests_own_and_cannot_pass_the_gateways() -> None:
    def ask(served: Served) -> None:
        with triton.InferenceServerClient(served.http) as client:
            client.infer(MODEL, [tensor(pictures(1))], timeout=3_000_000)
            client.infer(MODEL, [tensor(pictures(1))], timeout=60_000_000)
            client.infer(MODEL, [tensor(pictures(1))], parameters={"dropbeard_patience_us": 0})

    teller = Teller()
    serve_blocking(ask, teller)
    assert [times for _, *times in teller.asked] == [[3.0, 1.0], [10.0, 1.0], [10.0, 0.0]]


def test_a_call_that_is_not_answered_in_its_time_ends_and_its_requests_with_it() -> None:
    async def ask(served: Served) -> None:
        served.teller.hold = asyncio.Event()
        found = await asyncio.to_thread(status, served, tensor(pictures(2)), timeout=50_000)
        assert found == ("504", "the group has not agreed within 0.05 s")
        assert served.teller.cancelled == 2
        assert served.gateway.in_flight == 0

    serve(ask)


def test_a_gateway_whose_group_is_silent_is_not_ready_until_an_answer_comes() -> None:
    async def ask(served: Served) -> None:
        async with triton_aio.InferenceServerClient(served.http) as client:
            served.teller.hold = asyncio.Event()
            for timeout, ready in ((20_000, True), (None, False)):
                with pytest.raises(InferenceServerException):
                    await client.infer(MODEL, [tensor(pictures(1))], timeout=timeout)
                assert await client.is_server_ready() is ready
            served.teller.hold.set()
            await client.infer(MODEL, [tensor(pictures(1))])
            assert await client.is_server_ready()

    serve(ask, timeout_ms=300, patience_ms=100)


def test_more_than_the_gateway_takes_is_refused_with_a_time_to_come_again() -> None:
    async def ask(served: Served) -> None:
        served.teller.hold = asyncio.Event()
        async with triton_aio.InferenceServerClient(served.http) as client:
            first = asyncio.create_task(client.infer(MODEL, [tensor(pictures(2))]))
            while served.gateway.in_flight < 2:
                await asyncio.sleep(0.01)
            code, text = await asyncio.to_thread(status, served, tensor(pictures(1)))
            served.teller.hold.set()
            await first
        assert code == "429"
        assert "at most 2" in text

    serve(ask, in_flight_max=2, batch_max=2)


def test_a_gateway_without_its_group_lives_and_is_not_ready() -> None:
    def ask(served: Served) -> None:
        with triton.InferenceServerClient(served.http) as client:
            assert client.is_server_live()
            assert not client.is_server_ready()
            assert not client.is_model_ready(MODEL)
        assert status(served, tensor(pictures(1)))[0] == "503"

    serve_blocking(ask, is_reached=False)
