"""One schedule: replicas, engines, clients and trouble, event by event in virtual time."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from blake3 import blake3

from dropbeard.agreement.effects import Broadcast, Halt, Infer, Send, SendClient
from dropbeard.agreement.events import AnswersCame, Event, Now, PeerConnected, RequestCame
from dropbeard.agreement.turn import Outgoing
from dropbeard.codec.catchup import decode_catchup, encode_catchup
from dropbeard.codec.peer import decode_lanes, decode_votes, encode_lanes, encode_votes
from dropbeard.errors import PromiseConflict
from dropbeard.simulator.keys import LABELS, make_keys
from dropbeard.simulator.network import Network
from dropbeard.simulator.options import Options
from dropbeard.simulator.oracle import Oracle
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.types.blocks import Header
from dropbeard.types.ids import ClientKey, Nonce, OwnerId, RequestId, TimeUs
from dropbeard.types.lanes import LaneBatch
from dropbeard.types.messages import (
    BatchNotice,
    BucketNotice,
    FetchBatches,
    FetchBucket,
    FetchInput,
    FetchSnapshot,
    InputNotice,
    Openings,
    PeerMessage,
    Proposal,
    Reply,
    SnapshotNotice,
)
from dropbeard.types.parameters import MILLISECOND, SECOND
from dropbeard.types.requests import Request
from dropbeard.types.statements import LanePromise, Nullify, Statement
from dropbeard.types.task import Classification, Input, InputKind
from dropbeard.types.votes import SignedVote

WALL_US = 1_800_000_000 * SECOND
START_US = SECOND
RETRY_US = 700 * MILLISECOND
EVENTS_MAX = 400_000
"""A schedule that needs more is stuck in a storm, which is a finding."""


@dataclass(slots=True)
class Asked:
    """A client's request and the replicas that took it."""

    request: Request
    given: Input
    takers: dict[int, None] = field(default_factory=dict)


class World:
    """Everything of one schedule. ``events`` counts what happened, ``trace`` hashes every statement signed."""

    def __init__(self, options: Options, log: Callable[[str], None] | None = None) -> None:
        self.options = options
        self.now_us = START_US
        self.events = 0
        self.log = log
        self.asked: dict[RequestId, Asked] = {}
        self.stored: dict[tuple[int, bytes], None] = {}
        self.replicas: list[SimulatedReplica] = []
        self.rng = random.Random(f"world {self.options.seed}")
        self.keys = make_keys(self.options)
        self.oracle = Oracle(self.keys.group)
        self.on_opened: Callable[[int, Openings], None] = self.oracle.opened
        self.on_replied: Callable[[Reply], None] = self.oracle.replied
        self.network = Network(self.options, self.rng)
        self.trace = blake3(f"{self.options}".encode())
        self.skews = [self.rng.randint(-self.options.skew_us, self.options.skew_us) for _ in range(self.options.n)]
        self.silent = set(self.rng.sample(range(self.options.n), self.options.silent))
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._wakes: dict[int, int] = {}
        self.replicas += [SimulatedReplica(OwnerId(i), self.keys, self, self) for i in range(self.options.n)]
        self._plan()

    # --- what the replicas see of the world ---------------------------------------------------------------------------

    def now_of(self, owner: int) -> Now:
        """Clocks of one replica: monotonic ones differ by an offset, wall ones by the skew."""
        return Now(self.now_us + owner * 7_919, TimeUs(WALL_US + self.now_us + self.skews[owner]))

    def signed(self, owner: OwnerId, statement: Statement) -> None:
        """Every statement goes to the oracle and into the trace, without what signatures leave in headers."""
        if self.log is not None:
            place = statement.lane_height if isinstance(statement, LanePromise) else statement.view
            self._say(f"owner {owner} promises {type(statement).__name__} {place}")
        self.oracle.signed(owner, statement)
        if isinstance(statement, LanePromise):
            what = statement.encode()
        elif isinstance(statement, Nullify):
            what = b"nullify"
        else:
            header = self.oracle.headers.get(statement.header)
            what = statement.domain + (b"" if header is None else _without_signatures(header))
        view = -1 if isinstance(statement, LanePromise) else int(statement.view)
        self.trace.update(f"{self.now_us} {owner} {view} ".encode() + what)

    def promised(self, batch: LaneBatch) -> None:
        """A replica's own batch is on disk."""
        self.oracle.promised(batch)

    # --- the schedule -------------------------------------------------------------------------------------------------

    def at(self, time_us: int, action: Callable[[], None]) -> None:
        """Do something later."""
        self._order += 1
        heapq.heappush(self._queue, (time_us, self._order, action))

    def _plan(self) -> None:
        options, rng = self.options, self.rng
        for replica in self.replicas:
            self.at(START_US + rng.randint(0, 20_000), lambda r=replica: self._turn(r, [r.ready()]))  # type: ignore[misc]
        for number in range(options.requests):
            self.at(rng.randint(START_US, options.heal_us + SECOND), lambda k=number: self._ask(k))  # type: ignore[misc]
        speaking = [i for i in range(options.n) if i not in self.silent]
        for _ in range(options.crashes):
            victim = self.replicas[rng.choice(speaking)]
            self.at(rng.randint(START_US, options.heal_us), lambda r=victim: self._crash(r))  # type: ignore[misc]
        for _ in range(options.partitions):
            self.at(rng.randint(START_US, options.heal_us), self.network.split)
            self.at(rng.randint(START_US, options.heal_us), self.network.heal)
        self.at(options.heal_us, self._heal)

    def _heal(self) -> None:
        self.network.heal()
        for replica in self.replicas:
            if not replica.up:
                self._restart(replica)

    def run(self) -> None:
        """Until the end of the schedule."""
        while self._queue and self._queue[0][0] <= self.options.end_us:
            self.now_us, _, action = heapq.heappop(self._queue)
            action()
            if self.oracle.found or self.events > EVENTS_MAX:
                break
        if self.events > EVENTS_MAX:
            self.oracle.flag(f"storm: more than {EVENTS_MAX} events")
        self.oracle.judge_ledger()
        self.oracle.judge_replies()

    def _crash(self, replica: SimulatedReplica) -> None:
        """Now, or in the middle of its next commit."""
        how = self.rng.randrange(3)
        replica.disk.crash_before = how == 1
        replica.disk.crash_after = how == 2
        if how == 0 and replica.up:
            replica.up = False
        self.at(self.now_us + self.rng.randint(1_000, SECOND), lambda: self._restart(replica))

    def _restart(self, replica: SimulatedReplica) -> None:
        replica.disk.crash_before = replica.disk.crash_after = False
        if replica.up:
            return
        self._say(f"restart {replica.owner} with {len(replica.disk.records)} records")
        replica.restart()
        self._turn(replica, [replica.ready(), *(PeerConnected(peer) for peer in replica.turn.state.peers)])

    # --- clients and engines ------------------------------------------------------------------------------------------

    def _ask(self, number: int) -> None:
        rng = self.rng
        given = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), f"picture {self.options.seed} {number}".encode())
        client = ClientKey(bytes([number % self.options.clients + 1]) * 32)
        patience_us = rng.choice((0, 50 * MILLISECOND, 2 * SECOND))
        deadline = TimeUs(WALL_US + self.now_us + rng.randint(300 * MILLISECOND, 4 * SECOND))
        request = Request(client, self.keys.group.id, Nonce(number), deadline, patience_us, b"", given.digest())
        self.asked[request.id] = Asked(request, given)
        to = [i for i in range(self.options.n) if rng.random() < 0.95]
        self._submit(self.asked[request.id], to)

    def _submit(self, asked: Asked, to: list[int]) -> None:
        event = RequestCame(asked.request, asked.given)
        for owner in to:
            for time_us in self.network.arrivals(self.now_us, None, owner):
                self.at(time_us, lambda o=owner: self._request_at(self.replicas[o], event))  # type: ignore[misc]
        if asked.request.deadline > WALL_US + self.now_us:
            every = list(range(self.options.n))
            self.at(self.now_us + RETRY_US, lambda: self._submit(asked, every))

    def _request_at(self, replica: SimulatedReplica, event: RequestCame) -> None:
        if replica.up and replica.owner not in self.silent:
            self._turn(replica, [event])
            if replica.admitted(event):
                self.asked[event.request.id].takers[replica.owner] = None

    def _infer(self, replica: SimulatedReplica, order: Infer) -> None:
        life = replica.life
        answer = self._answer(replica.owner, order.given)

        def done() -> None:
            if replica.up and replica.life == life:
                self._turn(replica, [AnswersCame(order.version, ((order.request, answer),))])

        self.at(self.now_us + self.rng.randint(1_000, 40_000), done)

    def _answer(self, owner: int, given: Input) -> bytes:
        """Owners agree mostly, and each answers an input in one way only."""
        seed = blake3(given.digest() + bytes([owner])).digest()
        first = given.digest()[0] % len(LABELS) if seed[0] < 200 else seed[1] % len(LABELS)
        return Classification(((first, 40_000), ((first + 1) % len(LABELS), 20_000))).encode()

    # --- turns and messages -------------------------------------------------------------------------------------------

    def _turn(self, replica: SimulatedReplica, events: list[Event]) -> None:
        if not replica.up or replica.owner in self.silent:
            return
        self.events += 1
        try:
            outcome = replica.run(events)
        except PromiseConflict as conflict:
            self.oracle.flag(f"guard: owner {replica.owner}: {conflict}")
            return
        if outcome is None:
            self._say(f"crash {replica.owner} in a commit")
            return
        self.oracle.believes_final(replica.owner, replica.turn.state.chain.final.header)
        for effect in outcome.outgoing:
            self._carry_out(replica, effect)
        self._wake(replica, outcome.wake_at_us - replica.owner * 7_919)

    def _wake(self, replica: SimulatedReplica, time_us: int) -> None:
        if self._wakes.get(replica.owner, 0) > self.now_us and self._wakes[replica.owner] <= time_us:
            return
        self._wakes[replica.owner] = max(time_us, self.now_us + 1)
        life = replica.life

        def wake() -> None:
            if replica.life == life:
                self._turn(replica, [])

        self.at(self._wakes[replica.owner], wake)

    def _carry_out(self, replica: SimulatedReplica, effect: Outgoing) -> None:
        if isinstance(effect, Send):
            self._send(replica, [effect.peer], effect.message)
        elif isinstance(effect, Broadcast):
            self._send(replica, replica.turn.state.peers, effect.message)
        elif isinstance(effect, Infer):
            self._infer(replica, effect)
        elif isinstance(effect, SendClient):
            if isinstance(effect.message, Openings):
                self.on_opened(replica.owner, effect.message)
            elif isinstance(effect.message, Reply):
                self._say(f"reply from {replica.owner} at height {effect.message.headers[-1].height}")
                self.on_replied(effect.message)
        elif isinstance(effect, Halt):
            self.oracle.flag(f"halted: honest owner {replica.owner}: {effect.reason}")
        else:
            self.oracle.flag(f"accused: honest owner {effect.accused} of {effect.offence}")

    def _send(
        self, replica: SimulatedReplica, peers: list[OwnerId] | tuple[OwnerId, ...], message: PeerMessage
    ) -> None:
        self._show(replica, message)
        if self.options.through_codec:
            message = self._through_codec(message)
        for peer in peers:
            for time_us in self.network.arrivals(self.now_us, replica.owner, peer):
                self.at(time_us, lambda p=peer: self._arrive(replica.owner, self.replicas[p], message))  # type: ignore[misc]

    def _show(self, replica: SimulatedReplica, message: PeerMessage) -> None:
        """The oracle sees what is sent; an own statement must be on disk by then (3.8)."""
        signature = b""
        if isinstance(message, Proposal):
            self.oracle.proposed(message.header)
            own = self.keys.group.leader(message.header.view) == replica.owner
            signature = message.signature if own else b""
        elif isinstance(message, BatchNotice):
            signature = message.signed.signature if message.signed.batch.owner == replica.owner else b""
        elif isinstance(message, SignedVote):
            signature = message.signature
        if signature and (replica.owner, signature) not in self.stored:
            if not any(signature in record for record in reversed(replica.disk.records)):
                self.oracle.flag(f"sent-before-stored: owner {replica.owner} {type(message).__name__}")
            self.stored[replica.owner, signature] = None

    def _through_codec(self, message: PeerMessage) -> PeerMessage:
        if isinstance(message, BatchNotice | FetchBatches):
            return decode_lanes(encode_lanes(message), self.keys.group)
        if isinstance(message, FetchInput | InputNotice | FetchSnapshot | SnapshotNotice | FetchBucket | BucketNotice):
            frames = encode_catchup(message)
            return decode_catchup(frames[0], frames[1] if len(frames) > 1 else None)
        return decode_votes(encode_votes(message), self.keys.group)

    def _arrive(self, sender: int, replica: SimulatedReplica, message: PeerMessage) -> None:
        if not replica.up or replica.owner in self.silent:
            return
        self.events += 1
        event = replica.hear(sender, message)
        if event is not None:
            self._turn(replica, [event])

    def _say(self, what: str) -> None:
        if self.log is not None:
            self.log(f"{self.now_us / 1000:12.3f} ms  {what}")


def _without_signatures(header: Header) -> bytes:
    """A header less parent and justification, whose digests depend on which signatures came first."""
    cut = b"".join(tip.digest for tip in header.cut)
    roots = header.entries_root + header.state_root
    return f"{header.height} {header.view} {header.parent_view} {header.time} ".encode() + cut + roots
