"""Where a gateway listens: HTTP and gRPC on one address, both with TLS or both without."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
from aiohttp import web

from dropbeard.errors import ConfigInvalid, TransportFailed
from dropbeard.gateway import grpc_side, http_side
from dropbeard.gateway.config import GatewayConfig, GatewayFiles, TlsTable
from dropbeard.gateway.service import Gateway

CLOSE_S: Final = 1.0
"""For connections, once calls are over."""

KEEP_ALIVE_S: Final = 75.0


def where(config: GatewayConfig) -> str:
    """For people: where it listens."""
    scheme = "http" if config.tls is None else "https"
    rows = [f"{scheme}://{config.address}:{config.http_port}"]
    return ", ".join(rows + ([f"grpc {config.address}:{config.grpc_port}"] if config.grpc_port else []))


@asynccontextmanager
async def listening(gateway: Gateway, files: GatewayFiles) -> AsyncIterator[None]:
    """Both servers, until the block ends."""
    config = gateway.config
    runner = web.AppRunner(
        http_side.application(gateway),
        access_log=None,
        logger=_quiet(),
        handler_cancellation=True,
        keepalive_timeout=KEEP_ALIVE_S,
        shutdown_timeout=CLOSE_S,
    )
    calls = grpc_side.server(gateway)
    tls = None if config.tls is None else read_tls(config.tls, files)
    if config.grpc_port:
        _bind_grpc(calls, f"{config.address}:{config.grpc_port}", tls)
    await runner.setup()
    try:
        host = config.address.strip("[]")
        site = web.TCPSite(runner, host, config.http_port, ssl_context=None if tls is None else tls[0])
        try:
            await site.start()
        except OSError as wrong:
            raise cannot_listen("http_port", config.address, config.http_port, wrong) from wrong
        await calls.start()
        yield
    finally:
        await calls.stop(CLOSE_S)
        await runner.cleanup()


def _quiet() -> logging.Logger:
    """What the library would log, with a traceback each, is what strangers send; our own errors we log ourselves."""
    logger = logging.getLogger("dropbeard.gateway.http")
    logger.setLevel(logging.CRITICAL)
    return logger


def _bind_grpc(calls: Any, address: str, tls: tuple[ssl.SSLContext, Any] | None) -> None:
    try:
        if tls is None:
            calls.add_insecure_port(address)
        else:
            calls.add_secure_port(address, tls[1])
    except RuntimeError as wrong:  # gRPC says no more than that it failed
        raise TransportFailed(f"cannot listen on {address}: is grpc_port of another program?") from wrong


def cannot_listen(key: str, address: str, port: int, wrong: OSError) -> TransportFailed:
    return TransportFailed(f"cannot listen on {address}:{port}: {wrong.strerror}; choose another {key}")


def read_tls(table: TlsTable, files: GatewayFiles) -> tuple[ssl.SSLContext, Any]:
    """What HTTP and gRPC need of the same files; ConfigInvalid names the one that cannot be used."""
    chain, key = files.at(table.certificate), files.private(table.key)
    authority = None if table.client_ca is None else files.at(table.client_ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(chain, key)
        if authority is not None:
            context.load_verify_locations(authority)
            context.verify_mode = ssl.CERT_REQUIRED
        pair = (key.read_bytes(), chain.read_bytes())
        roots = None if authority is None else authority.read_bytes()
    except (OSError, ssl.SSLError) as wrong:
        raise ConfigInvalid(f"the files of [tls] cannot be used: {wrong}; need a PEM chain and its key") from wrong
    return context, grpc.ssl_server_credentials([pair], roots, authority is not None)
