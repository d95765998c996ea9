"""What it costs a client to send one request to n nodes: bytes and CPU for each link.

The product's own encoding and sockets towards n processes that take a message, drop it and say its number back. No
group agrees on anything: only the sending is measured. ``python -m perf.fanout CONFIG`` is one of those processes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import zmq

from dropbeard.client.sending import Outgoing, flush
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.daemon.process import StopSignal, die_with_parent, keep_memory
from dropbeard.daemon.supervisor import Child, Supervisor
from dropbeard.signing.curve import CurveSecret
from dropbeard.transport.client_link import ClientLink
from dropbeard.transport.options import CURVE_FRAME_BYTES
from dropbeard.types.ids import Nonce, OwnerId, TimeUs
from dropbeard.types.messages import Submit
from dropbeard.types.parameters import SECOND
from perf._echo import listening
from perf._load import POLL_S, START_S, raw_inputs
from perf._measure import Figure, figure
from perf._observed import labels_of
from perf.ordering import ENGINE, LARGE_SIDE, SMALL_SIDE

NODES: Final = (1, 4, 7, 13)
QUICK_NODES: Final = (1, 4)
OF_THE_FIGURE: Final = 4
RUNS: Final = 5
SECONDS: Final = 3.0
QUICK_SECONDS: Final = 1.5
WARM_S: Final = 1.0
AT_ONCE: Final = {SMALL_SIDE: 32, LARGE_SIDE: 4}
"""Requests to a message, some of what a client gathers under load."""

MESSAGES_IN_FLIGHT: Final = 8
ACKNOWLEDGED: Final = b"\1" * 8


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one request to all nodes. ``main_us``: encoding and handing over; ``sending_us``: ZeroMQ's own threads."""

    n: int
    main_us: float
    sending_us: float
    bytes_a_link: float
    per_s: float

    @property
    def link_us(self) -> float:
        """CPU for one request and link."""
        return (self.main_us + self.sending_us) / self.n

    def row(self) -> dict[str, Any]:
        """For people."""
        return {
            "n": self.n,
            "link_us": round(self.link_us, 1),
            "main_us": round(self.main_us, 1),
            "sending_us": round(self.sending_us, 1),
            "bytes_a_link": round(self.bytes_a_link),
            "requests_per_s": round(self.per_s),
        }


def bench(quick: bool) -> list[Figure]:
    """For 1 KB and 150 KB: a link of four against the only link of one."""
    runs, seconds = (1, QUICK_SECONDS) if quick else (RUNS, SECONDS)
    found = []
    for name, side in (("1 KB", SMALL_SIDE), ("150 KB", LARGE_SIDE)):
        rounds = [{n: cost(n, side, seconds) for n in (QUICK_NODES if quick else NODES)} for _ in range(runs)]
        links = [one[OF_THE_FIGURE].link_us for one in rounds]
        alone = [one[1].link_us for one in rounds]
        by_n = [row.row() for row in rounds[len(rounds) // 2].values()]
        unit = "us of the client's CPU for a request and link, n = 4 over n = 1"
        found.append(figure(f"fanout {name}", unit, links, alone, by_links=by_n))
    return found


class SinkGroup(LocalGroup):
    """A group of which nothing runs but what drops messages."""

    def __init__(self, directory: Path, owners: Sequence[tuple[str, str]], labels: Path | None) -> None:
        super().__init__(directory, owners, engine=ENGINE, labels=labels)
        self.supervisor = Supervisor([self._child("node", config) for config in self.configs])

    def _child(self, kind: str, config: Path) -> Child:
        command = (sys.executable, "-m", "perf.fanout", str(config))
        return Child(f"{kind} {config.stem}", command, config.parent / f"{kind}.log")


def cost(n: int, side: int, seconds: float) -> Cost:
    """Of requests with inputs of this side to n sinks."""
    owners = [(f"owner{number}", "synthetic") for number in range(n)]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with SinkGroup(directory / "g", owners, labels_of(directory, "synthetic")) as sinks:
            sender = _Sender(sinks, side)
            try:
                sender.connect()
                sender.send_for(WARM_S)
                return sender.measure(seconds)
            finally:
                sender.link.close()


class _Sender:
    def __init__(self, sinks: SinkGroup, side: int) -> None:
        keep_memory()
        self._group = sinks.group
        self._inputs, self._at_once = raw_inputs(side), AT_ONCE[side]
        self._under_way: Counter[OwnerId] = Counter()
        self._nonce = 0
        self._bytes = 0
        self._requests = 0
        self.link = ClientLink(sinks.group, CurveSecret.generate())

    def connect(self) -> None:
        up: set[OwnerId] = set()
        until = time.monotonic() + START_S
        while len(up) < self._group.n:
            up |= set(self.link.connected())
            self.link.receive(POLL_S)
            if time.monotonic() > until:
                raise SystemExit("not every sink is up")

    def send_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if max(self._under_way[owner] for owner in self._group.members) < MESSAGES_IN_FLIGHT:
                self._send()
                self._take(0.0)
            else:
                self._take(POLL_S)

    def _take(self, wait_s: float) -> None:
        for owner, _ in self.link.receive(wait_s):
            self._under_way[owner] -= 1

    def measure(self, seconds: float) -> Cost:
        requests, sent = self._requests, self._bytes
        started, cpu, main = time.monotonic(), time.process_time(), time.thread_time()
        self.send_for(seconds)
        took = time.monotonic() - started
        cpu, main = time.process_time() - cpu, time.thread_time() - main
        requests = self._requests - requests
        each = 1e6 / requests
        a_link = (self._bytes - sent) / requests / self._group.n
        return Cost(self._group.n, main * each, (cpu - main) * each, a_link, requests / took)

    def _send(self) -> None:
        outgoing: list[Outgoing] = []
        deadline = TimeUs(time.time_ns() // 1000 + SECOND)
        for _ in range(self._at_once):
            given = self._inputs()
            given.digest()
            self._nonce += 1
            message = Submit(self._group.id, Nonce(self._nonce), deadline, 0, b"", given.kind, given.shape)
            outgoing += [(owner, message, given) for owner in self._group.members]
        flush(outgoing, self._hand_over)
        self._requests += self._at_once

    def _hand_over(self, owner: OwnerId, frames: list[bytes]) -> None:
        if not self.link.send(owner, frames):
            raise SystemExit("a sink's queue is full")
        self._under_way[owner] += 1
        self._bytes += sum(len(frame) + CURVE_FRAME_BYTES for frame in frames)


def sink(config: Path) -> None:
    """Until SIGTERM."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    _, zap, clients = listening(context, config)
    stop, poller = StopSignal(), zmq.Poller()
    for source in (zap.socket, clients.socket, stop.fd):
        poller.register(source, zmq.POLLIN)
    while not stop.asked:
        poller.poll(500)
        zap.answer_all()
        for heard in clients.receive():
            clients.send(heard.client, ACKNOWLEDGED)
    clients.close()
    zap.close()
    context.term()


if __name__ == "__main__":
    die_with_parent()
    keep_memory()
    sink(Path(sys.argv[1]))
