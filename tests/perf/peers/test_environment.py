"""An environment of the peers: what is not there is named with the command that installs it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from perf._measure import ROOT
from perf.peers.environment import NAMES, VARIABLE, find, how_to_prepare


def test_where_no_environment_is_every_peer_is_absent_and_the_command_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    assert find().absent(NAMES) == dict.fromkeys(NAMES, f"python -m perf.peers prepare {tmp_path / 'none'}")


def test_an_environment_of_the_checkout_is_named_from_there() -> None:
    assert how_to_prepare(ROOT / ".venv-peers") == "python -m perf.peers prepare .venv-peers"


def test_what_an_interpreter_cannot_import_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    interpreter = tmp_path / "bin" / "python"
    interpreter.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} -S "$@"\n')
    interpreter.chmod(0o755)
    (tmp_path / "mosec.py").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert find().present == ("mosec",)
    assert "mosec" not in find().absent(NAMES)
