"""Turns on a disk that may be full: no new promise then, but what is final is still shown to clients.

What the refused turn promised was never sent and stays in hand; it is committed, and then sent, once there is room.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from dropbeard.agreement.events import BatchCame, Event, Now, OutcomeAsked, PeerConnected, PeerSpoke, RequestCame
from dropbeard.agreement.turn import Outcome, Outgoing, Turn
from dropbeard.daemon.inbox import Inbox
from dropbeard.errors import DiskFull, StorageFailed

log = logging.getLogger("dropbeard.node")

TRY_US: Final = 1_000_000
"""Between two tries to commit."""

KEPT_MAX: Final = 4_096
"""Events of the engine and the owner that wait for room: no work is handed out meanwhile, so they are few."""


class PatientTurn:
    """Runs turns; while the disk is full, what peers say is dropped: they say it again (rule 3.9)."""

    def __init__(self, turn: Turn, inbox: Inbox) -> None:
        self._turn = turn
        self._inbox = inbox
        self._kept: list[Event] = []
        self._try_us = 0

    def run(self, events: Sequence[Event], now: Now) -> Outcome:
        """As a turn does; StorageFailed for any failure but want of room."""
        try:
            if not self._inbox.full:
                kept, self._kept = self._kept, []
                return self._turn.run([*kept, *events], now)
            if now.monotonic_us >= self._try_us:
                return self._freed(self._turn.try_again(now), events, now)
        except DiskFull as wrong:
            if not self._inbox.full:
                log.error("disk-full %s", wrong)
            self._inbox.full = True
            self._try_us = now.monotonic_us + TRY_US
            return Outcome([], self._try_us)
        return Outcome(self._shown(events), self._try_us)

    def _freed(self, outcome: Outcome, events: Sequence[Event], now: Now) -> Outcome:
        """There is room: what waited is the next turn, at once."""
        log.warning("disk-has-room the journal is written again")
        self._inbox.full = False
        self._kept += events
        return Outcome(outcome.outgoing, now.monotonic_us)

    def _shown(self, events: Sequence[Event]) -> list[Outgoing]:
        shown: list[Outgoing] = []
        for event in events:
            match event:
                case OutcomeAsked(client, request):
                    shown += self._turn.show(client, request)
                case RequestCame(request, _):
                    shown += self._turn.show(request.client, request.id)
                case PeerSpoke() | BatchCame() | PeerConnected():
                    pass
                case _:
                    self._keep(event)
        return shown

    def _keep(self, event: Event) -> None:
        if len(self._kept) >= KEPT_MAX:
            raise StorageFailed("the disk has been full for too long; free space and start the node again")
        self._kept.append(event)
