"""``dropbeard ledger prune``, ``backup`` and ``restore`` of a node that does not run; each refusal in a line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dropbeard.audit.ledger import audit_ledger
from dropbeard.audit.reading import read_ledger
from dropbeard.cli.main import run
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.storage.sqlite_store import SqliteStore
from dropbeard.types.node_config import EngineTable
from tests.audit.recorded_ledgers import pruned_world, write_disk

Text = pytest.CaptureFixture[str]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A node of a group of one that never ran."""
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"class {number}" for number in range(10)))
    made = LocalGroup(tmp_path / "g", [("solo", "m")], engine=EngineTable("", backend="synthetic"), labels=labels)
    return made.configs[0]


def test_pruning_a_stopped_node_keeps_what_its_ledger_replays(config: Path, capsys: Text) -> None:
    made = pruned_world()
    state = write_disk(made.replicas[0], config.parent / "state")
    group = made.keys.group
    before = read_ledger(state, group)
    assert run(["ledger", "prune", str(config), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["running"] is False
    assert 0 < said["after_bytes"] <= said["before_bytes"]
    after = read_ledger(state, group)
    kept, replayed = (audit_ledger(group, held.records, held.checkpoint) for held in (before, after))
    assert (replayed.blocks[-1], replayed.usage) == (kept.blocks[-1], kept.usage)
    assert len(after.records) <= len(before.records)


def test_a_backup_goes_out_and_in_again_and_bars_the_nodes_own_key(config: Path, tmp_path: Path, capsys: Text) -> None:
    state, backup = config.parent / "state", tmp_path / "b"
    SqliteStore(state).close()
    assert run(["ledger", "backup", str(state), "-o", str(backup)]) == 0
    assert run(["ledger", "restore", str(config), str(backup)]) == 1
    assert "holds a journal; a node that has its own state needs no backup" in capsys.readouterr().err
    shutil.rmtree(state)
    assert run(["ledger", "restore", str(config), str(backup)]) == 0
    assert "observes until its owner gives it a new node key" in capsys.readouterr().out
    store = SqliteStore(state)
    assert len(store.barred) == 1
    store.close()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["prune", "STATE"], "has no journal.db"),
        (["backup", "STATE", "-o", "OUT"], "has no journal.db"),
        (["export", "STATE", "-o", "OUT"], "has no journal.db"),
        (["backup", "OTHER", "-o", "OUT"], "name the configuration instead"),
        (["restore", "CONFIG", "OUT"], "there is no such file"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_line(
    config: Path, tmp_path: Path, capsys: Text, words: list[str], part: str
) -> None:
    (config.parent / "state").mkdir(exist_ok=True)
    (tmp_path / "other").mkdir()
    places = {"STATE": config.parent / "state", "OTHER": tmp_path / "other", "OUT": tmp_path / "out", "CONFIG": config}
    assert run(["ledger", *(str(places.get(word, word)) for word in words)]) in (1, 2)
    said = capsys.readouterr().err
    assert part in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
