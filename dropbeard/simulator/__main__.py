"""``python -m dropbeard.simulator``: the same as ``dropbeard simulate``."""

from __future__ import annotations

import sys

from dropbeard.simulator.command import main

sys.exit(main())
