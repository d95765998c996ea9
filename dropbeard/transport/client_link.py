"""A client's connections: one DEALER to each node of the group, CURVE both ways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from typing import Final

import zmq

from dropbeard.errors import KeyInvalid
from dropbeard.signing.curve import CurveSecret
from dropbeard.transport.frames import EVERYTHING, receive, send
from dropbeard.transport.monitor import Monitor
from dropbeard.transport.options import INPUT_QUEUE_MAX, connect, keep_alive, prepare, use_curve
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey, OwnerId

HEARD_AT_ONCE_MAX: Final = 256


class ClientLink:
    """Never blocks but in ``receive``; connections come back by themselves.

    KeyInvalid when the group is closed to this key: its nodes would refuse the handshake without a word.
    """

    def __init__(self, group: Group, secret: CurveSecret) -> None:
        if group.clients is not None and not group.clients.allows(ClientKey(secret.public)):
            raise KeyInvalid(
                f"the group {group.name} serves named clients alone, and {secret.public.hex()} is none of them; "
                "use the key that its owners allowed"
            )
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sockets: dict[OwnerId, zmq.Socket[bytes]] = {}
        self._monitors: dict[OwnerId, Monitor] = {}
        self._poller = zmq.Poller()
        self._ready: Container[object] = EVERYTHING
        """What the last poll found readable."""
        self.not_sent: Counter[OwnerId] = Counter()
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

    def send(self, owner: OwnerId, frames: Sequence[bytes]) -> bool:
        """Hand a message to ZeroMQ; False, and counted, when the node is away or its queue is full."""
        try:
            send(self._sockets[owner], frames)
        except zmq.Again:
            self.not_sent[owner] += 1
            return False
        return True

    def receive(self, timeout_s: float) -> list[tuple[OwnerId, bytes]]:
        """What came, waiting up to ``timeout_s`` seconds for the first."""
        self._ready = {source for source, _ in self._poller.poll(max(0, round(timeout_s * 1000)))}
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
        for owner, socket in self._sockets.items():
            self._monitors[owner].close()
            socket.close()
        self._sockets.clear()
        self._context.term()
