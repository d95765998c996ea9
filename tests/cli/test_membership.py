"""Owners vote on the next epoch where their keys are: everyone the same, and one line for what is wrong (rule 8.4)."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from dropbeard.cli.main import run
from tests.cli.test_init_and_group import LABELS, create, make, one_line

NAMES = ("alice", "bob", "carol", "dave")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four owners with a genesis, and erin, who would like to join."""
    folder = tmp_path_factory.mktemp("owners")
    (folder / "labels.txt").write_text(LABELS)
    cards = [make(folder, name, 7400 + 10 * place) for place, name in enumerate((*NAMES, "erin"))]
    assert create(cards[:4], folder / "genesis.toml", folder / "labels.txt") == 0
    return folder


def card(home: Path, name: str) -> str:
    return str(home / name / f"{name}.card.toml")


def vote(home: Path, output: Path, by: str, *change: str) -> int:
    key = str(home / by / "owner.key")
    return run(["group", *change, "--group", str(home / "genesis.toml"), "--owner-key", key, "-o", str(output)])


def shown(home: Path, capsys: pytest.CaptureFixture[str], *votes: Path) -> dict[str, object]:
    capsys.readouterr()
    assert run(["group", "show", *map(str, votes), "--group", str(home / "genesis.toml"), "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("add", "erin"), ["adds erin at tcp://127.0.0.1:7440", "answers = 4 instead of 3"]),
        (("remove", "dave", "--f", "0"), ["removes dave", "f = 0 instead of 1"]),
        (("replace", "dave", "erin"), ["removes dave", "adds erin at tcp://127.0.0.1:7440"]),
    ],
    ids=["add", "remove", "replace"],
)
def test_owners_who_want_the_same_sign_the_same(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, ...], said: list[str]
) -> None:
    words = [card(home, "erin") if word == "erin" else word for word in change]
    files = [tmp_path / f"{name}.toml" for name in NAMES[:2]]
    assert [vote(home, file, name, *words) for file, name in zip(files, NAMES, strict=False)] == [0, 0]
    assert "3 of 4 owners must vote the same" in capsys.readouterr().out
    found = shown(home, capsys, *files)
    assert found["proposed"] == [{"changes": said, "voted": ["alice", "bob"], "missing": 1}]
    assert found["epoch"] == 0


def test_new_keys_are_private_and_their_card_rotates_the_node(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["group", "newkeys", card(home, "carol")]) == 0
    assert 'next_node = "next-node.key"' in capsys.readouterr().out
    for name in ("next-node.key", "next-curve.key"):
        assert stat.S_IMODE((home / "carol" / name).stat().st_mode) == 0o600
    file = tmp_path / "vote.toml"
    assert vote(home, file, "bob", "rotate", "carol", str(home / "carol" / "carol.next.card.toml")) == 0
    rows = shown(home, capsys, file)["proposed"]
    assert rows == [{"changes": ["gives carol another node key and transport key"], "voted": ["bob"], "missing": 2}]
    assert run(["group", "newkeys", card(home, "carol")]) == 1
    one_line(capsys, "next-node.key exists; keys are never overwritten")


@pytest.mark.parametrize(
    ("by", "change", "said"),
    [
        ("erin", ("remove", "dave", "--f", "0"), "is no owner key of epoch 0 of the group"),
        ("bob", ("remove", "dave"), "n = 3 owners cannot tolerate f = 1"),
        ("bob", ("remove", "frank"), "epoch 0 has no owner frank; it has alice, bob, carol, dave"),
        ("bob", ("add", "alice"), "share the name alice"),
        ("bob", ("rotate", "dave", "dave"), "the keys and endpoints that dave has already"),
        ("bob", ("rotate", "dave", "erin"), "is the card of erin, not of dave; replace changes owners"),
        ("bob", ("add", "erin", "--f", "2"), "n = 5 owners cannot tolerate f = 2"),
        ("bob", ("add", "erin", "--answers", "5"), "answers = 5 must be between"),
    ],
)
def test_a_vote_that_could_not_count_is_one_line_and_no_file(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], by: str, change: tuple[str, ...], said: str
) -> None:
    verb, name, *rest = change
    words = [verb, card(home, name) if verb == "add" else name]
    words += [card(home, word) if word in ("dave", "erin") else word for word in rest]
    assert vote(home, tmp_path / "vote.toml", by, *words) == 1
    one_line(capsys, said, "--successions" if by == "bob" else said)
    assert not (tmp_path / "vote.toml").exists()


def test_what_is_shown_and_handed_over_must_count(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "vote.toml"
    assert vote(home, file, "alice", "add", card(home, "erin")) == 0
    file.write_text(file.read_text().replace("owner = 0", "owner = 1"))
    capsys.readouterr()
    assert run(["group", "show", str(file), "--group", str(home / "genesis.toml")]) == 1
    one_line(capsys, "it is not signed with the owner key that epoch 0 names for owner 1")
    assert run(["group", "submit", str(home / "alice" / "alice.toml"), str(file)]) == 1
    one_line(capsys, "is not there: the node of", "never ran")
    assert run(["group", "show"]) == 1
    one_line(capsys, "say --node CONFIG where a node is, or --group GENESIS")
