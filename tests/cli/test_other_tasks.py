"""``dropbeard verify`` and ``group create`` with tasks that do not classify."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dropbeard.cli.main import run
from dropbeard.types.genesis_file import genesis_from_toml, genesis_to_toml
from dropbeard.types.outputs import Boxes, OutputKind
from tests.verification.other_tasks import certified, other_world

TASK = """[task]
name = "vectors"
kind = "embedding"
shape = [128]
fraction_bits = 14
encoded_bytes_max = 4194304
pixels_max = 50000000
"""


def check(folder: Path, kind: str, *more: str, **changes: bytes) -> int:
    """The exit code for a certificate of this kind."""
    (folder / "c.dbcert").write_bytes(certified(kind, **changes))
    (folder / "g.toml").write_text(genesis_to_toml(other_world(kind).group))
    return run(["verify", str(folder / "c.dbcert"), "--group", str(folder / "g.toml"), *more])


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("embedding", "embedding: 1, 0.00915527, 0   f owners could have moved a number by 0.00610352"),
        ("scores", "scores: left 1.0625 kg, right -0.5 kg   f owners could have moved a number by 0.0625   assurance"),
        ("boxes", "boxes: cat (92%)   margin 4   assurance robust"),
        ("tensor", "tensor: 1, 7   f owners could have moved a number by 1"),
    ],
)
def test_it_says_what_the_group_says_and_who_agrees(
    kind: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tmp_path, kind) == 0
    out = capsys.readouterr().out
    assert line in out
    assert len([row for row in out.splitlines() if row.startswith("  owner ") and " agrees " in row]) == 4


def test_json_has_the_value_in_real_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, "scores", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["kind"], figures["value"], figures["label"]) == ("scores", [1.0625, -0.5], None)
    assert check(tmp_path, "boxes", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["value"]
    assert (row[0], row[1], row[3]) == ("cat", 0, 30_000 / 65_535)


def test_an_assurance_can_be_required_of_scores(tmp_path: Path) -> None:
    assert check(tmp_path, "scores", "--require", "robust") == 0
    assert check(tmp_path, "embedding", "--require", "robust") == 3


def test_boxes_that_nobody_shares_are_no_objects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nothing = Boxes(()).encode()
    assert check(tmp_path, "boxes", o0=nothing, o1=nothing) == 0
    assert "boxes: no objects" in capsys.readouterr().out


def test_a_group_is_created_for_the_task_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "alice", "--dir", str(tmp_path / "a"), "--host", "127.0.0.1", "--backend", "synthetic"]) == 0
    (tmp_path / "task.toml").write_text(TASK)
    command = ["group", "create", str(tmp_path / "a" / "alice.card.toml"), "-o", str(tmp_path / "g.toml")]
    assert run([*command, "--task-file", str(tmp_path / "task.toml")]) == 0
    task = genesis_from_toml((tmp_path / "g.toml").read_text()).task
    assert (task.name, task.kind) == ("vectors", OutputKind.EMBEDDING)
    (tmp_path / "task.toml").write_text(TASK.replace("shape", "shapes"))
    capsys.readouterr()
    assert run([*command[:-1], str(tmp_path / "h.toml"), "--task-file", str(tmp_path / "task.toml")]) != 0
    assert "did you mean `shape`" in capsys.readouterr().err
