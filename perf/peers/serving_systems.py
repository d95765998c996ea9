"""P6: one of our nodes, alone in its group, beside serving systems; P7: four nodes beside four servers and a vote."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from dropbeard.daemon.local_group import OWNERS
from dropbeard.serving.catalogue import fetch_set
from dropbeard.types.node_config import EngineTable
from perf._load import Sample
from perf._measure import Figure, Length, figure, percentile
from perf.imagenet import CHEAP_SIDE, MODELS_VARIABLE, SIDE, cut_inputs, own_catalogue
from perf.peers.contenders import BARE, OURS, RECIPES, Contender, bare, group, peer, ports_for, take_turns
from perf.peers.environment import Environment
from perf.peers.workload import Workload

HEAVY_BATCH: Final = 8
HEAVY_IN_FLIGHT: Final = 32
CHEAP_BATCH: Final = 16
CHEAP_IN_FLIGHT: Final = 128
WAIT_MS: Final = 5
QUEUE_MAX: Final = 1_024
VOTER: Final = "mosec"
"""Of the serving systems the one that keeps most of the bare loop: what four servers and a vote are made of."""

FULL: Final = Length(5, 8.0, 2.0)
QUICK: Final = Length(1, 1.5, 0.5)


def bench(quick: bool, environment: Environment) -> list[Figure]:
    """P6 and P7 with the cheap models, if they are there, and with the demo's; quick: with the first of the two."""
    found: list[Figure] = []
    if MODELS_VARIABLE in os.environ:
        with own_catalogue(Path(os.environ[MODELS_VARIABLE])) as names:
            found += _compared([_cheap(name) for name in names for _ in range(2)], quick, environment)
    if not found or not quick:
        fetch_set("imagenet")
        found += _compared([_heavy(name) for _, name in OWNERS], quick, environment)
    return found


def _heavy(model: str) -> Workload:
    return Workload(model, SIDE, HEAVY_BATCH, WAIT_MS, 1, HEAVY_IN_FLIGHT)


def _cheap(model: str) -> Workload:
    return Workload(model, CHEAP_SIDE, CHEAP_BATCH, WAIT_MS, 1, CHEAP_IN_FLIGHT)


def _compared(workloads: Sequence[Workload], quick: bool, environment: Environment) -> list[Figure]:
    """The first model behind one server, then all four each behind its own."""
    length = QUICK if quick else FULL
    return [*one_server(workloads[0], environment, *length), *four_servers(workloads, environment, *length)]


def one_server(workload: Workload, environment: Environment, runs: int, seconds: float, warm_s: float) -> list[Figure]:
    """P6: ours over the best peer, then everybody over the bare loop."""
    workload = workload.on_cores(len(os.sched_getaffinity(0)))
    engine = engine_of(workload)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        peers = [one for one in RECIPES if one in environment.present]
        ours = group([(OWNERS[0][0], workload.model)], engine, cut_inputs(workload.side), workload.in_flight)
        # Servers first: they load while the others are made.
        contenders = [
            stack.enter_context(peer(one, [workload], [port], environment, Path(name)))
            for one, port in zip(peers, ports_for(len(peers)), strict=True)
        ]
        contenders = [stack.enter_context(bare(workload)), stack.enter_context(ours), *contenders]
        at_rest = take_turns(contenders, runs, seconds, warm_s)
    detail = {
        "in_flight": workload.in_flight,
        "at_rest_cores": round(at_rest, 3),
        "absent": environment.absent(list(RECIPES)),
    }
    return figures_of(f"P6 {workload.model}", "certified requests/s", contenders, detail)


def four_servers(
    workloads: Sequence[Workload], environment: Environment, runs: int, seconds: float, warm_s: float
) -> list[Figure]:
    """P7: a group of four over four servers whose answers are one vote each."""
    first = workloads[0]
    owners = [(owner, one.model) for (owner, _), one in zip(OWNERS, workloads, strict=True)]
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        voters = [VOTER] if VOTER in environment.present else []
        ports = ports_for(len(workloads))
        contenders = [stack.enter_context(peer(one, workloads, ports, environment, Path(name))) for one in voters]
        ours = group(owners, engine_of(first), cut_inputs(first.side), first.in_flight)
        contenders = [stack.enter_context(ours), *contenders]
        at_rest = take_turns(contenders, runs, seconds, warm_s)
    detail = {"in_flight": first.in_flight, "at_rest_cores": round(at_rest, 3), "absent": environment.absent([VOTER])}
    return figures_of(f"P7 {first.model}", "certified requests/s", contenders, detail)


def engine_of(workload: Workload) -> EngineTable:
    """Our engine with the settings that the peers have."""
    return EngineTable("", threads=1, streams=workload.workers, max_batch=workload.batch_max, queue_max=QUEUE_MAX)


def figures_of(name: str, unit: str, contenders: Sequence[Contender], detail: dict[str, Any]) -> list[Figure]:
    """Ours against the best of the others, and each of all against the bare loop where there is one."""
    by_name = {one.name: one.samples for one in contenders}
    rivals = [one for one in by_name if one not in (OURS, BARE)]
    best = max(rivals, key=lambda one: statistics.median(_rates(by_name[one])), default=None)
    ours = _rates(by_name[OURS])
    against: dict[str, Any] = {}
    if best is not None:
        shares = [
            sum(b.cpu_us.values()) / sum(a.cpu_us.values()) for a, b in zip(by_name[OURS], by_name[best], strict=True)
        ]
        against = {"best": best, "cpu_ratio": round(statistics.median(shares), 3)}
    tail = round(statistics.median(map(tail_of, by_name[OURS])), 3)
    made = [figure(name, unit, ours, _rates(by_name[best]) if best else (), p99_over_p50=tail, **against, **detail)]
    floors = _rates(by_name[BARE]) if BARE in by_name else []
    for one in (OURS, *rivals):
        made.append(figure(f"{name} {one}", "requests/s", _rates(by_name[one]), floors, **_said(by_name[one])))
    return made


def _rates(samples: Sequence[Sample]) -> list[float]:
    return [sample.rate for sample in samples]


def tail_of(sample: Sample) -> float:
    """The 99th percentile of its latencies over their median; 0 without any."""
    median = percentile(sample.latencies_ms, 0.5)
    return percentile(sample.latencies_ms, 0.99) / median if median else 0.0


def _said(samples: Sequence[Sample]) -> dict[str, float]:
    middle = sorted(samples, key=lambda sample: sample.rate)[len(samples) // 2]
    cpu = {"servers_cpu_us": 0.0, "client_cpu_us": 0.0}
    for name, used in middle.cpu_us.items():
        cpu["client_cpu_us" if name == "client" else "servers_cpu_us"] += used
    tail = {
        "p50_ms": round(percentile(middle.latencies_ms, 0.5), 1),
        "p99_ms": round(percentile(middle.latencies_ms, 0.99), 1),
        "p99_over_p50": round(tail_of(middle), 3),
    }
    return {**tail, "failed": middle.failed, **{name: round(used) for name, used in cpu.items()}}
