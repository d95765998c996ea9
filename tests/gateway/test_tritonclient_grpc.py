"""The real tritonclient, unchanged, by gRPC: what an image client calls works, and what goes wrong has its status."""

from __future__ import annotations

import asyncio
import base64
import queue
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import InferenceServerException

from dropbeard.errors import GroupUnreachable, RequestExpired, RequestRejected
from dropbeard.types.certificates import decode_certificate
from dropbeard.types.task import Input, InputKind
from dropbeard.verification.certificate import verify
from tests.gateway.pieces import MODEL, Served, Teller, serve, serve_blocking


def pictures(rows: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(rows).integers(0, 255, (rows, 6, 5, 3), dtype=np.uint8)


def tensor(array: np.ndarray[Any, Any], datatype: str = "UINT8") -> triton.InferInput:
    given = triton.InferInput("image", list(array.shape), datatype)
    given.set_data_from_numpy(array)
    return given


def test_tritonclient_finds_a_server_that_lives_and_a_model_that_is_ready() -> None:
    def ask(served: Served) -> None:
        with triton.InferenceServerClient(served.grpc) as client:
            assert client.is_server_live()
            assert client.is_server_ready()
            assert client.is_model_ready(MODEL, "1")
            assert client.get_server_metadata().name == "dropbeard"
            model = client.get_model_metadata(MODEL, as_json=True)
            assert model["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": ["-1", "256", "256", "3"]}]
            assert model["outputs"] == [{"name": "scores", "datatype": "FP32", "shape": ["-1", "10"]}]
            config = client.get_model_config(MODEL).config
            assert config.max_batch_size == 64
            assert config.parameters["dropbeard_faults"].string_value == "1"
            assert [model.state for model in client.get_model_repository_index().models] == ["READY"]

    serve_blocking(ask)


def test_tritonclient_gets_scores_labels_and_a_certificate_that_verifies() -> None:
    batch = pictures(3)
    teller = Teller(by_picture={row.tobytes(): (number,) * 4 for number, row in enumerate(batch)})

    def ask(served: Served) -> None:
        with triton.InferenceServerClient(served.grpc) as client:
            wanted = [triton.InferRequestedOutput(name) for name in ("scores", "label", "certificate")]
            result = client.infer(MODEL, [tensor(batch)], outputs=wanted, request_id="seven")
            alone = client.infer(MODEL, [tensor(batch[:1])]).get_response()
        assert result.get_response().id == "seven"
        assert result.as_numpy("scores").argmax(axis=1).tolist() == [0, 1, 2]
        assert result.as_numpy("label").tolist() == [[0], [1], [2]]
        for row, picture in zip(result.as_numpy("certificate"), batch, strict=True):
            given = Input(InputKind.RAW_RGB8, (6, 5, 3), picture.tobytes())
            verify(decode_certificate(row[0]), served.teller.group, given)
        assert alone.parameters["dropbeard_decided"].bool_param
        assert alone.parameters["dropbeard_margin"].int64_param == 4
        encoded = alone.parameters["dropbeard_certificate"].string_param
        given = Input(InputKind.RAW_RGB8, (6, 5, 3), batch[0].tobytes())
        verify(decode_certificate(base64.b64decode(encoded)), served.teller.group, given)

    serve_blocking(ask, teller)


def test_tritonclient_gets_the_best_classes_as_text_of_image_files() -> None:
    def ask(served: Served) -> None:
        with triton.InferenceServerClient(served.grpc) as client:
            files = np.array([[b"\x89PNG one"], [b"\xff\xd8 two"]], np.object_)
            wanted = [triton.InferRequestedOutput("scores", class_count=2)]
            result = client.infer(MODEL, [tensor(files, "BYTES")], outputs=wanted)
        assert result.as_numpy("scores").tolist() == [[b"0.750000:3:class 3", b"0.250000:5:class 5"]] * 2

    serve_blocking(ask, Teller(votes=(3, 3, 5, 3)))


def test_tritonclient_gets_the_answers_of_a_stream_in_their_order_and_errors_among_them() -> None:
    batch = pictures(6)
    teller = Teller(by_picture={row.tobytes(): (number,) * 4 for number, row in enumerate(batch)})

    def ask(served: Served) -> None:
        got: queue.Queue[tuple[Any, Any]] = queue.Queue()
        wanted = [triton.InferRequestedOutput("label")]
        with triton.InferenceServerClient(served.grpc) as client:
            client.start_stream(lambda result, error: got.put((result, error)))
            for number in range(6):
                client.async_stream_infer(MODEL, [tensor(batch[number : number + 1])], outputs=wanted)
            client.async_stream_infer("another", [tensor(batch[:1])])
            rows = [got.get(timeout=20) for _ in range(7)]
            client.stop_stream()
        assert [int(result.as_numpy("label")[0][0]) for result, _ in rows[:6]] == list(range(6))
        assert "no model 'another'" in str(rows[6][1])

    serve_blocking(ask, teller)


def test_tritonclient_asks_for_many_at_once() -> None:
    def ask(served: Served) -> None:
        got: queue.Queue[tuple[Any, Any]] = queue.Queue()
        with triton.InferenceServerClient(served.grpc) as client:
            for number in range(16):
                client.async_infer(
                    MODEL, [tensor(pictures(1))], lambda result, error: got.put((result, error)), request_id=str(number)
                )
            rows = [got.get(timeout=20) for _ in range(16)]
        assert {result.get_response().id for result, _ in rows} == {str(number) for number in range(16)}

    serve_blocking(ask)


def test_tritonclient_of_asyncio_asks_and_streams() -> None:
    async def ask(served: Served) -> None:
        async def requests() -> AsyncIterator[dict[str, Any]]:
            for number in range(3):
                yield {"model_name": MODEL, "inputs": [tensor(pictures(1))], "request_id": str(number)}

        async with triton_aio.InferenceServerClient(served.grpc) as client:
            assert await client.is_server_ready()
            result = await client.infer(MODEL, [tensor(pictures(1))], compression_algorithm="gzip")
            assert result.as_numpy("scores").argmax() == 3
            ids = [result.get_response().id async for result, _ in client.stream_infer(requests())]
            assert ids == ["0", "1", "2"]

    serve(ask)


def test_tritonclient_sees_how_calls_were_spent() -> None:
    def ask(served: Served) -> None:
        with triton.InferenceServerClient(served.grpc) as client:
            client.infer(MODEL, [tensor(pictures(3))])
            found = client.get_inference_statistics(MODEL).model_stats[0]
        assert (found.inference_count, found.execution_count, found.inference_stats.success.count) == (3, 1, 1)
        assert found.inference_stats.compute_infer.ns > 0

    serve_blocking(ask)


def status(served: Served, given: triton.InferInput, model: str = MODEL, **options: Any) -> tuple[str, str]:
    with triton.InferenceServerClient(served.grpc) as client, pytest.raises(InferenceServerException) as refused:
        client.infer(model, [given], **options)
    return str(refused.value.status()).removeprefix("StatusCode."), str(refused.value.message())


@pytest.mark.parametrize(
    ("options", "code", "part"),
    [
        ({"model": "another"}, "NOT_FOUND", "there is no model 'another'"),
        ({"model_version": "7"}, "NOT_FOUND", "no version '7'"),
        ({"outputs": [triton.InferRequestedOutput("prob")]}, "INVALID_ARGUMENT", "no output 'prob'"),
        ({"parameters": {"dropbeard_require": "robust"}}, "FAILED_PRECONDITION", "row 0 has a margin of 2"),
        ({"sequence_id": 4}, "UNIMPLEMENTED", "sequence"),
    ],
)
def test_tritonclient_is_told_what_is_wrong(options: dict[str, Any], code: str, part: str) -> None:
    found = serve_blocking(lambda served: status(served, tensor(pictures(1)), **options), Teller(votes=(3, 3, 5, 3)))
    assert found[0] == code
    assert part in found[1]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestRejected("too few nodes take the request: alice: no image", True), "INVALID_ARGUMENT"),
        (RequestRejected("too few nodes take the request: alice: another group"), "UNAVAILABLE"),
        (RequestExpired("the group certified the request as expired"), "DEADLINE_EXCEEDED"),
        (GroupUnreachable("0 of 4 nodes answered"), "UNAVAILABLE"),
    ],
)
def test_what_the_group_says_has_the_protocols_status(error: Any, code: str) -> None:
    found = serve_blocking(lambda served: status(served, tensor(pictures(1))), Teller(error=error))
    assert found == (code, str(error))


def test_the_deadline_of_a_client_is_the_requests_own() -> None:
    async def ask(served: Served) -> None:
        served.teller.hold = asyncio.Event()
        found = await asyncio.to_thread(status, served, tensor(pictures(1)), client_timeout=0.5)
        assert found[0] == "DEADLINE_EXCEEDED"
        while served.gateway.in_flight:
            await asyncio.sleep(0.01)

    teller = Teller()
    serve(ask, teller)
    assert 0 < teller.asked[0][1] <= 0.5
    assert teller.asked[0][2] <= 0.25


def test_more_than_the_gateway_takes_is_refused_with_a_time_to_come_again() -> None:
    async def ask(served: Served) -> None:
        served.teller.hold = asyncio.Event()
        async with triton_aio.InferenceServerClient(served.grpc) as client:
            first = asyncio.create_task(client.infer(MODEL, [tensor(pictures(2))]))
            while served.gateway.in_flight < 2:
                await asyncio.sleep(0.01)
            stub = service_pb2_grpc.GRPCInferenceServiceStub(client._channel)
            given = messages.ModelInferRequest(model_name=MODEL, raw_input_contents=[bytes(3)])
            given.inputs.add(name="image", datatype="UINT8", shape=[1, 1, 1, 3])
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.ModelInfer(given)
            served.teller.hold.set()
            await first
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert ("grpc-retry-pushback-ms", "1000") in tuple(refused.value.trailing_metadata() or ())

    serve(ask, in_flight_max=2, batch_max=2)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_message_that_is_too_large_is_refused_compressed_or_not(compression: str | None) -> None:
    large = tensor(np.zeros((1, 200, 200, 3), np.uint8))
    found = serve_blocking(
        lambda served: status(served, large, compression_algorithm=compression), body_bytes_max=1 << 16
    )
    assert found[0] == "RESOURCE_EXHAUSTED"


def test_values_in_the_message_itself_are_taken_as_well() -> None:
    def ask(served: Served) -> None:
        with grpc.insecure_channel(served.grpc) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            raw = messages.ModelInferRequest(model_name=MODEL)
            raw.inputs.add(name="image", datatype="UINT8", shape=[1, 1, 1, 3]).contents.uint_contents.extend(
                [0, 9, 255]
            )
            files = messages.ModelInferRequest(model_name=MODEL)
            files.inputs.add(name="image", datatype="BYTES", shape=[1]).contents.bytes_contents.append(b"a file")
            assert [len(stub.ModelInfer(one).outputs) for one in (raw, files)] == [1, 1]
            raw.inputs[0].contents.uint_contents[1] = 256
            with pytest.raises(grpc.RpcError, match="0 to 255"):
                stub.ModelInfer(raw)

    teller = Teller()
    serve_blocking(ask, teller)
    assert [given.data for given, _, _ in teller.asked] == [b"\x00\x09\xff", b"a file"]


def test_calls_that_change_a_server_or_share_memory_are_not_for_clients() -> None:
    def ask(served: Served) -> None:
        with triton.InferenceServerClient(served.grpc) as client:
            for call in (
                lambda: client.load_model(MODEL),
                lambda: client.unload_model(MODEL),
                lambda: client.register_system_shared_memory("a", "/a", 8),
                client.get_trace_settings,
            ):
                with pytest.raises(InferenceServerException, match="not for clients") as refused:
                    call()
                assert refused.value.status() == "StatusCode.UNIMPLEMENTED"

    serve_blocking(ask)


def test_a_gateway_without_its_group_lives_and_is_not_ready() -> None:
    def ask(served: Served) -> None:
        with triton.InferenceServerClient(served.grpc) as client:
            assert client.is_server_live()
            assert not client.is_server_ready()
            assert not client.is_model_ready(MODEL)
        assert status(served, tensor(pictures(1)))[0] == "UNAVAILABLE"

    serve_blocking(ask, is_reached=False)
