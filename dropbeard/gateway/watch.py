"""Whether a gateway answers over its own port: what feeds systemd's watchdog."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from dropbeard.gateway.config import GatewayConfig

ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}  # noqa: S104 - how to reach what listens everywhere
ASK: Final = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
GOOD: Final = b"HTTP/1.1 200"


async def answers_itself(config: GatewayConfig, within_s: float) -> bool:
    """Ask for the gateway's health as a client would."""
    host = ANYWHERE.get(config.address, config.address.strip("[]"))
    try:
        async with asyncio.timeout(within_s):
            return await _ask(host, config)
    except OSError:  # also a time-out
        return False


async def _ask(host: str, config: GatewayConfig) -> bool:
    context = None if config.tls is None else _trusting()
    reader, writer = await asyncio.open_connection(host, config.http_port, ssl=context)
    if config.tls is not None and config.tls.client_ca is not None:
        # It wants a certificate that it does not have itself: the loop has shaken hands, and that is an answer.
        writer.transport.abort()
        return True
    try:
        writer.write(ASK)
        await writer.drain()
        return (await reader.readline()).startswith(GOOD)
    finally:
        writer.close()


def _trusting() -> ssl.SSLContext:
    # We ask ourselves whether we answer: who we are is not in question.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
