"""A client in a closed loop that notes when blocks became final and who proved what: for measurements of crashes."""

from __future__ import annotations

import itertools
import os
import secrets
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

import numpy as np

from dropbeard.client.inputs import input_from
from dropbeard.client.sending import flush
from dropbeard.client.session import Session
from dropbeard.codec.client import decode_to_client
from dropbeard.daemon.local_group import OWNERS, LocalGroup
from dropbeard.signing.curve import CurveSecret
from dropbeard.transport.client_link import ClientLink
from dropbeard.types.certificates import Certificate
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey, Digest, Nonce, OwnerId, RequestId, TimeUs, View
from dropbeard.types.messages import Reply
from dropbeard.types.node_config import Backend, EngineTable
from dropbeard.types.parameters import SECOND, Parameters

TIMEOUT_S: Final = 15
POLL_S: Final = 0.02
BACK_TIMEOUT_S: Final = 60.0
Made = TypeVar("Made", bound=LocalGroup)
LABELS: Final = "\n".join(f"class {number}" for number in range(10))


@contextmanager
def synthetic_group(directory: Path) -> Iterator[LocalGroup]:
    """Four owners with synthetic engines on loopback, LAN parameters."""
    with local_group(directory, "synthetic") as local:
        yield local


@contextmanager
def local_group(directory: Path, backend: Backend) -> Iterator[LocalGroup]:
    """Four owners with engines on this backend, LAN parameters; only real models need the real labels."""
    with LocalGroup(
        directory / "g", engine=EngineTable("", backend=backend), labels=labels_of(directory, backend)
    ) as g:
        yield g


@contextmanager
def passing_group(
    made: Callable[..., Made],
    engine: EngineTable | Sequence[EngineTable],
    owners: Sequence[tuple[str, str]] = OWNERS,
    parameters: Parameters | None = None,
) -> Iterator[Made]:
    """A group of which nothing is left behind, of this class, with these engines."""
    first = engine[0] if isinstance(engine, Sequence) else engine
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        labels = labels_of(directory, first.backend)
        with made(directory / "g", owners, engine=engine, labels=labels, parameters=parameters) as local:
            yield local


def labels_of(directory: Path, backend: Backend) -> Path | None:
    """A file of ten labels; None, the task's own, for real models."""
    if backend != "synthetic":
        return None
    labels = directory / "labels.txt"
    labels.write_text(LABELS)
    return labels


class Observer:
    """Keeps ``in_flight`` requests open, patience 0, in a thread of its own; times are ``time.monotonic``."""

    def __init__(self, group: Group, in_flight: int) -> None:
        self._group = group
        self._in_flight = in_flight
        self._session = Session(group, ClientKey((secret := CurveSecret.generate()).public))
        self._secret = secret
        self._signers: dict[Digest, set[OwnerId]] = {}
        self._asked: dict[RequestId, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.finals: list[float] = []
        """When a quorum of finalize signatures over one more header was here."""
        self.view = View(0)
        """The highest view of such a header."""
        self.certified: list[float] = []
        self.certificates: list[Certificate] = []
        """Only while ``keeps`` is set."""
        self.keeps = False
        self.failed = 0
        self._proved: dict[OwnerId, float] = {}

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def wait_until_all_prove(self, local: LocalGroup) -> float:
        """Wait until every node proved an outcome of a request asked from now on; how long it took."""
        started = time.monotonic()
        while time.monotonic() < started + BACK_TIMEOUT_S:
            local.supervisor.poll()
            if all(self._proved.get(owner, 0.0) > started for owner in self._group.members):
                return time.monotonic() - started
            time.sleep(POLL_S)
        raise SystemExit(f"not every node was back after {BACK_TIMEOUT_S:g} s")

    def longest_pause(self, start: float, end: float) -> float:
        """Longest time without a new final block between the two moments."""
        moments = [start, *(moment for moment in self.finals if start < moment < end), end]
        return max(after - before for before, after in itertools.pairwise(moments))

    def rate(self, seconds: float) -> float:
        """Certified requests a second over the next seconds."""
        before, started = len(self.certified), time.monotonic()
        time.sleep(seconds)
        return (len(self.certified) - before) / (time.monotonic() - started)

    def _run(self) -> None:
        link = ClientLink(self._group, self._secret)
        rng = np.random.default_rng(1)
        for owner in self._group.members:
            self._session.on_connected(owner)
        try:
            while not self._stop.is_set():
                while self._session.open_requests < self._in_flight:
                    self._submit(rng)
                self._pump(link)
        finally:
            link.close()

    def _submit(self, rng: np.random.Generator) -> None:
        now_us, wall_us = time.monotonic_ns() // 1000, time.time_ns() // 1000
        given = input_from(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8))
        deadline = TimeUs(wall_us + TIMEOUT_S * SECOND)
        known = self._session.submit(given, Nonce(secrets.randbits(64)), deadline, 0, now_us, wall_us)
        self._asked[known] = now_us / SECOND

    def _pump(self, link: ClientLink) -> None:
        flush(self._session.outgoing, link.send)
        for owner in link.connected():
            self._session.on_connected(owner)
        for owner, data in link.receive(POLL_S):
            heard = decode_to_client(data, self._group)
            if isinstance(heard, Reply):
                self._note(owner, heard)
            self._session.on_message(owner, heard, time.monotonic_ns() // 1000)
        for done in self._session.poll(time.monotonic_ns() // 1000):
            if done.certificate is None:
                self.failed += 1
            else:
                self.certified.append(time.monotonic())
                if self.keeps:
                    self.certificates.append(done.certificate)

    def _note(self, owner: OwnerId, reply: Reply) -> None:
        # These are our own honest nodes: that the signatures verify is checked with each certificate.
        top = reply.headers[0]
        signers = self._signers.setdefault(top.digest, set())
        before = len(signers)
        signers |= {signer for signer, _ in reply.signatures}
        if before < self._group.quorum <= len(signers):
            self.finals.append(time.monotonic())
            self.view = max(self.view, top.view)
        asked = max((self._asked.get(entry.request, 0.0) for _, entry in reply.entries), default=0.0)
        self._proved[owner] = max(self._proved.get(owner, 0.0), asked)


def kill(local: LocalGroup, owner: OwnerId) -> float:
    """kill -9 of an owner's node; when that was."""
    pid = local.supervisor.pid(f"node {local.group.owners[owner].name}")
    if pid is None:
        raise SystemExit(f"the node of {local.group.owners[owner].name} is not up")
    os.kill(pid, signal.SIGKILL)
    return time.monotonic()
