"""The echo floor: the same frames through the same CURVE sockets and processes, with no agreement in between.

``python -m perf._echo node|engine CONFIG`` runs one end of it; ``EchoGroup`` runs them all; ``EchoLoad`` is the client.
Nodes hand inputs to their engines over the ipc socket and send back as many bytes as openings and replies have.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final

import zmq

from dropbeard.daemon.files import NodeFiles, read_node_files
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.daemon.process import StopSignal, die_with_parent, keep_memory
from dropbeard.daemon.supervisor import Child
from dropbeard.signing.curve import CurveSecret, load_curve_secret
from dropbeard.storage.files import read_genesis
from dropbeard.transport.client_link import ClientLink
from dropbeard.transport.clients import ClientListener
from dropbeard.transport.engine_link import EngineLink, EngineListener
from dropbeard.transport.zap import ZapHandler
from dropbeard.types.ids import OwnerId
from dropbeard.types.limits import SUBMITS_BYTES_MAX, SUBMITS_MAX
from perf._load import POLL_S, START_S

NUMBER_BYTES: Final = 8
ROW_BYTES: Final = 31
"""What a request takes in a header frame."""

HEAD_BYTES: Final = 56
ANSWER_BYTES: Final = 12
OPENING_BYTES: Final = 134
"""An opening with a top-2 answer."""

ENTRY_BYTES: Final = 290
"""An entry of three promises with its share of a multiproof."""

REPLY_BYTES: Final = 700
"""Header and signature of a reply."""


class EchoGroup(LocalGroup):
    """A group whose daemons only echo."""

    def _child(self, kind: str, config: Path) -> Child:
        command = (sys.executable, "-m", "perf._echo", kind, str(config))
        return Child(f"{kind} {config.stem}", command, config.parent / f"{kind}.log")


def listening(context: zmq.Context[zmq.Socket[bytes]], config: Path) -> tuple[NodeFiles, ZapHandler, ClientListener]:
    """A node's client socket as its configuration and genesis have it, and who lets clients in."""
    files = read_node_files(config)
    owner = next(owner for owner in read_genesis(files.genesis).owners if owner.name == config.stem)
    zap = ZapHandler(context, {"clients": None})
    return files, zap, ClientListener(context, owner.endpoints.clients, load_curve_secret(files.curve_key))


def echo_node(config: Path) -> None:
    """Until SIGTERM."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    files, zap, clients = listening(context, config)
    engine = EngineLink(context, files.engine_endpoint)
    stop, poller = StopSignal(), zmq.Poller()
    for source in (zap.socket, clients.socket, engine.socket, stop.fd):
        poller.register(source, zmq.POLLIN)
    while not stop.asked:
        poller.poll(500)
        zap.answer_all()
        for heard in clients.receive():
            engine.send([heard.client + heard.data[:NUMBER_BYTES], *heard.inputs])
        for data in engine.receive():
            client, number = data[:32], data[32 : 32 + NUMBER_BYTES]
            requests = (len(data) - 32 - NUMBER_BYTES) // ANSWER_BYTES
            clients.send(client, number + bytes(requests * OPENING_BYTES))  # type: ignore[arg-type]
            clients.send(client, number + bytes(REPLY_BYTES + requests * ENTRY_BYTES))  # type: ignore[arg-type]
    for link in (clients, engine, zap):
        link.close()
    context.term()


def echo_engine(config: Path) -> None:
    """Until SIGTERM."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    listener = EngineListener(context, read_node_files(config).engine_endpoint)
    stop, poller = StopSignal(), zmq.Poller()
    for source in (listener.socket, stop.fd):
        poller.register(source, zmq.POLLIN)
    while not stop.asked:
        poller.poll(500)
        for route, data, inputs in listener.receive():
            listener.send(route, data + bytes(ANSWER_BYTES * len(inputs)))
    listener.close()
    context.term()


class EchoLoad:
    """Keeps requests open against an EchoGroup; use as a context manager."""

    def __init__(self, local: EchoGroup, input_bytes: int) -> None:
        keep_memory()
        self._local = local
        self._given = bytes(input_bytes)
        self._at_once = max(1, min(SUBMITS_MAX, SUBMITS_BYTES_MAX // input_bytes))
        self._link = ClientLink(local.group, CurveSecret.generate())
        self._open: dict[bytes, tuple[int, dict[tuple[OwnerId, bool], None]]] = {}
        self._number = 0
        self._in_flight = 0
        self._done = 0

    def __enter__(self) -> EchoLoad:
        up: set[OwnerId] = set()
        until = time.monotonic() + START_S
        while len(up) < self._local.group.n:
            up |= set(self._link.connected())
            self._link.receive(POLL_S)
            if time.monotonic() > until:
                raise SystemExit("not every echo is up")
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._link.close()

    def closed(self, in_flight: int, seconds: float, warm_s: float) -> float:
        """Requests a second that every node echoed, with so many open."""
        self._run(in_flight, warm_s)
        before, started = self._done, time.monotonic()
        self._run(in_flight, seconds)
        if self._done == before:
            raise SystemExit("the echo answered nothing; this machine has too much else to do")
        return (self._done - before) / (time.monotonic() - started)

    def _run(self, in_flight: int, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            while self._in_flight < in_flight:
                self._send(min(self._at_once, in_flight - self._in_flight))
            for owner, data in self._link.receive(POLL_S):
                self._take(owner, data)

    def _send(self, requests: int) -> None:
        self._number += 1
        number = self._number.to_bytes(NUMBER_BYTES, "little")
        header = number + bytes(HEAD_BYTES + requests * ROW_BYTES)
        for owner in self._local.group.members:
            if not self._link.send(owner, [header, *[self._given] * requests]):
                raise SystemExit("an echo's queue is full; keep fewer requests open")
        self._open[number] = requests, {}
        self._in_flight += requests

    def _take(self, owner: OwnerId, data: bytes) -> None:
        number = data[:NUMBER_BYTES]
        requests, heard = self._open[number]
        heard[owner, len(data) > REPLY_BYTES + requests * OPENING_BYTES] = None
        if len(heard) == 2 * self._local.group.n:
            del self._open[number]
            self._in_flight -= requests
            self._done += requests


if __name__ == "__main__":
    die_with_parent()
    keep_memory()
    {"node": echo_node, "engine": echo_engine}[sys.argv[1]](Path(sys.argv[2]))
