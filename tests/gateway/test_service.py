"""Bounds and counts of a gateway, whichever way calls come."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import tritonclient.grpc.aio as triton_grpc
import tritonclient.http.aio as triton_http
from prometheus_client import generate_latest
from tritonclient.utils import InferenceServerException

from dropbeard.gateway.faults import Fault, Reason
from dropbeard.gateway.service import Gateway
from tests.gateway.pieces import MODEL, Served, Teller, serve, settings
from tests.verification.building import world

SIDE = 140
"""A picture of 58,800 bytes."""


@pytest.mark.parametrize("library", [triton_http, triton_grpc], ids=["http", "grpc"])
def test_bytes_under_way_are_bounded_for_all_calls_together(library: object) -> None:
    async def ask(served: Served) -> None:
        address = served.http if library is triton_http else served.grpc
        picture = np.zeros((1, SIDE, SIDE, 3), np.uint8)
        tensor = library.InferInput("image", list(picture.shape), "UINT8")  # type: ignore[attr-defined]
        tensor.set_data_from_numpy(picture)
        served.teller.hold = asyncio.Event()
        async with library.InferenceServerClient(address) as client:  # type: ignore[attr-defined]
            first = asyncio.create_task(client.infer(MODEL, [tensor]))
            while not served.gateway.in_flight:
                await asyncio.sleep(0.01)
            with pytest.raises(InferenceServerException, match="of calls are being worked on"):
                await client.infer(MODEL, [tensor])
            served.teller.hold.set()
            await first
            await client.infer(MODEL, [tensor])

    serve(ask, body_bytes_max=1 << 16, buffered_bytes_max=100_000)


def test_room_is_given_back_whatever_happens() -> None:
    gateway = Gateway(world().group, settings(body_bytes_max=1 << 16, buffered_bytes_max=1 << 16))
    for _ in range(3):
        with pytest.raises(Fault) as refused, gateway.buffering() as take:
            take(1 << 16)
            take(1)
        assert refused.value.reason is Reason.TOO_LARGE


def test_figures_say_how_calls_ended_and_name_no_client() -> None:
    async def ask(served: Served) -> str:
        async with triton_http.InferenceServerClient(served.http) as client:
            tensor = triton_http.InferInput("image", [2, 1, 1, 3], "UINT8")
            tensor.set_data_from_numpy(np.zeros((2, 1, 1, 3), np.uint8))
            await client.infer(MODEL, [tensor], request_id="a client's name")
            with pytest.raises(InferenceServerException):
                await client.infer("another", [tensor])
            with pytest.raises(InferenceServerException):
                await client.infer(MODEL, [tensor], parameters={"dropbeard_require": "decided"})
        return generate_latest(served.gateway.statistics.registry).decode()

    page = serve(ask, Teller(votes=(3, 3, 5, 5)))
    for line in (
        'dropbeard_gateway_calls_total{outcome="answered"} 1.0',
        'dropbeard_gateway_calls_total{outcome="not_found"} 1.0',
        'dropbeard_gateway_calls_total{outcome="unsettled"} 1.0',
        'dropbeard_gateway_pictures_total{assurance="none"} 2.0',
        "dropbeard_gateway_undecided_total 2.0",
        "dropbeard_gateway_call_seconds_count 1.0",
        "dropbeard_gateway_in_flight 0.0",
        "dropbeard_gateway_buffered_bytes 0.0",
        "dropbeard_gateway_ready 1.0",
    ):
        assert f"\n{line}\n" in page
    assert "a client's name" not in page
