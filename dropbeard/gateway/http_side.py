"""The protocol over HTTP: paths to answers, faults to codes. Request bodies may be compressed; what they unfold to is
bounded as if they were not. Responses are never compressed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from aiohttp import web

from dropbeard.gateway.faults import RETRY_AFTER_S, Fault, Reason
from dropbeard.gateway.http_body import body_of, call_from
from dropbeard.gateway.service import Gateway

JSON_BYTES: Final = "Inference-Header-Content-Length"
READ_S: Final = 60.0
"""For a client to send its body."""

JSON: Final = "application/json"
OCTETS: Final = "application/octet-stream"

logger = logging.getLogger("dropbeard.gateway")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(gateway: Gateway) -> web.Application:
    """All paths."""
    side = HttpSide(gateway)
    made = web.Application(middlewares=[side.faults])
    made.on_response_prepare.append(_sign)
    made.add_routes([web.get("/v2", side.server), web.get("/v2/health/live", side.live)])
    made.add_routes([web.get("/v2/health/ready", side.ready), web.post("/v2/repository/index", side.index)])
    made.add_routes([web.get("/v2/models/stats", side.all_stats)])
    made.add_routes([web.post("/v2/repository/models/{model}/{verb:load|unload}", side.unsupported)])
    for model in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        made.add_routes([web.get(model, side.metadata), web.get(f"{model}/ready", side.model_ready)])
        made.add_routes([web.get(f"{model}/config", side.config), web.get(f"{model}/stats", side.stats)])
        made.add_routes([web.post(f"{model}/infer", side.infer)])
    return made


async def _sign(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "dropbeard"


class HttpSide:
    """Handlers of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    @web.middleware
    async def faults(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every error is the protocol's JSON with its code."""
        try:
            return await handler(request)
        except Fault as fault:
            return _refusal(fault.reason.http, str(fault), fault.reason.again)
        except web.HTTPException as wrong:
            text = f"there is nothing at {request.path}" if wrong.status == 404 else wrong.reason
            return _refusal(wrong.status, text)
        except Exception:
            logger.exception("http-handler-failed")
            return _refusal(Reason.INTERNAL.http, "the gateway failed; its log says how")

    async def live(self, _: web.Request) -> web.Response:
        """The process answers. KServe's client reads the body, Triton's the status."""
        return _json({"live": True, "ready": self._gateway.is_ready})

    async def ready(self, _: web.Request) -> web.Response:
        """Calls are taken."""
        is_ready = self._gateway.is_ready
        return _json({"live": True, "ready": is_ready}, 200 if is_ready else Reason.UNAVAILABLE.http)

    async def server(self, _: web.Request) -> web.Response:
        """Server metadata."""
        return _json(self._gateway.description.server())

    async def index(self, _: web.Request) -> web.Response:
        """The repository's index."""
        return _json(self._gateway.description.index(self._gateway.is_ready))

    async def metadata(self, request: web.Request) -> web.Response:
        """Model metadata."""
        self._check(request)
        return _json(self._gateway.description.metadata())

    async def model_ready(self, request: web.Request) -> web.Response:
        """As the gateway itself."""
        self._check(request)
        is_ready = self._gateway.is_ready
        body = {"name": self._gateway.description.model, "ready": is_ready}
        return _json(body, 200 if is_ready else Reason.UNAVAILABLE.http)

    async def config(self, request: web.Request) -> web.Response:
        """Model configuration."""
        self._check(request)
        return _json(self._gateway.description.config())

    async def stats(self, request: web.Request) -> web.Response:
        """Statistics of the model."""
        self._check(request)
        return _json(self._gateway.stats())

    async def all_stats(self, _: web.Request) -> web.Response:
        """Statistics of all models, which is the one."""
        return _json(self._gateway.stats())

    async def unsupported(self, request: web.Request) -> web.Response:
        """Models are not loaded by clients."""
        raise Fault(Reason.UNSUPPORTED, f"{request.match_info['verb']} is not for clients: owners choose their models")

    async def infer(self, request: web.Request) -> web.Response:
        """An inference call."""
        with self._gateway.buffering() as take:
            try:
                body = await _read(request, take, self._gateway.config.body_bytes_max)
                call = call_from(*_model_of(request), body, _json_bytes(request), self._gateway.description.output.name)
            except Fault as fault:
                self._gateway.statistics.refused(fault.reason.name.lower())
                raise
            answered = await self._gateway.infer(call)
        data, json_bytes = body_of(answered, call.outputs)
        if json_bytes is None:
            return web.Response(body=data, content_type=JSON)
        return web.Response(body=data, content_type=OCTETS, headers={JSON_BYTES: str(json_bytes)})

    def _check(self, request: web.Request) -> None:
        self._gateway.description.check_model(*_model_of(request))


def _model_of(request: web.Request) -> tuple[str, str]:
    return request.match_info["model"], request.match_info.get("version", "")


async def _read(request: web.Request, take: Callable[[int], None], bytes_max: int) -> bytes:
    """The body, taken as it comes: a client that sends slowly holds no more than it sent."""
    if (request.content_length or 0) > bytes_max:
        raise Fault(Reason.TOO_LARGE, f"the body has {request.content_length} bytes, at most {bytes_max} are taken")
    parts = []
    try:
        async with asyncio.timeout(READ_S):
            async for part in request.content.iter_any():
                take(len(part))
                parts.append(part)
    except TimeoutError:
        raise Fault(Reason.INVALID, f"the body did not come within {READ_S:g} s") from None
    except web.RequestPayloadError:
        raise Fault(Reason.INVALID, "the body is not what its Content-Encoding or Transfer-Encoding says") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _json_bytes(request: web.Request) -> int | None:
    said = request.headers.get(JSON_BYTES)
    if said is None:
        return None
    if not said.isascii() or not said.isdecimal() or len(said) > 12:
        raise Fault(Reason.INVALID, f"the header {JSON_BYTES} is no number")
    return int(said)


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type=JSON)


def _refusal(status: int, text: str, again: bool = False) -> web.Response:
    response = _json({"error": text}, status)
    if again:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response
