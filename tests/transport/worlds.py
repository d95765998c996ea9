"""A group on free loopback ports with real CURVE keys, for tests of sockets."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import zmq

from dropbeard.signing.curve import CurveSecret
from dropbeard.simulator.keys import make_keys
from dropbeard.simulator.options import options_for
from dropbeard.types.group import Endpoints, Group, Owner

WAIT_S = 8.0
Context = zmq.Context[zmq.Socket[bytes]]


@dataclass(frozen=True)
class Sockets:
    group: Group
    secrets: list[CurveSecret]


def free_endpoints(count: int) -> list[str]:
    """Different free ports, below those that the kernel gives to outgoing connections."""
    ports: list[int] = []
    with ExitStack() as held:
        while len(ports) < count:
            probe = held.enter_context(socket.socket())
            port = random.randrange(10_000, 30_000)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                ports.append(port)
    return [f"tcp://127.0.0.1:{port}" for port in ports]


def make_group(n: int = 4) -> Sockets:
    base = make_keys(options_for(1, n)).group
    secrets = [CurveSecret.generate() for _ in range(n)]
    ends = free_endpoints(4 * n)
    owners = tuple(_moved(o, secrets[i], Endpoints(*ends[4 * i : 4 * i + 4])) for i, o in enumerate(base.owners))
    return Sockets(Group("sockets", base.f, base.answers, owners, base.task, base.parameters), secrets)


def _moved(owner: Owner, secret: CurveSecret, ends: Endpoints) -> Owner:
    keys = (owner.owner_key, owner.node_key, secret.public)
    return Owner(owner.id, owner.name, *keys, ends, owner.model, owner.model_name)


def nothing() -> None:
    """No step between two looks."""


def until(done: Callable[[], object], seconds: float = WAIT_S, step: Callable[[], None] = nothing) -> bool:
    """Step and look until ``done`` says yes; False when it never did."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        step()
        if done():
            return True
        time.sleep(0.01)
    return False


def short_socket_path(folder: Path) -> str:
    return f"ipc://{folder}/e.sock"
