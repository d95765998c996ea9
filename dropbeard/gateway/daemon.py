"""``dropbeard run gateway``: reach the group, listen, serve until told to end, finish what is under way."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final

from prometheus_client import start_http_server

from dropbeard.client import AsyncClient, Options
from dropbeard.daemon.notify import Notifier
from dropbeard.daemon.process import die_with_parent, keep_memory, log_to_stderr, pace_garbage
from dropbeard.errors import GroupUnreachable
from dropbeard.gateway.config import GatewayConfig, GatewayFiles
from dropbeard.gateway.listening import cannot_listen, listening, where
from dropbeard.gateway.service import Gateway
from dropbeard.gateway.watch import answers_itself
from dropbeard.signing.curve import CurveSecret, load_curve_secret
from dropbeard.storage.files import read_genesis

DRAIN_S: Final = 10.0
"""For calls under way at the end."""

REACH_AGAIN_S: Final = 1.0
CHECKS_IN_WATCHDOG: Final = 3

logger = logging.getLogger("dropbeard.gateway")


def run_gateway(files: GatewayFiles) -> int:
    """Serve until SIGTERM or SIGINT. ConfigInvalid, KeyInvalid or TransportFailed when it cannot begin."""
    log_to_stderr(files.config.log_level)
    die_with_parent()
    keep_memory()
    key = files.config.key
    secret = CurveSecret.generate() if key is None else load_curve_secret(files.private(key))
    group = read_genesis(files.genesis)
    Options(timeout=files.config.timeout_ms / 1e3, patience=files.config.patience_ms / 1e3).checked(group)
    gateway = Gateway(group, files.config)
    asyncio.run(_serve(gateway, files, secret))
    return 0


async def _serve(gateway: Gateway, files: GatewayFiles, secret: CurveSecret) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    notifier = Notifier()
    async with AsyncExitStack() as stack:
        _serve_metrics(gateway, stack)
        await stack.enter_async_context(listening(gateway, files))
        await stack.enter_async_context(_background(_stay_connected(gateway, secret)))
        await stack.enter_async_context(_background(_watch(gateway.config, notifier)))
        pace_garbage()
        notifier.ready(f"{gateway.description.model} at {where(gateway.config)}")
        logger.info("gateway-listening group=%s at=%s", gateway.group.id.hex()[:12], where(gateway.config))
        await told.wait()
        notifier.stopping()
        whole = await gateway.drained(DRAIN_S)
        logger.info("gateway-ending whole=%s left=%d", str(whole).lower(), gateway.in_flight)


def _serve_metrics(gateway: Gateway, stack: AsyncExitStack) -> None:
    config = gateway.config
    if not config.metrics_port:
        return
    try:
        # In a thread of its own: figures can be read while the loop has too much to do.
        server, thread = start_http_server(config.metrics_port, config.metrics_address, gateway.statistics.registry)
    except OSError as wrong:
        raise cannot_listen("metrics_port", config.metrics_address, config.metrics_port, wrong) from wrong
    stack.callback(thread.join)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)


@asynccontextmanager
async def _background(work: Any) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _stay_connected(gateway: Gateway, secret: CurveSecret) -> None:
    """Reach the group, and hold on to it: it may start after its gateways."""
    while True:
        try:
            client = await AsyncClient.connect(gateway.group, secret)
        except GroupUnreachable as wrong:
            logger.warning("group-not-reached detail=%s", wrong)
            await asyncio.sleep(REACH_AGAIN_S)
            continue
        async with client:
            gateway.client = client
            logger.info("group-reached")
            await asyncio.Event().wait()


async def _watch(config: GatewayConfig, notifier: Notifier) -> None:
    """Feed systemd's watchdog while the gateway answers over its own port."""
    every_s = notifier.watchdog_s
    if every_s is None:
        return
    while True:
        if await answers_itself(config, every_s / CHECKS_IN_WATCHDOG):
            notifier.alive()
        await asyncio.sleep(every_s / CHECKS_IN_WATCHDOG)
