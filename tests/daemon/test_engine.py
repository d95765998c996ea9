"""The engine daemon as its node sees it: a real process behind a real ipc socket."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from dropbeard.cli.main import run
from dropbeard.codec.engine import decode_from_engine, encode_to_engine
from dropbeard.daemon.files import NodeFiles, read_node_files
from dropbeard.serving.synthetic import synthetic_digest
from dropbeard.storage.files import read_genesis
from dropbeard.transport.engine_link import EngineLink
from dropbeard.types.engine_messages import (
    EngineAnswers,
    EngineFailure,
    EngineReady,
    FailReason,
    FromEngine,
    InferTicket,
    InferTickets,
    NodeHello,
)
from dropbeard.types.group import FIRST_VERSION
from dropbeard.types.ids import TimeUs
from dropbeard.types.task import Input, InputKind

pytestmark = pytest.mark.system
WAIT_S = 20.0
ARRAY = bytes(range(12))
Context = zmq.Context[zmq.Socket[bytes]]

SLOW_ENGINE = """
import sys
from pathlib import Path
from dropbeard.daemon import engine as daemon
from dropbeard.daemon.engine_models import Models
from dropbeard.daemon.files import read_node_files
from dropbeard.serving.synthetic import ServiceTime, SyntheticEngine
Models._make = lambda self, version, digest: ("slow", SyntheticEngine(self._group.task, ServiceTime(400_000, 0)))
sys.exit(daemon.run_engine(read_node_files(Path(sys.argv[1]))))
"""


class Daemon:
    """One engine process and the node's end of its socket."""

    def __init__(self, config: Path, command: tuple[str, ...]) -> None:
        self.files: NodeFiles = read_node_files(config)
        with (config.parent / "engine.log").open("wb") as log:
            self.process = subprocess.Popen([*command, str(config)], stdout=log, stderr=log)
        self.context: Context = zmq.Context()
        self.link = EngineLink(self.context, self.files.engine_endpoint)
        self.heard: list[FromEngine] = []

    def until(self, done: Callable[[], object]) -> bool:
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            self.heard += [decode_from_engine(data) for data in self.link.receive()]
            if done():
                return True
            time.sleep(0.005)
        return False

    def send(self, *frames: bytes) -> None:
        assert self.until(lambda: self.link.send(frames)), self.log()

    def ask(self, ticket: int, data: bytes, shape: tuple[int, int, int] = (2, 2, 3), ahead_s: float = 30.0) -> None:
        deadline = TimeUs(time.time_ns() // 1000 + int(ahead_s * 1e6))
        one = InferTicket(
            ticket, deadline, FIRST_VERSION, InputKind.RAW_RGB8, shape, Input(InputKind.RAW_RGB8, shape, data).digest()
        )
        self.send(encode_to_engine(InferTickets((one,))), data)

    def answered(self) -> dict[int, bytes]:
        return dict(row for said in self.heard if isinstance(said, EngineAnswers) for row in said.answers)

    def failures(self) -> dict[int, FailReason]:
        return {said.ticket: said.reason for said in self.heard if isinstance(said, EngineFailure)}

    def log(self) -> str:
        return (self.files.path.parent / "engine.log").read_text()

    def close(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_S)
        self.link.close()
        self.context.destroy(linger=0)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    home, labels = tmp_path / "solo", tmp_path / "labels.txt"
    labels.write_text("\n".join(f"class {number}" for number in range(10)))
    assert run(["init", "solo", "--dir", str(home), "--backend", "synthetic"]) == 0
    card, genesis = str(home / "solo.card.toml"), str(home / "genesis.toml")
    assert run(["group", "create", card, "-o", genesis, "--labels", str(labels)]) == 0
    return home / "solo.toml"


@pytest.fixture
def daemon(config: Path) -> Iterator[Daemon]:
    found = Daemon(config, (sys.executable, "-m", "dropbeard", "run", "engine"))
    yield found
    found.close()


def test_a_node_that_says_hello_learns_model_and_credits(daemon: Daemon) -> None:
    daemon.send(encode_to_engine(NodeHello()))
    assert daemon.until(lambda: daemon.heard)
    settings = daemon.files.config.engine
    digest = synthetic_digest("solo")
    assert daemon.heard == [EngineReady(settings.model, digest, FIRST_VERSION, settings.queue_max)]


def test_good_tickets_are_answered_and_bad_ones_refused_one_by_one(daemon: Daemon) -> None:
    daemon.ask(1, ARRAY)
    daemon.ask(2, ARRAY[:-1])
    daemon.ask(3, b"", shape=(0, 0, 3))
    daemon.ask(4, ARRAY, ahead_s=-1.0)
    daemon.ask(5, ARRAY)
    assert daemon.until(lambda: len(daemon.answered()) + len(daemon.failures()) == 5), daemon.log()
    assert set(daemon.answered()) == {1, 5}
    assert daemon.failures() == {2: FailReason.BAD_INPUT, 3: FailReason.BAD_INPUT, 4: FailReason.TOO_LATE}
    task = read_genesis(daemon.files.genesis).task
    assert len(task.decode_output(daemon.answered()[1]).choices) == task.top_k
    assert daemon.answered()[1] == daemon.answered()[5]


def test_hostile_frames_on_the_socket_do_not_stop_the_engine(daemon: Daemon) -> None:
    daemon.send(b"")
    daemon.send(b"\x00\x00\x00\x00\xff\xff\xff\x1f" + bytes(16))
    daemon.send(bytes(1 << 20), b"input")
    daemon.send(b"a", b"b", b"c", b"d")
    daemon.ask(7, ARRAY)
    assert daemon.until(lambda: set(daemon.answered()) == {7}), daemon.log()


def test_sigterm_finishes_what_was_taken_and_ends_with_0(config: Path) -> None:
    daemon = Daemon(config, (sys.executable, "-c", SLOW_ENGINE))
    try:
        for ticket in range(20):
            daemon.ask(ticket, ARRAY)
        # An answer to the last ticket shows that all before it were taken: those run in three batches of 400 ms.
        daemon.send(encode_to_engine(NodeHello()))
        assert daemon.until(lambda: any(isinstance(said, EngineReady) for said in daemon.heard)), daemon.log()
        assert len(daemon.answered()) < 20
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.until(lambda: len(daemon.answered()) == 20), daemon.log()
        assert daemon.process.wait(WAIT_S) == 0
        assert "engine-stopped" in daemon.log()
        assert not Path(daemon.files.engine_endpoint.removeprefix("ipc://")).exists()
    finally:
        daemon.close()


def test_a_second_engine_on_the_same_socket_is_one_line_and_leaves_the_first_alone(daemon: Daemon) -> None:
    daemon.ask(1, ARRAY)
    assert daemon.until(daemon.answered)
    second = subprocess.run(
        [sys.executable, "-m", "dropbeard", "run", "engine", str(daemon.files.path)],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert second.returncode == 1
    assert "another engine listens" in second.stderr
    assert "Traceback" not in second.stderr
    daemon.ask(2, ARRAY)
    assert daemon.until(lambda: 2 in daemon.answered())


LOST_DEVICE = SLOW_ENGINE.replace(
    "sys.exit(",
    """
from dropbeard.daemon import engine_models
from dropbeard.errors import EngineFailed
def lost(self):
    raise EngineFailed("GPU 0 was lost: restart the engine")
SyntheticEngine.check = lost
engine_models.WATCH_S = 0.2
try:
    daemon.run_engine(read_node_files(Path(sys.argv[1])))
except EngineFailed as wrong:
    print(wrong, flush=True)
    sys.exit(1)
sys.exit(""",
)


def test_an_engine_that_lost_its_device_ends(config: Path) -> None:
    lost = Daemon(config, (sys.executable, "-c", LOST_DEVICE))
    try:
        assert lost.process.wait(WAIT_S) == 1
        assert "GPU 0 was lost: restart the engine" in lost.log()
    finally:
        lost.close()


def test_figures_are_in_the_log_when_the_engine_stops(daemon: Daemon) -> None:
    daemon.ask(1, ARRAY)
    assert daemon.until(lambda: 1 in daemon.answered())
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(WAIT_S) == 0
    assert "engine-figures model=" in daemon.log()
    assert "inputs=1 " in daemon.log()
