"""Throughput with f lying nodes as a ratio to none, alternating in one run.

``python -m perf.byzantine``: real daemons on loopback, synthetic engines, patience 0; one of four nodes twists what it
sends as a kind of the simulator's cast does. One JSON object on standard output.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Final

from dropbeard.daemon.local_group import LocalGroup
from dropbeard.daemon.supervisor import Child
from dropbeard.simulator.options import CAST
from dropbeard.types.node_config import EngineTable
from perf._observed import Observer, passing_group

KINDS: Final = ("silent", "vote-flipper", "equivocating-leader", "starving-leader", "forger", "withholder")
WARM_S: Final = 3.0
LIAR: Final = "dave"


class _WithLiar(LocalGroup):
    """A local group whose last node lies."""

    kind: str | None = None

    def _child(self, kind: str, config: Path) -> Child:
        if kind != "node" or self.kind is None or config.parent.name != LIAR:
            return super()._child(kind, config)
        command = (sys.executable, "-m", "perf._lying_node", str(config), self.kind)
        return Child(f"node {config.stem}", command, config.parent / "node.log")


def measure(kind: str | None, seconds: float, in_flight: int) -> float:
    """Certified requests a second of a fresh group."""
    _WithLiar.kind = kind
    with (
        passing_group(_WithLiar, EngineTable("", backend="synthetic")) as local,
        Observer(local.group, in_flight) as observer,
    ):
        started = time.monotonic()
        while not observer.certified and time.monotonic() < started + 30:
            local.check()
            time.sleep(0.1)
        time.sleep(WARM_S)
        return observer.rate(seconds)


def main() -> int:
    """None, a liar, none, another liar, ..."""
    parser = argparse.ArgumentParser(prog="python -m perf.byzantine", description="What is kept with f liars.")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"some of {', '.join(CAST)}")
    chosen = parser.parse_args()
    kept: dict[str, list[float]] = {}
    for _ in range(chosen.rounds):
        for kind in chosen.kinds.split(","):
            honest = measure(None, chosen.seconds, chosen.in_flight)
            lying = measure(kind, chosen.seconds, chosen.in_flight)
            kept.setdefault(kind, []).append(lying / honest)
            sys.stderr.write(f"none {honest:.0f}/s, one {kind} {lying:.0f}/s\n")
    figures = {kind: [round(ratio, 2) for ratio in ratios] for kind, ratios in kept.items()}
    least = min(statistics.mean(ratios) for ratios in kept.values())
    sys.stdout.write(f"{json.dumps({'kept': figures, 'least_mean': round(least, 2)})}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
