"""One simulated replica: the real core, turn and journal on a simulated disk, an engine, a life."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Protocol

from blake3 import blake3

from dropbeard.agreement.events import BatchCame, EngineIsReady, Event, Now, PeerSpoke, RequestCame
from dropbeard.agreement.inspection import is_worth_handling
from dropbeard.agreement.records import BatchRecord, VoteRecord, is_audit, may_promise
from dropbeard.agreement.replica_state import new_replica
from dropbeard.agreement.restoring import restore
from dropbeard.agreement.resuming import promise_again, resume
from dropbeard.agreement.turn import Outcome, Turn
from dropbeard.errors import StorageFailed
from dropbeard.signing.guard import Guard
from dropbeard.simulator.disk import Crashed, SimulatedDisk, SimulatedStore
from dropbeard.simulator.keys import GuardedSigner, Key, Keys
from dropbeard.storage.folding import Unfolder
from dropbeard.storage.records import Journal
from dropbeard.storage.rows import HEAD_BYTES, is_stub
from dropbeard.types.ids import OwnerId, RequestId, Version
from dropbeard.types.journal import Piece
from dropbeard.types.lanes import LaneBatch
from dropbeard.types.limits import CHECKPOINT_BYTES_TURN
from dropbeard.types.messages import BatchNotice, PeerMessage
from dropbeard.types.statements import Statement


class WatchedJournal:
    """The journal of one life; ``committed`` hears of what it has on disk."""

    def __init__(self, journal: Journal, committed: Callable[[Sequence[bytes]], None]) -> None:
        self._journal = journal
        self._committed = committed

    def append(self, records: Sequence[bytes], piece: Piece | None = None) -> None:
        """Commit all records, or crash."""
        self._journal.append(records, piece)
        self._committed(records)


class Clock(Protocol):
    """The replica's clocks at this moment."""

    def now_of(self, owner: int, seat: int) -> Now:
        """Monotonic and wall time."""


class Watcher(Protocol):
    """Hears of every promise that an honest replica has on disk; one that was lost before that was never sent."""

    def signed(self, owner: OwnerId, statement: Statement) -> None:
        """``owner`` has this statement on disk and may send it."""

    def promised(self, batch: LaneBatch) -> None:
        """The batch of such a statement."""


class NoGuard(Guard):
    """A liar's: it promises anything."""

    def promise(self, statement: Statement) -> None:
        """Fine."""


class SimulatedReplica:
    """Lives, crashes, comes back from its disk. ``seat`` tells twins apart, who share an owner.

    ``lies``: without a guard, and without asking anybody what it promised before.
    """

    def __init__(
        self,
        owner: OwnerId,
        seat: int,
        keys: Keys,
        clock: Clock,
        watcher: Watcher,
        lies: bool = False,
        piece_bytes: int = CHECKPOINT_BYTES_TURN,
    ) -> None:
        self._piece_bytes = piece_bytes
        self.owner = owner
        self.seat = seat
        self.lies = lies
        self.up = True
        self.life = 0
        self.engine_life = 0
        self.at_work: dict[Version, list[tuple[RequestId, bytes]]] = {}
        """The engine's open batch under each version."""
        self.serves = False
        """Has the engine of one who joined said what it runs?"""
        self.looked_at = -1
        """Height of the last snapshot that the oracle saw."""
        self.failed: StorageFailed | None = None
        """Why the last start or the last commit failed: such a replica stays down and counts among the f."""
        self.barred: frozenset[bytes] = frozenset()
        """Node keys that sign nothing more from the next start on (rule 7.4)."""
        self.disk = SimulatedDisk(random.Random(f"disk {keys.group.id.hex()} {seat}"))
        self._told = 0
        self._keys = keys
        self._clock = clock
        self._watcher = watcher
        self.turn = self._boot()

    def _boot(self) -> Turn:
        group, guard = self._keys.group, NoGuard() if self.lies else Guard()
        store = SimulatedStore(self.disk)
        journal = Journal(store, is_audit)
        found = journal.recover()
        checkpoint = [self._keys.read_record(data) for data in found.checkpoint]
        shelf, later = list(found.shelf), list(found.records)
        records = [self._keys.read_record(data) for data in later]
        # A crash may leave records that nobody has heard of: they bind from now on.
        unheard, known = journal.records - self._told, [*shelf, *later]
        self._tell(known[len(known) - unheard :])
        promise_again(guard, self.owner, checkpoint, records)
        now, boot = self._clock.now_of(self.owner, self.seat), 0 if self.lies else store.boot
        secret = blake3(f"secret {self.owner}".encode()).digest()
        state = new_replica(group, self.owner, secret, now, self._keys.checker, boot)
        state.barred = self.barred
        turn = Turn(state, GuardedSigner(self.key, guard), WatchedJournal(journal, self._tell), self._piece_bytes)
        resume(state, checkpoint, shelf, now, self._keys.read_record)
        turn.send_again(restore(state, records, now))
        return turn

    def key(self) -> Key:
        """Its node key in the epoch that it is in; the first one when it serves in none."""
        owner = self.turn.state.group.owner(self.owner)
        return self._keys.keys[self.owner] if owner is None else self._keys.nodes[owner.node_key]

    def _tell(self, records: Sequence[bytes]) -> None:
        self._told += len(records)
        for data in records:
            if not may_promise(data, self.owner):
                continue
            record = self._keys.read_record(data)
            if isinstance(record, VoteRecord):
                self._watcher.signed(self.owner, record.signed.vote)
            elif isinstance(record, BatchRecord) and record.signed.batch.owner == self.owner:
                self._watcher.signed(self.owner, record.signed.batch.promise)
                self._watcher.promised(record.signed.batch)

    def restart(self) -> None:
        """Come back with what the disk kept, or stay down when that is damaged."""
        self.life += 1
        self.at_work.clear()
        self.disk.crash()
        try:
            self.turn = self._boot()
            self.up, self.failed = True, None
        except StorageFailed as wrong:
            self.failed = wrong

    def ready(self) -> EngineIsReady:
        """The engine says what it runs."""
        model = self.turn.state.own_model
        return EngineIsReady(model.version, model.model, 1_000)

    def stored(self) -> list[bytes]:
        """Every record of the journal that was not pruned."""
        unfolder, found = Unfolder(), []
        for row in self.disk.records.values():
            if is_stub(row):
                unfolder.skip()
            elif (record := unfolder.unfold(row[HEAD_BYTES:])) is not None:
                found.append(record)
        return found

    def has_stored(self, signature: bytes) -> bool:
        """Is the statement with this signature on the disk?"""
        return any(signature in row for row in reversed(self.disk.records.values()))

    def hear(self, sender: int, message: PeerMessage) -> Event | None:
        """A peer's message as an event, unless it says nothing new or is not signed as it says."""
        self.turn.state.now = self._clock.now_of(self.owner, self.seat)
        if not is_worth_handling(self.turn.state, message, self.turn.state.judge.checker):
            return None
        if isinstance(message, BatchNotice):
            return BatchCame(OwnerId(sender), message.signed)
        return PeerSpoke(OwnerId(sender), message)

    def run(self, events: Sequence[Event]) -> Outcome | None:
        """One turn; None when the replica crashed in it or its journal failed, as a node then stops."""
        try:
            return self.turn.run(events, self._clock.now_of(self.owner, self.seat))
        except Crashed:
            self.up = False
        except StorageFailed as wrong:
            self.up, self.failed = False, wrong
        return None

    def admitted(self, event: RequestCame) -> bool:
        """Did it take the request?"""
        return event.request.id in self.turn.state.mine
