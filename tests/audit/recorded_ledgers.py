"""State directories as nodes leave them, from simulated schedules with real keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from dropbeard.simulator.options import RETENTION_MIN_US, options_for
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.simulator.settling import is_settled
from dropbeard.simulator.world import World
from dropbeard.storage.records import Journal
from dropbeard.storage.sqlite_store import PARTS_MAX, SqliteStore
from dropbeard.types.genesis_file import genesis_to_toml

REAL_KEYS_SEED = 20


def world(byzantine: tuple[str, ...] = (), stretch: int = 2) -> World:
    """One schedule, run to its end, the same for everyone who asks."""
    return _world(byzantine, stretch)


@cache
def _world(byzantine: tuple[str, ...], stretch: int) -> World:
    quiet = replace(options_for(REAL_KEYS_SEED, 4, "none", stretch), byzantine=byzantine, loss=0.0, full_disks=0)
    made = World(replace(quiet, crashes=0, partitions=0, one_way_cuts=0, updates=4))
    made.run(is_settled)
    return made


@cache
def pruned_world() -> World:
    """One that lasts longer than retention, with checkpoints every few blocks."""
    quiet = replace(options_for(REAL_KEYS_SEED, 4, "none", 10), loss=0.0, full_disks=0, slow_share=0.0)
    calm = replace(quiet, crashes=4, partitions=0, one_way_cuts=0, updates=4, engine_losses=0)
    made = World(replace(calm, snapshot_interval=4, retention_us=RETENTION_MIN_US))
    made.run(is_settled)
    return made


def write_disk(replica: SimulatedReplica, directory: Path) -> Path:
    """A state directory with exactly what a simulated disk holds, numbers and checkpoints included."""
    disk = replica.disk
    SqliteStore(directory).close()
    with sqlite3.connect(directory / "journal.db") as database:
        database.executemany("INSERT INTO records VALUES (?, ?)", sorted(disk.records.items()))
        parts = [(of * PARTS_MAX + number, row) for (of, number), row in disk.parts.items()]
        database.executemany("INSERT INTO parts VALUES (?, ?)", sorted(parts))
    database.close()
    return directory


def write_genesis(made: World, directory: Path) -> Path:
    path = directory / "genesis.toml"
    path.write_text(genesis_to_toml(made.keys.group))
    return path


def write_state(records: list[bytes], directory: Path, change: Callable[[bytes], bytes] = lambda data: data) -> Path:
    """A state directory that holds these records, each changed."""
    store = SqliteStore(directory)
    journal = Journal(store)
    list(journal.replay())
    journal.append([change(data) for data in records])
    store.close()
    return directory
