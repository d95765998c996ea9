"""The protocol over gRPC: GRPCInferenceService on grpc.aio, with Triton's calls for configuration and statistics."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
from tritonclient.grpc import service_pb2 as messages
from tritonclient.grpc import service_pb2_grpc

from dropbeard.gateway.calls import Call
from dropbeard.gateway.faults import RETRY_AFTER_S, Fault, Reason
from dropbeard.gateway.grpc_messages import call_from, message_of, response_of
from dropbeard.gateway.service import Gateway

STREAM_MAX: Final = 64
"""Calls of one stream under way; the stream is read no further until the oldest is answered."""

SPARE_CALLS: Final = 64
"""Calls beside inference that are answered at once: health, metadata."""

RESPONSE_BYTES_MAX: Final = 1 << 30
PUSHBACK: Final = "grpc-retry-pushback-ms"
"""By which gRPC's own retries are told how long to wait."""

logger = logging.getLogger("dropbeard.gateway")


def server(gateway: Gateway) -> grpc.aio.Server:
    """A server without ports."""
    most = gateway.config.in_flight_max + SPARE_CALLS
    options = [
        ("grpc.max_receive_message_length", gateway.config.body_bytes_max),
        ("grpc.max_send_message_length", RESPONSE_BYTES_MAX),
        ("grpc.max_concurrent_streams", most),
        ("grpc.so_reuseport", 0),
    ]
    made = grpc.aio.server(options=options, maximum_concurrent_rpcs=most)
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(GrpcSide(gateway), made)
    return made


class GrpcSide(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Handlers of one gateway, named as the service's calls are."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The process answers."""
        return messages.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Calls are taken."""
        return messages.ServerReadyResponse(ready=self._gateway.is_ready)

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        """As the gateway itself."""
        await self._check(request, context)
        return messages.ModelReadyResponse(ready=self._gateway.is_ready)

    async def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Server metadata."""
        return message_of(messages.ServerMetadataResponse, self._gateway.description.server())

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Model metadata."""
        await self._check(request, context)
        return message_of(messages.ModelMetadataResponse, self._gateway.description.metadata())

    async def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Model configuration."""
        await self._check(request, context)
        return message_of(messages.ModelConfigResponse, {"config": self._gateway.description.config()})

    async def ModelStatistics(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Statistics of the model, or of all, which are one."""
        if request.name:
            await self._check(request, context)
        return message_of(messages.ModelStatisticsResponse, self._gateway.stats())

    async def RepositoryIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The repository's index."""
        models = self._gateway.description.index(self._gateway.is_ready)
        return message_of(messages.RepositoryIndexResponse, {"models": models})

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        """An inference call."""
        try:
            return await self._infer(request, context.time_remaining())
        except Fault as fault:
            await _abort(context, fault)

    async def ModelStreamInfer(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Inference calls of one stream: worked on at once, answered in their order; an error is an answer, too."""
        asked: asyncio.Queue[asyncio.Task[Any] | None] = asyncio.Queue(STREAM_MAX)
        reader = asyncio.create_task(self._read_stream(request_iterator, asked, context))
        try:
            while (task := await asked.get()) is not None:
                yield await task
        finally:
            reader.cancel()
            while not asked.empty():
                left = asked.get_nowait()
                if left is not None:
                    left.cancel()

    async def _read_stream(self, requests: Any, asked: asyncio.Queue[asyncio.Task[Any] | None], context: Any) -> None:
        try:
            async for request in requests:
                await asked.put(asyncio.create_task(self._in_stream(request, context.time_remaining())))
        except grpc.RpcError:  # the client went away, or sent what no message is: what it asked before is answered
            logger.debug("grpc-stream-broken")
        await asked.put(None)

    async def _in_stream(self, request: Any, remaining_s: float | None) -> Any:
        try:
            return messages.ModelStreamInferResponse(infer_response=await self._infer(request, remaining_s))
        except Fault as fault:
            named = messages.ModelInferResponse(id=request.id)
            return messages.ModelStreamInferResponse(error_message=str(fault), infer_response=named)

    async def _infer(self, request: Any, remaining_s: float | None) -> Any:
        try:
            with self._gateway.buffering() as take:
                return response_of(await self._gateway.infer(self._read(request, remaining_s, take)))
        except Fault:
            raise
        except Exception:
            logger.exception("grpc-handler-failed")
            raise Fault(Reason.INTERNAL, "the gateway failed; its log says how") from None

    def _read(self, request: Any, remaining_s: float | None, take: Callable[[int], None]) -> Call:
        try:
            take(request.ByteSize())
            return call_from(request, remaining_s)
        except Fault as fault:
            self._gateway.statistics.refused(fault.reason.name.lower())
            raise

    async def _check(self, request: Any, context: Any) -> None:
        try:
            self._gateway.description.check_model(request.name, request.version)
        except Fault as fault:
            await _abort(context, fault)


def _unsupported(what: str) -> Callable[[Any, Any, Any], Awaitable[None]]:
    async def refuse(side: Any, request: Any, context: Any) -> None:
        await _abort(context, Fault(Reason.UNSUPPORTED, f"{what} is not for clients of a group"))

    return refuse


_SERVED: Final = frozenset(name for name in vars(GrpcSide) if name[0].isupper())
for _name in [name for name in vars(service_pb2_grpc.GRPCInferenceServiceServicer) if name[0].isupper()]:
    if _name not in _SERVED:
        setattr(GrpcSide, _name, _unsupported(_name))


async def _abort(context: Any, fault: Fault) -> None:
    trailing = ((PUSHBACK, str(RETRY_AFTER_S * 1000)),) if fault.reason.again else ()
    await context.abort(getattr(grpc.StatusCode, fault.reason.grpc), str(fault), trailing)
