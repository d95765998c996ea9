"""``dropbeard run node CONFIG`` with a wall clock that is off by what the file ``clock`` beside the config says."""

from __future__ import annotations

import sys
from pathlib import Path

from dropbeard.agreement.events import Now
from dropbeard.cli.main import run
from dropbeard.daemon import clocks, node
from dropbeard.types.ids import TimeUs

OFFSET = Path(sys.argv[1]).parent / "clock"


def read_clocks() -> Now:
    now = clocks.read_clocks()
    try:
        offset_us = int(OFFSET.read_text())
    except (OSError, ValueError):
        offset_us = 0
    return Now(now.monotonic_us, TimeUs(now.wall_us + offset_us))


node.read_clocks = read_clocks  # type: ignore[attr-defined]
sys.exit(run(["run", "node", sys.argv[1]]))
