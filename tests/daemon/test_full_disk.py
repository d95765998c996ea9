"""A full disk: nothing new is promised, what is final is shown, and all goes on once there is room."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dropbeard import Client
from dropbeard.agreement.effects import Broadcast
from dropbeard.agreement.events import EngineIsReady, Event, OutcomeAsked, PeerConnected
from dropbeard.agreement.turn import Turn
from dropbeard.client.answers import Answer
from dropbeard.codec.client import encode_to_node
from dropbeard.daemon.asking import ask_status
from dropbeard.daemon.files import read_node_files
from dropbeard.daemon.inbox import Inbox
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.daemon.patient_turn import KEPT_MAX, TRY_US, PatientTurn
from dropbeard.errors import DiskFull, DropbeardError, StorageFailed
from dropbeard.signing.guard import Guard
from dropbeard.simulator.keys import GuardedSigner
from dropbeard.storage.records import Journal
from dropbeard.storage.sqlite_store import SqliteStore
from dropbeard.types.ids import Epoch, RequestId, Version
from dropbeard.types.journal import Piece
from dropbeard.types.messages import FetchSuccession
from dropbeard.types.node_config import EngineTable
from tests.agreement.epoch_pieces import close_epoch
from tests.agreement.pieces import CLIENT, KEYS, attestation, batch, came, later, replica
from tests.chaos.faults import fill, mount_small_disk, unmount

WAIT_S = 60.0
PAGES_FEW = 12


class Bench:
    """Replica 1 on a real journal whose file may not grow beyond some pages."""

    def __init__(self, directory: Path) -> None:
        self.store = SqliteStore(directory)
        self.journal = Journal(self.store)
        list(self.journal.replay())
        self.state = replica(1)
        self.turn = Turn(self.state, GuardedSigner(lambda: KEYS.keys[1], Guard()), self.journal)
        self.inbox = Inbox(self.state)
        self.patient = PatientTurn(self.turn, self.inbox)

    def room(self, pages: int) -> None:
        self.store._database.execute(f"PRAGMA max_page_count={pages}").fetchone()

    def fill(self) -> None:
        self.room(PAGES_FEW)
        assert all(self.refuses(bytes(size)) for size in (3_000, 1))

    def refuses(self, record: bytes) -> bool:
        """Sooner or later."""
        try:
            for _ in range(1_000):
                self.journal.append([record])
        except DiskFull:
            return True
        return False

    def is_full(self) -> bool:
        return self.inbox.full

    def run(self, events: Sequence[Event], us: int) -> list[object]:
        return list(self.patient.run(events, later(us)).outgoing)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.store.close()


def engine_of(bench: Bench) -> object:
    return bench.state.engine


def votes_sent(outgoing: list[object]) -> list[str]:
    return [type(effect.message).__name__ for effect in outgoing if isinstance(effect, Broadcast)]


def test_a_refused_turn_says_nothing_until_it_is_committed_and_then_all_of_it(bench: Bench) -> None:
    rules = bench.state.group.parameters
    bench.run([came(batch(2, [attestation(1)]))], 0)
    bench.fill()
    held = bench.journal.records
    late_us = rules.propose_timeout_us + 1
    assert bench.run([], late_us) == []  # a Nullify is due
    assert bench.is_full()
    assert bench.run([], late_us + TRY_US) == []
    assert bench.journal.records == held
    bench.room(1 << 20)
    assert bench.run([], late_us + TRY_US + 1) == []
    assert "SignedVote" in votes_sent(bench.run([], late_us + 2 * TRY_US))
    assert not bench.is_full()
    assert bench.journal.records > held


def test_while_it_is_full_peers_are_not_heard_and_the_engine_is_not_forgotten(bench: Bench) -> None:
    bench.run([came(batch(2, [attestation(1)]))], 0)
    bench.fill()
    late_us = bench.state.group.parameters.propose_timeout_us + 1
    bench.run([], late_us)
    ready = EngineIsReady(Version(1), bench.state.own_model.model, 8)
    assert bench.run([came(batch(3, [attestation(2)])), PeerConnected(bench.state.peers[0]), ready], late_us + 1) == []
    assert bench.run([OutcomeAsked(CLIENT, RequestId(bytes(32)))], late_us + 2) == []
    bench.room(1 << 20)
    bench.run([], late_us + TRY_US)
    assert engine_of(bench) is None
    bench.run([], late_us + TRY_US + 1)
    assert engine_of(bench) is not None
    assert not bench.state.lanes.lanes[bench.state.group.members[3]].batches


def test_while_it_is_full_nobody_is_shown_how_an_epoch_ended_as_that_may_hold_an_unwritten_vote(
    bench: Bench,
) -> None:
    close_epoch(bench.state)
    asked = encode_to_node(FetchSuccession(Epoch(0)))
    assert len(bench.inbox.from_client(CLIENT, asked, [])) == 1
    bench.inbox.full = True
    assert bench.inbox.from_client(CLIENT, asked, []) == []


def test_what_waits_is_bounded(bench: Bench) -> None:
    bench.inbox.full = True
    bench.patient._try_us = later(TRY_US).monotonic_us
    ready = EngineIsReady(Version(1), bench.state.own_model.model, 8)
    bench.run([ready] * KEPT_MAX, 0)
    with pytest.raises(StorageFailed, match="full for too long"):
        bench.run([ready], 0)


def test_a_checkpoint_that_met_a_full_disk_is_given_up_and_the_next_one_is_whole(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    journal = Journal(store)
    list(journal.replay())
    journal.append([b"row"], Piece(1, (b"whole",), first=True, last=True))
    journal.append([], Piece(2, (b"begun",), first=True))
    store._database.execute(f"PRAGMA max_page_count={PAGES_FEW}").fetchone()
    for last in (False, True):
        with pytest.raises(DiskFull):
            journal.append([bytes(100_000)], Piece(2, (bytes(100_000),), last=last))
    store._database.execute("PRAGMA max_page_count=100000").fetchone()
    journal.append([b"later"], Piece(2, (b"stray",), last=True))
    store.close()
    store = SqliteStore(tmp_path)
    found = Journal(store).recover()
    assert (list(found.checkpoint), list(found.shelf), list(found.records)) == ([b"whole"], [b"row"], [b"later"])
    store.close()


@pytest.mark.system
def test_a_real_node_on_a_full_disk_shows_certificates_and_votes_again_later(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"class {number}" for number in range(10)))
    local = LocalGroup(tmp_path / "g", engine=EngineTable("", backend="synthetic"), labels=labels)
    bob = local.configs[1]
    state = bob.parent / "state"
    if not mount_small_disk(state, 10):
        pytest.skip("this user may not mount a small disk")
    try:
        with local:
            _full_and_back(local, bob, state)
    finally:
        unmount(state)


def _full_and_back(local: LocalGroup, bob: Path, state: Path) -> None:
    def status() -> Any:
        local.supervisor.poll()
        try:
            return ask_status(read_node_files(bob), 3)
        except DropbeardError:
            return None

    def votes() -> bool:  # a disk as small as this is always a problem
        now = status()
        return now is not None and now.chain.awake and now.engine.ready and not now.disk.full

    until(votes)
    with Client(local.group, timeout=30, patience=0.3, connect_timeout=5) as client:
        first = ask(client)
        assert len(first.owners) == 4
        pid, undo = local.supervisor.pid("node bob"), fill(state)
        until(lambda: bool(ask(client)) and status().disk.full)
        assert len(ask(client).owners) == 3
        assert "votes for nothing" in str(status().problems)
        alice = local.supervisor.pid("node alice")
        assert alice is not None
        os.kill(alice, 9)  # so that bob's answer is needed
        again = client.fetch(first.certificate.certificate.request())
        assert "bob" in [owner.owner for owner in again.owners]
        undo()
        until(votes)
        until(lambda: status() is not None and len(ask(client).owners) == 4)  # asking also has alice started again
        assert local.supervisor.pid("node bob") == pid
    log = (bob.parent / "node.log").read_text()
    assert log.count("disk-full") == log.count("disk-has-room") == 1


def ask(client: Client) -> Answer:
    return client.infer(np.random.default_rng(time.monotonic_ns()).integers(0, 255, (8, 8, 3), dtype=np.uint8))


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)
