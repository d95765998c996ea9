"""Exported ledgers: an auditor replays the file alone, and nothing in it is a client's or a key's secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dropbeard.agreement.records import EntriesRecord, OpeningsRecord, VoteRecord
from dropbeard.agreement.standing import GuardRecord, OwnRecord, StandingRecord
from dropbeard.audit.exporting import MAGIC, read_export, write_export
from dropbeard.audit.ledger import audit_ledger
from dropbeard.audit.reading import LedgerRecords, read_ledger
from dropbeard.cli.main import run
from dropbeard.errors import StorageFailed
from dropbeard.types.genesis_file import genesis_to_toml
from tests.agreement.pieces import GROUP as OTHER
from tests.audit.recorded_ledgers import pruned_world, world, write_disk, write_genesis

PRIVATE = VoteRecord | OpeningsRecord | EntriesRecord | OwnRecord | GuardRecord
WHOLE, PRUNED = world(), pruned_world()


@pytest.fixture(params=[WHOLE, PRUNED], ids=["whole", "pruned"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write_genesis(request.param, tmp_path)
    return write_disk(request.param.replicas[0], tmp_path / "state")


def held_by(state: Path) -> tuple[LedgerRecords, Path]:
    group = (WHOLE if genesis_to_toml(WHOLE.keys.group) == genesis_of(state).read_text() else PRUNED).keys.group
    held = read_ledger(state, group)
    write_export(state.with_name("l.dbledger"), group, held)
    return held, state.with_name("l.dbledger")


def genesis_of(state: Path) -> Path:
    return state.with_name("genesis.toml")


def test_the_file_alone_replays_to_the_same_ledger(state: Path) -> None:
    held, path = held_by(state)
    group, exported = read_export(path)
    assert audit_ledger(group, exported.records, exported.checkpoint) == audit_ledger(
        group, held.records, held.checkpoint
    )


def test_nothing_private_is_in_it(state: Path) -> None:
    held, path = held_by(state)
    _, exported = read_export(path)
    rows = [*exported.checkpoint, *exported.records]
    assert any(isinstance(row, PRIVATE) for row in [*held.checkpoint, *held.records])
    assert [row for row in rows if isinstance(row, PRIVATE)] == []
    assert all(
        (row.votes, row.promises, row.milestones) == ((), (), ()) for row in rows if isinstance(row, StandingRecord)
    )
    outputs = [output for row in held.records if isinstance(row, OpeningsRecord) for _, output in row.answers]
    assert outputs
    packed = b"".join(repr(row).encode() for row in rows)
    assert not [output for output in outputs if repr(output).encode() in packed]


def test_commands_take_the_file_as_they_take_a_directory(state: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _, path = held_by(state)
    for words in (["verify"], ["verify", "--group", str(genesis_of(state))], ["show"]):
        assert run(["ledger", words[0], str(path), "--json", *words[1:]]) == 0
        from_file = json.loads(capfd.readouterr().out)
        assert run(["ledger", words[0], str(state), "--json", "--group", str(genesis_of(state))]) == 0
        from_directory = json.loads(capfd.readouterr().out)
        for figures in (from_file, from_directory):
            figures.pop("seconds", None)
        assert from_file == from_directory


@pytest.mark.parametrize("place", ["magic", "middle", "end", "tail", "cut"])
def test_a_changed_or_cut_file_is_refused_in_a_line(state: Path, place: str, capfd: pytest.CaptureFixture[str]) -> None:
    _, path = held_by(state)
    data = bytearray(path.read_bytes())
    at = {"magic": 3, "middle": len(data) // 2, "end": len(data) - 2}.get(place)
    if at is not None:
        data[at] ^= 1
    changed = data + b"more" if place == "tail" else data[:-40] if place == "cut" else data
    path.write_bytes(changed)
    assert run(["ledger", "verify", str(path)]) == 2
    said = capfd.readouterr().err
    assert said.startswith(f"dropbeard: cannot read {path}: ")
    assert said.count("\n") == 1


def test_an_auditors_own_genesis_must_be_the_files(state: Path) -> None:
    _, path = held_by(state)
    with pytest.raises(StorageFailed, match="your genesis is of"):
        read_export(path, OTHER)


def test_a_file_is_never_overwritten(state: Path) -> None:
    _, path = held_by(state)
    with pytest.raises(StorageFailed, match="exists"):
        held_by(state)
    assert path.read_bytes().startswith(MAGIC)
