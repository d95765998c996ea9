"""A real node restored from a backup observes; ledgers are exported, pruned and backed up beside running nodes."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dropbeard import Client
from dropbeard.cli.main import run
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.errors import ClientError
from dropbeard.types.node_config import EngineTable

pytestmark = pytest.mark.system
WAIT_S = 60.0
RNG = np.random.default_rng(7)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalGroup]:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"class {number}" for number in range(10)))
    with LocalGroup(tmp_path / "g", engine=EngineTable("", backend="synthetic"), labels=labels) as group:
        yield group


class Commands:
    """Runs commands in this process and reads what they print."""

    def __init__(self, local: LocalGroup, capsys: pytest.CaptureFixture[str]) -> None:
        self._local, self._capsys = local, capsys

    def __call__(self, *words: object, code: int = 0) -> str:
        self._capsys.readouterr()
        assert run([str(word) for word in words]) == code
        return self._capsys.readouterr().out

    def status(self, config: Path) -> dict[str, Any]:
        self._capsys.readouterr()
        run(["status", str(config), "--json"])
        out = self._capsys.readouterr().out
        return json.loads(out) if out else {"problems": None}

    def until(self, config: Path, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        end = time.monotonic() + WAIT_S
        while True:
            status = self.status(config)
            if status["problems"] is not None and done(status):
                return status
            assert time.monotonic() < end, status
            self._local.supervisor.poll()
            time.sleep(0.1)


def ask(local: LocalGroup, count: int) -> list[int]:
    """How many owners answered each of some requests."""
    with Client(local.group, timeout=30, patience=0.3, connect_timeout=2) as client:
        outcomes = list(client.map_outcomes([RNG.integers(0, 255, (8, 8, 3), dtype=np.uint8) for _ in range(count)]))
    assert not [one for one in outcomes if isinstance(one, ClientError)]
    return [len(one.owners) for one in outcomes if not isinstance(one, ClientError)]


def test_a_restored_node_signs_nothing_catches_up_and_shows_why(
    local: LocalGroup, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, bob = Commands(local, capsys), local.configs[1]
    for config in local.configs:
        command.until(config, lambda status: not status["problems"])
    ask(local, 20)
    state, backup, exported = bob.parent / "state", tmp_path / "bob.backup", tmp_path / "bob.dbledger"
    command("ledger", "backup", bob, "-o", backup)
    assert json.loads(command("ledger", "prune", state, "--json"))["running"] is True
    command("ledger", "export", state, "-o", exported)
    assert command("ledger", "verify", exported).startswith("VALID")
    ask(local, 20)
    command("drain", bob)
    shutil.rmtree(state)
    command("ledger", "restore", bob, backup)
    command("ledger", "restore", bob, backup, code=1)
    others = command.until(local.configs[0], lambda status: bool(status["chain"]["height"]))
    status = command.until(bob, lambda now: now["chain"]["height"] >= others["chain"]["height"])
    assert "it only observes until its owner gives it a new node key" in " ".join(status["problems"])
    answered = ask(local, 10)
    assert max(answered) == 3
    height = command.until(local.configs[0], lambda now: now["requests"]["open"] == 0)["chain"]["height"]
    status = command.until(bob, lambda now: now["chain"]["height"] >= height)
    assert (status["votes"], status["keys"]["barred"]) == ({}, True)
    assert "node-observes" in (bob.parent / "node.log").read_text()
