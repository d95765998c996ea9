"""Throughput with f nodes down as a ratio to all up, alternating in one run.

``python -m perf.crashed``: real daemons on loopback, synthetic engines, patience 0. All share the machine's cores, so
with a node down the others have more of them: the ratio can be above one. One JSON object on standard output.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from dropbeard.types.ids import OwnerId
from perf._observed import Observer, kill, synthetic_group

SETTLE_S: Final = 1.5


def main() -> int:
    """All up, f down, all up, ..."""
    parser = argparse.ArgumentParser(prog="python -m perf.crashed", description="What is kept with f nodes down.")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each half of a round")
    parser.add_argument("--in-flight", type=int, default=64)
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        synthetic_group(Path(directory)) as local,
        Observer(local.group, chosen.in_flight) as observer,
    ):
        rows = []
        for number in range(chosen.rounds):
            observer.wait_until_all_prove(local)
            time.sleep(SETTLE_S)
            whole = observer.rate(chosen.seconds)
            for place in range(local.group.f):
                kill(local, OwnerId((number + place) % local.group.n))
            time.sleep(SETTLE_S)
            rows.append((whole, observer.rate(chosen.seconds)))
            sys.stderr.write(f"{number + 1}: all up {whole:.0f}/s, f down {rows[-1][1]:.0f}/s\n")
    figures = {
        "rounds": len(rows),
        "in_flight": chosen.in_flight,
        "all_up_per_s": [round(whole) for whole, _ in rows],
        "f_down_per_s": [round(less) for _, less in rows],
        "kept_median": round(statistics.median(less / whole for whole, less in rows), 3),
        "kept_min": round(min(less / whole for whole, less in rows), 3),
        "failed": observer.failed,
    }
    sys.stdout.write(f"{json.dumps(figures)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
