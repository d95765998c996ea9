"""SIGHUP: what may change changes, anything else is refused as a whole."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from dropbeard.cli.main import run
from dropbeard.daemon.files import NodeFiles, read_node_files
from dropbeard.daemon.local_group import LocalGroup, free_ports
from dropbeard.daemon.metrics_page import MetricsPage
from dropbeard.daemon.reloading import ENGINE, NODE, Changeable, Reloader, changed_keys
from dropbeard.errors import TransportFailed
from dropbeard.types.node_config import EngineTable, NodeConfig

WAIT_S = 60.0
LOG = logging.getLogger("dropbeard.node")


@pytest.fixture
def files(tmp_path: Path) -> Iterator[NodeFiles]:
    handler, level = signal.getsignal(signal.SIGHUP), logging.getLogger("dropbeard").level
    assert run(["init", "solo", "--dir", str(tmp_path / "solo"), "--backend", "synthetic"]) == 0
    yield read_node_files(tmp_path / "solo" / "solo.toml")
    signal.signal(signal.SIGHUP, handler)
    logging.getLogger("dropbeard").setLevel(level)


class Reloaded:
    """A reloader of a file, what it applied, and what it said after each signal."""

    def __init__(self, files: NodeFiles, may: Changeable, caplog: pytest.LogCaptureFixture) -> None:
        self._path, self._caplog = files.path, caplog
        self.applied: list[list[str]] = []
        self._reloader = Reloader(files, may, self._apply, LOG)

    def _apply(self, old: NodeConfig, new: NodeConfig) -> None:
        self.applied.append(changed_keys(old, new))

    def __call__(self, *changes: tuple[str, str]) -> str:
        text = self._path.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        self._path.write_text(text)
        os.kill(os.getpid(), signal.SIGHUP)
        self._caplog.clear()
        with self._caplog.at_level(logging.INFO, "dropbeard.node"):
            self._reloader.look()
        (said,) = [record.getMessage() for record in self._caplog.records]
        return said


def test_what_may_change_changes_and_is_named(files: NodeFiles, caplog: pytest.LogCaptureFixture) -> None:
    reload = Reloaded(files, NODE, caplog)
    changes = (('log_level = "info"', 'log_level = "debug"'), ("metrics_port = 0", "metrics_port = 9464"))
    assert reload(*changes) == "config-reloaded changed=log_level,metrics_port"
    assert reload.applied == [["log_level", "metrics_port"]]
    assert logging.getLogger("dropbeard").level == logging.DEBUG
    assert reload() == "config-reloaded changed=nothing"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (('name = "solo"', 'name = "duo"'), "name cannot change while it runs: restart it for that"),
        (('genesis = "', 'genesis = "../'), "genesis cannot change"),
        (('node = "node.key"', 'node = "other.key"'), "keys cannot change"),
        (('endpoint = "', 'endpoint = "ipc://../'), "engine.endpoint cannot change"),
        (("record = 0", "record = 5"), "record cannot change"),
        (("metrics_port = 0", "metrics_prot = 1"), "metrics_prot"),
        (("metrics_port = 0", "metrics_port = 70000"), "must be between 0 (off) and 65535"),
        (("[engine]", "[engine"), "solo.toml"),
    ],
)
def test_what_may_not_change_is_refused_in_a_line_with_everything_else_in_the_file(
    files: NodeFiles, caplog: pytest.LogCaptureFixture, change: tuple[str, str], why: str
) -> None:
    logging.getLogger("dropbeard").setLevel(logging.INFO)
    reload = Reloaded(files, NODE, caplog)
    said = reload(('log_level = "info"', 'log_level = "error"'), change)
    assert said.startswith("config-refused nothing was changed: ")
    assert why in said
    assert "\n" not in said
    assert reload.applied == []
    assert logging.getLogger("dropbeard").level == logging.INFO


def test_each_daemon_minds_its_own_keys(files: NodeFiles, caplog: pytest.LogCaptureFixture) -> None:
    node, engine = Reloaded(files, NODE, caplog), None
    assert node(("queue_max = 256", "queue_max = 8")) == "config-reloaded changed=nothing"
    engine = Reloaded(read_node_files(files.path), ENGINE, caplog)
    assert engine(("queue_max = 8", "queue_max = 16"), ("record = 0", "record = 9")) == (
        "config-reloaded changed=engine.queue_max"
    )
    assert "engine.threads cannot change" in engine(("threads = 1", "threads = 2"))


def test_every_key_of_a_configuration_is_somebodys() -> None:
    keys = {f"engine.{name}" for name in EngineTable.__struct_fields__}
    keys |= {name for name in NodeConfig.__struct_fields__ if name != "engine"}
    for may in (NODE, ENGINE):
        assert may.now | may.unread <= keys
        assert not may.now & may.unread
    assert keys - NODE.unread - ENGINE.unread == {
        "name",
        "genesis",
        "log_level",
        "engine.endpoint",
        "engine.model",
        "engine.backend",
    }


def page_is_at(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=WAIT_S) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_a_metrics_page_moves_and_stays_where_it_was_when_it_cannot(files: NodeFiles) -> None:
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        _move_a_page(files, other.getsockname()[1])


def _move_a_page(files: NodeFiles, taken: int) -> None:
    first, second = free_ports(2)
    at = {port: msgspec.structs.replace(files.config, metrics_port=port) for port in (0, first, second, taken)}
    with MetricsPage(files.state, at[first]) as page:
        page.move(at[first], at[second])
        assert (page_is_at(first), page_is_at(second)) == (False, True)
        with pytest.raises(TransportFailed, match="choose another metrics_port"):
            page.move(at[second], at[taken])
        assert page_is_at(second)
        page.move(at[second], at[0])
        assert not page_is_at(second)


@pytest.mark.system
def test_running_daemons_reload_and_go_on(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"class {number}" for number in range(10)))
    engine = EngineTable("", backend="synthetic")
    with LocalGroup(tmp_path / "g", [("alice", "synthetic")], engine=engine, labels=labels) as local:
        config, port = local.configs[0], free_ports(2)[1]
        until(lambda: "engine-ready" in (config.parent / "node.log").read_text())
        edited = config.read_text().replace("metrics_port = 0", f"metrics_port = {port}")
        config.write_text(edited.replace("queue_max = 256", "queue_max = 32"))
        for kind in ("node", "engine"):
            pid = local.supervisor.pid(f"{kind} alice")
            assert pid is not None
            os.kill(pid, signal.SIGHUP)
        until(lambda: page_is_at(port))
        until(lambda: "credits=32" in (config.parent / "node.log").read_text())
        assert "config-reloaded changed=engine.queue_max" in (config.parent / "engine.log").read_text()
        local.check()


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)
