"""The node's side of its engine: tickets out, answers in, what happens when the engine goes away."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final, assert_never

import zmq

from dropbeard.agreement.effects import Infer
from dropbeard.agreement.events import AnswersCame, EngineIsReady, EngineWasLost, Event, InferenceFailed
from dropbeard.codec.engine import decode_from_engine, encode_to_engine
from dropbeard.errors import MessageInvalid
from dropbeard.transport.engine_link import EngineLink
from dropbeard.types.engine_messages import (
    EngineAnswers,
    EngineFailure,
    EngineReady,
    FailReason,
    InferTicket,
    NodeHello,
)
from dropbeard.types.group import FIRST_VERSION
from dropbeard.types.ids import Digest, RequestId, Version
from dropbeard.types.messages import RejectReason

log = logging.getLogger("dropbeard.node")

_REASONS: Final = {
    FailReason.BAD_INPUT: RejectReason.BAD_INPUT,
    FailReason.TOO_LATE: RejectReason.OUT_OF_TIME,
    FailReason.BUSY: RejectReason.BUSY,
    FailReason.BROKEN: RejectReason.ENGINE_UNAVAILABLE,
}


class EngineDesk:
    """Keeps track of which ticket is which request. ``expected``: version and model that the ledger has in force."""

    def __init__(self, link: EngineLink, expected: tuple[Version, Digest]) -> None:
        self._link = link
        self._expected = expected
        self._tickets: dict[int, RequestId] = {}
        self._next_ticket = 1
        self._credits = 0

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """What the loop waits on."""
        return [self._link.socket, self._link.monitor.socket]

    def receive(self) -> list[Event]:
        """Everything the engine said, and whether it came or went."""
        events: list[Event] = []
        for up in self._link.monitor.changes():
            if up:
                self._link.send([encode_to_engine(NodeHello())])
            else:
                events += self._lost()
        for data in self._link.receive():
            try:
                events += self._take(decode_from_engine(data))
            except MessageInvalid as wrong:
                log.warning("engine-message-refused reason=%s", wrong)
        return events

    def _lost(self) -> list[Event]:
        self._tickets.clear()
        self._credits = 0
        log.warning("engine-lost")
        return [EngineWasLost()]

    def _take(self, message: EngineReady | EngineAnswers | EngineFailure) -> list[Event]:
        match message:
            case EngineReady():
                return self._ready(message)
            case EngineAnswers(answers):
                known = [(self._tickets.pop(ticket, None), output) for ticket, output in answers]
                rows = tuple((request, output) for request, output in known if request is not None)
                return [AnswersCame(FIRST_VERSION, rows)] if rows else []
            case EngineFailure(ticket, reason, detail):
                request = self._tickets.pop(ticket, None)
                return [] if request is None else [InferenceFailed(request, _REASONS[reason], detail)]
            case _:
                assert_never(message)

    def _ready(self, ready: EngineReady) -> list[Event]:
        if (ready.version, ready.digest) != self._expected:
            log.error(
                "engine-refused model=%s digest=%s expected=%s: the group's ledger has another model in force",
                ready.model,
                ready.digest.hex()[:12],
                self._expected[1].hex()[:12],
            )
            return []
        self._credits = ready.credits
        log.info("engine-ready model=%s credits=%d", ready.model, ready.credits)
        return [EngineIsReady(ready.version, ready.digest, ready.credits)]

    def hand_over(self, orders: Sequence[Infer]) -> list[Event]:
        """Send work to the engine; what it cannot take comes back as failed."""
        failed: list[Event] = []
        for order in orders:
            if len(self._tickets) >= self._credits:
                failed.append(InferenceFailed(order.request, RejectReason.BUSY, "this node's engine has enough to do"))
                continue
            ticket = self._next_ticket
            self._next_ticket += 1
            given = order.given
            header = InferTicket(ticket, order.deadline, FIRST_VERSION, given.kind, given.shape)
            if self._link.send([encode_to_engine(header), given.data]):
                self._tickets[ticket] = order.request
            else:
                text = "this node's engine is not reachable"
                failed.append(InferenceFailed(order.request, RejectReason.ENGINE_UNAVAILABLE, text))
        return failed
