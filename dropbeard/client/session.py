"""A client's conversation with all nodes of a group, sans IO: submit, gather, repeat, give up (rules 1.4, 2.1, 5.2).

The caller owns sockets and clocks: it passes in what came and what time it is, and sends what ``outgoing`` holds.
Times are microseconds; ``now_us`` is monotonic, ``wall_us`` since 1970.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Final, assert_never

from dropbeard.client.assembly import Assembler
from dropbeard.client.sending import Outgoing
from dropbeard.errors import CertificateInvalid, ClientError, RequestExpired, RequestRejected
from dropbeard.types.certificates import Certificate
from dropbeard.types.entries import EntryKind
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey, Nonce, OwnerId, RequestId, TimeUs
from dropbeard.types.messages import (
    FetchOutcome,
    GroupCards,
    Hello,
    Openings,
    Rejected,
    RejectReason,
    Reply,
    Submit,
    ToClient,
    Welcome,
)
from dropbeard.types.parameters import MILLISECOND, SECOND
from dropbeard.types.requests import Request
from dropbeard.types.task import Input
from dropbeard.verification.certificate import Verified, verify

REPEAT_AFTER_US: Final = 2 * SECOND
"""A node that said nothing about a request for this long gets it again; then twice as long, and so on."""

REPEAT_AFTER_MAX_US: Final = 16 * SECOND

ANSWERS_SMOOTHED: Final = 8
"""About as many certificates count in the time that one takes. Nodes get no request again within twice that time: what
is sent again makes a group that has too much to do later still."""

LINGER_US: Final = 100 * MILLISECOND
"""How long a certificate with enough openings waits for those that its entry promises besides."""

NEVER_US: Final = 1 << 62

GRACE_US: Final = 3 * SECOND
"""How long after its deadline a request waits for a certified outcome."""

LINK_AFTER_US: Final = 200 * MILLISECOND
"""Answers that an agreed entry promises may not come; who signed a supplement is asked for its link this often."""

_TRY_AGAIN: Final = (
    RejectReason.BUSY,
    RejectReason.NO_CREDIT,
    RejectReason.ENGINE_UNAVAILABLE,
    RejectReason.OVER_RATE,
)


@dataclass(frozen=True, slots=True)
class Done:
    """A request's end: a verified certificate, or the error that its caller gets."""

    request: RequestId
    certificate: Certificate | None
    verified: Verified | None
    error: ClientError | None


@dataclass(slots=True)
class _Leg:
    """One request at one node."""

    next_us: int = NEVER_US
    """When the node gets it again; never while it has not got it once, or will not take it."""
    pause_us: int = REPEAT_AFTER_US
    rejected: Rejected | None = None


@dataclass(slots=True)
class _Open:
    request: Request
    message: Submit | FetchOutcome
    """What every node gets, with ``given``."""
    given: Input | None
    """None when only what is known of the request is asked for."""
    asked_us: int
    ends_us: int
    legs: dict[OwnerId, _Leg]
    enough_since_us: int | None = None
    link_us: int = 0
    """When a link to a supplement may be asked for again."""
    due_us: int = 0
    """When ``poll`` looks at it next, come what may: the earliest time that its row in the heap of dues has."""


@dataclass(slots=True)
class Session:
    """All open requests of one client in one group."""

    group: Group
    client: ClientKey
    credits: dict[OwnerId, int] = field(default_factory=dict)
    """What each node that said welcome grants."""
    outgoing: list[Outgoing] = field(default_factory=list)
    _open: dict[RequestId, _Open] = field(default_factory=dict)
    _touched: dict[RequestId, None] = field(default_factory=dict)
    _dues: list[tuple[int, RequestId]] = field(default_factory=list)
    """Heap of (time, request). A row whose time is not its request's ``due_us`` any more says nothing."""
    _answer_us: int = 0
    """From a request to its certificate, smoothed."""
    _assembler: Assembler = field(init=False)

    def __post_init__(self) -> None:
        self._assembler = Assembler(self.group, self.client)

    @property
    def open_requests(self) -> int:
        """Requests without an end."""
        return len(self._open)

    def submit(
        self, given: Input, nonce: Nonce, deadline: TimeUs, patience_us: int, now_us: int, wall_us: int
    ) -> RequestId:
        """Send a request to every node; InputInvalid when the task does not accept it."""
        self.group.task.check_input(given)
        request = Request(self.client, self.group.id, nonce, deadline, patience_us, b"", given.digest())
        ends_us = now_us + (deadline - wall_us) + GRACE_US
        message = Submit(self.group.id, nonce, deadline, patience_us, b"", given.kind, given.shape)
        return self._start(_Open(request, message, given, now_us, ends_us, self._legs()), now_us)

    def _legs(self) -> dict[OwnerId, _Leg]:
        pause_us = min(max(REPEAT_AFTER_US, 2 * self._answer_us), REPEAT_AFTER_MAX_US)
        return {owner: _Leg(pause_us=pause_us) for owner in self.group.members}

    def _start(self, waiting: _Open, now_us: int) -> RequestId:
        known = self._assembler.start(waiting.request)
        self._open[known] = waiting
        for owner in self.credits:
            self._send(known, owner, now_us)
        self._plan(known, waiting)
        return known

    def _plan(self, request: RequestId, waiting: _Open) -> None:
        """Have ``poll`` look at it when something follows from the time alone."""
        due_us = min(leg.next_us for leg in waiting.legs.values())
        due_us = min(due_us, waiting.ends_us)
        if waiting.enough_since_us is not None:
            due_us = min(due_us, waiting.enough_since_us + LINGER_US)
        if due_us != waiting.due_us:
            waiting.due_us = due_us
            heapq.heappush(self._dues, (due_us, request))

    def fetch(self, request: Request, now_us: int, timeout_us: int) -> RequestId:
        """Ask every node for what it knows of an earlier request of this client (rule 5.2)."""
        waiting = _Open(request, FetchOutcome(request.id), None, now_us, now_us + timeout_us, self._legs())
        return self._start(waiting, now_us)

    def cancel(self, request: RequestId) -> None:
        """Stop waiting; nodes may still answer it."""
        self._open.pop(request, None)
        self._assembler.stop(request)

    def on_connected(self, owner: OwnerId) -> None:
        """A connection was made, or made again: greet."""
        self.outgoing.append((owner, Hello(self.group.id), None))

    def on_message(self, owner: OwnerId, message: ToClient, now_us: int) -> None:
        """Take in what a node sent."""
        match message:
            case Welcome(owner=claimed, credits=credits):
                if claimed == owner:
                    self.credits[owner] = credits
                    self._send_unsent(owner, now_us)
            case Openings(openings):
                for opening in openings:
                    self._touch(self._assembler.on_opening(owner, opening))
            case Reply():
                for request in self._assembler.on_reply(message):
                    self._touch(request)
            case GroupCards():
                pass  # nobody asked for them here
            case Rejected():
                self._on_rejected(owner, message, now_us)
            case _:
                assert_never(message)

    def _touch(self, request: RequestId | None) -> None:
        if request is not None:
            self._touched[request] = None

    def _send_unsent(self, owner: OwnerId, now_us: int) -> None:
        for request, waiting in self._open.items():
            leg = waiting.legs[owner]
            if leg.rejected is None:
                self._send(request, owner, now_us)
                self._plan(request, waiting)

    def _send(self, request: RequestId, owner: OwnerId, now_us: int) -> None:
        waiting = self._open[request]
        leg = waiting.legs[owner]
        leg.next_us = now_us + leg.pause_us
        leg.pause_us = min(2 * leg.pause_us, REPEAT_AFTER_MAX_US)
        leg.rejected = None
        self.outgoing.append((owner, waiting.message, waiting.given))

    def _on_rejected(self, owner: OwnerId, rejected: Rejected, now_us: int) -> None:
        waiting = self._open.get(rejected.request)
        if waiting is None:
            return
        leg = waiting.legs[owner]
        leg.rejected = rejected
        again_us = max(rejected.retry_after_us, 10 * MILLISECOND)
        leg.next_us = NEVER_US if _is_final(rejected) else now_us + again_us
        self._plan(rejected.request, waiting)
        self._touch(rejected.request)

    def poll(self, now_us: int) -> list[Done]:
        """What ended; also queues what must be sent again."""
        ended = []
        touched, self._touched = self._touched, {}
        for request in touched:
            done = self._end_of(request, now_us)
            if done is not None:
                self.cancel(request)
                ended.append(done)
        while self._dues and self._dues[0][0] <= now_us:
            due_us, request = heapq.heappop(self._dues)
            waiting = self._open.get(request)
            if waiting is None or waiting.due_us != due_us:
                continue
            late = self._tend(request, waiting, now_us)
            if late is None:
                self._plan(request, waiting)
            else:
                self.cancel(request)
                ended.append(late)
        return ended

    def _end_of(self, request: RequestId, now_us: int) -> Done | None:
        waiting = self._open.get(request)
        if waiting is None:
            return None
        whole = self._assembler.certificate(request, all_owners=True)
        if whole is not None:
            return self._done(request, waiting, whole, now_us)
        if waiting.enough_since_us is None and self._assembler.certificate(request, all_owners=False) is not None:
            waiting.enough_since_us = now_us
            self._plan(request, waiting)
        if waiting.enough_since_us is None:
            self._ask_for_link(request, waiting, now_us)
        refused = {o: leg.rejected for o, leg in waiting.legs.items() if leg.rejected is not None}
        refused = {o: rejected for o, rejected in refused.items() if _is_final(rejected)}
        if len(refused) > self.group.n - self.group.answers:
            reasons = "; ".join(f"{self.group.member(o).name}: {r.detail}" for o, r in refused.items())
            return Done(request, None, None, RequestRejected(f"too few nodes take the request: {reasons}"))
        return None

    def _ask_for_link(self, request: RequestId, waiting: _Open, now_us: int) -> None:
        """An owner that promised does not open, and another's late answer stands in a block of its own: f+1 of those
        that signed it can show how the two hang together (rules 4.5, 5.1)."""
        signers = self._assembler.unlinked(request) if now_us >= waiting.link_us else ()
        if signers:
            waiting.link_us = now_us + LINK_AFTER_US
            first = request[0] % len(signers)
            for owner in (signers + signers)[first : first + self.group.weak_quorum]:
                self.outgoing.append((owner, FetchOutcome(request), None))

    def _tend(self, request: RequestId, waiting: _Open, now_us: int) -> Done | None:
        """Linger, repeat, give up."""
        if waiting.enough_since_us is not None and now_us >= waiting.enough_since_us + LINGER_US:
            enough = self._assembler.certificate(request, all_owners=False)
            if enough is not None:
                return self._done(request, waiting, enough, now_us)
            waiting.enough_since_us = None
        if now_us >= waiting.ends_us:
            return Done(request, None, None, RequestExpired(self._why_late(waiting)))
        for owner, leg in waiting.legs.items():
            if now_us >= leg.next_us:
                self._send(request, owner, now_us)
        return None

    def _why_late(self, waiting: _Open) -> str:
        heard = [leg.rejected for leg in waiting.legs.values() if leg.rejected is not None]
        reasons = "; ".join(dict.fromkeys(rejected.detail for rejected in heard)) or "no reason was given"
        reached = f"{len(self.credits)} of {self.group.n} nodes reached, need {self.group.answers}"
        return f"no outcome by the deadline: {reached}; {reasons}"

    def _done(self, request: RequestId, waiting: _Open, certificate: Certificate, now_us: int) -> Done:
        try:
            verified = verify(certificate, self.group, waiting.given)
        except CertificateInvalid as wrong:
            return Done(request, None, None, ClientError(f"the assembled certificate does not verify: {wrong}"))
        self._answer_us += (now_us - waiting.asked_us - self._answer_us) // ANSWERS_SMOOTHED
        if certificate.kind is EntryKind.EXPIRED:
            return Done(request, certificate, verified, RequestExpired("the group certified the request as expired"))
        return Done(request, certificate, verified, None)

    def next_due_us(self, now_us: int) -> int:
        """When ``poll`` has something to do even if nothing comes."""
        first_us = self._dues[0][0] if self._dues else NEVER_US
        return max(now_us, min(now_us + SECOND, first_us))


def _is_final(rejected: Rejected) -> bool:
    return rejected.reason not in _TRY_AGAIN
