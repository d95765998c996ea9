"""Latency of certificates over a wide area: P8, three sites, every one-way delay 20 ms, 1 KB, 400 requests/s.

n = 4 on three sites, the client at a place of its own, open loop, engines that take no time, every certificate
verified. The bound is what rule 5.3 counts: inference, five one-way delays, and a mean wait for a block of one more.
Beside it, without a bound, published round trips between regions of a cloud. The delays are between network namespaces
where they can be made (root), else in a relay; ``detail`` says which.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, get_args

from dropbeard.daemon.new_group import WAN
from dropbeard.types.certificates import Certificate
from perf._load import Load, Sample, raw_inputs
from perf._measure import Figure, Length, figure, report
from perf._observed import passing_group
from perf._sites import Sites, cloud_sites, even_sites
from perf._wide import Emulation, WideArea, WideGroup, wide_area
from perf.ordering import ENGINE, SMALL_SIDE

NODES: Final = 4
SITES: Final = 3
ONE_WAY_MS: Final = 20.0
RATE: Final = 400.0
DELAYS: Final = 5
WAIT: Final = 1
"""Rule 5.3: one way, the mean wait for the next block."""

THREE_REGIONS: Final = ("Washington DC", "London", "Frankfurt")
FOUR_REGIONS: Final = ("Washington DC", "London", "Tokyo", "Sydney")
FULL: Final = Length(5, 10.0, 4.0)
QUICK: Final = Length(1, 4.0, 2.5)


def bench(quick: bool, emulation: Emulation | None = None) -> list[Figure]:
    """P8 and the cloud's matrices."""
    runs, seconds, warm_s = QUICK if quick else FULL
    even = [measured(even_sites(NODES, SITES, ONE_WAY_MS), seconds, warm_s, emulation) for _ in range(runs)]
    bound_ms = (DELAYS + WAIT) * ONE_WAY_MS
    means = [row["mean_ms"] for row in even]
    found = [figure("P8", "ms, mean latency of a certificate", means, [bound_ms] * runs, **_middle(even))]
    for name, regions in (("three regions", THREE_REGIONS), ("four regions", FOUR_REGIONS)):
        rows = [measured(cloud_sites(NODES, regions), seconds, warm_s, emulation) for _ in range(runs)]
        means = [row["mean_ms"] for row in rows]
        found.append(figure(f"WAN {name}", "ms, mean latency of a certificate", means, **_middle(rows)))
    return found


def _middle(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return sorted(rows, key=lambda row: float(row["mean_ms"]))[len(rows) // 2]


def measured(sites: Sites, seconds: float, warm_s: float, emulation: Emulation | None) -> dict[str, Any]:
    """One run of a fresh group over these sites."""
    with (
        wide_area(sites, emulation) as area,
        passing_group(partial(WideGroup, area=area), ENGINE, parameters=WAN) as local,
        area.client(),
        Load(local, raw_inputs(SMALL_SIDE)) as load,
    ):
        load.open(RATE, warm_s, 0.0)
        load.kept = []
        before, cpu_s = area.bytes(), area.cpu_seconds()
        sample = load.open(RATE, seconds, 0.0)
        after, cpu_s = area.bytes(), area.cpu_seconds() - cpu_s
    return _row(area, sample, load.kept, {link: after[link] - before.get(link, 0) for link in after}, cpu_s)


def _row(
    area: WideArea,
    sample: Sample,
    kept: Sequence[Certificate],
    sent: dict[tuple[int, int], int],
    cpu_s: float,
) -> dict[str, Any]:
    apart_ms = block_times_ms(kept)
    each = 1 / max(1, sample.certified)
    client = area.sites.client
    return {
        "sites": area.sites.name,
        "source": area.sites.source,
        "emulation": area.emulation + (f" ({area.why})" if area.why else ""),
        "certified_per_s": round(sample.rate, 1),
        **sample.summary(),
        "mean_wait_for_a_block_ms": round(mean_wait(apart_ms), 1),
        "block_ms": round(sum(apart_ms) / max(1, len(apart_ms)), 1),
        "bytes_a_request_between_nodes": round(each * sum(n for (a, b), n in sent.items() if client not in (a, b))),
        "bytes_a_request_from_the_client": round(each * sum(n for (a, _), n in sent.items() if a == client)),
        "bytes_a_request_to_the_client": round(each * sum(n for (_, b), n in sent.items() if b == client)),
        "emulation_cpu_us": round(cpu_s * 1e6 * each),
    }


def block_times_ms(kept: Sequence[Certificate]) -> list[float]:
    """Between proposals of blocks that follow each other, by their leaders' clocks."""
    times = {header.height: header.time for certificate in kept for header in certificate.headers}
    pairs = itertools.pairwise(sorted(times.items()))
    return [(later - sooner) / 1000 for (below, sooner), (height, later) in pairs if height == below + 1]


def mean_wait(apart: Sequence[float]) -> float:
    """Of somebody who comes at any moment, for the next of events that are so far apart."""
    return sum(one * one for one in apart) / (2 * sum(apart)) if sum(apart) else 0.0


def main() -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m perf.wan", description="Latency over a wide area.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--emulation", choices=get_args(Emulation), help="namespaces if they can be made, unless said")
    chosen = parser.parse_args()
    sys.stdout.write(f"{report(bench(chosen.quick, chosen.emulation))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
