"""A node over many requests: P11, resident memory over time and bytes of its state directory for a request.

``dropbeard bench soak`` drives 1,000,000 requests of 1 KB; ``python -m perf.soak --requests N --retention S`` others.
What nodes must remember falls due after the genesis' retention: it is shortened here, so that remembering has an end
well before the run has. Memory is flat when its mean over the last quarter of requests is at most 5 % above that of the
quarter before.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from dropbeard.daemon.files import read_node_files
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.types.parameters import SECOND, Parameters
from perf._load import Load, raw_inputs
from perf._measure import Figure, figure, report
from perf._observed import passing_group
from perf.ordering import ENGINE, SMALL_IN_FLIGHT, SMALL_SIDE

REQUESTS: Final = 1_000_000
QUICK_REQUESTS: Final = 20_000
QUICK_S: Final = 25.0
"""A quick run ends then, however far it came."""

RETENTION_S: Final = 60
QUICK_RETENTION_S: Final = 2
STEPS: Final = 100
"""Looks at memory in a run."""

STEP_S: Final = 1.0
GROWTH_MAX: Final = 0.05
Point = tuple[int, float]
"""Requests so far and MiB resident, the mean of the nodes."""


def bench(quick: bool) -> list[Figure]:
    """P11 of one long run."""
    if quick:
        return soak(QUICK_REQUESTS, QUICK_RETENTION_S, QUICK_S)
    return soak(REQUESTS, RETENTION_S, float("inf"))


def soak(requests: int, retention_s: int, most_s: float) -> list[Figure]:
    """Both figures after so many requests, or so many seconds."""
    parameters = Parameters(retention_us=retention_s * SECOND)
    with (
        passing_group(LocalGroup, ENGINE, parameters=parameters) as local,
        Load(local, raw_inputs(SMALL_SIDE)) as load,
    ):
        pids = [local.supervisor.pid(f"node {owner.name}") for owner in local.group.owners]
        nodes = [pid for pid in pids if pid is not None]
        started, done, failed = time.monotonic(), 0, 0
        points: list[Point] = [(0, _mean_mib(nodes))]
        while done < requests and time.monotonic() - started < most_s:
            sample = load.closed(SMALL_IN_FLIGHT, STEP_S, 0.0)
            done, failed = done + sample.certified, failed + sample.failed
            points.append((done, _mean_mib(nodes)))
        seconds = time.monotonic() - started
        load.drain(20.0)
        states = [directory_bytes(read_node_files(config).state) for config in local.configs]
    detail: dict[str, Any] = {"requests": done, "failed": failed, "retention_s": retention_s}
    detail |= {"certified_per_s": round(done / seconds, 1)}
    grew = growth(points)
    series = [[count, round(mib, 1)] for count, mib in thinned(points, STEPS)]
    return [
        figure("P11", "bytes of a state directory for a request", [one / done for one in states], (), **detail),
        figure(
            "P11 memory",
            "share by which resident memory grew over the second half",
            [grew],
            (),
            flat=grew <= GROWTH_MAX,
            mib_at_the_end=round(points[-1][1], 1),
            requests_and_mib=series,
            **detail,
        ),
    ]


def growth(points: Sequence[Point]) -> float:
    """Mean memory over the last quarter of requests over that of the quarter before, less one."""
    last = points[-1][0]
    third = [mib for count, mib in points if 0.5 * last <= count < 0.75 * last]
    fourth = [mib for count, mib in points if count >= 0.75 * last]
    if not third or not fourth:
        raise SystemExit("too short a run to say how memory grows")
    return statistics.fmean(fourth) / statistics.fmean(third) - 1


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most about so many of them, evenly, the last one among them."""
    every = max(1, len(points) // most)
    return [*itertools.islice(points[:-1], 0, None, every), points[-1]]


def _mean_mib(pids: Sequence[int]) -> float:
    return statistics.fmean(resident_mib(pid) for pid in pids)


def resident_mib(pid: int) -> float:
    """Resident memory of a process; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmRSS")), 0.0)


def directory_bytes(directory: Path) -> int:
    """Of all files in it."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def main() -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m perf.soak", description="A node over many requests.")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--retention", type=int, default=RETENTION_S, help="seconds")
    chosen = parser.parse_args()
    found = soak(chosen.requests, chosen.retention, float("inf"))
    sys.stdout.write(f"{report(found)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
