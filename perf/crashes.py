"""What crashes cost: ``python -m perf.crashes``. Real daemons on this machine, synthetic engines, small inputs.

Two questions, one run each time, printed as one JSON object:
- *gap*: nodes are killed one after the other while requests flow. The longest time without a finalization in the
  seconds after each kill holds the dead leader's turn; it is set against propose_timeout.
- *kept*: certified requests a second with f nodes down, as a ratio to the same load with all up, alternating.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from dropbeard.client import Client
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.errors import ClientError, DropbeardError

WINDOW_S = 2.5
SETTLE_S = 2.5
PHASE_S = 6.0
IN_FLIGHT = 64
READY_S = 40.0


class Load(threading.Thread):
    """Asks all the time; ``done`` holds when each certificate was verified, by the monotonic clock."""

    def __init__(self, local: LocalGroup) -> None:
        super().__init__(daemon=True)
        self._local = local
        self._rng = np.random.default_rng(1)
        self.done: list[float] = []
        self.failed = 0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            try:
                with Client(self._local.group, timeout=15, patience=0.05, connect_timeout=3) as client:
                    while not self.over.is_set():
                        self._ask(client)
            except DropbeardError:
                time.sleep(0.1)

    def _ask(self, client: Client) -> None:
        pictures = (self._rng.integers(0, 255, (8, 8, 3), dtype=np.uint8) for _ in range(4 * IN_FLIGHT))
        for outcome in client.map_outcomes(pictures, in_flight=IN_FLIGHT):
            if isinstance(outcome, ClientError):
                self.failed += 1
            else:
                self.done.append(time.monotonic())


def wait_until_all_answer(local: LocalGroup) -> None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        local.supervisor.poll()
        try:
            with Client(local.group, timeout=10, patience=2, connect_timeout=2) as client:
                if len(client.infer(np.zeros((8, 8, 3), np.uint8)).owners) == local.group.n:
                    return
        except ClientError:
            time.sleep(0.2)
    raise SystemExit("not every node answers")


def gaps(local: LocalGroup, load: Load, kills: int) -> list[float]:
    """Longest time between two finalizations after each kill, in milliseconds."""
    found = []
    for number in range(kills):
        name = f"node {local.configs[number % local.group.n].stem}"
        pid = local.supervisor.pid(name)
        if pid is None:
            continue
        started = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        time.sleep(WINDOW_S)
        times = [started, *(moment for moment in load.done if moment > started), time.monotonic()]
        found.append(1000 * max(b - a for a, b in itertools.pairwise(times)))
        until = time.monotonic() + SETTLE_S
        while time.monotonic() < until:
            local.supervisor.poll()
            time.sleep(0.05)
    return found


def kept(local: LocalGroup, load: Load, rounds: int) -> list[tuple[float, float]]:
    """(all up, f down) requests a second in each round."""
    rows = []
    for number in range(rounds):
        wait_until_all_answer(local)
        whole = _rate(load)
        pid = local.supervisor.pid(f"node {local.configs[number % local.group.n].stem}")
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        time.sleep(SETTLE_S)
        rows.append((whole, _rate(load)))
    return rows


def _rate(load: Load) -> float:
    started = time.monotonic()
    time.sleep(PHASE_S)
    return sum(moment > started for moment in load.done) / (time.monotonic() - started)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m perf.crashes", description="What crashes cost.")
    parser.add_argument("--kills", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        labels = Path(directory) / "labels.txt"
        labels.write_text("\n".join(f"class {number}" for number in range(10)))
        with LocalGroup(Path(directory) / "g", backend="synthetic", labels=labels) as local:
            wait_until_all_answer(local)
            load = Load(local)
            load.start()
            time.sleep(SETTLE_S)
            found = sorted(gaps(local, load, chosen.kills))
            rows = kept(local, load, chosen.rounds)
            load.over.set()
            timeout_ms = local.group.parameters.propose_timeout_us / 1000
    figures = {
        "kills": len(found),
        "gap_ms_median": round(statistics.median(found)),
        "gap_ms_p99": round(found[min(len(found) - 1, int(0.99 * len(found)))]),
        "propose_timeout_ms": timeout_ms,
        "rates": [[round(a), round(b)] for a, b in rows],
        "kept_median": round(statistics.median(b / a for a, b in rows), 3),
        "failed": load.failed,
    }
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
