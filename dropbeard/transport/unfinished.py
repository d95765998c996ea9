"""Cut connections that send much and finish nothing: ZeroMQ keeps an unfinished message without any bound.

It hands a message over when its last frame is there; MAXMSGSIZE bounds each frame and the queue counts whole messages,
so one never-ending message of any client fills the memory before a receiver sees a byte. The kernel knows what each
connection sent, so that is what is counted.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import zmq

CHECK_EVERY_S: Final = 1.0
TOTAL_BYTES_MAX: Final = 256 << 20
"""Unfinished bytes of all connections of one socket; the largest is cut first."""

CHECK_SHARE: Final = 50
"""A check that took long is not made again before this many times as long: at most 2 % of the loop's time."""

Address = tuple[str, int]

_TCP_INFO_BYTES: Final = 136
_BYTES_RECEIVED: Final = struct.Struct("<Q")
_BYTES_RECEIVED_AT: Final = 128
"""Where Linux keeps ``tcpi_bytes_received`` in ``struct tcp_info``."""


@dataclass(slots=True)
class _Connection:
    peer: Address
    finished: int
    received: int


class UnfinishedGuard:
    """Watches the connections that one bound TCP socket accepted; other transports are local and are left alone."""

    def __init__(self, bound: zmq.Socket[bytes], bytes_max: int, total_bytes_max: int = TOTAL_BYTES_MAX) -> None:
        endpoint = bound.get_string(zmq.LAST_ENDPOINT)
        self._port = int(endpoint.rpartition(":")[2]) if endpoint.startswith("tcp://") else None
        self._bytes_max = bytes_max
        self._total_bytes_max = total_bytes_max
        self._served: set[int] = set()
        self._connections: dict[int, _Connection] = {}
        self._next_check_s = time.monotonic() + CHECK_EVERY_S

    def note(self, frame: zmq.Frame) -> None:
        """A whole message came; ``frame`` is one of its frames."""
        # ZeroMQ names a frame's connection by its descriptor, as a number that the stubs call an option's value.
        self._served.add(int(frame.get(zmq.SRCFD)))

    def check(self) -> int:
        """Now and then, cut what is over a bound; how many were cut. Call it after taking what waits on the socket."""
        now = time.monotonic()
        if self._port is None or now < self._next_check_s:
            return 0
        self._connections = {where: self._look(where, peer, received) for where, peer, received in self._accepted()}
        self._served.clear()
        cut = 0
        total = sum(_unfinished(connection) for connection in self._connections.values())
        for descriptor, connection in sorted(self._connections.items(), key=lambda item: -_unfinished(item[1])):
            if _unfinished(connection) <= self._bytes_max and total <= self._total_bytes_max:
                break
            total -= _unfinished(connection)
            cut += _cut(descriptor, connection.peer)
        done = time.monotonic()
        self._next_check_s = done + max(CHECK_EVERY_S, CHECK_SHARE * (done - now))
        return cut

    def _look(self, descriptor: int, peer: Address, received: int) -> _Connection:
        before = self._connections.get(descriptor)
        if before is None or before.peer != peer:  # descriptors are used again
            before = _Connection(peer, 0, 0)
        finished = received if descriptor in self._served else before.finished
        return _Connection(peer, finished, received)

    def _accepted(self) -> Iterator[tuple[int, Address, int]]:
        """(descriptor, peer's address, bytes received) of each connection to our port."""
        for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names, not paths
            connection = _borrow(int(name))
            if connection is None:
                continue
            with connection, suppress(OSError):
                local = connection.getsockname()
                if isinstance(local, tuple) and local[1] == self._port:
                    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
                    received = _BYTES_RECEIVED.unpack_from(info, _BYTES_RECEIVED_AT)[0]
                    yield int(name), connection.getpeername()[:2], received


def _cut(descriptor: int, peer: Address) -> bool:
    connection = _borrow(descriptor)
    if connection is None:
        return False
    with connection, suppress(OSError):
        # ZeroMQ's own thread may have closed the descriptor meanwhile, and another connection may have it now.
        if connection.getpeername()[:2] == peer:
            connection.shutdown(socket.SHUT_RDWR)
            return True
    return False


def _unfinished(connection: _Connection) -> int:
    return connection.received - connection.finished


def _borrow(descriptor: int) -> socket.socket | None:
    """A socket on a copy of the descriptor, which is ZeroMQ's to close; None when it is no socket."""
    copy = -1
    try:
        copy = os.dup(descriptor)
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, copy)
    except OSError:
        if copy >= 0:
            os.close(copy)
        return None
