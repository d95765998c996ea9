"""A node that starts from an old backup observes: it never signs a second statement for a slot (rule 7.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.simulator.options import Options
from dropbeard.simulator.world import World
from dropbeard.types.ids import OwnerId
from dropbeard.types.lanes import LaneBatch
from dropbeard.types.parameters import MILLISECOND, SECOND
from dropbeard.types.statements import Statement
from tests.simulator.test_disk import calm

VICTIM = 1
BACKUP_US, RESTORED_US = 1_800 * MILLISECOND, 2_400 * MILLISECOND


def schedule(seed: int) -> Options:
    """Requests without a pause; the only trouble is the restored node."""
    quiet = replace(calm(seed), drains=0, updates=0, changes=0, floods=0, duplicates=0.0, requests=200)
    return replace(quiet, heal_us=3 * SECOND, end_us=5 * SECOND)


class Noting:
    """Passes on what one replica has signed, and notes when it was the first time: its old batches come back to it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.times: list[int] = []
        self._known: set[bytes] = set()

    def signed(self, owner: OwnerId, statement: Statement) -> None:
        if statement.encode() not in self._known:
            self._known.add(statement.encode())
            self.times.append(self._world.now_us)
        self._world.signed(owner, statement)

    def promised(self, batch: LaneBatch) -> None:
        self._world.promised(batch)


def restored(seed: int, barred: bool) -> tuple[World, list[int]]:
    """The world after a schedule in which one node lost its disk and was restored; when that node signed anything."""
    world = World(schedule(seed))
    victim = world.replicas[VICTIM]
    victim.disk.days = []
    victim._watcher = noting = Noting(world)

    def restore() -> None:
        victim.up = False
        assert victim.disk.days
        backup = next(day for day in reversed(victim.disk.days) if len(day.records) <= kept[0])
        victim.disk.roll_back(replace(backup, boot=victim.disk.boot))
        owner = world.keys.group.owners[VICTIM]
        victim.barred = frozenset([owner.node_key]) if barred else frozenset()
        world.restart(victim)

    kept: list[int] = []
    world.at(BACKUP_US, lambda: kept.append(len(victim.disk.records)))
    world.at(RESTORED_US, restore)
    world.run()
    return world, noting.times


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_signs_nothing_catches_up_and_the_others_go_on(seed: int) -> None:
    world, signed = restored(seed, barred=True)
    assert world.oracle.found == []
    assert max(signed) < RESTORED_US
    heights = [replica.turn.state.chain.final.header.height for replica in world.replicas]
    assert heights[VICTIM] >= max(heights) - 1
    assert world.replicas[VICTIM].turn.state.halted is None
    finals = world.oracle.final
    assert len(finals) > 10


def test_without_the_bar_and_without_asking_it_signs_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReplicaState, "may_speak", property(lambda state: state.is_member))
    found = [what for seed in (1, 2, 3) for what in restored(seed, barred=False)[0].oracle.found]
    assert found
