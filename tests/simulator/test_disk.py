"""The simulated disk keeps what is synced; journal, replica and oracle each meet the trouble it can make."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import pytest

from dropbeard.agreement.events import Event, Now
from dropbeard.agreement.records import BatchRecord, VoteRecord, decode_record
from dropbeard.agreement.turn import Outcome, Turn
from dropbeard.errors import StorageFailed
from dropbeard.simulator.disk import Crashed, SimulatedDisk, SimulatedStore
from dropbeard.simulator.options import Options, options_for
from dropbeard.simulator.plan import START_US
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.simulator.world import World
from dropbeard.storage.records import Journal
from dropbeard.types.group import Group
from dropbeard.types.ids import OwnerId
from dropbeard.types.journal import Piece
from dropbeard.types.parameters import MILLISECOND, SECOND
from dropbeard.types.statements import Statement
from dropbeard.types.votes import SignedVote

SEEDS = 200
KEPT = [b"acknowledged %d" % number for number in range(3)]
LATE = [b"in the last commit %d" % number for number in range(3)]
VICTIM = 1
Patch = pytest.MonkeyPatch


def calm(seed: int) -> Options:
    """A schedule without any trouble but what the test makes."""
    options = options_for(seed, 4, "none", 3)
    quiet = replace(options, loss=0.0, slow_share=0.0, crashes=0, partitions=0, one_way_cuts=0, full_disks=0)
    return replace(quiet, heal_us=2 * SECOND, end_us=6 * SECOND)


def replay(disk: SimulatedDisk) -> tuple[list[bytes], int]:
    """The records and the torn rows that a start finds."""
    store = SimulatedStore(disk)
    journal = Journal(store)
    records = list(journal.replay())
    store.close()
    return records, journal.torn


def reader(disk: SimulatedDisk) -> SimulatedStore:
    """A second look at a disk that is in use."""
    disk.held = False
    return SimulatedStore(disk)


def crash_in_a_commit(seed: int, before: bool) -> SimulatedDisk:
    """Three acknowledged records, then power goes in a commit of three more."""
    disk = SimulatedDisk(random.Random(seed))
    journal = Journal(SimulatedStore(disk))
    list(journal.replay())
    journal.append(KEPT)
    disk.crash_before, disk.crash_after = before, not before
    with pytest.raises(Crashed):
        journal.append(LATE)
    disk.crash()
    return disk


def check_a_crash_before_the_sync_leaves_the_acknowledged_and_a_prefix() -> None:
    seen: set[tuple[int, int]] = set()
    for seed in range(SEEDS):
        disk = crash_in_a_commit(seed, before=True)
        records, torn = replay(disk)
        assert records == [*KEPT, *LATE][: len(records)]
        assert len(records) >= len(KEPT)
        assert replay(disk) == (records, 0)
        seen.add((len(records) - len(KEPT), torn))
    # Lost, a prefix, the whole commit; each with its next row torn, where there is a next one.
    assert seen == {(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 1), (2, 1)}


def test_a_crash_before_the_sync_leaves_the_acknowledged_and_a_prefix_perhaps_torn() -> None:
    check_a_crash_before_the_sync_leaves_the_acknowledged_and_a_prefix()


def test_a_mutant_that_does_not_sync_loses_what_it_acknowledged(monkeypatch: Patch) -> None:
    def unsynced(self: SimulatedDisk) -> None:
        if self.crash_before:
            raise Crashed

    monkeypatch.setattr(SimulatedDisk, "sync", unsynced)
    with pytest.raises(AssertionError):
        check_a_crash_before_the_sync_leaves_the_acknowledged_and_a_prefix()


def test_a_crash_after_the_sync_leaves_everything() -> None:
    for seed in range(SEEDS):
        assert replay(crash_in_a_commit(seed, before=False)) == ([*KEPT, *LATE], 0)


def test_the_boot_counter_survives_every_crash() -> None:
    disk = SimulatedDisk(random.Random(1))
    for boot in range(1, SEEDS):
        assert SimulatedStore(disk).boot == boot
        disk.crash()


def test_a_disk_that_lies_about_syncing_loses_what_it_acknowledged_and_keeps_what_it_had() -> None:
    lost = []
    for seed in range(SEEDS):
        disk = SimulatedDisk(random.Random(seed))
        journal = Journal(SimulatedStore(disk))
        list(journal.replay())
        journal.append(KEPT)
        disk.lies = True
        journal.append(LATE)
        assert list(Journal(reader(disk)).replay()) == [*KEPT, *LATE]
        disk.crash()
        records, _ = replay(disk)
        assert records == [*KEPT, *LATE][: len(records)]
        lost.append(len(KEPT) + len(LATE) - len(records))
    assert set(lost) == {0, 1, 2, 3}


def test_a_disk_that_lies_about_syncing_takes_the_boot_counter_back() -> None:
    disk = SimulatedDisk(random.Random(1))
    for lies, boot in ((False, 1), (True, 2), (True, 2), (False, 2), (False, 3)):
        disk.lies = lies
        assert SimulatedStore(disk).boot == boot
        disk.crash()


def test_every_rotten_bit_is_named_with_its_record() -> None:
    for seed in range(SEEDS):
        disk = SimulatedDisk(random.Random(seed))
        store = SimulatedStore(disk)
        journal = Journal(store)
        list(journal.replay())
        journal.append([*KEPT, *LATE])
        store.close()
        number = disk.rot()
        with pytest.raises(StorageFailed, match=f"record {number} is damaged"):
            replay(disk)


def test_a_disk_rolled_back_to_a_snapshot_looks_whole_and_only_its_boot_counter_went_back() -> None:
    disk = SimulatedDisk(random.Random(1))
    store = SimulatedStore(disk)
    journal = Journal(store)
    list(journal.replay())
    journal.append(KEPT)
    snapshot = disk.snapshot()
    journal.append(LATE)
    for boot in (2, 3):
        disk.crash()
        assert SimulatedStore(disk).boot == boot
    disk.crash()
    disk.roll_back(snapshot)
    store = SimulatedStore(disk)
    assert store.boot == 2
    assert list(Journal(store).replay()) == KEPT


# --- in a world -----------------------------------------------------------------------------------------------------


def restart(world: World) -> None:
    """As the world does it."""
    world.replicas[VICTIM].up = False
    world.restart(world.replicas[VICTIM])


def test_a_replica_with_a_rotten_record_stays_down_and_the_others_go_on() -> None:
    world = World(calm(3))
    victim = world.replicas[VICTIM]

    def rot() -> None:
        victim.disk.rot()
        restart(world)
        heights.append(world.replicas[0].turn.state.chain.final.header.height)

    heights: list[int] = []
    world.at(START_US + SECOND // 2, rot)
    world.run()
    assert world.oracle.found == []
    assert not victim.up
    assert "is damaged" in str(victim.failed)
    assert world.replicas[0].turn.state.chain.final.header.height > heights[0] + 3


def test_a_replica_whose_disk_fills_up_stops_and_comes_back_once_there_is_space() -> None:
    world = World(calm(4))
    victim = world.replicas[VICTIM]

    def fill() -> None:
        victim.disk.full = True

    def free() -> None:
        failures.append(str(victim.failed))
        assert not victim.up
        victim.disk.full = False
        restart(world)

    failures: list[str] = []
    world.at(START_US + 300 * MILLISECOND, fill)
    world.at(START_US + 900 * MILLISECOND, free)
    world.run()
    assert failures == ["the journal cannot be written: the disk is full; free space or check the disk"]
    assert world.oracle.found == []
    assert victim.up
    assert victim.failed is None
    heights = [replica.turn.state.chain.final.header.height for replica in world.replicas]
    assert max(heights) - min(heights) <= 1


class Listening(World):
    """Keeps every promise that it hears of, by owner."""

    def __init__(self, options: Options) -> None:
        self.heard: dict[int, list[Statement]] = {owner: [] for owner in range(options.n + 2)}
        super().__init__(options)

    def signed(self, owner: OwnerId, statement: Statement) -> None:
        self.heard[owner].append(statement)
        super().signed(owner, statement)


def promises(replica: SimulatedReplica, group: Group) -> list[Statement]:
    """The replica's own, as they stand on its disk."""
    records = [decode_record(data, group) for data in Journal(reader(replica.disk)).replay()]
    own = [r.signed for r in records if isinstance(r, VoteRecord | BatchRecord)]
    return [
        signed.vote if isinstance(signed, SignedVote) else signed.batch.promise
        for signed in own
        if isinstance(signed, SignedVote) or signed.batch.owner == replica.owner
    ]


@pytest.mark.parametrize("seed", range(1, 4))
def test_every_promise_on_disk_is_heard_of_once_also_what_a_crash_left_there(seed: int) -> None:
    world = Listening(replace(options_for(seed, 4, "none"), crashes=12))
    world.run()
    assert world.oracle.found == []
    assert sum(replica.life for replica in world.replicas) > 3
    for replica in world.replicas:
        assert world.heard.get(replica.owner, []) == promises(replica, world.keys.group)


def first_finding(seeds: range) -> str:
    for seed in seeds:
        world = World(options_for(seed, 4))
        world.run()
        if world.oracle.found:
            return world.oracle.found[0].split(":")[0]
    pytest.fail(f"the mutant survived {len(seeds)} seeds")


class Held:
    """Takes a turn's records and commits nothing."""

    def __init__(self, records: list[bytes]) -> None:
        self._records = records

    def append(self, records: Sequence[bytes], piece: Piece | None = None) -> None:
        self._records[:] = records


def test_a_mutant_that_stores_after_it_sends_is_caught_by_the_oracle(monkeypatch: Patch) -> None:
    plain, pending = Turn.run, defaultdict[int, list[bytes]](list)

    def late(self: Turn, events: Sequence[Event], now: Now) -> Outcome:
        writer, held = self._writer, pending[id(self)]
        if held:
            writer.append(held)
        self._writer = Held(held)
        try:
            return plain(self, events, now)
        finally:
            self._writer = writer

    monkeypatch.setattr(Turn, "run", late)
    assert first_finding(range(1, 10)) == "sent-before-stored"
