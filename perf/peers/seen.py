"""What the client of the serving systems, a process of its own, tells the measurement."""

from __future__ import annotations

from dataclasses import dataclass, field
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
