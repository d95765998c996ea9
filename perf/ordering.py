"""Certified requests a second, engines that take no time: P1 with inputs of 1 KB, P2 with 150 KB, P3 against an echo.

Four nodes, four engines and the client on one machine, closed loop, every certificate verified; the echo floor sends
the same frames through the same sockets and processes with no agreement. Runs of both alternate. ``detail`` has what a
signature, a digest and an fsync cost meanwhile, and rates with fewer requests open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from dropbeard.daemon.local_group import LocalGroup
from dropbeard.types.node_config import EngineTable
from perf._echo import EchoGroup, EchoLoad
from perf._hardware import costs
from perf._load import Load, Sample, raw_inputs
from perf._measure import Figure, Length, figure
from perf._observed import passing_group

ENGINE: Final = EngineTable("", backend="synthetic", max_batch=64, queue_max=2_048)
SMALL_SIDE: Final = 18
"""972 bytes."""

LARGE_SIDE: Final = 224
"""150,528 bytes."""

SMALL_IN_FLIGHT: Final = 1_000
LARGE_IN_FLIGHT: Final = 192
FULL: Final = Length(5, 8.0, 3.0)
QUICK: Final = Length(1, 3.0, 1.5)
CURVE_STEPS: Final = 5
CURVE_SECONDS: Final = 4.0
CURVE_WARM_S: Final = 1.0


def bench(quick: bool) -> list[Figure]:
    """P1, P2 and both shares of P3."""
    runs, seconds, warm_s = QUICK if quick else FULL
    found: list[Figure] = []
    for name, side, in_flight in (("P1", SMALL_SIDE, SMALL_IN_FLIGHT), ("P2", LARGE_SIDE, LARGE_IN_FLIGHT)):
        samples, floors = alternate(side, in_flight, runs, seconds, warm_s)
        rates = [sample.rate for sample in samples]
        middle = sorted(samples, key=lambda sample: sample.rate)[len(samples) // 2]
        detail: dict[str, Any] = {
            "in_flight": in_flight,
            "input_bytes": 3 * side * side,
            **middle.summary(),
            "costs_us": costs(),
        }
        if not quick:
            detail["curve"] = curve(side, [in_flight * share // CURVE_STEPS for share in range(1, CURVE_STEPS + 1)])
        found.append(figure(name, "certified requests/s", rates, floors, **detail))
        shares = [rate / floor for rate, floor in zip(rates, floors, strict=True)]
        found.append(figure(f"P3 of {name}", "share of the echo floor", shares))
    return found


def alternate(
    side: int, in_flight: int, runs: int, seconds: float, warm_s: float
) -> tuple[Sequence[Sample], Sequence[float]]:
    """Samples of a group, and rates of the echo after each."""
    samples, floors = [], []
    for _ in range(runs):
        with passing_group(LocalGroup, ENGINE) as local, Load(local, raw_inputs(side)) as load:
            samples.append(load.closed(in_flight, seconds, warm_s))
        with passing_group(EchoGroup, ENGINE) as mute, EchoLoad(mute, 3 * side * side) as echo:
            floors.append(echo.closed(in_flight, seconds, warm_s))
    return samples, floors


def curve(side: int, in_flight: Sequence[int]) -> list[dict[str, Any]]:
    """Rates and latencies with so many requests open, one after the other, of one group."""
    rows = []
    with passing_group(LocalGroup, ENGINE) as local, Load(local, raw_inputs(side)) as load:
        for number in in_flight:
            sample = load.closed(number, CURVE_SECONDS, CURVE_WARM_S)
            rows.append({"in_flight": number, "certified_per_s": round(sample.rate, 1), **sample.summary()})
    return rows
