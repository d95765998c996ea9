"""Calls that come close to each other leave together for the group, as the calls of one program do.

A gateway's clients ask one by one, a moment apart. Each moment would be a lane batch and a block of its own at every
node: signatures, journal and messages for one picture. So a call that finds others under way waits a little for more.
"""

from __future__ import annotations

import asyncio
from typing import Final

SHARE: Final = 1 / 16
"""Of the time that an answer takes: no call waits longer."""

WINDOW_S_MAX: Final = 0.05
ANSWERS_SMOOTHED: Final = 8
"""About as many answers count in the time that one takes."""


class Departures:
    """When calls leave. Used in one event loop."""

    def __init__(self) -> None:
        self._answer_s = 0.0
        self._next: asyncio.Event | None = None
        self._next_at = 0.0

    def answered(self, took_s: float) -> None:
        """A call was answered in so long."""
        self._answer_s += (took_s - self._answer_s) / ANSWERS_SMOOTHED

    async def leave(self, is_alone: bool, timeout_s: float) -> None:
        """Return when this call shall leave: at once when nothing else is under way, or when it has little time."""
        loop = asyncio.get_running_loop()
        window_s = min(SHARE * min(self._answer_s, timeout_s), WINDOW_S_MAX)
        latest = loop.time() + window_s
        if is_alone or not window_s or (self._next is not None and self._next_at > latest):
            return
        if self._next is None:
            self._next, self._next_at = asyncio.Event(), latest
            loop.call_at(latest, self._depart)
        await self._next.wait()

    def _depart(self) -> None:
        assert self._next is not None
        self._next.set()
        self._next = None
