"""``dropbeard run gateway``: reach the group, listen, serve until told to end, finish what is under way."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
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
from dropbeard.types.succession import Succession
from dropbeard.verification.lineage import lineage_of

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
    known = files.known_epochs(group)
    lineage_of(group, known)  # a file that proves nothing is found before anything listens
    gateway = Gateway(group, files.config)
    asyncio.run(_serve(gateway, files, secret, known))
    return 0


async def _serve(gateway: Gateway, files: GatewayFiles, secret: CurveSecret, known: Sequence[Succession]) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    loop.add_signal_handler(signal.SIGHUP, _refuse_to_reload)
    notifier = Notifier()
    async with AsyncExitStack() as stack:
        _serve_metrics(gateway, stack)
        await stack.enter_async_context(listening(gateway, files))
        work = (_stay_connected(gateway, secret, known), _watch(gateway.config, notifier))
        tasks = [await stack.enter_async_context(_background(one)) for one in work]
        pace_garbage()
        notifier.ready(f"{gateway.description.model} at {where(gateway.config)}")
        logger.info("gateway-listening group=%s at=%s", gateway.group.id.hex()[:12], where(gateway.config))
        await _told_or_broken(told, tasks)
        notifier.stopping()
        whole = await gateway.drained(DRAIN_S)
        logger.info("gateway-ending whole=%s left=%d", str(whole).lower(), gateway.in_flight)


def _refuse_to_reload() -> None:
    logger.warning(
        "config-refused a gateway reads its configuration at its start: start another one, then end this one"
    )


def _serve_metrics(gateway: Gateway, stack: AsyncExitStack) -> None:
    config = gateway.config
    if not config.metrics_port:
        return
    address = config.metrics_address.strip("[]")
    try:
        # In a thread of its own: figures can be read while the loop has too much to do.
        server, thread = start_http_server(config.metrics_port, address, gateway.statistics.registry)
    except OSError as wrong:
        raise cannot_listen("metrics_port", config.metrics_address, config.metrics_port, wrong) from wrong
    stack.callback(thread.join)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)


@asynccontextmanager
async def _background(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _told_or_broken(told: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Until the end is asked for; what breaks in the background is raised, since a gateway is worth nothing without."""
    async with _background(_wait(told)) as waiting:
        ended, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()


async def _wait(told: asyncio.Event) -> None:
    await told.wait()


async def _stay_connected(gateway: Gateway, secret: CurveSecret, known: Sequence[Succession]) -> None:
    """Reach the group, and hold on to it: it may start after its gateways."""
    while True:
        try:
            client = await AsyncClient.connect(gateway.group, secret, successions=known)
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
    while every_s is not None:
        if await answers_itself(config, every_s / CHECKS_IN_WATCHDOG):
            notifier.alive()
        await asyncio.sleep(every_s / CHECKS_IN_WATCHDOG)
    await asyncio.Event().wait()
