"""Model versions from a node's ledger, replayed in another process."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dropbeard.audit.ledger import audit_ledger
from dropbeard.audit.reading import read_records
from dropbeard.errors import StorageFailed
from dropbeard.web.timeline import Timeline, read_apart, read_timeline
from tests.audit.recorded_ledgers import world, write_genesis, write_state


@pytest.fixture(name="state")
def fixture_state(tmp_path: Path) -> Path:
    write_genesis(world(), tmp_path)
    return write_state(world().replicas[0].stored(), tmp_path / "state")


def test_every_version_is_there_from_the_genesis_on(state: Path) -> None:
    group = world().keys.group
    found = read_timeline(state, state.parent / "genesis.toml")
    audit = audit_ledger(group, read_records(state, group))
    assert found.height == audit.blocks[-1].height
    assert len(found.rows) == group.n + len(audit.models)
    assert {(row.owner, row.since) for row in found.rows if row.version == 1} == {(o.id, 0) for o in group.owners}
    assert [row.owner for row in found.rows] == sorted(row.owner for row in found.rows)


def test_another_process_finds_the_same(state: Path) -> None:
    genesis = state.parent / "genesis.toml"
    assert read_apart(state, genesis, threading.Event()) == read_timeline(state, genesis)


def test_what_cannot_be_read_is_said(state: Path) -> None:
    (state / "journal.db").unlink()
    with pytest.raises(StorageFailed):
        read_timeline(state, state.parent / "genesis.toml")
    found = read_apart(state, state.parent / "genesis.toml", threading.Event())
    assert not isinstance(found, Timeline)
    assert "journal.db" in found


def test_an_end_breaks_it_off(state: Path) -> None:
    over = threading.Event()
    over.set()
    assert isinstance(read_apart(state, state.parent / "genesis.toml", over), str)
