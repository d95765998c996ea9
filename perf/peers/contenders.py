"""Who takes part in a comparison: our group, each peer's server, the bare loop; all give the same kind of sample."""

from __future__ import annotations

import multiprocessing
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from dropbeard.daemon.local_group import OWNERS, LocalGroup, free_ports
from dropbeard.types.node_config import EngineTable
from dropbeard.types.task import Input
from perf._load import Load, Sample, processes
from perf._measure import ROOT, CpuMeter
from perf._observed import passing_group
from perf.imagenet import PATIENCE_US, cut_inputs
from perf.peers.environment import Environment
from perf.peers.processes import Server, serving
from perf.peers.seen import COUNTING, Seen
from perf.peers.servers.triton_repository import MODEL
from perf.peers.workload import HOST, Model, Workload

DRAIN_S: Final = 10.0
CLIENT_S: Final = 60.0
"""More than its own seconds: it never takes longer to start and end."""

OURS: Final = "dropbeard"
BARE: Final = "bare"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a peer is started on a port, when it is ready, and where it is asked."""

    program: str
    arguments: Sequence[str]
    ready: str
    path: str


RECIPES: Final[Mapping[str, Recipe]] = {
    "mosec": Recipe(
        "mosec_server",
        ("--address", HOST, "--port", "{port}", "--timeout", "30000", "--log-level", "warning"),
        "/metrics",
        "/inference",
    ),
    "triton": Recipe(
        "triton_repository",
        ("{port}", "{directory}"),
        f"/v2/models/{MODEL}/ready",
        f"/v2/models/{MODEL}/infer",
    ),
    "fastapi": Recipe("fastapi_server", ("{port}",), "/health", "/predict"),
    "litserve": Recipe("litserve_server", ("{port}",), "/health", "/predict"),
}


@dataclass(slots=True)
class Contender:
    """``measure(seconds, warm_s)`` gives a sample; ``cpu_seconds()`` what its own processes used so far; ``settle()``
    waits until it serves; ``ask_to_end()`` does not wait.
    """

    name: str
    measure: Callable[[float, float], Sample]
    cpu_seconds: Callable[[], float] = lambda: 0.0
    settle: Callable[[], None] = lambda: None
    ask_to_end: Callable[[], None] = lambda: None
    samples: list[Sample] = field(default_factory=list)


def ports_for(servers: int) -> list[int]:
    """Free ports for so many servers; the first free ones are left for a group that is made before they listen."""
    return free_ports(len(OWNERS) + servers)[len(OWNERS) :]


@contextmanager
def peer(
    name: str, workloads: Sequence[Workload], ports: Sequence[int], environment: Environment, directory: Path
) -> Iterator[Contender]:
    """Servers of one peer, one for each workload, started and paused once ready; of several each gets every picture.

    ``ports``: of each server, with two free ones after it.
    """
    recipe = RECIPES[name]
    with ExitStack() as stack:
        servers = []
        for number, (workload, port) in enumerate(zip(workloads, ports, strict=True)):
            home = directory / f"{name}{number}"
            home.mkdir()
            words = {"port": port, "directory": home / "triton"}
            command = [str(environment.python), "-m", f"perf.peers.servers.{recipe.program}"]
            command += [argument.format(**words) for argument in recipe.arguments]
            variables = environment.variables(**workload.variables())
            url = f"http://{HOST}:{port}{recipe.ready}"
            servers.append(stack.enter_context(serving(name, command, variables, url, home)))
        cpu = _cpu(servers)

        def measure(seconds: float, warm_s: float) -> Sample:
            _each(servers, Server.go_on)
            try:
                counting = _asked(recipe, workloads[0], ports, environment, seconds, warm_s)
                next(counting)
                before = cpu()
                sample = next(counting)
                sample.cpu_us["server"] = (cpu() - before) * 1e6 / max(1, sample.certified)
                return sample
            finally:
                _each(servers, Server.pause)

        def settle() -> None:
            _each(servers, Server.wait_until_ready)
            _each(servers, Server.pause)

        yield Contender(name, measure, cpu, settle, lambda: _each(servers, Server.ask_to_end))


def _each(servers: Sequence[Server], do: Callable[[Server], None]) -> None:
    for server in servers:
        do(server)


def _cpu(servers: Sequence[Server]) -> Callable[[], float]:
    return lambda: sum(server.cpu_seconds() for server in servers)


def _asked(
    recipe: Recipe, workload: Workload, ports: Sequence[int], environment: Environment, seconds: float, warm_s: float
) -> Iterator[Sample]:
    """What a client of its own sees: an empty sample when it begins to count, then what it counted."""
    command = [str(environment.python), "-m", "perf.peers.http_load", recipe.path, str(seconds), str(warm_s)]
    command += map(str, ports)
    variables = environment.variables(**workload.variables())
    with subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE) as client:
        try:
            assert client.stdout is not None
            if client.stdout.readline().strip() != COUNTING:
                raise SystemExit("the client of the peers ended before it counted")
            yield Sample()
            printed, _ = client.communicate(timeout=seconds + CLIENT_S)
        finally:
            client.kill()
    seen = msgspec.json.decode(printed, type=Seen)
    costs = {"client": seen.cpu_s * 1e6 / max(1, seen.answered)}
    yield Sample(seen.seconds, seen.answered, seen.failed, latencies_ms=seen.latencies_ms, cpu_us=costs)


@contextmanager
def group(
    owners: Sequence[tuple[str, str]], engine: EngineTable, inputs: Callable[[], Input], in_flight: int
) -> Iterator[Contender]:
    """Our daemons and the product's own client, which verifies every certificate."""
    with passing_group(LocalGroup, engine, owners) as local, Load(local, inputs, PATIENCE_US) as load:
        meter = CpuMeter(processes(local))

        def measure(seconds: float, warm_s: float) -> Sample:
            sample = load.closed(in_flight, seconds, warm_s)
            load.drain(DRAIN_S)
            return sample

        def daemons_cpu() -> float:
            return sum(used for name, used in meter.seconds().items() if name != "client")

        yield Contender(OURS, measure, daemons_cpu)


@contextmanager
def bare(workload: Workload) -> Iterator[Contender]:
    """ONNX Runtime in a loop, a process for each worker: the same pictures prepared, run and answered, nothing else."""
    with multiprocessing.get_context("spawn").Pool(workload.workers) as pool:
        pool.map(_looped, [(workload, 0.0)] * workload.workers, chunksize=1)

        def measure(seconds: float, warm_s: float) -> Sample:
            rates = pool.map(_looped, [(workload, seconds)] * workload.workers, chunksize=1)
            return Sample(seconds, round(sum(rates) * seconds))

        yield Contender(BARE, measure)


def _looped(row: tuple[Workload, float]) -> float:
    """Pictures answered in a second, over whole batches; at least one, so that the model is loaded afterwards."""
    workload, seconds = row
    model, make, done = _loaded(workload), _inputs(workload.side), 0
    started = time.monotonic()
    while not done or time.monotonic() < started + seconds:
        done += len(model.answers([make().data for _ in range(workload.batch_max)]))
    return done / (time.monotonic() - started)


_loaded = cache(Model)
_inputs = cache(cut_inputs)


def take_turns(contenders: Sequence[Contender], runs: int, seconds: float, warm_s: float) -> float:
    """So many rounds, one after the other in each; the largest share of a core that those at rest took meanwhile."""
    restless = 0.0
    for one in contenders:
        one.settle()
    for _ in range(runs):
        for one in contenders:
            others = [other for other in contenders if other is not one]
            before, started = sum(other.cpu_seconds() for other in others), time.monotonic()
            one.samples.append(one.measure(seconds, warm_s))
            used = sum(other.cpu_seconds() for other in others) - before
            restless = max(restless, used / (time.monotonic() - started))
    for one in contenders:
        one.ask_to_end()
    return restless
