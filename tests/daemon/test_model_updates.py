"""Models change under a running group: signed apart, loaded beside, switched in the lane (rule 4.3)."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dropbeard import Client
from dropbeard.cli.main import run
from dropbeard.client.answers import Answer
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.errors import ClientError, GroupUnreachable
from dropbeard.types.node_config import EngineTable

pytestmark = pytest.mark.system
WAIT_S = 40.0
PICTURE = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalGroup]:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"class {number}" for number in range(10)))
    with LocalGroup(tmp_path / "g", engine=EngineTable("", backend="synthetic"), labels=labels) as group:
        yield group


def asked(local: LocalGroup) -> Answer:
    """An answer of all four owners."""
    until = time.monotonic() + WAIT_S
    while True:
        local.supervisor.poll()
        try:
            with Client(local.group, timeout=10, patience=5, connect_timeout=1) as client:
                answer = client.infer(PICTURE)
                if len(answer.owners) == local.group.n:
                    return answer
        except (GroupUnreachable, ClientError):
            pass
        assert time.monotonic() < until


def versions(answer: Answer) -> dict[str, int]:
    return {owner.owner: owner.version for owner in answer.owners}


def signed(local: LocalGroup, tmp_path: Path, owner: str, version: int, model: str = "synthetic") -> Path:
    output = tmp_path / f"{owner}-{version}-{model}.toml"
    key = local.directory / owner / "owner.key"
    words = ["model", "sign", model, "--group", str(local.genesis), "--owner-key", str(key)]
    assert run([*words, "--version", str(version), "-o", str(output)]) == 0
    return output


def config_of(local: LocalGroup, owner: str) -> Path:
    return next(config for config in local.configs if config.parent.name == owner)


def update(local: LocalGroup, owner: str, file: Path, timeout: float = 30) -> int:
    return run(["model", "update", str(config_of(local, owner)), str(file), "--timeout", str(timeout)])


def test_an_update_takes_its_place_in_the_lane_and_certificates_name_the_new_version(
    local: LocalGroup, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = asked(local)
    assert set(versions(before).values()) == {1}
    assert update(local, "bob", signed(local, tmp_path, "bob", 2)) == 0
    after = asked(local)
    assert versions(after) == {"alice": 1, "bob": 2, "carol": 1, "dave": 1}
    models = {answer.owner: answer.model for answer in after.owners}
    assert {o.owner: o.model for o in before.owners}["bob"] != models["bob"]
    capsys.readouterr()
    state = config_of(local, "alice").parent / "state"
    assert run(["model", "history", str(state), "--group", str(local.genesis), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["models"]
    assert [(row["owner"], row["version"]) for row in rows if row["height"] > 0] == [("bob", 2)]


def test_after_kill_9_of_engine_and_node_the_version_in_force_is_served(local: LocalGroup, tmp_path: Path) -> None:
    asked(local)
    assert update(local, "carol", signed(local, tmp_path, "carol", 2)) == 0
    for kind in ("engine", "node"):
        pid = local.supervisor.pid(f"{kind} carol")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    assert versions(asked(local))["carol"] == 2


def test_what_cannot_be_loaded_changes_nothing(
    local: LocalGroup, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(local)
    assert update(local, "alice", signed(local, tmp_path, "alice", 2, "squeezenet1.1")) == 1
    assert "the engine did not load it, and goes on with what it has" in capsys.readouterr().err
    assert versions(asked(local))["alice"] == 1
    assert update(local, "alice", signed(local, tmp_path, "alice", 2)) == 0
    assert versions(asked(local))["alice"] == 2


def test_what_is_not_next_or_not_signed_for_this_owner_is_refused(
    local: LocalGroup, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(local)
    assert update(local, "dave", signed(local, tmp_path, "dave", 3)) == 1
    assert "the lane is at version 1: the next update must have version 2" in capsys.readouterr().err
    assert update(local, "dave", signed(local, tmp_path, "alice", 2)) == 1
    assert "the update is for another group, epoch or owner" in capsys.readouterr().err
    forged = tmp_path / "forged.toml"
    text = signed(local, tmp_path, "dave", 2).read_text()
    mine, theirs = (signed(local, tmp_path, name, 4).read_text() for name in ("dave", "carol"))
    stolen = theirs.split("signature = ")[1]
    assert mine != theirs
    forged.write_text(text.split("signature = ")[0] + "signature = " + stolen)
    assert update(local, "dave", forged) == 1
    assert "not signed with the owner key" in capsys.readouterr().err
