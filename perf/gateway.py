"""What a gateway costs: certified requests a second through it, by HTTP and by gRPC, against the client binding alone.

Four nodes with the demo's models on this machine. The floor is ``AsyncClient``; through the gateway, a process of its
own, asks the unchanged tritonclient of asyncio. All three keep as many pictures open, no two alike, take turns in one
group, and get the answers of all owners.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from dropbeard.client import AsyncClient
from dropbeard.daemon.local_group import LOOPBACK, LocalGroup
from dropbeard.daemon.process import DIE_WITH_PARENT, keep_memory
from dropbeard.errors import ClientError
from dropbeard.serving.catalogue import fetch_set
from dropbeard.types.node_config import EngineTable
from dropbeard.types.task import Input
from perf._load import processes
from perf._measure import CpuMeter, Figure, figure, percentile
from perf._observed import passing_group
from perf.imagenet import SIDE, cut_inputs

RUNS: Final = 6
"""Each way begins twice. Short turns many times: what else the machine does changes within tens of seconds."""

QUICK_RUNS: Final = 1
SECONDS: Final = 5.0
WARM_S: Final = 1.5
IN_FLIGHT: Final = 16
"""Enough to keep both cores busy, and few enough that what is open at the ends of a run is little beside it."""

PATIENCE_S: Final = 2.0
"""Long enough that every owner's answer counts."""

TIMEOUT_S: Final = 20.0
START_S: Final = 60.0
PAUSE_S: Final = 0.1
WAYS: Final = ("http", "grpc")

Ask = Callable[[Input], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one way gave in one run."""

    rate: float
    latencies_ms: list[float]
    failed: int
    cpu_us: dict[str, float]
    """CPU time for a request, of each process."""


def bench(quick: bool) -> list[Figure]:
    """The rates of both ways, each against the direct client's of the same run."""
    fetch_set("imagenet")
    keep_memory()
    with passing_group(LocalGroup, EngineTable("", max_batch=8)) as local, gateway(local) as (ports, pid):
        found = asyncio.run(_measure(local, ports, pid, QUICK_RUNS if quick else RUNS))
    floors = [stretch.rate for stretch in found["direct"]]
    return [_figure(way, found[way], floors, found["direct"]) for way in WAYS]


def _figure(way: str, rows: list[Stretch], floors: list[float], direct: list[Stretch]) -> Figure:
    middle = sorted(rows, key=lambda stretch: stretch.rate)[len(rows) // 2]
    alone = sorted(direct, key=lambda stretch: stretch.rate)[len(direct) // 2]
    used, used_direct = _cpu_us(rows), _cpu_us(direct)
    detail = {
        "p50_ms": round(percentile(middle.latencies_ms, 0.5), 1),
        "p99_ms": round(percentile(middle.latencies_ms, 0.99), 1),
        "direct_p50_ms": round(percentile(alone.latencies_ms, 0.5), 1),
        "direct_p99_ms": round(percentile(alone.latencies_ms, 0.99), 1),
        "failed": sum(stretch.failed for stretch in (*rows, *direct)),
        "cpu_us": used,
        "direct_cpu_us": used_direct,
        # With all cores busy it decides the rate, and other work on the machine moves it less than it moves rates.
        "cpu_ratio": round(sum(used_direct.values()) / max(1, sum(used.values())), 3),
    }
    return figure(f"gateway {way}", "certified requests/s", [row.rate for row in rows], floors, **detail)


def _cpu_us(rows: list[Stretch]) -> dict[str, int]:
    """CPU time for a request over all runs: of the nodes, of the engines, of client and gateway."""
    requests = max(1, sum(len(row.latencies_ms) for row in rows))
    found: Counter[str] = Counter()
    for row in rows:
        for name, each in row.cpu_us.items():
            kind = {"node": "nodes", "engine": "engines"}.get(name.split()[0], name)
            found[kind] += round(each * len(row.latencies_ms))
    return {kind: round(total / requests) for kind, total in found.items()}


@contextmanager
def gateway(local: LocalGroup) -> Iterator[tuple[tuple[int, int], int]]:
    """A gateway's process: its ports and its pid."""
    http_port, grpc_port = _free_port(), _free_port()
    config = local.directory / "gateway.toml"
    times = f"timeout_ms = {int(TIMEOUT_S * 1000)}\npatience_ms = {int(PATIENCE_S * 1000)}\n"
    config.write_text(f'genesis = "genesis.toml"\nhttp_port = {http_port}\ngrpc_port = {grpc_port}\n{times}')
    command = [sys.executable, "-m", "dropbeard", "run", "gateway", str(config)]
    environment = {**os.environ, DIE_WITH_PARENT: str(os.getpid())}
    log = Path(local.directory / "gateway.log")
    with log.open("wb") as err, subprocess.Popen(command, stderr=err, env=environment) as process:
        try:
            yield (http_port, grpc_port), process.pid
        finally:
            process.terminate()
            process.wait()


def _free_port() -> int:
    """Of those that the kernel gives out: the group's own nodes may not listen yet."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


async def _measure(local: LocalGroup, ports: tuple[int, int], pid: int, runs: int) -> dict[str, list[Stretch]]:
    found: dict[str, list[Stretch]] = {"direct": [], **{way: [] for way in WAYS}}
    make, pids = cut_inputs(SIDE), {**processes(local), "gateway": pid}
    async with _direct(local) as direct, _through(local, ports, "http") as http, _through(local, ports, "grpc") as grpc:
        asks = {"direct": direct, "http": http, "grpc": grpc}
        for ask in asks.values():
            await _first_answer(ask, make)
        for run in range(runs):
            # Who begins changes, so that nobody is always measured while the machine is as it was just before.
            order = [*asks][run % 3 :] + [*asks][: run % 3]
            for way in order:
                found[way].append(await _closed(asks[way], make, WARM_S, SECONDS, pids))
    return found


async def _first_answer(ask: Ask, make: Callable[[], Input]) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            await ask(make())
            return
        except Exception:  # engines load after nodes greet, and each library has errors of its own
            if time.monotonic() > until:
                raise
            await asyncio.sleep(PAUSE_S)


async def _closed(ask: Ask, make: Callable[[], Input], warm_s: float, seconds: float, pids: dict[str, int]) -> Stretch:
    """So many requests kept open from before the time that counts until after it; those that end within it count."""
    latencies: list[float] = []
    failed = 0
    started = time.monotonic() + warm_s
    until = started + seconds

    async def keep() -> None:
        nonlocal failed
        while (asked := time.monotonic()) < until:
            try:
                await ask(make())
            except Exception:  # each library has errors of its own
                failed += 1
                continue
            if started <= time.monotonic() < until:
                latencies.append((time.monotonic() - asked) * 1e3)

    tasks = [asyncio.create_task(keep()) for _ in range(IN_FLIGHT)]
    await asyncio.sleep(warm_s)
    meter = CpuMeter(pids)
    await asyncio.sleep(max(0.0, until - time.monotonic()))
    cpu, certified = meter.seconds(), len(latencies)
    await asyncio.gather(*tasks)
    each = 1e6 / max(1, certified)
    return Stretch(certified / seconds, latencies, failed, {name: used * each for name, used in cpu.items()})


@asynccontextmanager
async def _direct(local: LocalGroup) -> AsyncIterator[Ask]:
    client = await _connected(local)

    async def ask(given: Input) -> None:
        await client.infer(given, timeout=TIMEOUT_S, patience=PATIENCE_S)

    async with client:
        yield ask


async def _connected(local: LocalGroup) -> AsyncClient:
    until = time.monotonic() + START_S
    while True:
        local.check()
        try:
            client = await AsyncClient.connect(local.group)
        except ClientError:
            if time.monotonic() > until:
                raise
            continue
        if client.nodes_reached == local.group.n:
            return client
        await client.close()


@asynccontextmanager
async def _through(local: LocalGroup, ports: tuple[int, int], way: str) -> AsyncIterator[Ask]:
    library = _library(way)
    address, model = f"127.0.0.1:{ports[WAYS.index(way)]}", local.group.task.name
    limits: dict[str, Any] = {"conn_limit": 2 * IN_FLIGHT} if way == "http" else {}
    async with library.InferenceServerClient(address, **limits) as client:

        async def ask(given: Input) -> None:
            tensor = library.InferInput("image", [1, *given.shape], "UINT8")
            tensor.set_data_from_numpy(np.frombuffer(given.data, np.uint8).reshape(1, *given.shape))
            result = await client.infer(model, [tensor])
            if result.as_numpy("scores") is None:
                raise ValueError("no scores")

        yield ask


def _library(way: str) -> Any:
    import tritonclient.grpc.aio
    import tritonclient.http.aio

    return tritonclient.http.aio if way == "http" else tritonclient.grpc.aio
