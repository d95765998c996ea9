"""``python -m tests.chaos --seconds 180``: real daemons under fire; one JSON object; 0 when nothing was lost."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.chaos.storm import storm


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Real daemons under fire.")
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=0, help="fail unless at least so many were made")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds that a client rests after 16 requests")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        place, say = Path(directory), lambda what: sys.stderr.write(f"{what}\n")
        report = storm(place, chosen.seconds, chosen.seed, say, pause_s=chosen.pause)
    sys.stdout.write(f"{json.dumps(report.as_dict())}\n")
    enough = report.faults.total() >= chosen.faults and report.certificates > 0
    return 0 if enough and not report.violations else 1


sys.exit(main())
