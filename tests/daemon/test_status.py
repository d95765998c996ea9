"""A running group says how it is, and its exit codes are a health check."""

from __future__ import annotations

import json
import os
import signal
import stat
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dropbeard import Client
from dropbeard.cli.main import run
from dropbeard.daemon.files import read_node_files
from dropbeard.daemon.local_group import LocalGroup, free_ports
from dropbeard.daemon.starts import Starts
from dropbeard.errors import GroupUnreachable
from dropbeard.transport.status_link import SOCKET
from dropbeard.types.node_config import EngineTable

pytestmark = pytest.mark.system
WAIT_S = 30.0
RNG = np.random.default_rng(5)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalGroup]:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"class {number}" for number in range(10)))
    group = LocalGroup(tmp_path / "g", engine=EngineTable("", backend="synthetic"), labels=labels)
    first = group.configs[0]
    first.write_text(first.read_text().replace("metrics_port = 0", f"metrics_port = {metrics_port(group)}"))
    with group:
        yield group


def metrics_port(group: LocalGroup) -> int:
    """A free one behind those of the nodes."""
    return free_ports(group.group.n + 1)[-1]


def connect(local: LocalGroup) -> Client:
    until = time.monotonic() + WAIT_S
    while True:
        try:
            client = Client(local.group, timeout=15, patience=0.5, connect_timeout=2)
        except GroupUnreachable:
            assert time.monotonic() < until
            continue
        if client.nodes_reached == local.group.n:
            return client
        client.close()


def scraped(config: Path) -> dict[str, float]:
    port = read_node_files(config).config.metrics_port
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=WAIT_S) as answer:
        page = answer.read().decode()
    return {one.name: one.value for family in text_string_to_metric_families(page) for one in family.samples}


def pictures(count: int) -> list[Any]:
    return [RNG.integers(0, 255, (8, 8, 3), dtype=np.uint8) for _ in range(count)]


class Asker:
    """Runs ``dropbeard status`` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, config: Path) -> tuple[int, dict[str, Any]]:
        self._capsys.readouterr()
        code = run(["status", str(config), "--json"])
        out = self._capsys.readouterr().out
        return code, json.loads(out) if out else {}

    def until(self, config: Path, done: Callable[[int, dict[str, Any]], bool]) -> dict[str, Any]:
        end = time.monotonic() + WAIT_S
        while True:
            code, status = self(config)
            if done(code, status):
                return status
            assert time.monotonic() < end, (code, status)
            time.sleep(0.1)


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Asker:
    return Asker(capsys)


def test_a_healthy_node_tells_what_it_did(local: LocalGroup, ask: Asker, capsys: pytest.CaptureFixture[str]) -> None:
    config = local.configs[0]
    with connect(local) as client:
        answers = list(client.map(pictures(40), in_flight=8))
        figures = ask.until(config, lambda code, now: code == 0 and bool(now["engine"]["figures"]))
    assert figures["requests"]["outcomes"] == {"agreed": 40}
    assert scraped(config)["dropbeard_engine_inputs_total"] == 40
    assert {row["stage"]: row["count"] for row in figures["requests"]["stages"]}["total"] == 40
    assert all(row["p50_us"] <= row["p99_us"] for row in figures["requests"]["stages"])
    assert figures["engine"]["figures"][0]["inputs"] == 40
    assert figures["chain"]["height"] > 0
    assert [(peer["owner"], peer["connected"]) for peer in figures["chain"]["peers"]] == [
        ("bob", True),
        ("carol", True),
        ("dave", True),
    ]
    assert all(peer["round_trip_us"] > 0 for peer in figures["chain"]["peers"])
    assert figures["disk"]["sync"]["count"] > 0
    assert figures["agreement"] == {"rate": None, "certificates": 0, "decided": 0, "agreed": 0, "refused": 0}
    state = config.parent / "state"
    assert stat.S_IMODE((state / SOCKET).stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    (state / "disclosed").mkdir()
    answers[0].certificate.save(state / "disclosed" / "a.dbcert")
    assert ask(config)[1]["agreement"]["certificates"] == 1
    assert run(["status", str(config)]) == 0
    shown = capsys.readouterr().out
    assert "HEALTHY  alice of local" in shown
    assert "40 agreed" in shown
    assert run(["top", "--frames", "1", *map(str, local.configs)]) == 0
    assert capsys.readouterr().out.count("healthy") == 4


def test_an_engine_that_crashes_in_a_loop_degrades_its_node_and_is_named(local: LocalGroup, ask: Asker) -> None:
    config = local.configs[2]
    ask.until(config, lambda code, _: code == 0)
    pid = local.supervisor.pid("engine carol")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    ask.until(config, lambda code, _: code == 1)
    for _ in range(5):  # nobody starts the engine again here: these are its next starts
        Starts(f"ipc://{config.parent}/engine.sock").failed("no such model in the cache")
    code, status = ask(config)
    assert code == 1
    assert status["problems"] == ["its engine crashes in a loop: 5 starts failed: no such model in the cache"]
    assert status["engine"]["lost"] == 1


def test_a_node_that_sees_too_few_others_is_degraded_and_one_that_is_down_is_2(local: LocalGroup, ask: Asker) -> None:
    ask.until(local.configs[0], lambda code, _: code == 0)
    for name in ("node bob", "node carol"):
        pid = local.supervisor.pid(name)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    status = ask.until(local.configs[0], lambda code, _: code == 1)
    assert status["problems"] == ["2 replicas in sight, the group needs 3 to agree on anything"]
    assert ask(local.configs[1]) == (2, {})
    assert run(["status", str(local.configs[1].with_name("none.toml"))]) == 2
    assert run(["top", "--frames", "2", "--every", "0.1", str(local.configs[1])]) == 2


def test_a_drained_node_ends_well_and_no_request_fails(
    local: LocalGroup, ask: Asker, capsys: pytest.CaptureFixture[str]
) -> None:
    config = local.configs[1]
    with connect(local) as client:
        codes: list[int] = []
        drainer = threading.Thread(target=lambda: codes.append(run(["drain", str(config)])))
        answers = []
        for number, answer in enumerate(client.map(pictures(400), in_flight=32)):
            answers.append(answer)
            if number == 100:
                drainer.start()
        drainer.join()
    assert codes == [0]
    assert len(answers) == 400
    assert all(len(answer.owners) >= 3 for answer in answers)
    assert "drained in" in capsys.readouterr().out
    ended = local.supervisor._running["node bob"].process
    assert ended is not None
    assert ended.wait(WAIT_S) == 0
    log = (config.parent / "node.log").read_text()
    assert "node-drains open=" in log
    assert "node-stopped" in log
    assert ask(config)[0] == 2
    assert not (config.parent / "state" / SOCKET).exists()
