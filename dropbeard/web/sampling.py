"""What the node said of itself over the last minutes, asked through its status socket."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dropbeard.errors import NodeUnreachable
from dropbeard.types.status import NodeStatus

EVERY_S: Final = 2.0
WINDOW_S: Final = 300.0
SAMPLES_MAX: Final = round(WINDOW_S / EVERY_S) + 1

Ask = Callable[[], NodeStatus]


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment, ``at_s`` on a steady clock. ``status`` is None while the node does not answer."""

    at_s: float
    status: NodeStatus | None


@dataclass(frozen=True, slots=True)
class Seen:
    """The samples of the window, oldest first. ``failure``: why there was no answer to the last question."""

    samples: tuple[Sample, ...]
    failure: str | None

    @property
    def status(self) -> NodeStatus | None:
        """The last answer, also when the node went silent since."""
        return next((one.status for one in reversed(self.samples) if one.status is not None), None)


class Sampler:
    """Asks again and again. ``ask`` raises NodeUnreachable when there is no answer."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self._failure: str | None = None

    def take(self) -> None:
        """Ask once."""
        failure = None
        try:
            status = self._ask()
        except NodeUnreachable as wrong:
            status, failure = None, str(wrong)
        with self._lock:
            self._samples.append(Sample(time.monotonic(), status))
            self._failure = failure

    def seen(self) -> Seen:
        """What is known by now."""
        with self._lock:
            return Seen(tuple(self._samples), self._failure)

    def run(self, over: threading.Event) -> None:
        """Ask until ``over`` is set."""
        while not over.wait(EVERY_S):
            self.take()
