"""The two clocks of a daemon (rule 1.2: safety never depends on either)."""

from __future__ import annotations

import time

from dropbeard.agreement.events import Now
from dropbeard.types.ids import TimeUs


def read_clocks() -> Now:
    """Monotonic and wall time in microseconds."""
    return Now(time.monotonic_ns() // 1000, TimeUs(time.time_ns() // 1000))
