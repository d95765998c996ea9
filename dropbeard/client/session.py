"""A client's conversation with all nodes of a group, sans IO: submit, gather, repeat, give up (rules 1.4, 2.1, 5.2).

The caller owns sockets and clocks: it passes in what came and what time it is, and sends what ``outgoing`` holds.
Times are microseconds; ``now_us`` is monotonic, ``wall_us`` since 1970.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

from dropbeard.client.assembly import Assembler
from dropbeard.client.epochs import EpochFollower
from dropbeard.client.open_requests import (
    NEVER_US,
    REPEAT_AFTER_MAX_US,
    REPEAT_AFTER_US,
    Done,
    Leg,
    OpenRequest,
    failed,
)
from dropbeard.client.sending import Outgoing
from dropbeard.client.silence import HEDGE_AFTER_US, Silence
from dropbeard.errors import CertificateInvalid, ClientError, RequestExpired, RequestRejected
from dropbeard.types import versions
from dropbeard.types.certificates import Certificate
from dropbeard.types.entries import EntryKind
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey, Nonce, OwnerId, RequestId, TimeUs
from dropbeard.types.messages import (
    Disclosed,
    FetchOutcome,
    FetchSuccession,
    GroupCards,
    Hello,
    Openings,
    Rejected,
    RejectReason,
    Reply,
    Submit,
    SuccessionNotice,
    ToClient,
    Welcome,
)
from dropbeard.types.parameters import MILLISECOND, SECOND
from dropbeard.types.requests import Opening, Request
from dropbeard.types.succession import Succession
from dropbeard.types.task import Input
from dropbeard.verification.lineage import lineage_of

ANSWERS_SMOOTHED: Final = 8
"""About as many certificates count in the time that one takes. Nodes get no request again within twice that time: what
is sent again makes a group that has too much to do later still."""

LINGER_US: Final = 100 * MILLISECOND
"""How long a certificate with enough openings waits for those that its entry promises besides."""

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


@dataclass(slots=True)
class Session:
    """All open requests of one client in one group.

    ``group``: the genesis; from then on the group of the latest epoch that is known. ``successions``: what ended
    earlier epochs, as far as it is known beforehand; nodes show what is not (8.4). LedgerInvalid if wrong.
    """

    group: Group
    client: ClientKey
    successions: Sequence[Succession] = ()
    credits: dict[OwnerId, int] = field(default_factory=dict)
    """What each node that said welcome grants."""
    outgoing: list[Outgoing] = field(default_factory=list)
    _open: dict[RequestId, OpenRequest] = field(default_factory=dict)
    _touched: dict[RequestId, None] = field(default_factory=dict)
    _dues: list[tuple[int, RequestId]] = field(default_factory=list)
    """Heap of (time, request). A row whose time is not its request's ``due_us`` any more says nothing."""
    _answer_us: int = 0
    """From a request to its certificate, smoothed."""
    _watched: set[RequestId] = field(default_factory=set)
    _heard: list[tuple[RequestId, Opening]] = field(default_factory=list)
    """Provisional answers to watched requests that nobody took yet."""
    _silence: Silence = field(default_factory=Silence)
    _assembler: Assembler = field(init=False)
    _epochs: EpochFollower = field(init=False)

    def __post_init__(self) -> None:
        self._epochs = EpochFollower(lineage_of(self.group, self.successions))
        self._assembler = Assembler(self.group, self.client)
        for group in self._epochs.lineage.groups:
            self._assembler.follow(group)
        self.group = self._assembler.group

    def name_of(self, owner: OwnerId) -> str:
        """An owner's name, also of one who left."""
        found = (group.owner(owner) for group in reversed(self._epochs.lineage.groups))
        return next((known.name for known in found if known is not None), f"owner {owner}")

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
        hedge_us = now_us + max(HEDGE_AFTER_US, 2 * self._answer_us)
        return self._start(
            OpenRequest(request, message, given, now_us, ends_us, self._legs(), hedge_us=hedge_us), now_us
        )

    def request(self, request: RequestId) -> Request | None:
        """An open request."""
        waiting = self._open.get(request)
        return None if waiting is None else waiting.request

    def expect_answers(self, request: RequestId, by_us: int) -> None:
        """End an open request with RequestExpired unless ``answers`` owners have answered by then."""
        waiting = self._open[request]
        waiting.answers_by_us = by_us
        self._plan(request, waiting)

    def watch(self, request: RequestId) -> None:
        """Keep the provisional answers to an open request for ``take_openings`` (rule 2.9)."""
        self._watched.add(request)

    def take_openings(self) -> list[tuple[RequestId, Opening]]:
        """What came for watched requests since the last call: readable, by its own owner, and nothing ordered."""
        if not self._heard:
            return []
        taken, self._heard = self._heard, []
        return taken

    def hedged(self, patience_us: int) -> int:
        """The patience that is worth having: none when all that it would wait for are owners that stay silent."""
        return self._silence.patience_us(patience_us, self.group)

    def _legs(self) -> dict[OwnerId, Leg]:
        pause_us = min(max(REPEAT_AFTER_US, 2 * self._answer_us), REPEAT_AFTER_MAX_US)
        return {owner: Leg(pause_us=pause_us) for owner in self.group.members}

    def _start(self, waiting: OpenRequest, now_us: int) -> RequestId:
        known = self._assembler.start(waiting.request)
        self._open[known] = waiting
        for owner in self.credits:
            self._send(known, owner, now_us)
        self._plan(known, waiting)
        return known

    def _plan(self, request: RequestId, waiting: OpenRequest) -> None:
        """Have ``poll`` look at it when something follows from the time alone."""
        due_us = min(leg.next_us for leg in waiting.legs.values())
        due_us = min(due_us, waiting.ends_us, waiting.hedge_us, waiting.answers_by_us)
        if waiting.enough_since_us is not None:
            due_us = min(due_us, waiting.enough_since_us + LINGER_US)
        if due_us != waiting.due_us:
            waiting.due_us = due_us
            heapq.heappush(self._dues, (due_us, request))

    def fetch(self, request: Request, now_us: int, timeout_us: int) -> RequestId:
        """Ask every node for what it knows of an earlier request of this client (rule 5.2)."""
        waiting = OpenRequest(request, FetchOutcome(request.id), None, now_us, now_us + timeout_us, self._legs())
        return self._start(waiting, now_us)

    def cancel(self, request: RequestId) -> None:
        """Stop waiting; nodes may still answer it."""
        self._open.pop(request, None)
        self._watched.discard(request)
        self._assembler.stop(request)

    def on_connected(self, owner: OwnerId) -> None:
        """A connection was made, or made again: greet."""
        self.outgoing.append((owner, Hello(self.group.id, versions.WIRE_MINOR), None))

    def on_message(self, owner: OwnerId, message: ToClient, now_us: int) -> None:
        """Take in what a node sent."""
        match message:
            case Welcome(owner=claimed, epoch=epoch, credits=credits):
                if claimed == owner and self.group.owner(owner) is not None:
                    self.credits[owner] = credits
                    self._epochs.heard(owner, epoch)
                    self._send_unsent(owner, now_us)
            case Openings(openings):
                for opening in openings:
                    kept = self._assembler.on_opening(owner, opening)
                    self._touch(kept)
                    if kept is not None and kept in self._watched:
                        self._heard.append((kept, opening))
            case Reply():
                if not self._epochs.keep(owner, message):
                    self._on_reply(message)
            case GroupCards() | Disclosed():
                pass  # nobody asked for them here
            case Rejected():
                self._on_rejected(owner, message, now_us)
            case SuccessionNotice(succession):
                self.on_succession(owner, succession)
            case _:
                assert_never(message)
        for ahead in self._epochs.to_ask(now_us):
            self.outgoing.append((ahead, FetchSuccession(self.group.epoch), None))

    def _on_reply(self, reply: Reply) -> None:
        for request in self._assembler.on_reply(reply):
            self._touch(request)

    def on_succession(self, owner: OwnerId, given: Succession) -> None:
        """What ended our epoch: ``group`` is then the next one's. Its new owners get what is open once they say
        welcome; who left gets nothing new, and what it still sends counts (rule 8.4)."""
        if not self._epochs.follow(owner, given):
            return
        self.group = self._epochs.lineage.groups[-1]
        self._assembler.follow(self.group)
        for left in [known for known in self.credits if self.group.owner(known) is None]:
            del self.credits[left]
            self._silence.missed.pop(left, None)
        for waiting in self._open.values():
            for owner_id, leg in self._legs().items():
                waiting.legs.setdefault(owner_id, leg)
            for left in [known for known in waiting.legs if self.group.owner(known) is None]:
                waiting.legs[left].next_us = NEVER_US
        for _, reply in self._epochs.due_replies():
            self._on_reply(reply)

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
        leg = waiting.legs.get(owner)
        if leg is None or self.group.owner(owner) is None:
            return
        if waiting.given is not None and rejected.reason is RejectReason.UNKNOWN_REQUEST:
            return  # asked for the outcome of what it has not answered yet, it has nothing to show
        leg.rejected = rejected
        again_us = max(rejected.retry_after_us, SECOND if _is_between(rejected) else 10 * MILLISECOND)
        leg.next_us = NEVER_US if self._is_final(owner, rejected) else now_us + again_us
        self._plan(rejected.request, waiting)
        self._touch(rejected.request)

    def _is_final(self, owner: OwnerId, rejected: Rejected) -> bool:
        """Who said welcome to this group and does not serve it joins it right now, or leaves it (rule 8.4)."""
        between = _is_between(rejected) and owner in self.credits
        return not between and rejected.reason not in _TRY_AGAIN

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
        told = {owner: waiting.legs[owner].rejected for owner in self.group.members}
        refused = {o: rejected for o, rejected in told.items() if rejected is not None and self._is_final(o, rejected)}
        if len(refused) > self.group.n - self.group.answers:
            reasons = "; ".join(f"{self.group.member(o).name}: {r.detail}" for o, r in refused.items())
            unfit = sum(r.reason is RejectReason.BAD_INPUT for r in refused.values()) > self.group.f
            return failed(waiting, RequestRejected(f"too few nodes take the request: {reasons}", unfit))
        return None

    def _ask_for_link(self, request: RequestId, waiting: OpenRequest, now_us: int) -> None:
        """An owner that promised does not open, and another's late answer stands in a block of its own: f+1 of those
        that signed it can show how the two hang together (rules 4.5, 5.1)."""
        signers = self._assembler.unlinked(request) if now_us >= waiting.link_us else ()
        if signers:
            waiting.link_us = now_us + LINK_AFTER_US
            first = request[0] % len(signers)
            for owner in (signers + signers)[first : first + self.group.weak_quorum]:
                self.outgoing.append((owner, FetchOutcome(request), None))

    def _tend(self, request: RequestId, waiting: OpenRequest, now_us: int) -> Done | None:
        """Linger, repeat, give up."""
        if waiting.enough_since_us is not None and now_us >= waiting.enough_since_us + LINGER_US:
            enough = self._assembler.certificate(request, all_owners=False)
            if enough is not None:
                return self._done(request, waiting, enough, now_us)
            waiting.enough_since_us = None
        if now_us >= waiting.ends_us:
            return failed(waiting, RequestExpired(self._why_late(waiting)))
        if now_us >= min(waiting.answers_by_us, waiting.hedge_us):
            answered = tuple(o for o in self._assembler.answered(request) if self.group.owner(o) is not None)
            if now_us >= waiting.answers_by_us and len(answered) < self.group.answers:
                heard = f"{len(answered)} of {self.group.answers} owners needed"
                return failed(waiting, RequestExpired(f"{heard} had answered within the provisional timeout"))
            waiting.answers_by_us = NEVER_US if now_us >= waiting.answers_by_us else waiting.answers_by_us
            self._hedge(request, waiting, answered, now_us)
        for owner, leg in waiting.legs.items():
            if now_us >= leg.next_us:
                self._send(request, owner, now_us)
        return None

    def _hedge(self, request: RequestId, waiting: OpenRequest, answered: tuple[OwnerId, ...], now_us: int) -> None:
        """Owners answered and the certificate does not come: a reply was lost, or who signs it is slow towards us.

        f+1 of who answered are asked, by id alone and once: one of them shows the whole finalization if there is one.
        """
        if now_us < waiting.hedge_us:
            return
        is_owed = now_us >= waiting.asked_us + waiting.request.patience_us + HEDGE_AFTER_US
        if len(answered) < self.group.answers or not (is_owed or len(answered) == self.group.n):
            waiting.hedge_us = now_us + max(HEDGE_AFTER_US, self._answer_us)
            return
        waiting.hedge_us = NEVER_US
        first = request[0] % len(answered)
        for owner in (answered + answered)[first : first + self.group.weak_quorum]:
            self.outgoing.append((owner, FetchOutcome(request), None))

    def _why_late(self, waiting: OpenRequest) -> str:
        heard = [leg.rejected for leg in waiting.legs.values() if leg.rejected is not None]
        reasons = "; ".join(dict.fromkeys(rejected.detail for rejected in heard)) or "no reason was given"
        reached = f"{len(self.credits)} of {self.group.n} nodes reached, need {self.group.answers}"
        return f"no outcome by the deadline: {reached}; {reasons}"

    def _done(self, request: RequestId, waiting: OpenRequest, certificate: Certificate, now_us: int) -> Done:
        try:
            verified = self._epochs.lineage.verify(certificate, waiting.given)
        except CertificateInvalid as wrong:
            return failed(waiting, ClientError(f"the assembled certificate does not verify: {wrong}"))
        self._answer_us += (now_us - waiting.asked_us - self._answer_us) // ANSWERS_SMOOTHED
        if certificate.kind is EntryKind.EXPIRED:
            expired = RequestExpired("the group certified the request as expired")
            expired.request = waiting.request
            return Done(request, certificate, verified, expired)
        if self._silence.missed or len(verified.answers) < self.group.n:
            self._silence.note(verified, self.group)
        return Done(request, certificate, verified, None)

    def next_due_us(self, now_us: int) -> int:
        """When ``poll`` has something to do even if nothing comes."""
        first_us = self._dues[0][0] if self._dues else NEVER_US
        return max(now_us, min(now_us + SECOND, first_us))


def _is_between(rejected: Rejected) -> bool:
    return rejected.reason is RejectReason.WRONG_GROUP
