"""A leader is killed while requests flow: the longest time without a final block, against propose_timeout.

``python -m perf.leader_crash``: real daemons on loopback, synthetic engines. Each time the leader of the next view is
killed (-9), and the longest pause between final blocks is taken over the seconds that hold its turn; it is started
again and has proved an outcome before the next kill. One JSON object on standard output; 1 when p99 is above 1.5 times.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dropbeard.types.ids import View
from dropbeard.types.parameters import SECOND
from perf._observed import Observer, kill, synthetic_group

WINDOW_S: Final = 2.0
CALM_S: Final = 1.0
BOUND: Final = 1.5


KILLS_IN_A_GROUP: Final = 8
"""Then a new group is made: a restart replays the whole journal, and what that takes is not the question here."""


@dataclass(slots=True)
class Measured:
    """In milliseconds, but ``back_s``."""

    timeout_ms: float = 0.0
    pauses: list[float] = field(default_factory=list)
    calm: list[float] = field(default_factory=list)
    back_s: list[float] = field(default_factory=list)
    certified: int = 0
    failed: int = 0


def crash(kills: int, in_flight: int, found: Measured) -> None:
    """Kill so many leaders of one new group."""
    with (
        tempfile.TemporaryDirectory() as directory,
        synthetic_group(Path(directory)) as local,
        Observer(local.group, in_flight) as observer,
    ):
        found.timeout_ms = 1000 * local.group.parameters.propose_timeout_us / SECOND
        observer.wait_until_all_prove(local)
        for _ in range(kills):
            started = time.monotonic()
            time.sleep(CALM_S)
            found.calm.append(1000 * observer.longest_pause(started, time.monotonic()))
            killed = kill(local, local.group.leader(View(observer.view + 1)))
            time.sleep(WINDOW_S)
            found.pauses.append(1000 * observer.longest_pause(killed, killed + WINDOW_S))
            found.back_s.append(observer.wait_until_all_prove(local))
            last = f"{found.pauses[-1]:.0f} ms (before: {found.calm[-1]:.0f}), back in {found.back_s[-1]:.1f} s"
            sys.stderr.write(f"{len(found.pauses)}: {last}\n")
        found.certified += len(observer.certified)
        found.failed += observer.failed


def main() -> int:
    """Kill, wait, sum up."""
    parser = argparse.ArgumentParser(prog="python -m perf.leader_crash", description="What a leader's crash costs.")
    parser.add_argument("--kills", type=int, default=32)
    parser.add_argument("--in-flight", type=int, default=8)
    chosen = parser.parse_args()
    found = Measured()
    for first in range(0, chosen.kills, KILLS_IN_A_GROUP):
        crash(min(KILLS_IN_A_GROUP, chosen.kills - first), chosen.in_flight, found)
    ranked = sorted(found.pauses)
    p99 = ranked[math.ceil(0.99 * len(ranked)) - 1]
    figures = {
        "kills": len(ranked),
        "propose_timeout_ms": found.timeout_ms,
        "pause_ms_median": round(statistics.median(ranked)),
        "pause_ms_p99": round(p99),
        "pause_ms_max": round(ranked[-1]),
        "calm_pause_ms_median": round(statistics.median(found.calm)),
        "calm_pause_ms_max": round(max(found.calm)),
        "p99_over_timeout": round(p99 / found.timeout_ms, 2),
        "within_bound": sum(pause <= BOUND * found.timeout_ms for pause in ranked),
        "back_s_median": round(statistics.median(found.back_s), 1),
        "certified": found.certified,
        "failed": found.failed,
    }
    sys.stdout.write(f"{json.dumps(figures)}\n")
    return 0 if p99 <= BOUND * found.timeout_ms else 1


if __name__ == "__main__":
    sys.exit(main())
