"""``python -m tests.fuzz --messages N --seed S``: malformed messages into every decoder and into a replica."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter

BATCH = 10_000
"""Messages of one child process; an abort costs no more than these."""

CHILD_TIMEOUT_S = 600


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Malformed messages into every decoder.")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args()
    started, counts, aborts = time.monotonic(), Counter[str](), 0
    batches = [(chosen.seed * 1_000_003 + k, BATCH) for k in range(-(-chosen.messages // BATCH))]
    while batches:
        running = [_start(*batches.pop()) for _ in range(min(chosen.jobs, len(batches)))]
        for seed, child in running:
            out, err = child.communicate(timeout=CHILD_TIMEOUT_S)
            if child.returncode != 0:
                aborts += 1
                last = err.strip().splitlines()[-1:] or ["0"]
                sys.stderr.write(f"seed {seed} ended with {child.returncode} after message {last[0]}\n")
                continue
            found = json.loads(out.splitlines()[-1])
            counts.update(found["counts"])
            for what in found["wrong"]:
                sys.stderr.write(f"seed {seed}: {what}\n")
    messages = counts["rejected"] + counts["accepted"] + max(0, counts["wrong"] - counts["accepted"])
    figures = {"messages": messages, **{name: counts[name] for name in ("rejected", "accepted", "handled", "wrong")}}
    sys.stdout.write(json.dumps({**figures, "aborts": aborts, "seconds": round(time.monotonic() - started, 1)}) + "\n")
    return 1 if aborts or counts["wrong"] else 0


def _start(seed: int, count: int) -> tuple[int, subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.fuzz.worker", str(seed), str(count)]
    return seed, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


sys.exit(main())
