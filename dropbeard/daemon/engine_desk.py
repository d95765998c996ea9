"""The node's side of its engine: tickets out, answers in, what happens when the engine goes away."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Sequence
from typing import Final, NamedTuple, assert_never

import zmq

from dropbeard.agreement.effects import Infer
from dropbeard.agreement.events import (
    AnswersCame,
    EngineIsReady,
    EngineWasLost,
    Event,
    InferenceFailed,
    ModelWasLoaded,
)
from dropbeard.codec.engine import decode_from_engine, encode_to_engine
from dropbeard.daemon.clocks import read_clocks
from dropbeard.errors import MessageInvalid
from dropbeard.transport.engine_link import EngineLink
from dropbeard.transport.frames import EVERYTHING
from dropbeard.types.engine_messages import (
    TICKETS_AT_ONCE_MAX,
    EngineAnswers,
    EngineFailure,
    EngineFigures,
    EngineReady,
    FailReason,
    FromEngine,
    InferTicket,
    InferTickets,
    LoadFailure,
    LoadModel,
    NodeHello,
    UnloadModel,
)
from dropbeard.types.ids import NO_DIGEST, Digest, RequestId, Version
from dropbeard.types.lanes import SignedUpdate
from dropbeard.types.messages import RejectReason

log = logging.getLogger("dropbeard.node")

_REASONS: Final = {
    FailReason.BAD_INPUT: RejectReason.BAD_INPUT,
    FailReason.TOO_LATE: RejectReason.OUT_OF_TIME,
    FailReason.BUSY: RejectReason.BUSY,
    FailReason.BROKEN: RejectReason.ENGINE_UNAVAILABLE,
}


ANSWER_MALFORMED: Final = "the engine's answer is none of the task's; its owner should look at the model"

ANSWERS_SMOOTHED: Final = 32
"""About as many answers count in the measured time of one."""


class _Ticket(NamedTuple):
    """What was handed over, and when by the monotonic clock."""

    request: RequestId
    version: Version
    sent_us: int


class EngineDesk:
    """Keeps track of which ticket is which request, and of what the engine has loaded.

    ``in_force``: version and model that our lane is at. A signed update is loaded beside it (rule 4.3). ``check``
    raises MessageInvalid for an answer that the task does not know: promised and opened, it would convict us (8.1).
    """

    def __init__(
        self, link: EngineLink, in_force: Callable[[], tuple[Version, Digest]], check: Callable[[bytes], object]
    ) -> None:
        self._link = link
        self._check = check
        self._in_force = in_force
        self._tickets: dict[int, _Ticket] = {}
        self.answer_us = 0
        """Microseconds from a ticket to its answer, smoothed."""
        self._next_ticket = 1
        self._credits = 0
        self._loaded: dict[Version, EngineReady] = {}
        self._asked: dict[Version, Digest] = {}
        self.next_update: SignedUpdate | None = None
        self.lost = 0
        """How often the engine went away."""
        self.figures: dict[Version, EngineFigures] = {}
        """What the engine last said of itself, by the versions that it has loaded."""
        self.failed: str | None = None
        """Why the model of ``next_update`` is not loaded."""

    @property
    def at_engine(self) -> int:
        """Requests that the engine has and did not answer yet."""
        return len(self._tickets)

    @property
    def credits(self) -> int:
        """How many it takes at once; 0 while it is away."""
        return self._credits

    @property
    def loaded(self) -> tuple[Version, ...]:
        """Versions that the engine has loaded."""
        return tuple(sorted(self._loaded))

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """What the loop waits on."""
        return [self._link.socket, self._link.monitor.socket]

    def receive(self, ready: Container[object] = EVERYTHING) -> list[Event]:
        """Everything the engine said, and whether it came or went. ``ready`` as in PeerLink."""
        events: list[Event] = []
        for up in self._link.monitor.changes(ready):
            if up:
                self._link.send([encode_to_engine(NodeHello())])
            else:
                events += self._lost()
        for data in self._link.receive(ready):
            try:
                events += self._take(decode_from_engine(data))
            except MessageInvalid as wrong:
                log.warning("engine-message-refused reason=%s", wrong)
        return events

    def _lost(self) -> list[Event]:
        self._tickets.clear()
        self._loaded.clear()
        self._asked.clear()
        self.figures.clear()
        self._credits = 0
        self.lost += 1
        log.warning("engine-lost")
        return [EngineWasLost()]

    def _take(self, message: FromEngine) -> list[Event]:
        match message:
            case EngineReady():
                return self._ready(message)
            case EngineAnswers(answers):
                return self._answers(answers)
            case EngineFailure(ticket, reason, detail):
                known = self._tickets.pop(ticket, None)
                if known is None:
                    return []
                if reason is FailReason.BROKEN:  # the others are the client's, or overload
                    log.warning("request-failed request=%s reason=%s", known.request.hex()[:16], reason.name.lower())
                return [InferenceFailed(known.request, _REASONS[reason], detail)]
            case LoadFailure():
                return self._not_loaded(message)
            case EngineFigures(version):
                if version in self._loaded:
                    self.figures[version] = message
                return []
            case _:
                assert_never(message)

    def _answers(self, answers: Sequence[tuple[int, bytes]]) -> list[Event]:
        rows: dict[Version, list[tuple[RequestId, bytes]]] = {}
        failed: list[Event] = []
        now_us = read_clocks().monotonic_us
        for ticket, output in answers:
            known = self._tickets.pop(ticket, None)
            if known is None:
                continue
            self.answer_us += (now_us - known.sent_us - self.answer_us) // ANSWERS_SMOOTHED
            try:
                self._check(output)
            except MessageInvalid as wrong:
                log.warning("engine-answer-refused request=%s reason=%s", known.request.hex(), wrong)
                failed.append(InferenceFailed(known.request, RejectReason.ENGINE_UNAVAILABLE, ANSWER_MALFORMED))
            else:
                rows.setdefault(known.version, []).append((known.request, output))
        return [*failed, *(AnswersCame(version, tuple(found), self.answer_us) for version, found in rows.items())]

    def _ready(self, ready: EngineReady) -> list[Event]:
        self._loaded[ready.version] = ready
        self._asked.pop(ready.version, None)
        version, digest = self._in_force()
        if (ready.version, ready.digest) == (version, digest):
            self._credits = ready.credits
            log.info("engine-ready model=%s version=%d credits=%d", ready.model, ready.version, ready.credits)
            return [EngineIsReady(ready.version, ready.digest, ready.credits)]
        signed = self._next_is(ready.version, ready.digest)
        if signed is not None:
            log.info("model-loaded model=%s version=%d", ready.model, ready.version)
            return [ModelWasLoaded(signed)]
        if digest != NO_DIGEST and not self._has(version, digest):
            log.info("engine-asked version=%d: the lane is past the model that the engine started with", version)
            self._ask(version, digest)
        return []

    def in_force_again(self) -> list[Event]:
        """Our lane may be at another model than before without an update of ours: it entered an epoch, or the state of
        one that we joined came (rule 8.4)."""
        version, digest = self._in_force()
        if digest == NO_DIGEST or not self._loaded:
            return []
        if self._has(version, digest):
            self._credits = self._loaded[version].credits
            return [EngineIsReady(version, digest, self._credits)]
        self._ask(version, digest)
        return []

    def _next_is(self, version: Version, digest: Digest) -> SignedUpdate | None:
        """The update that is to be loaded, if this is its model."""
        signed = self.next_update
        same = signed is not None and (signed.update.version, signed.update.model) == (version, digest)
        return signed if same else None

    def _has(self, version: Version, digest: Digest) -> bool:
        held = self._loaded.get(version)
        return held is not None and held.digest == digest

    def _ask(self, version: Version, digest: Digest) -> None:
        if self._asked.get(version) != digest and self._link.send([encode_to_engine(LoadModel(version, digest))]):
            self._asked[version] = digest

    def _not_loaded(self, failure: LoadFailure) -> list[Event]:
        self._asked.pop(failure.version, None)
        if self._next_is(failure.version, failure.digest) is not None:
            self.failed = failure.detail
        else:
            log.error("engine-refused version=%d reason=%s", failure.version, failure.detail)
        return []

    def load(self, signed: SignedUpdate) -> list[Event]:
        """Have the update's model loaded; its turn comes when the engine says that it is."""
        self.next_update, self.failed = signed, None
        update = signed.update
        if self._has(update.version, update.model):
            return [ModelWasLoaded(signed)]
        self._ask(update.version, update.model)
        return []

    def give_up(self) -> None:
        """The update is not taken: should its model still come, nothing follows."""
        self.next_update = self.failed = None

    def ask_again(self) -> None:
        """After the engine came back: what is to be loaded is asked for again."""
        if self.next_update is not None and self._loaded:
            update = self.next_update.update
            if not self._has(update.version, update.model):
                self._ask(update.version, update.model)

    def let_go(self) -> None:
        """Versions that the lane is past and that have nothing left to answer are unloaded."""
        version, _ = self._in_force()
        if self.next_update is not None and self.next_update.update.version <= version:
            self.next_update = None
        busy = {ticket.version for ticket in self._tickets.values()} if len(self._loaded) > 1 else set()
        for old in [held for held in self._loaded if held < version and held not in busy and version in self._loaded]:
            if self._link.send([encode_to_engine(UnloadModel(old))]):
                del self._loaded[old]
                self.figures.pop(old, None)

    def hand_over(self, orders: Sequence[Infer]) -> list[Event]:
        """Send work to the engine; what it cannot take comes back as failed."""
        room = max(0, self._credits - len(self._tickets))
        busy = "this node's engine has enough to do"
        failed: list[Event] = [InferenceFailed(order.request, RejectReason.BUSY, busy) for order in orders[room:]]
        for first in range(0, min(room, len(orders)), TICKETS_AT_ONCE_MAX):
            failed += self._send(orders[first : min(room, first + TICKETS_AT_ONCE_MAX)])
        return failed

    def _send(self, orders: Sequence[Infer]) -> list[Event]:
        """In one message; all of them failed when it cannot leave."""
        tickets = []
        for number, order in enumerate(orders, start=self._next_ticket):
            given = order.given
            tickets.append(InferTicket(number, order.deadline, order.version, given.kind, given.shape, given.digest()))
        self._next_ticket += len(orders)
        header = encode_to_engine(InferTickets(tuple(tickets)))
        if not self._link.send([header, *(order.given.data for order in orders)]):
            text = "this node's engine is not reachable"
            return [InferenceFailed(order.request, RejectReason.ENGINE_UNAVAILABLE, text) for order in orders]
        now_us = read_clocks().monotonic_us
        for ticket, order in zip(tickets, orders, strict=True):
            self._tickets[ticket.ticket] = _Ticket(order.request, order.version, now_us)
        return []
