"""Run schedules and sum them up; after the heal progress is owed (rule 10, liveness)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from blake3 import blake3

from dropbeard.simulator.options import options_for
from dropbeard.simulator.world import WALL_US, World

SHOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class Report:
    """What one schedule gave."""

    seed: int
    events: int
    heights: int
    requests: int
    agreed: int
    expired: int
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


def simulate(seed: int, n: int | None = None, log: Callable[[str], None] | None = None) -> Report:
    """One schedule, from its seed alone."""
    world = World(options_for(seed, n), log)
    world.run()
    stalls = [] if world.oracle.found else _stalls(world)
    kinds = list(world.oracle.outcomes.values())
    return Report(
        seed=seed,
        events=world.events,
        heights=len(world.oracle.final),
        requests=len(world.asked),
        agreed=kinds.count(1),
        expired=kinds.count(2),
        violations=tuple(world.oracle.found),
        stalls=tuple(stalls),
        trace_hash=world.trace.hexdigest(),
    )


def simulate_all(seeds: Iterable[int], n: int | None = None) -> Summary:
    """Every seed, one after the other."""
    summary, trace, started = Summary(), blake3(), time.monotonic()
    for seed in seeds:
        report = simulate(seed, n)
        summary.schedules += 1
        summary.events += report.events
        summary.violations += len(report.violations)
        summary.stalls += len(report.stalls)
        trace.update(report.trace_hash.encode())
        if (report.violations or report.stalls) and len(summary.failed) < SHOWN_MAX:
            summary.failed.append(report)
    summary.seconds = round(time.monotonic() - started, 3)
    summary.trace_hash = trace.hexdigest()
    return summary


def _stalls(world: World) -> list[str]:
    """At the end, seconds after the heal and after every deadline: nothing is owed any more."""
    found = []
    speaking = [r for r in world.replicas if r.owner not in world.silent]
    tops = {int(r.owner): r.turn.state.chain.final.header.height for r in speaking}
    if max(tops.values()) - min(tops.values()) > 1:
        found.append(f"lagging: final heights {tops}")
    for replica in speaking:
        state = replica.turn.state
        if state.chain.base.open:
            found.append(f"open: replica {replica.owner} has {len(state.chain.base.open)} undecided records")
        cut = {tip.owner: tip.height for tip in state.chain.final.header.cut}
        if cut[state.me] < state.own_tip.height:
            found.append(f"unordered: lane of {state.me} at {state.own_tip.height}, final cut {cut[state.me]}")
        if state.mine and any(not own.openings for own in state.mine.values()):
            found.append(f"unanswered: replica {replica.owner} holds requests without an answer")
    return found + _without_outcome(world)


def _without_outcome(world: World) -> list[str]:
    """Requests that more than f owners promised well in time and that have no outcome."""
    owners: dict[bytes, set[int]] = {}
    for batch in world.oracle.batches.values():
        for item in batch.attestations:
            if batch.time + world.options.skew_us < item.deadline:
                owners.setdefault(item.request_id(), set()).add(int(batch.owner))
    missing = 0
    for request, asked in world.asked.items():
        answered = len(owners.get(request, ()))
        healed_before = asked.request.deadline - WALL_US > world.options.heal_us + 2_000_000
        if answered >= world.keys.group.answers and healed_before and request not in world.oracle.outcomes:
            missing += 1
    return [f"no-outcome: {missing} requests that enough owners answered in time"] if missing else []
