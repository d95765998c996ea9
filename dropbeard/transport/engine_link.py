"""The ipc socket between a node and its engine: the engine listens, the node connects and comes back by itself."""

from __future__ import annotations

import os
import socket
import stat
from collections import Counter
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Final

import zmq

from dropbeard.errors import ConfigInvalid, TransportFailed
from dropbeard.transport.frames import EVERYTHING, receive, send
from dropbeard.transport.monitor import Monitor
from dropbeard.transport.options import INPUT_FRAME_BYTES_MAX, bind, prepare
from dropbeard.types.engine_messages import TICKETS_AT_ONCE_MAX

SCHEME: Final = "ipc://"
PATH_BYTES_MAX: Final = 107
"""A Unix socket's path must fit into 108 bytes with its end mark."""

SOCKET_MODE: Final = 0o660
"""Owner and group of the socket may use it: node and engine run as two users of one group."""

TICKETS_QUEUED_MAX: Final = 4_096
HEARD_AT_ONCE_MAX: Final = 256


def socket_path(endpoint: str) -> Path:
    """The file behind an ipc endpoint; ConfigInvalid when it cannot be one."""
    if not endpoint.startswith(SCHEME) or len(endpoint) == len(SCHEME):
        raise ConfigInvalid(f"the engine's endpoint is {endpoint!r}; write ipc:// and the path of a socket file")
    path = endpoint.removeprefix(SCHEME)
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise ConfigInvalid(
            f"the engine's socket path has {len(os.fsencode(path))} bytes, at most {PATH_BYTES_MAX} work: {path}"
        )
    return Path(path)


def check_free(endpoint: str) -> None:
    """Whether an engine may listen here: ZeroMQ would silently take a live socket file over; a dead one is only a
    leftover. TransportFailed, or ConfigInvalid, when it may not.
    """
    path = socket_path(endpoint)
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise TransportFailed(f"{path} exists and is no socket; remove it or name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        if probe.connect_ex(str(path)) == 0:
            raise TransportFailed(f"another engine listens on {path}; stop it or name another path")


class EngineListener:
    """The engine's end: hears tickets, answers on the connection they came by."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        self._path = socket_path(endpoint)
        self.not_sent: Counter[str] = Counter()
        self.socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        prepare(self.socket, INPUT_FRAME_BYTES_MAX, TICKETS_QUEUED_MAX)
        self.socket.set(zmq.ROUTER_MANDATORY, 1)
        try:
            check_free(endpoint)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            bind(self.socket, endpoint)
            self._path.chmod(SOCKET_MODE)
        except OSError as wrong:
            self.socket.close()
            raise TransportFailed(f"cannot make the engine's socket {self._path}: {wrong.strerror}") from wrong
        except (TransportFailed, ConfigInvalid):
            self.socket.close()
            raise

    def receive(self) -> list[tuple[bytes, bytes, list[bytes]]]:
        """(route, header frame, inputs' frames) of what is waiting; never blocks."""
        heard = []
        for _ in range(HEARD_AT_ONCE_MAX):
            frames = receive(self.socket, 2 + TICKETS_AT_ONCE_MAX)
            if frames is None:
                break
            if len(frames) >= 2:
                route, header, *inputs = (frame.bytes for frame in frames)
                heard.append((route, header, inputs))
        return heard

    def send(self, route: bytes, data: bytes) -> bool:
        """Answer on a connection; False, and counted, when it is gone or full."""
        try:
            self.socket.send_multipart([route, data], zmq.NOBLOCK)
        except zmq.ZMQError:
            self.not_sent["gone or full"] += 1
            return False
        return True

    def close(self) -> None:
        """Close the socket and remove its file."""
        self.socket.close()
        self._path.unlink(missing_ok=True)


class EngineLink:
    """The node's end."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        socket_path(endpoint)
        self.not_sent = 0
        self.socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        prepare(self.socket, INPUT_FRAME_BYTES_MAX, TICKETS_QUEUED_MAX)
        self.socket.set(zmq.IMMEDIATE, 1)
        self.monitor = Monitor(self.socket)
        self.socket.connect(endpoint)

    def send(self, frames: Sequence[bytes]) -> bool:
        """Hand over; False, and counted, when the engine is away or its queue is full."""
        try:
            send(self.socket, frames)
        except zmq.Again:
            self.not_sent += 1
            return False
        return True

    def receive(self, ready: Container[object] = EVERYTHING) -> list[bytes]:
        """What is waiting; never blocks. ``ready`` as in PeerLink."""
        heard = []
        for _ in range(HEARD_AT_ONCE_MAX if self.socket in ready else 0):
            frames = receive(self.socket, 1)
            if frames is None:
                break
            if frames:
                heard.append(frames[0].bytes)
        return heard

    def close(self) -> None:
        """Close the sockets."""
        self.monitor.close()
        self.socket.close()
