"""One schedule: replicas, engines, clients and trouble, event by event in virtual time."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence

from blake3 import blake3

from dropbeard.agreement.effects import Broadcast, Halt, Infer, Send, SendClient
from dropbeard.agreement.events import (
    AnswersCame,
    Event,
    ModelWasLoaded,
    Now,
    PeerConnected,
)
from dropbeard.agreement.replica_state import scaled_timeouts
from dropbeard.agreement.turn import Outgoing
from dropbeard.errors import PromiseConflict
from dropbeard.simulator.keys import make_keys
from dropbeard.simulator.liars import UNGUARDED
from dropbeard.simulator.liars import make as make_liar
from dropbeard.simulator.liars.base import Liar
from dropbeard.simulator.membership import change_membership, latest_group
from dropbeard.simulator.network import HEALED_DELAY_US, Network
from dropbeard.simulator.options import SIMULATED, Options
from dropbeard.simulator.oracle import Oracle
from dropbeard.simulator.people import RETRY_US, SERVICE_MAX_US, WALL_US, Asked, Clients, answer, next_update
from dropbeard.simulator.plan import DISK_TROUBLE, FLOOD_REQUESTS, START_US, Planned, plan_for
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.simulator.trouble import TROUBLE, spoil_disks
from dropbeard.simulator.wiretap import Wiretap, without_signatures
from dropbeard.types.ids import Epoch, OwnerId, TimeUs, Version
from dropbeard.types.lanes import LaneBatch
from dropbeard.types.membership import SignedChange
from dropbeard.types.messages import Openings, PeerMessage, Reply
from dropbeard.types.parameters import MILLISECOND
from dropbeard.types.statements import LanePromise, Nullify, Statement

EVENTS_MAX = 400_000
"""A schedule that needs more is stuck in a storm, which is a finding."""

SETTLE_EVERY_US = 100 * MILLISECOND
HEALING_REQUEST = 9_000
JOINING_STATUSES = 5
"""Status intervals that a change of the membership may add to the bound of liveness."""

OFFSET_US = 7_919
"""Monotonic clocks differ by this much from seat to seat."""


class World:
    """Everything of one schedule. ``events`` counts what happened, ``trace`` hashes every statement signed."""

    def __init__(self, options: Options, log: Callable[[str], None] | None = None) -> None:
        self.options = options
        self.now_us = START_US
        self.events = 0
        self.log = log
        self.rng = random.Random(f"world {options.seed}")
        self.keys = make_keys(options)
        self.clients = Clients(options, self.keys)
        roles = random.Random(f"roles {options.seed}").sample(range(options.n), len(options.byzantine))
        self.roles: dict[int, str] = dict(zip(roles, options.byzantine, strict=True))
        self.oracle = Oracle(self.keys.group, frozenset(roles))
        self.tap = Wiretap(self.keys, self.oracle)
        self.trace = blake3(f"{options}".encode())
        self.skews = [
            self.rng.randint(-options.skew_us, options.skew_us) for _ in range(options.n + len(self.keys.spares))
        ]
        self.changes: dict[Epoch, SignedChange] = {}
        """What the owners signed, by the epoch that it ends: one configuration for each, shown until it is ordered."""
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._order = 0
        self._wakes: dict[int, int] = {}
        self.shown: list[Outgoing] = []
        """What the latest turn said."""
        """What the last turn said."""
        self.due_us = 0
        self.final_at_heal = EVENTS_MAX
        self.recovered_us: int | None = None
        self.liars: dict[int, Liar] = {}
        owners = [*range(options.n), *(owner for owner, kind in self.roles.items() if kind == "twins")]
        owners += [int(spare.id) for spare in self.keys.spares]
        self._clocks = [Now(0, TimeUs(0))] * len(owners)
        self.replicas = [
            SimulatedReplica(
                OwnerId(owner), seat, self.keys, self, self, self.roles.get(owner) in UNGUARDED, options.piece_bytes
            )
            for seat, owner in enumerate(owners)
        ]
        self._seats = {OwnerId(owner): [r.seat for r in self.replicas if r.owner == owner] for owner in owners}
        self.network = Network(options, len(owners), self.rng)
        for replica in self.replicas:
            replica.up = replica.owner < options.n
            if replica.owner in self.roles:
                replica.disk.lies = self.roles[replica.owner] == "lying-disk"
                replica.disk.days = [] if DISK_TROUBLE.get(self.roles[replica.owner]) == "roll-back" else None
                luck = random.Random(f"liar {options.seed} {replica.seat}")
                self.liars[replica.seat] = make_liar(self.roles[replica.owner], replica, self.keys, luck)
                self.liars[replica.seat].fellows = self.oracle.liars
        self._plan()

    @property
    def honest(self) -> list[SimulatedReplica]:
        """Those whose word is checked."""
        return [replica for replica in self.replicas if replica.seat not in self.liars]

    # --- what the replicas see of the world ---------------------------------------------------------------------------

    def now_of(self, owner: int, seat: int) -> Now:
        """Clocks of one replica: monotonic ones differ by an offset, wall ones by the skew."""
        mono_us = self.now_us + seat * OFFSET_US
        if self._clocks[seat].monotonic_us != mono_us:
            self._clocks[seat] = Now(mono_us, TimeUs(WALL_US + self.now_us + self.skews[owner]))
        return self._clocks[seat]

    def signed(self, owner: OwnerId, statement: Statement) -> None:
        """Every statement on a disk goes into the trace, less signatures; an honest one is held to its rules."""
        if self.log is not None:
            place = statement.lane_height if isinstance(statement, LanePromise) else statement.view
            self.say(f"owner {owner} promises {type(statement).__name__} {place}")
        if owner not in self.oracle.liars:
            self.oracle.signed(owner, statement)
        if isinstance(statement, LanePromise):
            what = f"{statement.version} {statement.lane_height} {statement.time}".encode()
        elif isinstance(statement, Nullify):
            what = b"nullify"
        else:
            header = self.oracle.headers.get(statement.header)
            what = statement.domain + (b"" if header is None else without_signatures(header))
        view = -1 if isinstance(statement, LanePromise) else int(statement.view)
        self.trace.update(f"{self.now_us} {owner} {view} ".encode() + what)

    def promised(self, batch: LaneBatch) -> None:
        """A replica's own batch is on disk; what evidence it holds has signatures in it."""
        self.trace.update(b"".join(item.commitment for item in batch.attestations) + bytes([len(batch.evidence)]))
        if batch.owner not in self.oracle.liars:
            self.oracle.promised(batch)

    # --- the schedule -------------------------------------------------------------------------------------------------

    def at(self, time_us: int, action: Callable[[], None]) -> None:
        """Do something later."""
        self._order += 1
        heapq.heappush(self._queue, (time_us, self._order, action))

    def _plan(self) -> None:
        for replica in self.replicas[: len(self.replicas) - len(self.keys.spares)]:
            self.at(START_US + self.rng.randint(0, 20_000), lambda r=replica: self.turn(r, [r.ready()]))  # type: ignore[misc]
        for number, planned in enumerate(plan_for(self.options)):
            if number not in self.options.without:
                self.at(planned.time_us, lambda k=number, p=planned: self._happen(k, p))  # type: ignore[misc]
        self.at(self.options.heal_us, self._heal)

    def _happen(self, number: int, planned: Planned) -> None:
        rng, replica = random.Random(planned.luck), self.replicas[planned.whom]
        if planned.what != "ask":
            self.say(f"planned event {number}: {planned.what} {planned.whom}")
        match planned.what:
            case "ask":
                asked = self.clients.ask(number, self.now_us, rng)
                self._submit(asked, [i for i in range(self.options.n) if rng.random() < 0.95])
            case "flood":
                for asked in self.clients.burst(number, FLOOD_REQUESTS, self.now_us):
                    self._request_at(replica, asked)
            case "update":
                self._update(replica)
            case "crash" | "drain" | "engine" | "full":
                TROUBLE[planned.what](self, replica, rng)
            case "roll-back" | "crash-liar" | "rot":
                spoil_disks(self, planned.what, rng)
            case "split":
                self.network.split(rng)
            case "cut":
                self.network.cut_one_way(rng)
            case "mend":
                self.network.heal()
            case "change":
                change_membership(self, rng)

    def _heal(self) -> None:
        """From here on the network is kind; one more request makes sure that there is work."""
        self.network.heal()
        group = latest_group(self)
        for replica in self.replicas:
            if replica.owner < self.options.n or group.owner(replica.owner) is not None:
                self.restart(replica)
        timeouts = [sum(scaled_timeouts(replica.turn.state)) for replica in self.honest if replica.owner < group.n]
        patience_us = (self.options.f + 1) * max(timeouts) + 10 * HEALED_DELAY_US
        self.due_us = self.now_us + patience_us + SERVICE_MAX_US + SIMULATED.status_interval_us
        if self.changes:  # who has just joined learns first (rule 8.4)
            self.due_us += JOINING_STATUSES * SIMULATED.status_interval_us
        self.final_at_heal = len(self.oracle.final)
        self._submit(self.clients.ask(HEALING_REQUEST, self.now_us, self.rng), self._every_seat())

    def late_recovery(self) -> list[str]:
        """A finalization is owed within f+1 view timeouts, as they stood at the heal, and 10 delays (rule 10)."""
        late = self.recovered_us is None or self.recovered_us > self.due_us
        return [f"late: no finalization by {self.due_us} us, the first came at {self.recovered_us}"] if late else []

    def run(self, settled: Callable[[World], bool] = lambda world: False) -> None:
        """Until the end of the schedule, or until nothing is owed any more after the heal."""
        next_look_us = self.options.heal_us + SETTLE_EVERY_US
        while self._queue and self._queue[0][0] <= self.options.end_us:
            self.now_us, _, action = heapq.heappop(self._queue)
            action()
            if self.recovered_us is None and len(self.oracle.final) > self.final_at_heal:
                self.recovered_us = self.now_us
            if self._is_over():
                break
            if self.now_us >= next_look_us:
                next_look_us = self.now_us + SETTLE_EVERY_US
                if settled(self):
                    break
        if self.events > EVENTS_MAX:
            self.oracle.flag(f"storm: more than {EVENTS_MAX} events")
        self.oracle.judge_ledger()
        self.oracle.judge_replies()

    def _is_over(self) -> bool:
        """A finding ends a schedule; with more than f liars, who may break any rule, only a fork does."""
        found = self.oracle.found
        if not found:
            return self.events > EVENTS_MAX
        if len(self.oracle.liars) > self.options.f:
            found = [what for what in found if what.startswith("fork")]
        return bool(found) or self.events > EVENTS_MAX

    def _update(self, replica: SimulatedReplica) -> None:
        if replica.up and replica.turn.state.next_update is None:
            state = replica.turn.state
            version = Version(state.own_model.version + 1)
            if state.is_member:
                self.turn(replica, [ModelWasLoaded(next_update(self.keys, state.group, replica.owner, version))])

    def restart(self, replica: SimulatedReplica) -> None:
        """Up again with what its disk kept, unless it is up or must never speak again."""
        replica.disk.crash_before = replica.disk.crash_after = replica.disk.crash_beside = False
        if replica.up or replica.turn.state.halted is not None:
            return
        self.say(f"restart {replica.owner} with {len(replica.disk.records)} records")
        replica.restart()
        if replica.failed is not None:
            self.say(f"replica {replica.owner} stays down: {replica.failed}")
        self.turn(replica, [replica.ready(), *(PeerConnected(peer) for peer in replica.turn.state.peers)])

    # --- clients and engines ------------------------------------------------------------------------------------------

    def _submit(self, asked: Asked, to: list[int]) -> None:
        for seat in to:
            for time_us in self.network.arrivals(self.now_us, None, seat):
                self.at(time_us, lambda s=seat: self._request_at(self.replicas[s], asked))  # type: ignore[misc]
        if asked.request.deadline > WALL_US + self.now_us and len(asked.told) <= self.options.f:
            self.at(self.now_us + RETRY_US, lambda: self._submit(asked, self._every_seat()))

    def _every_seat(self) -> list[int]:
        """Where clients ask: one seat of each owner of the genesis, and everyone who joined."""
        return [r.seat for r in self.replicas if r.seat < self.options.n or r.owner >= self.options.n]

    def _request_at(self, replica: SimulatedReplica, asked: Asked) -> None:
        if replica.up:
            self.turn(replica, [asked.event])
            if replica.admitted(asked.event):
                asked.takers[replica.owner] = None

    def _infer(self, replica: SimulatedReplica, order: Infer) -> None:
        """The engine's batch is open from its first order to its end; what comes meanwhile is answered with it."""
        if self.clients.asked[order.request].given != order.given:
            self.oracle.flag(f"wrong-input: owner {replica.owner} runs another input than the request's")
        row = order.request, answer(replica.owner, order.version, order.given)
        batch = replica.at_work.get(order.version)
        if batch is not None:
            batch.append(row)
            return
        replica.at_work[order.version] = batch = [row]
        life = replica.life, replica.engine_life

        took_us = self.rng.randint(1_000, SERVICE_MAX_US)

        def done() -> None:
            if (replica.life, replica.engine_life) == life:
                del replica.at_work[order.version]
                self.turn(replica, [AnswersCame(order.version, tuple(batch), took_us)])

        self.at(self.now_us + took_us, done)

    # --- turns and messages -------------------------------------------------------------------------------------------

    def turn(self, replica: SimulatedReplica, events: list[Event]) -> None:
        """One turn of a replica, and all that it says in it."""
        if not replica.up:
            return
        self.events += 1
        try:
            outcome = replica.run(events)
        except PromiseConflict as conflict:
            self.oracle.flag(f"guard: owner {replica.owner}: {conflict}")
            return
        if outcome is None:
            self.say(f"crash {replica.owner} in a commit")
            return
        liar = self.liars.get(replica.seat)
        if liar is None:
            self._look_at(replica)
        said = outcome.outgoing if liar is None else liar.twist(outcome.outgoing)
        self._carry_out(replica, said)
        self._wake(replica, outcome.wake_at_us - replica.seat * OFFSET_US)

    def _look_at(self, replica: SimulatedReplica) -> None:
        state, chain = replica.turn.state, replica.turn.state.chain
        if replica.owner >= self.options.n and state.may_speak and state.engine is None and not replica.serves:
            replica.serves = True  # a joiner's engine says what it runs, once the replica knows what it should
            self.at(self.now_us + MILLISECOND, lambda: self.turn(replica, [replica.ready()]))
        self.oracle.believes_final(replica.owner, chain.final.header)
        height, whole = chain.base.whole.latest
        if height != replica.looked_at:
            replica.looked_at = height
            self.oracle.stands_at(replica.owner, height, whole)

    def _wake(self, replica: SimulatedReplica, time_us: int) -> None:
        seat = replica.seat
        if self.now_us < self._wakes.get(seat, 0) <= time_us:
            return
        self._wakes[seat] = max(time_us, self.now_us + 1)
        life = replica.life

        def wake() -> None:
            if replica.life == life:
                self.turn(replica, [])

        self.at(self._wakes[seat], wake)

    def _carry_out(self, replica: SimulatedReplica, outgoing: Sequence[Outgoing]) -> None:
        self.shown = list(outgoing)
        for effect in outgoing:
            if isinstance(effect, Send):
                self._send(replica, (effect.peer,), effect.message)
            elif isinstance(effect, Broadcast):
                self._send(replica, replica.turn.state.peers, effect.message)
            elif isinstance(effect, Infer):
                self._infer(replica, effect)
            elif replica.seat not in self.liars:
                self.judge(replica, effect)
            elif isinstance(effect, Halt):
                replica.up = False

    def judge(self, replica: SimulatedReplica, effect: Outgoing) -> None:
        """What an honest replica tells clients and operators."""
        if isinstance(effect, SendClient):
            if isinstance(effect.message, Openings):
                self.oracle.opened(replica.owner, effect.message)
            elif isinstance(effect.message, Reply):
                self.oracle.replied(effect.message)
                for _, entry in effect.message.entries:
                    self.clients.asked[entry.request].told[replica.owner] = None
        elif isinstance(effect, Halt):
            replica.up = False
            self.oracle.flag(f"halted: honest owner {replica.owner}: {effect.reason}")
        elif not isinstance(effect, Send | Broadcast | Infer) and effect.accused not in self.oracle.liars:
            self.oracle.flag(f"accused: honest owner {effect.accused} of {effect.offence}")

    def _send(self, replica: SimulatedReplica, peers: Sequence[OwnerId], message: PeerMessage) -> None:
        self.tap.heard(replica, message, replica.seat in self.liars)
        if self.options.through_codec:
            through = self.tap.through_codec(replica, message)
            if through is None:
                return
            message = through
        liar = self.liars.get(replica.seat)
        later_us = 0 if liar is None else liar.delay_us()
        for peer in peers:
            for seat in self._seats.get(peer, ()):
                for time_us in self.network.arrivals(self.now_us, replica.seat, seat):
                    self.at(time_us + later_us, lambda s=seat: self._arrive(replica.owner, self.replicas[s], message))  # type: ignore[misc]

    def _arrive(self, sender: int, replica: SimulatedReplica, message: PeerMessage) -> None:
        if not replica.up:
            return
        self.events += 1
        liar = self.liars.get(replica.seat)
        said = None if liar is None else liar.hears(sender, message)
        if said is not None:
            self._carry_out(replica, said)
            return
        event = replica.hear(sender, message)
        if event is not None:
            self.turn(replica, [event])

    def say(self, what: str) -> None:
        """One line of the trace for people."""
        if self.log is not None:
            self.log(f"{self.now_us / 1000:12.3f} ms  {what}")
