"""``dropbeard infer`` where nobody can be asked: one line, exit code 2, nothing left behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dropbeard.cli.main import run
from dropbeard.types.genesis_file import genesis_to_toml
from dropbeard.types.group import Endpoints, Group
from tests.client.recorded import recorded
from tests.transport.worlds import free_endpoints


@pytest.fixture
def genesis(tmp_path: Path) -> Path:
    """Of a group whose ports nobody listens on."""
    base: Group = recorded().group
    dead = iter(free_endpoints(4 * base.n))
    owners = [replace(o, endpoints=Endpoints(*(next(dead) for _ in range(4)))) for o in base.owners]
    path = tmp_path / "genesis.toml"
    path.write_text(genesis_to_toml(replace(base, owners=tuple(owners))))
    return path


@pytest.mark.parametrize(
    ("option", "value", "part"),
    [
        ("--timeout", "1e9", "horizon"),
        ("--patience", "-1", "patience"),
        ("--key", "none/client.key", "cannot be created"),
        ("--out", "genesis.toml", "name another with --out"),
    ],
)
def test_what_cannot_be_is_said_before_anybody_is_asked(
    genesis: Path, option: str, value: str, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = str(genesis.parent / value) if option in ("--key", "--out") else value
    assert run(["infer", "a.png", "--group", str(genesis), option, given]) == 2
    said = capsys.readouterr().err
    assert part in said
    assert len(said.splitlines()) == 1


def test_without_a_genesis_nobody_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["infer", "a.png", "--group", str(tmp_path / "none.toml")]) == 2
    assert "cannot read the genesis file" in capsys.readouterr().err


def test_pictures_and_a_genesis_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["infer", "--group", "genesis.toml"]) == 2
    assert run(["infer", "a.png"]) == 2
    assert "--group" in capsys.readouterr().err
