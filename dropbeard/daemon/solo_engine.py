"""One engine daemon without a node: a real process behind its socket, for checks and measurements."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import zmq

from dropbeard.codec.engine import decode_from_engine, encode_to_engine
from dropbeard.daemon.files import read_node_files
from dropbeard.daemon.new_group import write_genesis
from dropbeard.daemon.new_node import NodePlan, make_node
from dropbeard.daemon.supervisor import STOP_S
from dropbeard.errors import EngineFailed
from dropbeard.storage.files import read_card
from dropbeard.transport.engine_link import EngineLink
from dropbeard.types.cards import group_from_cards
from dropbeard.types.engine_messages import (
    TICKETS_AT_ONCE_MAX,
    EngineAnswers,
    EngineFailure,
    EngineReady,
    InferTicket,
    InferTickets,
    NodeHello,
)
from dropbeard.types.group import FIRST_VERSION
from dropbeard.types.ids import TimeUs
from dropbeard.types.node_config import Backend, EngineTable
from dropbeard.types.parameters import Parameters
from dropbeard.types.task import Input, TaskSchema

DAEMON: Final = (sys.executable, "-m", "dropbeard", "run", "engine")
START_S: Final = 120.0
ANSWER_S: Final = 120.0
POLL_MS: Final = 100


@contextmanager
def solo_engine(
    model: str,
    backend: Backend,
    schema: TaskSchema,
    *,
    max_batch: int = 8,
    threads: int = 1,
    url: str | None = None,
    remote_model: str | None = None,
) -> Iterator[SoloEngine]:
    """A daemon with a model loaded and warm; it ends with the block. Raises EngineFailed with its last words."""
    with tempfile.TemporaryDirectory(prefix="dropbeard-") as directory:
        home, log = Path(directory) / "solo", Path(directory) / "engine.log"
        plan = NodePlan(
            "solo",
            "127.0.0.1",
            7400,
            EngineTable(
                model, backend=backend, threads=threads, max_batch=max_batch, url=url, remote_model=remote_model
            ),
        )
        made = make_node(plan, home)
        group = group_from_cards([(str(made.card), read_card(made.card))], "solo", schema, Parameters())
        files = read_node_files(made.config)
        write_genesis(group, files.genesis)
        with _daemon(made.config, log) as process:
            context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
            link = EngineLink(context, files.engine_endpoint)
            try:
                engine = SoloEngine(link, process, log)
                engine.wait_until_ready()
                yield engine
            finally:
                link.close()
                context.destroy(linger=0)


@contextmanager
def _daemon(config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen([*DAEMON, str(config)], stderr=out)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class SoloEngine:
    """The node's end of the daemon's socket."""

    def __init__(self, link: EngineLink, process: subprocess.Popen[bytes], log: Path) -> None:
        self._link = link
        self._process = process
        self._log = log
        self._ready = False
        self._answers: dict[int, bytes] = {}

    def wait_until_ready(self) -> None:
        """The model is loaded and warm."""
        until = time.monotonic() + START_S
        self._send(encode_to_engine(NodeHello()), until=until)
        self._hear(lambda: self._ready, until)

    def ask(self, rows: Sequence[tuple[int, Input]]) -> list[tuple[int, bytes]]:
        """All at once, so that they are batched; each row's number comes back with its output."""
        self._answers.clear()
        until = time.monotonic() + ANSWER_S
        deadline = TimeUs(time.time_ns() // 1000 + int(ANSWER_S * 1e6))
        for first in range(0, len(rows), TICKETS_AT_ONCE_MAX):
            part = rows[first : first + TICKETS_AT_ONCE_MAX]
            tickets = (InferTicket(number, deadline, FIRST_VERSION, g.kind, g.shape, g.digest()) for number, g in part)
            header = encode_to_engine(InferTickets(tuple(tickets)))
            self._send(header, *(given.data for _, given in part), until=until)
        self._hear(lambda: len(self._answers) == len(rows), until)
        return list(self._answers.items())

    def _send(self, *frames: bytes, until: float) -> None:
        while not self._link.send(frames):
            self._wait(until)

    def _hear(self, done: Callable[[], bool], until: float) -> None:
        while not done():
            self._wait(until)
            for data in self._link.receive():
                match decode_from_engine(data):
                    case EngineReady():
                        self._ready = True
                    case EngineAnswers(answers):
                        self._answers.update(answers)
                    case EngineFailure(detail=detail):
                        raise EngineFailed(f"the engine does not answer: {detail}")

    def _wait(self, until: float) -> None:
        if self._process.poll() is not None:
            lines = self._log.read_text(errors="replace").strip().splitlines()
            raise EngineFailed(lines[-1].removeprefix("dropbeard: ") if lines else "the engine ended without a word")
        if time.monotonic() > until:
            raise EngineFailed(f"the engine did not answer in time; its log: {self._log}")
        self._link.socket.poll(POLL_MS)
