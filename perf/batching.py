"""Batching inference apart from ordering, against taking turns: P14, certified requests/s at equal p99, same run.

The other design stands in ``perf/_coupled.py`` alone: its nodes hand the engine one batch and wait until its answers
are ordered before the next. Engines are synthetic with published times of a heavy and of a cheap model, which cost no
CPU here. Both designs get the same closed loops; what counts is the most that either certifies with p99 within the same
bound, read off between the measured points.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Final

from dropbeard.daemon.local_group import LocalGroup
from dropbeard.types.node_config import EngineTable
from perf._coupled import CoupledGroup
from perf._load import Load, raw_inputs
from perf._measure import Figure, figure
from perf._observed import passing_group
from perf._paper import T4
from perf.ordering import SMALL_SIDE

V100_INT8: Final = ((1, 1_220), (2, 1_720), (4, 2_450), (8, 2_910), (16, 4_260), (32, 6_790))
"""Inputs in a batch and microseconds: ResNet-50, TensorRT 4, INT8, engine alone (gist.github.com/1duo)."""

PROFILES: Final = (("heavy", T4, 64), ("cheap", V100_INT8, 32))
"""Name, times, largest batch."""

IN_FLIGHT: Final = (8, 16, 32, 64, 128, 256, 512)
QUICK_IN_FLIGHT: Final = (32, 256)
P99_MAX_MS: Final = 500.0
RUNS: Final = 3
SECONDS: Final = 4.0
QUICK_SECONDS: Final = 1.5
WARM_S: Final = 1.0
Point = dict[str, Any]


def bench(quick: bool) -> list[Figure]:
    """P14 with the heavy and with the cheap model."""
    runs = 1 if quick else RUNS
    found = []
    for name, times, batch in PROFILES:
        engine = EngineTable("", backend="synthetic", max_batch=batch, queue_max=2_048, service_time_us=times)
        rounds = [(curve(LocalGroup, engine, quick), curve(CoupledGroup, engine, quick)) for _ in range(runs)]
        apart = [most_within(row[0], P99_MAX_MS) for row in rounds]
        coupled = [most_within(row[1], P99_MAX_MS) for row in rounds]
        unit = f"certified requests/s with p99 within {P99_MAX_MS:g} ms, against taking turns"
        detail = {"separate": rounds[-1][0], "taking_turns": rounds[-1][1], "batch_max": batch}
        found.append(figure(f"P14 {name}", unit, apart, coupled, **detail))
    return found


def curve(made: type[LocalGroup], engine: EngineTable, quick: bool) -> list[Point]:
    """Rates and latencies with more and more requests open, of one fresh group."""
    points = []
    with passing_group(made, engine) as local, Load(local, raw_inputs(SMALL_SIDE)) as load:
        for in_flight in QUICK_IN_FLIGHT if quick else IN_FLIGHT:
            sample = load.closed(in_flight, QUICK_SECONDS if quick else SECONDS, WARM_S)
            points.append({"in_flight": in_flight, "certified_per_s": round(sample.rate, 1), **sample.summary()})
    return points


def most_within(points: Sequence[Point], p99_max_ms: float) -> float:
    """The highest rate with p99 within the bound; between two points both are taken to lie on a line. A first point
    beyond it is brought back in proportion.
    """
    rows = [(0.0, 0.0), *((float(one["p99_ms"]), float(one["certified_per_s"])) for one in points)]
    best = 0.0
    for (sooner, slower), (later, faster) in itertools.pairwise(rows):
        if later <= p99_max_ms:
            best = max(best, faster)
        elif sooner < p99_max_ms:
            best = max(best, slower + (faster - slower) * (p99_max_ms - sooner) / (later - sooner))
    return best
