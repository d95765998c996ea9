"""Run schedules and sum them up."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from blake3 import blake3

from dropbeard.simulator.culprits import unmarked, unpunished_fork, wrongly_convicted
from dropbeard.simulator.options import Options, options_for
from dropbeard.simulator.settling import is_settled, stalls, unobtainable
from dropbeard.simulator.world import World

SHOWN_MAX = 5
JOBS_MAX = 64
CHUNK = 8
"""Seeds handed to a worker at once."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one schedule gave."""

    seed: int
    events: int
    heights: int
    requests: int
    agreed: int
    expired: int
    byzantine: tuple[str, ...]
    violations: tuple[str, ...]
    stalls: tuple[str, ...]
    trace_hash: str


@dataclass(slots=True)
class Summary:
    """What a range of seeds gave; ``trace_hash`` covers each schedule's, in order."""

    schedules: int = 0
    events: int = 0
    violations: int = 0
    stalls: int = 0
    seconds: float = 0.0
    trace_hash: str = ""
    failed: list[Report] = field(default_factory=list)

    def as_dict(self) -> dict[str, int | float | str]:
        """The figures."""
        names = ("schedules", "events", "violations", "stalls", "seconds", "trace_hash")
        return {name: getattr(self, name) for name in names}


def run_world(options: Options, log: Callable[[str], None] | None = None) -> Report:
    """One schedule. Little of it dies before its end, so the collector of cycles looks at it once, then."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return _run(options, log)
    finally:
        if collects:
            gc.enable()
            gc.collect(0)


def _run(options: Options, log: Callable[[str], None] | None) -> Report:
    world = World(options, log)
    world.run(is_settled)
    violations = list(world.oracle.found)
    lacking: list[str] = []
    if not violations:
        lacking = stalls(world)
        violations += wrongly_convicted(world) if world.liars else []
    if not violations and not lacking:
        lacking = unobtainable(world)
        violations += unmarked(world)
    violations += unpunished_fork(world)
    kinds = list(world.oracle.outcomes.values())
    return Report(
        seed=options.seed,
        events=world.events,
        heights=len(world.oracle.final),
        requests=len(world.clients.asked),
        agreed=kinds.count(1),
        expired=kinds.count(2),
        byzantine=tuple(f"{owner} {kind}" for owner, kind in world.roles.items()),
        violations=tuple(violations),
        stalls=tuple(lacking),
        trace_hash=world.trace.hexdigest(),
    )


def simulate(
    seed: int,
    n: int | None = None,
    log: Callable[[str], None] | None = None,
    byzantine: str = "auto",
    stretch: int = 1,
) -> Report:
    """One schedule, from its seed alone."""
    return run_world(options_for(seed, n, byzantine, stretch), log)


def simulate_all(
    seeds: Iterable[int], n: int | None = None, byzantine: str = "auto", jobs: int = 1, stretch: int = 1
) -> Summary:
    """Every seed; ``jobs`` processes side by side give the same figures."""
    summary, trace, started = Summary(), blake3(), time.monotonic()
    one = partial(_one, n, byzantine, stretch)
    if jobs == 1:
        for seed in seeds:
            _add(summary, trace, one(seed))
    else:
        with ProcessPoolExecutor(min(jobs, JOBS_MAX)) as pool:
            for report in pool.map(one, seeds, chunksize=CHUNK):
                _add(summary, trace, report)
    summary.seconds = round(time.monotonic() - started, 3)
    summary.trace_hash = trace.hexdigest()
    return summary


def _one(n: int | None, byzantine: str, stretch: int, seed: int) -> Report:
    return simulate(seed, n, None, byzantine, stretch)


def _add(summary: Summary, trace: blake3, report: Report) -> None:
    summary.schedules += 1
    summary.events += report.events
    summary.violations += len(report.violations)
    summary.stalls += len(report.stalls)
    trace.update(report.trace_hash.encode())
    if (report.violations or report.stalls) and len(summary.failed) < SHOWN_MAX:
        summary.failed.append(report)


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
