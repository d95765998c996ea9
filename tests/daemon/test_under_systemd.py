"""Node and engine as systemd sees them: a real notify socket, keys as credentials, exit codes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dropbeard.cli.main import run
from dropbeard.daemon.local_group import free_ports

pytestmark = pytest.mark.system
WAIT_S = 30.0
WATCHDOG_USEC = "600000"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A group of one."""
    home, labels = tmp_path / "solo", tmp_path / "labels.txt"
    labels.write_text("\n".join(f"class {number}" for number in range(10)))
    port = str(free_ports(1)[0])
    assert run(["init", "solo", "--dir", str(home), "--backend", "synthetic", "--port", port]) == 0
    card, genesis = str(home / "solo.card.toml"), str(home / "genesis.toml")
    assert run(["group", "create", card, "-o", genesis, "--labels", str(labels)]) == 0
    return home / "solo.toml"


class Unit:
    """One daemon with a notify socket of its own."""

    def __init__(self, kind: str, config: Path, **environment: str) -> None:
        self._hearing = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = config.parent / f"{kind}.notify"
        self._hearing.bind(str(path))
        self._hearing.settimeout(WAIT_S)
        self.log = config.parent / f"{kind}.log"
        given = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": WATCHDOG_USEC, **environment}
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "dropbeard", "run", kind, str(config)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **given})

    def until(self, word: str) -> list[str]:
        """Everything heard up to the first message that begins with ``word``."""
        heard: list[str] = []
        while not heard or not heard[-1].startswith(word):
            try:
                heard.append(self._hearing.recv(4_096).decode())
            except TimeoutError:
                pytest.fail(f"{word} was not said: {heard} {self.log.read_text()}")
        return heard

    def is_silent(self, seconds: float) -> bool:
        self._hearing.settimeout(0.05)
        try:
            while True:
                self._hearing.recv(4_096)
        except TimeoutError:
            pass
        self._hearing.settimeout(seconds)
        try:
            self._hearing.recv(4_096)
        except TimeoutError:
            return True
        finally:
            self._hearing.settimeout(WAIT_S)
        return False

    def close(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_S)
        self._hearing.close()


Start = Callable[..., Unit]


@pytest.fixture
def start(config: Path) -> Iterator[Start]:
    started: list[Unit] = []

    def begin(kind: str, **environment: str) -> Unit:
        started.append(Unit(kind, config, **environment))
        return started[-1]

    yield begin
    for unit in started:
        unit.close()


@pytest.mark.parametrize("kind", ["engine", "node"])
def test_a_daemon_says_that_it_is_ready_alive_and_stopping(start: Start, kind: str) -> None:
    unit = start(kind)
    before = unit.until("READY=1")
    assert any(word.startswith("EXTEND_TIMEOUT_USEC=") for word in before)
    unit.until("WATCHDOG=1")
    unit.until("WATCHDOG=1")
    unit.process.send_signal(signal.SIGTERM)
    unit.until("STOPPING=1")
    assert unit.process.wait(WAIT_S) == 0


@pytest.mark.parametrize("kind", ["engine", "node"])
def test_a_daemon_that_stands_still_feeds_no_watchdog(start: Start, kind: str) -> None:
    unit = start(kind)
    unit.until("WATCHDOG=1")
    unit.process.send_signal(signal.SIGSTOP)
    assert unit.is_silent(1.5)
    unit.process.send_signal(signal.SIGCONT)
    unit.until("WATCHDOG=1")


def test_keys_come_as_credentials_where_systemd_hands_them_over(start: Start, config: Path, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir(mode=0o700)
    for name in ("node.key", "curve.key", "salt.key"):
        shutil.move(config.parent / name, credentials / name)
        (credentials / name).chmod(0o440)
    without = start("node")
    assert without.process.wait(WAIT_S) == 78
    assert "node.key does not exist" in without.log.read_text()
    config.with_name("node.notify").unlink()
    start("node", CREDENTIALS_DIRECTORY=str(credentials)).until("READY=1")


def test_an_engine_that_keeps_failing_waits_and_says_so(start: Start, config: Path) -> None:
    config.write_text(config.read_text().replace('backend = "synthetic"', 'backend = "onnx"'))
    environment = {"DROPBEARD_CACHE": str(config.parent / "no models here")}
    for _ in range(3):
        unit = start("engine", **environment)
        assert unit.process.wait(WAIT_S) == 78
        config.with_name("engine.notify").unlink()
    heard = start("engine", **environment).until("STATUS=crash loop")
    assert heard[-1] == "STATUS=crash loop: 3 starts failed in a row, waiting 1 s"


def test_an_engine_that_waits_can_be_stopped_at_once(start: Start, config: Path) -> None:
    record = '{"starts":9,"failed_in_row":9,"phase":"failed","wait_s":0.0,"last_failure":"x"}'
    (config.parent / "engine.starts").write_text(record)
    unit = start("engine")
    unit.until("STATUS=crash loop: 10 starts")
    unit.process.send_signal(signal.SIGTERM)
    assert unit.process.wait(5) == 0
    assert '"failed_in_row":0' in (config.parent / "engine.starts").read_text()
