"""What the client of the serving systems, a process of its own, tells the measurement."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field
from typing import Final

COUNTING: Final = b"counting"
"""The line that it prints when its warm-up is over."""


@dataclass(slots=True)
class Seen:
    """What came in one stretch."""

    seconds: float = 0.0
    answered: int = 0
    failed: int = 0
    undecided: int = 0
    cpu_s: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    def say(self) -> None:
        """Print it as JSON, a line: through a buffer of its own, since with PYTHONUNBUFFERED set ``print`` loses what a
        full pipe does not take at once."""
        with open(sys.stdout.fileno(), "wb", closefd=False) as out:
            out.write(json.dumps(asdict(self)).encode() + b"\n")
