"""Certificates, evidence and ledgers put together convict who lied, and nobody else; the file convinces a stranger."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dropbeard.audit.blaming import blame
from dropbeard.cli.main import run
from dropbeard.errors import EvidenceUnreadable
from dropbeard.evidence.kinds import Offence
from dropbeard.types.certificates import Certificate
from dropbeard.types.ids import OwnerId, Signature, View
from dropbeard.types.statements import Finalize
from tests.audit.recorded_ledgers import world, write_genesis, write_state
from tests.verification.building import Plan, build
from tests.verification.building import world as certificate_world


def conflicting(view: int | None = None) -> tuple[Certificate, Certificate]:
    """Two certificates of one height with different headers, both finalized by owners 0, 1, 2."""
    one = build(certificate_world(), Plan())
    header = replace(one.headers[0], time=one.headers[0].time, state_root=one.headers[0].entries_root)
    header = header if view is None else replace(header, view=View(view))
    vote = Finalize(header.group, header.epoch, header.view, header.digest)
    keys = certificate_world().keys
    rows = tuple((OwnerId(i), Signature(keys[i].sign(vote.encode()))) for i in range(len(one.signatures)))
    return one, replace(one, headers=(header, *one.headers[1:]), signatures=rows)


def save(certificate: Certificate, path: Path) -> Path:
    path.write_bytes(certificate.encode())
    return path


def test_two_finalizations_of_one_view_convict_all_who_signed_both(tmp_path: Path) -> None:
    one, other = conflicting()
    group = certificate_world().group
    found = blame(group, [save(one, tmp_path / "a"), save(other, tmp_path / "b")])
    both = {owner for owner, _ in one.signatures} & {owner for owner, _ in other.signatures}
    assert {owner for owner, _ in found.convicted} == both
    assert {offence for _, offence in found.convicted} == {Offence.DOUBLE_FINALIZE}
    assert len(both) > group.f


def test_two_finalizations_of_different_views_name_who_is_unaccounted_and_convict_nobody(tmp_path: Path) -> None:
    one, other = conflicting(view=certificate_world().group.n + 40)
    found = blame(certificate_world().group, [save(one, tmp_path / "a"), save(other, tmp_path / "b")])
    assert found.convicted == {}
    assert found.conflict == f"two final blocks at height {one.headers[0].height}"
    assert set(found.unaccounted) == {owner for owner, _ in (*one.signatures, *other.signatures)}


def test_one_certificate_blames_nobody(tmp_path: Path) -> None:
    one, _ = conflicting()
    found = blame(certificate_world().group, [save(one, tmp_path / "a"), save(one, tmp_path / "b")])
    assert (found.convicted, found.conflict) == ({}, None)


def test_a_fork_convicts_its_makers_by_the_ledgers_of_the_honest(tmp_path: Path) -> None:
    made = world(("fork-maker", "fork-maker"), 1)
    states = [write_state(replica.stored(), tmp_path / f"{replica.owner}") for replica in made.honest]
    assert any(what.startswith(("fork", "second")) for what in made.oracle.found)
    found = blame(made.keys.group, states)
    assert {int(owner) for owner, _ in found.convicted} == set(made.oracle.liars)


def test_the_command_writes_evidence_that_verify_accepts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dropbeard.types.genesis_file import genesis_to_toml

    one, other = conflicting()
    group = certificate_world().group
    genesis = tmp_path / "genesis.toml"
    genesis.write_text(genesis_to_toml(group))
    a, b = str(save(one, tmp_path / "a")), str(save(other, tmp_path / "b"))
    file = str(tmp_path / "evidence")
    assert run(["blame", a, b, "--group", str(genesis), "-o", file]) == 0
    assert "convicted" in capsys.readouterr().out
    assert run(["verify", file, "--group", str(genesis)]) == 0
    assert f"CONVICTS  {group.owners[0].name}" in capsys.readouterr().out
    assert run(["verify", file, "--group", str(genesis), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["convicts"]
    data = Path(file).read_bytes()
    Path(file).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert run(["verify", file, "--group", str(genesis)]) == 1
    assert "not the accused's" in capsys.readouterr().err
    Path(file).write_bytes(data[:-1])
    assert run(["verify", file, "--group", str(genesis)]) == 2
    assert run(["blame", a, a, "--group", str(genesis)]) == 1
    assert run(["blame", a, str(tmp_path / "none"), "--group", str(genesis)]) == 2


def test_a_file_that_is_nothing_of_the_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"hello")
    made = world()
    write_genesis(made, tmp_path)
    with pytest.raises(EvidenceUnreadable, match="neither"):
        blame(made.keys.group, [tmp_path / "x"])
