"""CPU time of a node for each request as the group grows: P10, n = 4 and n = 13, engines that take no time, 1 KB.

Everything shares this machine's cores, so the rate falls as n * n; CPU time of one node for one certified request is
what is compared. Runs of both sizes alternate.
"""

from __future__ import annotations

import statistics
from typing import Final

from dropbeard.daemon.local_group import LocalGroup
from perf._load import Load, raw_inputs
from perf._measure import Figure, Length, figure
from perf._observed import passing_group
from perf.ordering import ENGINE, SMALL_SIDE

SMALL, LARGE = 4, 13
BETWEEN: Final = (7, 10)
"""Measured once for the plot, but for a quick run."""

IN_FLIGHT: Final = 512
FULL: Final = Length(5, 8.0, 4.0)
QUICK: Final = Length(1, 4.0, 2.0)


def bench(quick: bool) -> list[Figure]:
    """P10: microseconds at n = 13 over those at n = 4."""
    runs, seconds, warm_s = QUICK if quick else FULL
    rows = [(node_us(SMALL, seconds, warm_s), node_us(LARGE, seconds, warm_s)) for _ in range(runs)]
    small, large = [row[0] for row in rows], [row[1] for row in rows]
    costs = {SMALL: statistics.median(small), LARGE: statistics.median(large)}
    costs |= {n: node_us(n, seconds, warm_s) for n in (() if quick else BETWEEN)}
    by_n = [{"n": n, "node_us": round(us, 1)} for n, us in sorted(costs.items())]
    unit = "us of CPU for a request and node, n = 13 over n = 4"
    return [figure("P10", unit, large, small, in_flight=IN_FLIGHT, by_n=by_n)]


def node_us(n: int, seconds: float, warm_s: float) -> float:
    """CPU microseconds of a node for each certified request, the mean over the nodes of a fresh group."""
    owners = [(f"owner{number}", "synthetic") for number in range(n)]
    with passing_group(LocalGroup, ENGINE, owners) as local, Load(local, raw_inputs(SMALL_SIDE)) as load:
        sample = load.closed(IN_FLIGHT, seconds, warm_s)
    used = [cpu for name, cpu in sample.cpu_us.items() if name.startswith("node ")]
    return sum(used) / len(used)
