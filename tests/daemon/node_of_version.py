"""``dropbeard run node CONFIG`` that says it speaks another wire version; arguments: CONFIG MAJOR MINOR."""

from __future__ import annotations

import sys

from dropbeard.cli.main import run
from dropbeard.types import versions

versions.WIRE_VERSION, versions.WIRE_MINOR = int(sys.argv[2]), int(sys.argv[3])
sys.exit(run(["run", "node", sys.argv[1]]))
