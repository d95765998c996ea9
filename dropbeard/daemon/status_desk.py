"""Answers questions on the node's local socket, and asks itself one: the proof for systemd that the loop works."""

from __future__ import annotations

from collections.abc import Callable, Container
from pathlib import Path
from typing import Final

import msgspec
import zmq

from dropbeard.daemon.notify import Notifier
from dropbeard.errors import StorageFailed
from dropbeard.transport.frames import EVERYTHING
from dropbeard.transport.status_link import Context, StatusLink, StatusListener
from dropbeard.types.status import NodeStatus

STATUS: Final = b"status/1"
ALIVE: Final = b"alive/1"
DRAIN: Final = b"drain/1"
PRUNE: Final = b"prune/1"
UNKNOWN: Final = b'{"error":"unknown question"}'
OK: Final = b'{"ok":true}'
SHARE: Final = 3
"""Questions to itself in one interval of systemd's watchdog."""


class StatusDesk:
    """``gather`` makes a status of now; ``drain`` begins the node's end; ``give_back`` frees a bit of the disk and says
    how many free pages are left."""

    def __init__(
        self,
        context: Context,
        directory: Path,
        gather: Callable[[], NodeStatus],
        drain: Callable[[], None],
        notifier: Notifier,
        give_back: Callable[[], int | None],
    ) -> None:
        self._give_back = give_back
        self._gather = gather
        self._drain = drain
        self._notifier = notifier
        self._listener = StatusListener(context, directory)
        # Through the file and back: the loop, its poller, ZeroMQ's threads and the socket that operators use.
        watched = notifier.watchdog_s is not None
        self._self = StatusLink(context, directory, len(OK)) if watched else None
        self._next_us = 0

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """What the loop waits on."""
        own = [] if self._self is None else [self._self.socket]
        return [self._listener.socket, *own]

    def answer(self, now_us: int, ready: Container[object] = EVERYTHING) -> None:
        """Answer what was asked; feed the watchdog when the answer to our own question is here."""
        for route, question in self._listener.receive(ready):
            self._listener.send(route, self._answer_to(question))
        self._check(now_us, ready)

    def _answer_to(self, question: bytes) -> bytes:
        if question == STATUS:
            return msgspec.json.encode(self._gather())
        if question == DRAIN:
            self._drain()
            return OK
        if question == PRUNE:
            return self._pruned()
        return OK if question == ALIVE else UNKNOWN

    def _pruned(self) -> bytes:
        try:
            return msgspec.json.encode({"left": self._give_back()})
        except StorageFailed as wrong:  # a full disk, and no reason to end
            return msgspec.json.encode({"error": str(wrong)})

    def _check(self, now_us: int, ready: Container[object]) -> None:
        interval_s = self._notifier.watchdog_s
        if self._self is None or interval_s is None:
            return
        if self._self.socket in ready and self._self.answer() == OK:
            self._notifier.alive()
        if now_us >= self._next_us:
            self._next_us = now_us + round(interval_s * 1e6 / SHARE)
            self._self.ask(ALIVE)

    def close(self) -> None:
        """Close the sockets."""
        if self._self is not None:
            self._self.close()
        self._listener.close()
