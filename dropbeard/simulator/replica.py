"""One simulated replica: the real core and turn, a journal that keeps what was committed, an engine, a life."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from dropbeard.agreement.events import BatchCame, EngineIsReady, Event, Now, PeerSpoke, RequestCame
from dropbeard.agreement.inspection import is_worth_handling
from dropbeard.agreement.records import BatchRecord, VoteRecord, decode_record
from dropbeard.agreement.replica_state import new_replica
from dropbeard.agreement.restoring import restore
from dropbeard.agreement.turn import Outcome, Turn
from dropbeard.signing.guard import Guard
from dropbeard.simulator.keys import GuardedSigner, Keys
from dropbeard.types.ids import OwnerId
from dropbeard.types.lanes import LaneBatch
from dropbeard.types.messages import BatchNotice, PeerMessage
from dropbeard.types.statements import Statement


class Crashed(Exception):
    """The replica went down in the middle of a turn; nothing of the turn is sent."""


class Disk:
    """Keeps what was committed. ``crash_before`` or ``crash_after`` make the next commit the last act of this life."""

    def __init__(self, on_commit: Callable[[Sequence[bytes]], None]) -> None:
        self._on_commit = on_commit
        self.records: list[bytes] = []
        self.crash_before = False
        self.crash_after = False

    def append(self, records: Sequence[bytes]) -> None:
        """Commit all records, or crash."""
        if self.crash_before:
            raise Crashed
        self.records += records
        self._on_commit(records)
        if self.crash_after:
            raise Crashed


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
    """Lives, crashes, comes back from its disk. ``seat`` tells twins apart, who share an owner."""

    def __init__(self, owner: OwnerId, seat: int, keys: Keys, clock: Clock, watcher: Watcher) -> None:
        self.owner = owner
        self.seat = seat
        self.up = True
        self.life = 0
        self.engine_life = 0
        self.looked_at = -1
        """Height of the last snapshot that the oracle saw."""
        self._lies = False
        self.disk = Disk(self._committed)
        self._keys = keys
        self._clock = clock
        self._watcher = watcher
        self.turn = self._boot()

    def _boot(self) -> Turn:
        group, guard = self._keys.group, NoGuard() if self._lies else Guard()
        records = [decode_record(data, group) for data in self.disk.records]
        for record in records:
            if isinstance(record, VoteRecord):
                guard.promise(record.signed.vote)
            elif isinstance(record, BatchRecord) and record.signed.batch.owner == self.owner:
                guard.promise(record.signed.batch.promise)
        now = self._clock.now_of(self.owner, self.seat)
        boot = 0 if self._lies else self.life + 1
        state = new_replica(group, self.owner, group.owners[self.owner].curve_key, now, self._keys.checker, boot)
        turn = Turn(state, GuardedSigner(self._keys.keys[self.owner], guard), self.disk)
        turn.send_again(restore(state, records, now))
        return turn

    def _committed(self, records: Sequence[bytes]) -> None:
        for data in records:
            record = decode_record(data, self._keys.group)
            if isinstance(record, VoteRecord):
                self._watcher.signed(self.owner, record.signed.vote)
            elif isinstance(record, BatchRecord) and record.signed.batch.owner == self.owner:
                self._watcher.signed(self.owner, record.signed.batch.promise)
                self._watcher.promised(record.signed.batch)

    def restart(self) -> None:
        """Come back with what the disk kept."""
        self.up = True
        self.life += 1
        self.disk.crash_before = self.disk.crash_after = False
        self.turn = self._boot()

    def ready(self) -> EngineIsReady:
        """The engine says what it runs."""
        model = self.turn.state.own_model
        return EngineIsReady(model.version, model.model, 1_000)

    def lie(self) -> None:
        """From now on without a guard, and asking nobody what it promised before."""
        self._lies = True
        self.turn = self._boot()

    def forget(self, share: float) -> None:
        """The disk goes back to an earlier day: what is left is this share of its records."""
        del self.disk.records[int(share * len(self.disk.records)) :]

    def has_stored(self, signature: bytes) -> bool:
        """Is the statement with this signature on the disk?"""
        return any(signature in record for record in reversed(self.disk.records))

    def hear(self, sender: int, message: PeerMessage) -> Event | None:
        """A peer's message as an event, unless it says nothing new or is not signed as it says."""
        self.turn.state.now = self._clock.now_of(self.owner, self.seat)
        if not is_worth_handling(self.turn.state, message, self._keys.checker):
            return None
        if isinstance(message, BatchNotice):
            return BatchCame(OwnerId(sender), message.signed)
        return PeerSpoke(OwnerId(sender), message)

    def run(self, events: Sequence[Event]) -> Outcome | None:
        """One turn; None when the replica crashed in it."""
        try:
            return self.turn.run(events, self._clock.now_of(self.owner, self.seat))
        except Crashed:
            self.up = False
            return None

    def admitted(self, event: RequestCame) -> bool:
        """Did it take the request?"""
        return event.request.id in self.turn.state.mine
