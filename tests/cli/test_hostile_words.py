"""Words on the command line and cards of strangers that aim at the program: one line, never a traceback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dropbeard.cli.main import one_line, run
from dropbeard.types.genesis_file import genesis_from_toml

TIMEOUT_S = 60


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("owner") / "solo"
    assert run(["init", "solo", "--dir", str(home), "--backend", "synthetic"]) == 0
    return home / "solo.card.toml"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text("chat\nhérisson\nдрозд\n", encoding="utf-8")
    return path


def refuse(capsys: pytest.CaptureFixture[str], part: str, *arguments: object) -> None:
    capsys.readouterr()
    assert run([str(argument) for argument in arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("dropbeard: ")
    assert error.count("\n") == 1
    assert part in error


@pytest.mark.parametrize("setting", ["near_us=²", "near_us=-1", "near_us= 1", "near_us=" + "1" * 5_000])
def test_a_setting_that_is_no_plain_number_is_refused(
    card: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str
) -> None:
    genesis = tmp_path / "genesis.toml"
    refuse(capsys, "NAME=NUMBER", "group", "create", card, "-o", genesis, "--labels", labels, "--set", setting)
    assert not genesis.exists()


def test_a_name_that_is_no_text_is_refused(
    card: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create = ["group", "create", card, "-o", tmp_path / "genesis.toml", "--labels", labels]
    refuse(capsys, "name", *create, "--name", "\udcff")
    refuse(capsys, "name", *create, "--task", "\udcff")
    refuse(capsys, "name", "init", "\udcff", "--dir", tmp_path / "x")
    refuse(capsys, "endpoint", "init", "ok", "--dir", tmp_path / "x", "--host", "\udcff")
    assert [path.name for path in tmp_path.iterdir()] == ["labels.txt"]


def test_a_key_off_the_curve_is_refused_when_the_group_is_made(
    card: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = tmp_path / "wrong.card.toml"
    wrong.write_text(re.sub('node_key = ".*"', f'node_key = "02{"ff" * 32}"', card.read_text()))
    refuse(capsys, "node_key of 'solo'", "group", "create", wrong, "-o", tmp_path / "genesis.toml", "--labels", labels)
    assert not (tmp_path / "genesis.toml").exists()


@pytest.mark.parametrize("text", ["a = " + "[" * 5_000, "a = " + "1" * 5_000, '"a\\nb\\u001b[31m" = 1'])
def test_a_card_that_aims_at_the_parser_or_the_terminal_is_one_line(
    card: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    wrong = tmp_path / "wrong.card.toml"
    wrong.write_text(f"{text}\n{card.read_text()}")
    refuse(capsys, "wrong.card.toml", "group", "create", wrong, "-o", tmp_path / "g.toml", "--labels", labels)


def test_what_cannot_be_printed_is_not_printed() -> None:
    assert one_line("a\nb\x1b[31mc\udcffé") == "a?b?[31mc?é"


def test_an_owner_is_not_named_as_the_genesis_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refuse(capsys, "genesis.toml is the group's file", "init", "genesis", "--dir", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_parents_made_for_a_node_that_fails_are_taken_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DROPBEARD_TEST_PASS", "x" * 2_000)
    home = tmp_path / "a" / "b" / "node"
    refuse(capsys, "passphrase", "init", "ok", "--dir", home, "--passphrase-env", "DROPBEARD_TEST_PASS")
    assert list(tmp_path.iterdir()) == []


def test_files_are_utf_8_whatever_the_locale(card: Path, labels: Path, tmp_path: Path) -> None:
    genesis = tmp_path / "genesis.toml"
    result = subprocess.run(
        [sys.executable, "-m", "dropbeard", "group", "create", card, "-o", genesis, "--labels", labels],
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert genesis_from_toml(genesis.read_text(encoding="utf-8")).task.labels == ("chat", "hérisson", "дрозд")


def test_an_unknown_verb_is_a_usage_error_under_the_programs_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verfiy"]) == 2
    assert "Usage: dropbeard " in capsys.readouterr().err
