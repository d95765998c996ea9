"""Where the time of a node goes, by stage: py-spy on one node of a group under load, in microseconds for a request.

``python -m perf.profile [--side 224] [--in-flight 192] [--raw FILE]``. py-spy comes with the extra ``perf``; it samples
what is on the interpreter's stack, waiting for the disk included, so the stages of a node add up to its share of wall
time in turns. ``cpu_us`` is what the kernel counted for the whole process, ZeroMQ's own thread included.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from dropbeard.daemon.local_group import LocalGroup
from perf._load import Load, processes, raw_inputs
from perf._measure import commit, machine
from perf._observed import passing_group
from perf.ordering import ENGINE, SMALL_IN_FLIGHT, SMALL_SIDE

SAMPLES_S: Final = 200
START_S: Final = 2.0
"""py-spy reads the process before it samples."""

STAGES: Final = (
    ("idle", ("_gathered", "Poller.poll", "GarbageCollectorThread")),
    ("journal and fsync", ("Journal.append",)),
    ("apply a block", ("apply_block",)),
    ("requests in: frames, digests, ids", ("ClientListener.receive", "Inbox.from_client")),
    ("admission", ("on_request",)),
    ("lane batches in: frames, decoding, signatures", ("Inbox.from_lanes",)),
    ("votes and certificates in: frames, decoding, signatures", ("Inbox.from_votes", "PeerLink.receive")),
    ("engine: tickets out, answers in", ("EngineDesk.", "on_answers")),
    ("lane batches out: commitments, signature", ("extend_lane", "Turn._promise")),
    (
        "proposals and votes",
        ("drive_view", "vote_on_proposals", "on_proposal", "on_vote", "cast_finalizes", "Turn._cast"),
    ),
    ("final blocks", ("finalize_ready",)),
    ("replies: proofs", ("reply_with", "openings_to_clients")),
    ("sending: encoding, sockets", ("Outbox.send",)),
)
"""A sample counts for the first stage that one of its frames, from the innermost, begins with the name of."""


def stage_of(stack: str) -> str:
    """The stage of one sampled stack, frames from the outermost, separated by semicolons."""
    for frame in reversed(stack.split(";")):
        for stage, names in STAGES:
            if any(frame.strip().startswith(name) or f".{name}" in frame for name in names):
                return stage
    return "rest of the loop"


def by_stage(lines: Iterable[str]) -> Counter[str]:
    """Samples of each stage, from py-spy's raw format: a stack and a count to a line."""
    found: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        if stack:
            found[stage_of(stack)] += int(count)
    return found


def profile(side: int, in_flight: int, seconds: float, raw: Path) -> dict[str, object]:
    """One run; py-spy's samples are kept in ``raw``."""
    program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if program is None:
        raise SystemExit("py-spy is not here: pip install 'dropbeard[perf]'")
    with passing_group(LocalGroup, ENGINE) as local, Load(local, raw_inputs(side)) as load:
        load.closed(in_flight, START_S, 0.0)
        name = f"node {local.group.owners[0].name}"
        command = [program, "record", "--pid", str(processes(local)[name]), "--duration", str(round(seconds))]
        command += ["--rate", str(SAMPLES_S), "--format", "raw", "--output", str(raw)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as spy:
            sample = load.closed(in_flight, seconds, START_S)
            spy.wait(timeout=60)
    if spy.returncode:
        raise SystemExit("py-spy could not look into the node; it needs the right to trace (ptrace)")
    counts = by_stage(raw.read_text().splitlines())
    each = 1e6 / SAMPLES_S / (sample.rate * seconds)
    return {
        "input_bytes": 3 * side * side,
        "certified_per_s": round(sample.rate, 1),
        "cpu_us": round(sample.cpu_us[name], 1),
        "stages_us": {stage: round(count * each, 1) for stage, count in counts.most_common()},
        "machine": machine(),
        "commit": commit(),
    }


def main() -> int:
    """Print the stages as JSON."""
    parser = argparse.ArgumentParser(prog="python -m perf.profile", description="Where the time of a node goes.")
    parser.add_argument("--side", type=int, default=SMALL_SIDE, help="of raw images, pixels")
    parser.add_argument("--in-flight", type=int, default=SMALL_IN_FLIGHT)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--raw", type=Path, help="keep py-spy's samples here")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        raw = chosen.raw or Path(directory) / "samples"
        print(json.dumps(profile(chosen.side, chosen.in_flight, chosen.seconds, raw), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
