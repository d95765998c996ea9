"""A client's connections: one DEALER to each node of the group, CURVE both ways."""

from __future__ import annotations

import os
import time
import weakref
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Final

import zmq

from dropbeard.errors import KeyInvalid
from dropbeard.signing.curve import CurveSecret
from dropbeard.transport.frames import EVERYTHING, receive, send
from dropbeard.transport.monitor import Monitor
from dropbeard.transport.options import INPUT_QUEUE_MAX, connect, keep_alive, prepare, use_curve
from dropbeard.types.group import Group, Owner
from dropbeard.types.ids import ClientKey, OwnerId

HEARD_AT_ONCE_MAX: Final = 256

LEAVING_S: Final = 30.0
"""How long a node that left the group, or changed its key or its place, is still listened to (rule 8.4)."""


@dataclass(frozen=True, slots=True)
class _Line:
    owner: OwnerId
    place: tuple[str, bytes]
    """Endpoint and CURVE key."""
    socket: zmq.Socket[bytes]
    monitor: Monitor

    def close(self) -> None:
        self.monitor.close()
        self.socket.close()


class ClientLink:
    """Never blocks but in ``wait`` and ``receive``; connections come back by themselves.

    One thread at a time may use it; ``wake`` alone may be called by another. KeyInvalid when the group is closed to
    this key: its nodes would refuse the handshake without a word.
    """

    def __init__(self, group: Group, secret: CurveSecret) -> None:
        if group.clients is not None and not group.clients.allows(ClientKey(secret.public)):
            raise KeyInvalid(
                f"the group {group.name} serves named clients alone, and {secret.public.hex()} is none of them; "
                "use the key that its owners allowed"
            )
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._secret = secret
        self._lines: dict[OwnerId, _Line] = {}
        self._leaving: list[tuple[float, _Line]] = []
        """Lines that are only heard, and until when."""
        self._poller = zmq.Poller()
        self._ready: Container[object] = EVERYTHING
        """What the last poll found readable."""
        self.not_sent: Counter[OwnerId] = Counter()
        self._group: Group | None = None
        self.rewired = 0
        """How often ``descriptors`` became others."""
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poller.register(self._bell, zmq.POLLIN)
        self.follow(group)
        # A link that nobody closed is closed before its context is: a context waits for its open sockets for ever.
        self._close = weakref.finalize(
            self, _close_all, os.getpid(), self._context, self._lines, self._leaving, self._bell
        )

    def follow(self, group: Group) -> None:
        """Speak to the owners of this group at their places; others are listened to for LEAVING_S (rule 8.4). The
        group that it follows already costs nothing."""
        if group is self._group:
            return
        self._group = group
        now = time.monotonic()
        for owner in [owner for owner, line in self._lines.items() if line.place != _place(group.owner(owner))]:
            self._leaving.append((now + LEAVING_S, self._lines.pop(owner)))
        for member in group.owners:
            if member.id not in self._lines:
                self._lines[member.id] = self._open(member)
        self.rewired += 1

    def _open(self, owner: Owner) -> _Line:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        prepare(socket, queue=8 * INPUT_QUEUE_MAX)
        keep_alive(socket)
        socket.set(zmq.IMMEDIATE, 1)
        use_curve(socket, self._secret, owner.curve_key)
        line = _Line(owner.id, (owner.endpoints.clients, owner.curve_key), socket, Monitor(socket))
        connect(socket, owner.endpoints.clients)
        self._poller.register(socket, zmq.POLLIN)
        self._poller.register(line.monitor.socket, zmq.POLLIN)
        return line

    def _forget(self, now: float) -> None:
        over = [row for row in self._leaving if row[0] <= now]
        for row in over:
            self._leaving.remove(row)
            self._poller.unregister(row[1].socket)
            self._poller.unregister(row[1].monitor.socket)
            row[1].close()
            self.rewired += 1

    def send(self, owner: OwnerId, frames: Sequence[bytes]) -> bool:
        """Hand a message to ZeroMQ; False, and counted, when the node is away, has left, or its queue is full."""
        line = self._lines.get(owner)
        try:
            if line is not None:
                send(line.socket, frames)
                return True
        except zmq.Again:
            pass
        self.not_sent[owner] += 1
        return False

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
        return [int(one.get(zmq.FD)) for line in self._all() for one in (line.socket, line.monitor.socket)]

    def _all(self) -> list[_Line]:
        return [*self._lines.values(), *(line for _, line in self._leaving)]

    def receive(self, timeout_s: float) -> list[tuple[OwnerId, bytes]]:
        """What came, waiting up to ``timeout_s`` seconds for the first."""
        self.wait(timeout_s)
        return self.received()

    def received(self) -> list[tuple[OwnerId, bytes]]:
        """What the last ``wait`` found; more may be left for the next."""
        heard = []
        for line in self._all():
            for _ in range(HEARD_AT_ONCE_MAX if line.socket in self._ready else 0):
                frames = receive(line.socket, 1)
                if frames is None:
                    break
                if frames:
                    heard.append((line.owner, frames[0].bytes))
        for _, line in self._leaving:
            line.monitor.changes(self._ready)
        if self._leaving:
            self._forget(time.monotonic())
        return heard

    def connected(self) -> list[OwnerId]:
        """Nodes to which a connection was made, or made again, since the last call."""
        return [owner for owner, line in self._lines.items() if True in line.monitor.changes(self._ready)]

    def close(self) -> None:
        """Close everything; calling it again does nothing."""
        self._close()


def _place(owner: Owner | None) -> tuple[str, bytes] | None:
    return None if owner is None else (owner.endpoints.clients, owner.curve_key)


def _close_all(
    process: int,
    context: zmq.Context[zmq.Socket[bytes]],
    lines: dict[OwnerId, _Line],
    leaving: list[tuple[float, _Line]],
    bell: int,
) -> None:
    if os.getpid() != process:
        return  # after a fork they are the parent's
    for line in (*lines.values(), *(line for _, line in leaving)):
        line.close()
    os.close(bell)
    context.term()
