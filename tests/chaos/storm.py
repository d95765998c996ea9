"""Real daemons under load while one node at a time is harmed; afterwards everything that was promised is asked for."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dropbeard.client import Client
from dropbeard.daemon.local_group import LocalGroup
from dropbeard.daemon.supervisor import Child, Supervisor
from dropbeard.errors import CertificateInvalid, ClientError, DropbeardError, GroupUnreachable
from dropbeard.signing.curve import CurveSecret
from dropbeard.types import wire
from dropbeard.types.certificates import Certificate, decode_certificate
from dropbeard.types.entries import EntryKind
from dropbeard.types.node_config import EngineTable
from dropbeard.verification.certificate import verify
from tests.chaos.faults import Faults, mount_small_disk, unmount
from tests.chaos.relay import HIDDEN, PUBLIC, Relay

CLIENTS = 3
LASTS_S = (0.3, 2.5)
CALM_S = (0.5, 1.5)
READY_S = 40.0
RECOVERY_S = 60.0
REFETCHED_MAX = 300
KILLS = ("kill node", "kill engine", "full disk")
"""After these a process has to come back, which takes a while."""


@dataclass(slots=True)
class Report:
    """What happened, and what was wrong afterwards."""

    faults: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    certificates: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    verified: int = 0
    refetched: int = 0
    violations: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        names = ("requests", "certificates", "verified", "refetched", "violations")
        figures: dict[str, object] = {name: getattr(self, name) for name in names}
        return {"faults": dict(self.faults), "errors": dict(self.errors), **figures}


class Load(threading.Thread):
    """One client that asks all the time and keeps every certificate, in a file: hours of them fit in no memory."""

    def __init__(self, local: LocalGroup, number: int, directory: Path, pause_s: float) -> None:
        super().__init__(daemon=True)
        self._local = local
        self._pause_s = pause_s
        self._rng = np.random.default_rng(number)
        self._kept = (directory / f"certificates-{number}").open("w+b")
        self.key = CurveSecret.generate()
        self.latest: deque[Certificate] = deque(maxlen=REFETCHED_MAX // CLIENTS)
        self.errors: Counter[str] = Counter()
        self.requests = 0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            try:
                with Client(self._local.group, self.key, timeout=8, patience=0.1, connect_timeout=2) as client:
                    while not self.over.is_set():
                        self._ask(client)
                        self.over.wait(self._pause_s)
            except (GroupUnreachable, DropbeardError) as wrong:
                self.errors[type(wrong).__name__] += 1

    def _ask(self, client: Client) -> None:
        pictures = [self._rng.integers(0, 255, (8, 8, 3), dtype=np.uint8) for _ in range(16)]
        for outcome in client.map_outcomes(pictures, in_flight=8):
            self.requests += 1
            if isinstance(outcome, ClientError):
                self.errors[type(outcome).__name__] += 1
            else:
                self.latest.append(outcome.certificate.certificate)
                self._kept.write(wire.long_bytes(outcome.certificate.data))

    def certificates(self) -> Iterator[Certificate]:
        """All of them, read back and closed; once, when the thread has ended."""
        with self._kept as kept:
            kept.seek(0)
            while head := kept.read(4):
                yield decode_certificate(kept.read(int.from_bytes(head, "little")))


def storm(directory: Path, seconds: float, seed: int, say: Callable[[str], object], *, pause_s: float = 0.0) -> Report:
    """``seconds`` of faults under load, then the questions. The caller's thread must live until it returns.

    Each client rests for ``pause_s`` between 16 requests and the next.
    """
    labels = directory / "labels.txt"
    labels.write_text("\n".join(f"class {number}" for number in range(10)))
    local = LocalGroup(directory / "g", engine=EngineTable("", backend="synthetic"), labels=labels)
    report = Report()
    with ExitStack() as stack:
        disks = _small_disks(local, seconds, stack)
        relays = [Relay([int(end.rpartition(":")[2]) for end in owner.endpoints.all]) for owner in local.group.owners]
        for relay in relays:
            stack.callback(relay.close)
        _listen_behind(local)
        stack.enter_context(local)
        loads = [Load(local, number, directory, pause_s) for number in range(CLIENTS)]
        _wait_until_all_answer(local)
        for load in loads:
            load.start()
        _harm(local, Faults(local, relays, disks), seconds, random.Random(seed), report, say)
        for load in loads:
            load.over.set()
        _wait_until_all_answer(local)
        for load in loads:
            load.join(RECOVERY_S)
        _question(local, loads, report)
    return report


def _small_disks(local: LocalGroup, seconds: float, stack: ExitStack) -> bool:
    for config in local.configs:
        state = config.parent / "state"
        if not mount_small_disk(state, seconds):
            return False
        stack.callback(unmount, state)
    return True


def _listen_behind(local: LocalGroup) -> None:
    """Every node listens where only its relay looks, and reads its clock through the test's own."""
    children = []
    for config in local.configs:
        text = config.read_text()
        config.write_text(f'listen = "{HIDDEN}"\n{text}')
        engine = (sys.executable, "-m", "dropbeard", "run", "engine", str(config))
        node = (sys.executable, "-m", "tests.chaos.node_with_clock", str(config))
        children += [Child(f"engine {config.stem}", engine, config.parent / "engine.log")]
        children += [Child(f"node {config.stem}", node, config.parent / "node.log")]
    local.supervisor = Supervisor(children)
    assert all(PUBLIC in end for owner in local.group.owners for end in owner.endpoints.all)


def _wait_until_all_answer(local: LocalGroup) -> None:
    until = time.monotonic() + READY_S
    while True:
        local.supervisor.poll()
        try:
            with Client(local.group, timeout=8, patience=2, connect_timeout=2) as client:
                if len(client.infer(np.zeros((8, 8, 3), np.uint8)).owners) == local.group.n:
                    return
        except ClientError:
            pass
        if time.monotonic() > until:
            raise AssertionError("not every node answers: " + _last_lines(local))
        time.sleep(0.2)


def _last_lines(local: LocalGroup) -> str:
    return "; ".join(f"{c.stem}: {local.supervisor.last_line(f'node {c.stem}')}" for c in local.configs)


def _harm(
    local: LocalGroup, faults: Faults, seconds: float, rng: random.Random, report: Report, say: Callable[[str], object]
) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        kind, victim = rng.choice(faults.kinds), rng.randrange(local.group.n)
        say(f"{kind}: {local.group.owners[victim].name}")
        undo = faults.make(kind, victim, rng)
        report.faults[kind] += 1
        _live(local, rng.uniform(*LASTS_S))
        undo()
        _live(local, rng.uniform(*CALM_S) + (1.5 if kind in KILLS else 0.0))


def _live(local: LocalGroup, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        local.supervisor.poll()
        time.sleep(0.05)


def _question(local: LocalGroup, loads: list[Load], report: Report) -> None:
    """Every certificate verifies, no request has two outcomes, and the latest are had again by their requests."""
    outcomes: dict[bytes, EntryKind] = {}
    for load in loads:
        report.requests += load.requests
        report.errors.update(load.errors)
        for certificate in load.certificates():
            report.certificates += 1
            try:
                verify(certificate, local.group)
                report.verified += 1
            except CertificateInvalid as wrong:
                report.violations.append(f"a certificate does not verify: {wrong}")
            request = certificate.base.entry.request
            if outcomes.setdefault(request, certificate.kind) is not certificate.kind:
                report.violations.append(f"request {request.hex()} has two outcomes")
        with Client(local.group, load.key, timeout=8, connect_timeout=5) as client:
            for certificate in load.latest:
                _fetch_again(client, certificate, report)


def _fetch_again(client: Client, certificate: Certificate, report: Report) -> None:
    request = certificate.request()
    try:
        again = client.fetch(request, timeout=10)
    except ClientError as wrong:
        report.violations.append(f"request {request.id.hex()} cannot be had again: {wrong}")
        return
    report.refetched += 1
    if again.certificate.certificate.base.entry != certificate.base.entry:
        report.violations.append(f"request {request.id.hex()} comes back with another entry")
