"""A client's connections: one DEALER to each node of the group, CURVE both ways."""

from __future__ import annotations

import os
import weakref
from collections import Counter
from collections.abc import Container, Sequence
from typing import Final

import zmq

from dropbeard.signing.curve import CurveSecret
from dropbeard.transport.frames import EVERYTHING, receive, send
from dropbeard.transport.monitor import Monitor
from dropbeard.transport.options import INPUT_QUEUE_MAX, connect, keep_alive, prepare, use_curve
from dropbeard.types.group import Group
from dropbeard.types.ids import OwnerId

HEARD_AT_ONCE_MAX: Final = 256


class ClientLink:
    """Never blocks but in ``wait`` and ``receive``; connections come back by themselves.

    One thread at a time may use it; ``wake`` alone may be called by another.
    """

    def __init__(self, group: Group, secret: CurveSecret) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sockets: dict[OwnerId, zmq.Socket[bytes]] = {}
        self._monitors: dict[OwnerId, Monitor] = {}
        self._poller = zmq.Poller()
        self._ready: Container[object] = EVERYTHING
        """What the last poll found readable."""
        self.not_sent: Counter[OwnerId] = Counter()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poller.register(self._bell, zmq.POLLIN)
        for owner in group.owners:
            socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
            prepare(socket, queue=8 * INPUT_QUEUE_MAX)
            keep_alive(socket)
            socket.set(zmq.IMMEDIATE, 1)
            use_curve(socket, secret, owner.curve_key)
            self._monitors[owner.id] = Monitor(socket)
            connect(socket, owner.endpoints.clients)
            self._sockets[owner.id] = socket
            self._poller.register(socket, zmq.POLLIN)
            self._poller.register(self._monitors[owner.id].socket, zmq.POLLIN)
        # A link that nobody closed is closed before its context is: a context waits for its open sockets for ever.
        self._close = weakref.finalize(
            self, _close_all, os.getpid(), self._context, self._sockets, self._monitors, self._bell
        )

    def send(self, owner: OwnerId, frames: Sequence[bytes]) -> bool:
        """Hand a message to ZeroMQ; False, and counted, when the node is away or its queue is full."""
        try:
            send(self._sockets[owner], frames)
        except zmq.Again:
            self.not_sent[owner] += 1
            return False
        return True

    def wait(self, timeout_s: float) -> bool:
        """Is there something to receive? Waits up to ``timeout_s`` seconds for it, or until ``wake`` is called."""
        self._ready = {source for source, _ in self._poller.poll(max(0, round(timeout_s * 1000)))}
        if self._bell in self._ready:
            os.eventfd_read(self._bell)
        return bool(self._ready)

    def wake(self) -> None:
        """End a ``wait`` of another thread."""
        os.eventfd_write(self._bell, 1)

    def descriptors(self) -> list[int]:
        """What becomes readable when ``wait(0)`` may find something that it did not find before; edge-triggered."""
        monitors = [monitor.socket for monitor in self._monitors.values()]
        return [int(socket.get(zmq.FD)) for socket in (*self._sockets.values(), *monitors)]

    def receive(self, timeout_s: float) -> list[tuple[OwnerId, bytes]]:
        """What came, waiting up to ``timeout_s`` seconds for the first."""
        self.wait(timeout_s)
        return self.received()

    def received(self) -> list[tuple[OwnerId, bytes]]:
        """What the last ``wait`` found; more may be left for the next."""
        heard = []
        for owner, socket in self._sockets.items():
            for _ in range(HEARD_AT_ONCE_MAX if socket in self._ready else 0):
                frames = receive(socket, 1)
                if frames is None:
                    break
                if frames:
                    heard.append((owner, frames[0].bytes))
        return heard

    def connected(self) -> list[OwnerId]:
        """Nodes to which a connection was made, or made again, since the last call."""
        return [owner for owner, monitor in self._monitors.items() if True in monitor.changes(self._ready)]

    def close(self) -> None:
        """Close everything; calling it again does nothing."""
        self._close()


def _close_all(
    process: int,
    context: zmq.Context[zmq.Socket[bytes]],
    sockets: dict[OwnerId, zmq.Socket[bytes]],
    monitors: dict[OwnerId, Monitor],
    bell: int,
) -> None:
    if os.getpid() != process:
        return  # after a fork they are the parent's
    for owner, socket in sockets.items():
        monitors[owner].close()
        socket.close()
    os.close(bell)
    context.term()
