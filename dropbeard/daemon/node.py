"""The node daemon: sockets, engine and journal around one replica; one thread, one poll loop."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zmq

from dropbeard.agreement.effects import SendClient
from dropbeard.agreement.events import Event, NodeEnds, Now, PeerConnected
from dropbeard.agreement.records import Record, decode_record, is_audit
from dropbeard.agreement.replica_state import ReplicaState, new_replica
from dropbeard.agreement.restoring import restore
from dropbeard.agreement.resuming import promise_again, resume
from dropbeard.agreement.turn import Turn
from dropbeard.daemon.clocks import read_clocks
from dropbeard.daemon.engine_desk import EngineDesk
from dropbeard.daemon.files import NodeFiles
from dropbeard.daemon.identity import Identity, identify
from dropbeard.daemon.inbox import Inbox
from dropbeard.daemon.metrics_page import MetricsPage
from dropbeard.daemon.new_node import read_salt
from dropbeard.daemon.notify import Notifier
from dropbeard.daemon.outbox import Outbox
from dropbeard.daemon.patient_turn import PatientTurn
from dropbeard.daemon.process import StopSignal, die_with_parent, keep_memory, log_to_stderr, pace_garbage
from dropbeard.daemon.recording import Recorder
from dropbeard.daemon.reloading import NODE, Reloader
from dropbeard.daemon.status_desk import StatusDesk
from dropbeard.daemon.updates import UpdateDesk
from dropbeard.daemon.vitals import Sockets, TimedWriter, Vitals
from dropbeard.errors import MessageInvalid, StorageFailed
from dropbeard.signing.curve import load_curve_secret
from dropbeard.signing.guard import Guard
from dropbeard.signing.keys import load_private_key
from dropbeard.signing.signer import NodeKeyChecker, NodeSigner
from dropbeard.storage.files import read_genesis
from dropbeard.storage.records import Journal
from dropbeard.storage.sqlite_store import SqliteStore
from dropbeard.transport.clients import ClientListener
from dropbeard.transport.engine_link import EngineLink
from dropbeard.transport.options import listening_at
from dropbeard.transport.peers import PeerLink
from dropbeard.transport.zap import ZapHandler
from dropbeard.types.group import Group
from dropbeard.types.messages import Presence
from dropbeard.types.status import NodeStatus

log = logging.getLogger("dropbeard.node")

POLL_MAX_US: Final = 500_000
GATHER_SHARE: Final = 64
"""A node gathers messages for this part of the time that its engine takes from a ticket to its answer."""

GATHER_MAX_US: Final = 4_000
GATHER_MIN_US: Final = 200
"""Less is not worth a sleep."""

DRAIN_MAX_US: Final = 4_000_000
"""From being asked to stop to the end, whatever is still under way."""

DRAIN_POLL_US: Final = 20_000

COUNTERS_EVERY_US: Final = 60_000_000
"""How often counts of dropped and unsent messages are logged, if they changed."""


def run_node(files: NodeFiles) -> int:
    """Serve until SIGTERM or SIGINT; 0 after a clean end.

    Raises ConfigInvalid, KeyInvalid, StorageFailed or TransportFailed when it cannot start or must not go on.
    """
    die_with_parent()
    keep_memory()
    log_to_stderr(files.config.log_level)
    for text in files.unknown:
        log.warning("environment-unknown %s", text)
    group = read_genesis(files.genesis)
    identity = identify(
        group,
        load_private_key(files.node_key, files.passphrase()),
        load_curve_secret(files.curve_key),
        read_salt(files.salt),
    )
    notifier, stop, page = Notifier(), StopSignal(), MetricsPage(files.state, files.config)
    reloader = Reloader(files, NODE, page.move, log)
    store = SqliteStore(files.state)
    try:
        recorded = Recorded(files.state, files.config.record) if files.config.record else None
        with notifier.patience("replaying the journal"):
            node = Node(group, identity, store, files, notifier, recorded)
        try:
            with page:
                node.serve(stop, reloader)
        finally:
            node.close()
    finally:
        store.close()
    return 0


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where to keep the last turns of the core, and how many."""

    directory: Path
    turns: int


class Node:
    """One replica with everything it speaks through."""

    def __init__(
        self,
        group: Group,
        identity: Identity,
        store: SqliteStore,
        files: NodeFiles,
        notifier: Notifier,
        recorded: Recorded | None = None,
    ) -> None:
        journal, guard = Journal(store, is_audit), Guard()
        now = read_clocks()
        checker = NodeKeyChecker(group)
        self.state: ReplicaState = new_replica(group, identity.owner.id, identity.salt_secret, now, checker, store.boot)
        found = journal.recover()
        checkpoint = list(_decoded(found.checkpoint, group))
        _resume(self.state, checkpoint, found.shelf, now)
        records = list(_decoded(found.records, group))
        if journal.torn:
            log.warning("journal-torn records=%d: a write that was never acknowledged was cut off", journal.torn)
        promise_again(guard, identity.owner.id, checkpoint, records)
        self._bar(identity, store, guard)
        self._recorder = None if recorded is None else Recorder(recorded.directory, self.state, recorded.turns)
        signer, writer = NodeSigner(identity.node_key, guard), TimedWriter(journal)
        if self._recorder is None:
            self.turn = Turn(self.state, signer, writer)
        else:
            self.turn = Turn(self.state, self._recorder.signer(signer), self._recorder.writer(writer))
        self.turn.send_again(restore(self.state, records, now))
        self._counted: Counter[str] = Counter()
        self._next_count_us = now.monotonic_us + COUNTERS_EVERY_US
        self._notifier = notifier
        self._drain_until_us: int | None = None
        self._told: list[Event] = []  # by the node itself, for the next turn
        self._inbox = Inbox(self.state)
        self._patient = PatientTurn(self.turn, self._inbox)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._connect(group, identity, files, writer, store)
        except BaseException:
            self._context.destroy(linger=0)
            raise
        log.info(
            "node-started owner=%s group=%s boot=%d records=%d view=%d height=%d",
            identity.owner.name,
            group.id.hex()[:12],
            store.boot,
            len(records),
            self.state.view,
            self.state.chain.final.header.height,
        )

    def _bar(self, identity: Identity, store: SqliteStore, guard: Guard) -> None:
        """With a key that a backup names nothing is signed any more (rule 7.4)."""
        self.state.barred = store.barred
        if identity.owner.node_key in store.barred:
            guard.bar()
            log.warning("node-observes restored from a backup: it signs nothing until its owner has a new node key")

    def _connect(
        self, group: Group, identity: Identity, files: NodeFiles, writer: TimedWriter, store: SqliteStore
    ) -> None:
        me, curve, listen = identity.owner.id, identity.curve, files.config.listen
        peers = frozenset(owner.curve_key for owner in group.owners if owner.id != me)
        self._zap = ZapHandler(self._context, {"votes": peers, "lanes": peers, "catchup": peers, "clients": None})
        self._votes = PeerLink(self._context, group, me, curve, "votes", listen)
        self._lanes = PeerLink(self._context, group, me, curve, "lanes", listen)
        self._catchup = PeerLink(self._context, group, me, curve, "catchup", listen)
        self._clients = ClientListener(self._context, listening_at(identity.owner.endpoints.clients, listen), curve)
        self._engine = EngineLink(self._context, files.engine_endpoint)
        self._desk = self._engine_desk()
        self._updates = UpdateDesk(files.state, self.state, self._desk)
        self._outbox = Outbox(self.state, self._votes, self._lanes, self._catchup, self._clients)
        self._sockets = Sockets(self._votes, self._lanes, self._catchup, self._clients, self._zap)
        started_us = self.state.now.monotonic_us
        self._vitals = Vitals(files, identity, self.state, self._desk, self._inbox, self._sockets, writer, started_us)
        self._status = StatusDesk(self._context, files.state, self._tell, self.drain, self._notifier, store.give_back)

    def _engine_desk(self) -> EngineDesk:
        return EngineDesk(self._engine, lambda: (self.state.own_model.version, self.state.own_model.model))

    def _tell(self) -> NodeStatus:
        return self._vitals.gather(read_clocks().monotonic_us)

    def drain(self) -> None:
        """Take no new requests; ``serve`` ends when those under way are in final blocks, within DRAIN_MAX_US."""
        if self._drain_until_us is None:
            self._drain_until_us = read_clocks().monotonic_us + DRAIN_MAX_US
            self._vitals.draining = self._inbox.draining = True
            self._told.append(NodeEnds(Presence.DRAINS))
            self._notifier.stopping()
            log.info("node-drains open=%d", len(self.state.open_mine))

    def _is_over(self, poller: zmq.Poller, stop: StopSignal) -> bool:
        if stop.asked and self._drain_until_us is None:
            poller.unregister(stop.fd)  # it stays readable
            self.drain()
        if self._drain_until_us is None:
            return False
        return not self.state.open_mine or read_clocks().monotonic_us >= self._drain_until_us

    def serve(self, stop: StopSignal, reloader: Reloader) -> None:
        """Turn after turn until asked to stop; then what is under way is finished, within DRAIN_MAX_US."""
        pace_garbage()
        self._notifier.ready(f"view {self.state.view}, height {self.state.chain.final.header.height}")
        poller = zmq.Poller()
        sockets = [self._zap.socket, self._clients.socket, *self._desk.sockets(), *self._status.sockets()]
        for source in (*sockets, *self._peer_sockets(), stop.fd, reloader.fd):
            poller.register(source, zmq.POLLIN)
        wake_at_us = 0
        pending: list[Event] = []
        while not self._is_over(poller, stop):
            wait_max_us = POLL_MAX_US if self._drain_until_us is None else DRAIN_POLL_US
            wait_us = 0 if pending else min(max(0, wake_at_us - read_clocks().monotonic_us), wait_max_us)
            ready = self._gathered(poller, {source for source, _ in poller.poll(-(-wait_us // 1000))})
            events = [*pending, *self._told, *self._hear(ready)]
            self._told.clear()
            now = read_clocks()
            self._status.answer(now.monotonic_us, ready)
            reloader.look()
            if events or now.monotonic_us >= wake_at_us:
                self._vitals.stages.came(events, now.monotonic_us)
                outcome = self._patient.run(events, now)
                self._vitals.stages.sent(outcome.outgoing, read_clocks().monotonic_us)
                if self._recorder is not None:
                    self._recorder.note(events, now)
                pending = self._desk.hand_over(self._outbox.send(outcome.outgoing))
                wake_at_us = outcome.wake_at_us
                self._log_counters(now.monotonic_us)
            else:
                pending = []
        # Its turns are over: peers need not wait for it (rule 3.6).
        self._outbox.send(self._patient.run([NodeEnds(Presence.LEAVES)], read_clocks()).outgoing)
        log.info("node-stopped view=%d height=%d", self.state.view, self.state.chain.final.header.height)

    def _gathered(self, poller: zmq.Poller, ready: Set[object]) -> Set[object]:
        """What is readable after a moment that is short beside what answers take: a turn costs more than its messages,
        and what comes together is one turn, one commit and one lane batch."""
        pause_us = min(GATHER_MAX_US, self._desk.answer_us // GATHER_SHARE)
        if not ready or pause_us < GATHER_MIN_US:
            return ready
        time.sleep(pause_us / 1e6)
        return {*ready, *(source for source, _ in poller.poll(0))}

    def _peer_sockets(self) -> list[zmq.Socket[bytes]]:
        return [socket for link in self._sockets.links for socket in link.sockets()]

    def _hear(self, ready: Set[object]) -> list[Event]:
        """Drain every socket that is readable, without blocking."""
        if self._zap.socket in ready:
            self._zap.answer_all()
        events: list[Event] = [PeerConnected(peer) for peer in self._votes.connected(ready)]
        self._lanes.connected(ready)
        self._catchup.connected(ready)
        for sender, data in self._votes.receive(ready):
            events += self._inbox.from_votes(sender, data)
        for sender, data in self._lanes.receive(ready):
            events += self._inbox.from_lanes(sender, data)
        for sender, frames in self._catchup.receive_frames(ready):
            events += self._inbox.from_catchup(sender, frames)
        for heard in self._clients.receive(ready):
            for found in self._inbox.from_client(heard.client, heard.data, heard.inputs):
                if isinstance(found, SendClient):
                    self._outbox.send([found])
                else:
                    events.append(found)
        return [*events, *self._desk.receive(ready), *self._updates.look(read_clocks().monotonic_us)]

    def _log_counters(self, now_us: int) -> None:
        if now_us < self._next_count_us:
            return
        self._next_count_us = now_us + COUNTERS_EVERY_US
        counts = self._inbox.dropped + self._sockets.dropped() + self._sockets.not_sent(self.state.group)
        if counts != self._counted:
            self._counted = counts
            log.info(
                "not-sent-or-dropped %s", " ".join(f"{k.replace(' ', '-')}={n}" for k, n in sorted(counts.items()))
            )

    def close(self) -> None:
        """Close every socket; what is queued to peers gets a moment to leave."""
        if self._recorder is not None:
            self._recorder.close()
        self._status.close()
        for link in self._sockets.links:
            link.close()
        self._clients.close()
        self._engine.close()
        self._zap.close()
        self._context.term()


def _decoded(rows: Iterable[bytes], group: Group) -> Iterator[Record]:
    for data in rows:
        try:
            yield decode_record(data, group)
        except MessageInvalid as wrong:
            raise StorageFailed(f"the journal is of another group or release: {wrong}") from wrong


def _resume(state: ReplicaState, checkpoint: Iterable[Record], shelf: Iterable[bytes], now: Now) -> None:
    try:
        resume(state, checkpoint, shelf, now)
    except MessageInvalid as wrong:
        raise StorageFailed(f"the journal is of another group or release: {wrong}") from wrong
