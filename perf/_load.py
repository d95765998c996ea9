"""Load on a group: requests kept open (closed loop) or sent by a clock (open loop), every certificate verified.

Latencies of an open loop count from the moment at which a request should have left, whether or not the sender was
late: a stall is not hidden by the requests that it held back. Beyond the credits that nodes grant, which the product's
client keeps too, requests are counted and not sent.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

from dropbeard.client.sending import flush
from dropbeard.client.session import Session
from dropbeard.codec.client import decode_to_client
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.daemon.process import keep_memory, pace_garbage
from dropbeard.signing.curve import CurveSecret
from dropbeard.transport.client_link import ClientLink
from dropbeard.types.certificates import Certificate
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey, Nonce, OwnerId, RequestId, TimeUs
from dropbeard.types.parameters import SECOND
from dropbeard.types.task import Input, InputKind
from perf._measure import CpuMeter, percentile

TIMEOUT_S: Final = 20
START_S: Final = 30.0
POLL_S: Final = 0.02
WINDOW_FIRST: Final = 64
WINDOW_MIN: Final = 16
WINDOW_EVERY_S: Final = 0.5
WINDOW_UP: Final = 1.1
WINDOW_DOWN: Final = 0.85


@dataclass(slots=True)
class Sample:
    """What one stretch of load gave. ``cpu_us``: of each process, for each certified request."""

    seconds: float = 0.0
    certified: int = 0
    failed: int = 0
    not_sent: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    cpu_us: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Certified requests a second."""
        return self.certified / self.seconds if self.seconds else 0.0

    def summary(self) -> dict[str, float]:
        """Latencies and CPU for people."""
        ours = {kind: self._cpu_of(kind) for kind in ("node", "engine", "client")}
        return {
            "mean_ms": round(sum(self.latencies_ms) / max(1, len(self.latencies_ms)), 1),
            "p50_ms": round(percentile(self.latencies_ms, 0.5), 1),
            "p99_ms": round(percentile(self.latencies_ms, 0.99), 1),
            "failed": self.failed,
            "not_sent": self.not_sent,
            **{f"{kind}_cpu_us": round(cpu) for kind, cpu in ours.items()},
        }

    def _cpu_of(self, kind: str) -> float:
        rows = [cpu for name, cpu in self.cpu_us.items() if name.split()[0] == kind]
        return sum(rows) / len(rows) if rows else 0.0


def processes(local: LocalGroup) -> dict[str, int]:
    """Pids of a group's daemons and of this process, which is the client."""
    names = [f"{kind} {owner.name}" for kind in ("node", "engine") for owner in local.group.owners]
    pids = {name: local.supervisor.pid(name) for name in names}
    return {name: pid for name, pid in pids.items() if pid is not None} | {"client": os.getpid()}


def raw_inputs(side: int) -> Callable[[], Input]:
    """Raw images of ``side`` x ``side`` pixels, no two alike, made at the cost of one copy each."""
    rest = secrets.token_bytes(3 * side * side - 8)
    number = secrets.randbits(40)

    def make() -> Input:
        nonlocal number
        number += 1
        return Input(InputKind.RAW_RGB8, (side, side, 3), number.to_bytes(8, "little") + rest)

    return make


class Window:
    """How many requests a client keeps open that wants its answers within ``target_s`` seconds: more while the slowest
    of late came sooner, fewer when it did not. What is offered beyond the window is not sent.
    """

    def __init__(self, target_s: float, now: float) -> None:
        self.most = WINDOW_FIRST
        self._target_s = target_s
        self._since, self._slowest_s = now, 0.0

    def note(self, now: float, latency_s: float) -> None:
        """One more was certified."""
        self._slowest_s = max(self._slowest_s, latency_s)
        if now - self._since >= WINDOW_EVERY_S:
            soon = self._slowest_s < self._target_s
            self.most = round(self.most * WINDOW_UP) if soon else max(WINDOW_MIN, round(self.most * WINDOW_DOWN))
            self._since, self._slowest_s = now, 0.0


class Load:
    """A client of a group with a session of its own; use as a context manager.

    ``served``: a group of this machine, whose daemons are watched and whose CPU time is counted, or one that runs
    elsewhere. ``hold_s``: seconds for which the sender holds back what goes to a node, as a long way would.
    """

    def __init__(
        self, served: LocalGroup | Group, inputs: Callable[[], Input], patience_us: int = 0, hold_s: float = 0.0
    ) -> None:
        keep_memory()
        self._local = served if isinstance(served, LocalGroup) else None
        self._group = served.group if isinstance(served, LocalGroup) else served
        self._hold_s = hold_s
        self._held: deque[tuple[float, OwnerId, list[bytes]]] = deque()
        self._inputs = inputs
        self._patience_us = patience_us
        secret = CurveSecret.generate()
        self._session = Session(self._group, ClientKey(secret.public))
        self._link = ClientLink(self._group, secret)
        self._asked: dict[RequestId, float] = {}
        self._nonce = secrets.randbits(62)
        self._sample = Sample()
        self._window: Window | None = None
        self.kept: list[Certificate] | None = None
        """Certificates, once a list is put here."""

    def __enter__(self) -> Load:
        for owner in self._group.members:
            self._session.on_connected(owner)
        until = time.monotonic() + START_S
        while len(self._session.credits) < self._group.n:
            if self._local is not None:
                self._local.check()
            self._pump(POLL_S)
            if time.monotonic() > until:
                raise SystemExit("not every node said welcome")
        self._answered_by_all(until)
        pace_garbage()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._link.close()

    def _answered_by_all(self, until: float) -> None:
        """Engines load after nodes greet: wait until one request after the other is answered."""
        while self._sample.certified < self._group.n:
            if not self._session.open_requests:
                self._submit(time.monotonic())
            self._pump(POLL_S)
            if time.monotonic() > until:
                raise SystemExit("the group does not answer")

    def closed(self, in_flight: int, seconds: float, warm_s: float) -> Sample:
        """Keep so many requests open."""
        return self._measured(lambda length_s: self._closed_for(in_flight, length_s), seconds, warm_s)

    def _closed_for(self, in_flight: int, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            while self._session.open_requests < in_flight:
                self._submit(time.monotonic())
            self._pump(POLL_S)

    def open(self, rate: float, seconds: float, warm_s: float, target_s: float | None = None) -> Sample:
        """Send so many a second, whatever comes back. ``target_s``: by a client that sheds; its window stays from call
        to call.
        """
        if target_s is None:
            self._window = None
        elif self._window is None:
            self._window = Window(target_s, time.monotonic())
        return self._measured(lambda length_s: self._open_for(rate, length_s), seconds, warm_s)

    def _open_for(self, rate: float, seconds: float) -> None:
        started, sent, most = time.monotonic(), 0, min(self._session.credits.values())
        while (now := time.monotonic()) < started + seconds:
            while sent <= (now - started) * rate:
                room = most if self._window is None else min(most, self._window.most)
                if self._session.open_requests < room:
                    self._submit(started + sent / rate)
                else:
                    self._sample.not_sent += 1
                sent += 1
            self._pump(min(POLL_S, max(0.0, started + sent / rate - time.monotonic())))

    def drain(self, timeout_s: float) -> None:
        """Wait for what is still open."""
        until = time.monotonic() + timeout_s
        while self._session.open_requests and time.monotonic() < until:
            self._pump(POLL_S)

    def _measured(self, work: Callable[[float], None], seconds: float, warm_s: float) -> Sample:
        """What ``work`` gives in so many seconds, after some that do not count."""
        work(warm_s)
        pids = {"client": os.getpid()} if self._local is None else processes(self._local)
        self._sample, meter = Sample(), CpuMeter(pids)
        started = time.monotonic()
        work(seconds)
        sample, self._sample = self._sample, Sample()
        sample.seconds = time.monotonic() - started
        each = 1e6 / max(1, sample.certified)
        sample.cpu_us = {name: seconds * each for name, seconds in meter.seconds().items()}
        return sample

    def _submit(self, intended: float) -> None:
        self._nonce += 1
        now_us, wall_us = time.monotonic_ns() // 1000, time.time_ns() // 1000
        deadline = TimeUs(wall_us + TIMEOUT_S * SECOND)
        known = self._session.submit(self._inputs(), Nonce(self._nonce), deadline, self._patience_us, now_us, wall_us)
        self._asked[known] = intended

    def _send(self, owner: OwnerId, frames: list[bytes]) -> None:
        if self._hold_s:
            self._held.append((time.monotonic() + self._hold_s, owner, frames))
        else:
            self._link.send(owner, frames)

    def _send_held(self) -> float:
        """What was held long enough; seconds until more was."""
        now = time.monotonic()
        while self._held and self._held[0][0] <= now:
            _, owner, frames = self._held.popleft()
            self._link.send(owner, frames)
        return self._held[0][0] - now if self._held else POLL_S

    def _pump(self, wait_s: float) -> None:
        flush(self._session.outgoing, self._send)
        wait_s = min(wait_s, self._send_held())
        for owner in self._link.connected():
            self._session.on_connected(owner)
        for owner, data in self._link.receive(wait_s):
            self._session.on_message(owner, decode_to_client(data, self._group), time.monotonic_ns() // 1000)
        now = time.monotonic()
        for done in self._session.poll(time.monotonic_ns() // 1000):
            intended = self._asked.pop(done.request)
            if done.certificate is None:
                self._sample.failed += 1
            else:
                self._sample.certified += 1
                if self._window is not None:
                    self._window.note(now, now - intended)
                if self.kept is not None:
                    self.kept.append(done.certificate)
                self._sample.latencies_ms.append((now - intended) * 1e3)
