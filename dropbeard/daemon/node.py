"""The node daemon: sockets, engine and journal around one replica; one thread, one poll loop."""

from __future__ import annotations

import gc
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zmq

from dropbeard.agreement.effects import SendClient
from dropbeard.agreement.events import Event, NodeEnds, Now, PeerConnected
from dropbeard.agreement.records import Record, SuccessionRecord, decode_record, encode_record, is_audit
from dropbeard.agreement.replica_state import ReplicaState, new_replica
from dropbeard.agreement.restoring import restore
from dropbeard.agreement.resuming import promise_again, resume
from dropbeard.agreement.turn import Turn
from dropbeard.daemon.changes import ChangeDesk
from dropbeard.daemon.clocks import read_clocks
from dropbeard.daemon.disclosures import DisclosureDesk
from dropbeard.daemon.engine_desk import EngineDesk
from dropbeard.daemon.epoch_files import ask_epochs, read_epochs
from dropbeard.daemon.files import NodeFiles
from dropbeard.daemon.identity import Identity, Keys, identify, load_keys
from dropbeard.daemon.inbox import Inbox
from dropbeard.daemon.metrics_page import MetricsPage
from dropbeard.daemon.notify import Notifier
from dropbeard.daemon.outbox import Outbox
from dropbeard.daemon.patient_turn import PatientTurn
from dropbeard.daemon.process import StopSignal, die_with_parent, keep_memory, log_to_stderr, pace_garbage
from dropbeard.daemon.recording import Recorder
from dropbeard.daemon.reloading import NODE, Reloader
from dropbeard.daemon.status_desk import StatusDesk
from dropbeard.daemon.updates import UpdateDesk
from dropbeard.daemon.vitals import TimedWriter, Vitals
from dropbeard.daemon.wiring import EpochKeys, Wiring
from dropbeard.errors import ConfigInvalid, MessageInvalid, StorageFailed
from dropbeard.signing.guard import Guard
from dropbeard.signing.signer import NodeKeyChecker, NodeSigner
from dropbeard.storage.files import read_genesis
from dropbeard.storage.records import Journal
from dropbeard.storage.sqlite_store import SqliteStore
from dropbeard.transport.engine_link import EngineLink
from dropbeard.types.group import Group
from dropbeard.types.ids import Digest, Version
from dropbeard.types.messages import Presence
from dropbeard.types.status import NodeStatus
from dropbeard.types.succession import Succession

log = logging.getLogger("dropbeard.node")

POLL_MAX_US: Final = 500_000
GATHER_SHARE: Final = 64
"""A node gathers messages for this part of the time that its engine takes from a ticket to its answer."""

GATHER_MAX_US: Final = 25_000
GATHER_MIN_US: Final = 200
"""Less is not worth a sleep."""

DRAIN_MAX_US: Final = 4_000_000
"""From being asked to stop to the end, whatever is still under way."""

DRAIN_POLL_US: Final = 20_000

COUNTERS_EVERY_US: Final = 60_000_000
"""How often counts of dropped and unsent messages are logged, if they changed."""


def run_node(files: NodeFiles) -> int:
    """Serve until SIGTERM or SIGINT; 0 after a clean end.

    Raises ConfigInvalid, KeyInvalid, StorageFailed or TransportFailed when it cannot start or must not go on, and
    OwnerLeft when its owner is not in the group any more and nobody is owed anything by it.
    """
    die_with_parent()
    keep_memory()
    log_to_stderr(files.config.log_level)
    for text in files.unknown:
        log.warning("environment-unknown %s", text)
    group = read_genesis(files.genesis)
    keys = load_keys(files)
    identity, known = _place_in(group, keys, files)
    notifier, stop, page = Notifier(), StopSignal(), MetricsPage(files.state, files.config)
    reloader = Reloader(files, NODE, page.move, log)
    store = SqliteStore(files.state)
    pace_garbage()  # what a start reads is kept
    try:
        recorded = Recorded(files.state, files.config.record) if files.config.record else None
        with notifier.patience("replaying the journal"):
            node = Node(group, keys, identity, known, store, files, notifier, recorded)
        try:
            with page:
                node.serve(stop, reloader)
        finally:
            node.close()
    finally:
        store.close()
    return 0


def _place_in(group: Group, keys: Keys, files: NodeFiles) -> tuple[Identity, list[Succession]]:
    """Whose keys these are, and what ended the epochs that are known. Who joins is in no epoch that a new state
    directory knows of: it asks the nodes (rule 8.4)."""
    lineage, known = read_epochs(group, files.state)
    try:
        return identify(lineage.groups, keys), known
    except ConfigInvalid:
        log.info("epochs-asked from=%d: no epoch that is known here names this node's keys", lineage.groups[-1].epoch)
    lineage, known = ask_epochs(lineage, known, lambda found: _is_named(found.groups[-1], keys))
    return identify(lineage.groups, keys), known


def _is_named(group: Group, keys: Keys) -> bool:
    return any(keys.identity(owner) is not None for owner in group.owners)


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where to keep the last turns of the core, and how many."""

    directory: Path
    turns: int


class Node:
    """One replica with everything it speaks through. ``known``: what ended earlier epochs, for one that starts anew."""

    def __init__(
        self,
        group: Group,
        keys: Keys,
        identity: Identity,
        known: Sequence[Succession],
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
        records = list(_decoded(found.records, group)) or _seeded(journal, known)
        if journal.torn:
            log.warning("journal-torn records=%d: a write that was never acknowledged was cut off", journal.torn)
        promise_again(guard, identity.owner.id, checkpoint, records)
        self.state.barred = store.barred
        if identity.owner.node_key in store.barred:
            log.warning("node-observes restored from a backup: it signs nothing until its owner has a new node key")
        self._recorder = None if recorded is None else Recorder(recorded.directory, self.state, recorded.turns)
        own = EpochKeys(self.state, keys)
        writer = TimedWriter(journal)
        self.turn = self._turn_of(NodeSigner(own.signing, guard, store.barred), writer)
        self.turn.send_again(restore(self.state, records, now))
        self._counted: Counter[str] = Counter()
        self._next_count_us = now.monotonic_us + COUNTERS_EVERY_US
        self._notifier = notifier
        self._drain_until_us: int | None = None
        self._stood = (self.state.group.epoch, self.state.chain.hollow is None)
        """The epoch, and whether its state is there, when the engine was last looked at."""
        self._told: list[Event] = []  # by the node itself, for the next turn
        self._inbox = Inbox(self.state, files.shown_cards(), DisclosureDesk(files.state, group, self.state))
        self._patient = PatientTurn(self.turn, self._inbox)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            self._wiring = Wiring(self._context, group, self.state, files, own, identity)
            self._connect(files, writer, store)
        except BaseException:
            self._context.destroy(linger=0)
            raise
        self._say_started(identity.owner.name, len(records))

    def _say_started(self, name: str, records: int) -> None:
        state = self.state
        log.info(
            "node-started owner=%s group=%s epoch=%d boot=%d records=%d view=%d height=%d",
            name,
            state.group.id.hex()[:12],
            state.group.epoch,
            state.boot,
            records,
            state.view,
            state.chain.final.header.height,
        )

    def _turn_of(self, signer: NodeSigner, writer: TimedWriter) -> Turn:
        if self._recorder is None:
            return Turn(self.state, signer, writer)
        return Turn(self.state, self._recorder.signer(signer), self._recorder.writer(writer))

    def _connect(self, files: NodeFiles, writer: TimedWriter, store: SqliteStore) -> None:
        self._sockets = at = self._wiring.sockets
        self._engine = EngineLink(self._context, files.engine_endpoint)
        self._desk = self._engine_desk()
        self._updates = UpdateDesk(files.state, self.state, self._desk)
        self._changes = ChangeDesk(files.state, self.state)
        self._outbox = Outbox(self.state, at.votes, at.lanes, at.catchup, at.clients)
        started_us = self.state.now.monotonic_us
        self._vitals = Vitals(files, self._wiring, self.state, self._desk, self._inbox, writer, started_us)
        self._status = StatusDesk(self._context, files.state, self._tell, self.drain, self._notifier, store.give_back)

    def _engine_desk(self) -> EngineDesk:
        def in_force() -> tuple[Version, Digest]:
            return self.state.own_model.version, self.state.own_model.model

        return EngineDesk(self._engine, in_force, self.state.group.task.read_output)

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

    def _is_over(self, stop: StopSignal) -> bool:
        if stop.asked:
            self.drain()
        if self._drain_until_us is None:
            return False
        return not self.state.open_mine or read_clocks().monotonic_us >= self._drain_until_us

    def serve(self, stop: StopSignal, reloader: Reloader) -> None:
        """Turn after turn until asked to stop; then what is under way is finished, within DRAIN_MAX_US."""
        gc.freeze()  # nor is it ever searched
        self._notifier.ready(f"view {self.state.view}, height {self.state.chain.final.header.height}")
        poller = zmq.Poller()
        sockets = [*self._desk.sockets(), *self._status.sockets(), *self._wiring.polled]
        for source in (*sockets, stop.fd, reloader.fd):
            poller.register(source, zmq.POLLIN)
        wake_at_us = 0
        pending: list[Event] = []
        while not self._is_over(stop):
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
                pending = [*self._desk.hand_over(self._outbox.send(outcome.outgoing)), *self._follow(poller)]
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

    def _follow(self, poller: zmq.Poller) -> list[Event]:
        """Sockets, keys and engine follow the replica into the epoch that it is in (rule 8.4)."""
        self._wiring.end_if_left()
        before = self._wiring.polled
        if self._wiring.follow():
            after = self._wiring.polled
            for gone in before:
                if gone not in after:
                    poller.unregister(gone)
            for source in after:
                poller.register(source, zmq.POLLIN)
        stands = (self.state.group.epoch, self.state.chain.hollow is None)
        if stands == self._stood:
            return []
        self._stood = stands
        return self._desk.in_force_again()

    def _hear(self, ready: Set[object]) -> list[Event]:
        """Drain every socket that is readable, without blocking."""
        at = self._sockets
        if at.zap.socket in ready:
            at.zap.answer_all()
        events: list[Event] = [PeerConnected(peer) for peer in at.votes.connected(ready)]
        at.lanes.connected(ready)
        at.catchup.connected(ready)
        for sender, data in at.votes.receive(ready):
            events += self._inbox.from_votes(sender, data)
        for sender, data in at.lanes.receive(ready):
            events += self._inbox.from_lanes(sender, data)
        for sender, frames in at.catchup.receive_frames(ready):
            events += self._inbox.from_catchup(sender, frames)
        for heard in at.clients.receive(ready):
            for found in self._inbox.from_client(heard.client, heard.data, heard.inputs):
                if isinstance(found, SendClient):
                    self._outbox.send([found])
                else:
                    events.append(found)
        now_us = read_clocks().monotonic_us
        return [*events, *self._desk.receive(ready), *self._updates.look(now_us), *self._changes.look(now_us)]

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
        self._engine.close()
        self._wiring.close()
        self._context.term()


def _seeded(journal: Journal, known: Sequence[Succession]) -> list[Record]:
    """A new journal begins with the epochs that are over: the replica stands on the latest and asks for its state."""
    if journal.records or not known:
        return []
    seeds: list[Record] = [SuccessionRecord(given) for given in known]
    journal.append([encode_record(record) for record in seeds])
    return seeds


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
