"""Real daemons of two releases in one group: upgraded one by one under load, and refused when they cannot talk."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dropbeard import Client
from dropbeard.cli.main import run
from dropbeard.client.answers import Answer
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.errors import ClientError, GroupUnreachable
from dropbeard.types import versions
from dropbeard.types.node_config import EngineTable

pytestmark = pytest.mark.system

WAIT_S = 60.0
NODE = Path(__file__).with_name("node_of_version.py")
LATER_MINOR = 9
RNG = np.random.default_rng(11)
IN_FLIGHT = 16


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalGroup]:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"class {number}" for number in range(10)))
    yield LocalGroup(tmp_path / "g", engine=EngineTable("", backend="synthetic"), labels=labels)


def release(local: LocalGroup, config: Path, major: int, minor: int) -> None:
    """The next start of a node is of another release."""
    name = f"node {config.stem}"
    argv = (sys.executable, str(NODE), str(config), str(major), str(minor))
    children = local.supervisor._children
    children[name] = replace(children[name], argv=argv)


def until(local: LocalGroup, what: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end
        local.supervisor.poll()
        time.sleep(0.1)


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = run([*words, "--json"])
    out = capsys.readouterr().out
    return code, json.loads(out) if out else {}


class Load(threading.Thread):
    """Asks without a pause until it is told to stop; every outcome is kept."""

    def __init__(self, local: LocalGroup) -> None:
        super().__init__()
        self._local = local
        self.stop = threading.Event()
        self.outcomes: list[Answer | ClientError] = []

    def run(self) -> None:
        with Client(self._local.group, timeout=30, patience=0.3, connect_timeout=WAIT_S) as client:
            for outcome in client.map_outcomes(self._pictures(), in_flight=IN_FLIGHT):
                self.outcomes.append(outcome)

    def _pictures(self) -> Iterator[Any]:
        while not self.stop.is_set():
            yield RNG.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            time.sleep(0.002)


def test_four_nodes_are_upgraded_one_by_one_under_load_and_no_request_fails(
    local: LocalGroup, capsys: pytest.CaptureFixture[str]
) -> None:
    with local:
        first = str(local.configs[0])
        until(local, lambda: asked(capsys, "upgrade-check", first)[0] == 0)
        load = Load(local)
        load.start()
        try:
            until(local, lambda: len(load.outcomes) > IN_FLIGHT)
            for config in local.configs:
                until(local, lambda at=str(config): asked(capsys, "upgrade-check", at)[0] == 0)  # type: ignore[misc]
                release(local, config, versions.WIRE_VERSION, LATER_MINOR)
                assert run(["drain", str(config)]) == 0
                other = str(local.configs[config == local.configs[0]])
                code, said = asked(capsys, "upgrade-check", other)
                assert (code, said["may_stop"], list(said["not_ready"])) == (1, False, [config.stem])
                until(local, lambda at=str(config): asked(capsys, "status", at)[0] == 0)  # type: ignore[misc]
            seen = len(load.outcomes)
            until(local, lambda: len(load.outcomes) > seen + IN_FLIGHT)
        finally:
            load.stop.set()
            load.join(WAIT_S)
        assert [one for one in load.outcomes if not isinstance(one, Answer)] == []
        _, status = asked(capsys, "status", first)
        assert {peer["wire"] for peer in status["chain"]["peers"]} == {f"{versions.WIRE_VERSION}.{LATER_MINOR}"}
        assert local.supervisor.restarts == len(local.configs)


def test_a_node_of_another_major_version_is_named_on_both_sides_and_the_others_go_on(
    local: LocalGroup, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = local.configs[:2]
    release(local, bob, versions.WIRE_VERSION + 1, 0)
    with local:
        until(local, lambda: "bob speaks wire version 2" in str(asked(capsys, "status", str(alice))[1]))
        with Client(local.group, timeout=30, patience=0.1, connect_timeout=5) as client:
            assert len(client.infer(RNG.integers(0, 255, (8, 8, 3), dtype=np.uint8)).owners) == 3
        found = {row["check"]: row for row in asked(capsys, "doctor", str(alice))[1]["checks"]}
        assert (found["wire-versions"]["level"], "bob speaks 2" in found["wire-versions"]["text"]) == ("fail", True)
        logs = [(config.parent / "node.log").read_text() for config in (alice, bob)]
        refusals = [[row for row in log.splitlines() if "peer-version-refused" in row] for log in logs]
        assert ["owner=bob reason=it speaks wire version 2, this program 1" in row for row in refusals[0]] == [True]
        assert len(refusals[1]) == 3
        assert all("it speaks wire version 1, this program 2" in row for row in refusals[1])
        monkeypatch.setattr(versions, "WIRE_VERSION", versions.WIRE_VERSION + 1)
        with pytest.raises(GroupUnreachable, match=r"alice \(it speaks wire version 1, this program 2"):
            Client(local.group, connect_timeout=3)
        monkeypatch.undo()
        log = (alice.parent / "node.log").read_text()
        assert log.count("client-version-refused reason=it speaks wire version 2") == 1
