"""The engine's proof that it works: a tiny real inference through each model's own queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from dropbeard.daemon.notify import Notifier
from dropbeard.serving.pipeline import Job, Pipeline
from dropbeard.types.ids import Version
from dropbeard.types.task import Input, InputKind

SHARE: Final = 3
"""Probes in one interval of the watchdog: one that comes late does no harm."""

TINY: Final = Input(InputKind.RAW_RGB8, (2, 2, 3), bytes(12))


class Probed(Protocol):
    """A loaded model."""

    @property
    def pipeline(self) -> Pipeline:
        """Its queue."""


class Probe:
    """systemd's watchdog is fed when every loaded model answered, or finished a batch meanwhile, and never otherwise.

    Probes have negative numbers, which no ticket has.
    """

    def __init__(self, notifier: Notifier, loaded: Callable[[], Mapping[Version, Probed]]) -> None:
        self._notifier = notifier
        self._loaded = loaded
        self._number = 0
        self._waiting: dict[int, tuple[Version, int]] = {}
        """Probes under way: of which version, and how many batches it had finished."""
        self._next_s = 0.0

    def look(self, now_s: float) -> None:
        """Send the next probes when they are due and none is under way, or judge those that are."""
        interval_s = self._notifier.watchdog_s
        if interval_s is None or now_s < self._next_s:
            return
        self._next_s = now_s + interval_s / SHARE
        for number, (version, batches) in list(self._waiting.items()):
            held = self._loaded().get(version)
            # A full queue answers no probe in time; what it finished in the meantime is as good.
            if held is None or held.pipeline.batches() > batches:
                self.passed(number)
        if not self._waiting:
            self._send(round((now_s + interval_s) * 1e6))

    def _send(self, deadline_us: int) -> None:
        loaded = self._loaded()
        for version, held in loaded.items():
            self._number -= 1
            self._waiting[self._number] = (version, held.pipeline.batches())
            held.pipeline.submit([Job(self._number, TINY, deadline_us)])

    def passed(self, number: int) -> None:
        """A probe was answered; after the last one systemd hears of it."""
        if self._waiting.pop(number, None) is not None and not self._waiting:
            self._notifier.alive()
