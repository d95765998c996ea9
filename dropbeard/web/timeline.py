"""Which version of whose model was in force when, from the node's ledger: replayed in a process of its own.

A replay takes as long as the ledger is and as much memory, and would hold up every page; the process gives both back.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from dropbeard.audit.ledger import audit_ledger
from dropbeard.audit.reading import read_ledger
from dropbeard.errors import DropbeardError
from dropbeard.storage.files import read_genesis
from dropbeard.types.group import FIRST_VERSION
from dropbeard.types.ids import OwnerId
from dropbeard.types.succession import encode_successions

REPLAY_S: Final = 1_800.0
POLL_S: Final = 0.2
NICE: Final = 10


@dataclass(frozen=True, slots=True)
class InForce:
    """From ``since`` on this was an owner's model; ``model`` is its digest in hex."""

    owner: OwnerId
    name: str
    version: int
    model: str
    since: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """``rows`` by owner and height, up to the final block ``height``.

    ``successions``: the file that proves later epochs (types/succession.py), empty where there is none or where the
    ledger starts later than the genesis.
    """

    height: int
    rows: tuple[InForce, ...]
    successions: bytes


def read_timeline(state: Path, genesis: Path) -> Timeline:
    """Replay the ledger in ``state`` without keys; a DropbeardError says why it cannot be read or does not check."""
    group = read_genesis(genesis)
    held = read_ledger(state, group)
    audit = audit_ledger(group, held.records, held.checkpoint)
    first = [(owner.id, 0, owner.name, FIRST_VERSION, owner.model) for owner in group.owners]
    later = [(row.owner, row.height, audit.names[row.owner], row.version, row.model) for row in audit.models]
    rows = [
        InForce(owner, name, int(version), model.hex(), int(height))
        for owner, height, name, version, model in sorted([*first, *later], key=lambda row: row[:2])
    ]
    whole = [one.epoch for one in audit.successions] == list(range(len(audit.successions)))
    proof = encode_successions(group.id, audit.successions) if whole and audit.successions else b""
    height = audit.blocks[-1].height if audit.blocks else audit.start
    return Timeline(int(height), tuple(rows), proof)


def read_apart(state: Path, genesis: Path, over: threading.Event) -> Timeline | str:
    """The same in another process; a text says why there is none. ``over`` ends it early."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_replay, args=(there, state, genesis), daemon=True)
    child.start()
    there.close()
    try:
        return _found(here, over)
    finally:
        child.kill()
        child.join()
        here.close()


def _found(here: Connection, over: threading.Event) -> Timeline | str:
    for _ in range(round(REPLAY_S / POLL_S)):
        if over.is_set():
            return "the replay was broken off"
        if here.poll(POLL_S):
            try:
                found: Timeline | str = here.recv()
            except EOFError:
                return "the replay ended without a word: it may have run out of memory"
            return found
    return f"the replay takes longer than {REPLAY_S:g} s"


def _replay(there: Connection, state: Path, genesis: Path) -> None:
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; who started this one ends it
    try:
        there.send(read_timeline(state, genesis))
    except DropbeardError as wrong:
        there.send(str(wrong))
