"""One channel between replicas (votes, lanes, or catching up): a ROUTER to hear, a DEALER per peer to speak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from typing import Final

import zmq

from dropbeard.signing.curve import CurveSecret
from dropbeard.transport.frames import EVERYTHING, receive, send
from dropbeard.transport.monitor import Monitor
from dropbeard.transport.options import bind, connect, keep_alive, listening_at, prepare, serve_curve, use_curve
from dropbeard.transport.unfinished import UnfinishedGuard
from dropbeard.transport.zap import key_of
from dropbeard.types.group import Group
from dropbeard.types.ids import OwnerId
from dropbeard.types.limits import BULK_BYTES_MAX, FRAMES_MAX, MESSAGE_BYTES_MAX

HEARD_AT_ONCE_MAX: Final = 512
"""Messages taken off a channel in one turn."""

UNFINISHED_BYTES_MAX: Final = 16 * MESSAGE_BYTES_MAX
"""What a connection may send without finishing a message: far more than one, since peers are few and send much."""


class PeerLink:
    """``channel`` is "votes", "lanes" or "catchup": it names the endpoints of the genesis and the ZAP domain.

    ``host`` is the address to listen on when it is not the genesis' own. Messages on "catchup" have one or two frames
    of up to BULK_BYTES_MAX; elsewhere they have one of up to MESSAGE_BYTES_MAX.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        group: Group,
        me: OwnerId,
        secret: CurveSecret,
        channel: str,
        host: str | None = None,
    ) -> None:
        self._frames = FRAMES_MAX if channel == "catchup" else 1
        self._bytes_max = BULK_BYTES_MAX if channel == "catchup" else MESSAGE_BYTES_MAX
        self._owners: Mapping[bytes, OwnerId] = {o.curve_key: o.id for o in group.owners if o.id != me}
        self.dropped: Counter[str] = Counter()
        self.not_sent: Counter[OwnerId] = Counter()
        self.socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        self._speaking: dict[OwnerId, zmq.Socket[bytes]] = {}
        self.monitors: dict[OwnerId, Monitor] = {}
        prepare(self.socket, self._bytes_max)
        keep_alive(self.socket)
        serve_curve(self.socket, secret, channel)
        bind(self.socket, listening_at(getattr(group.owners[me].endpoints, channel), host))
        self._guard = UnfinishedGuard(self.socket, max(UNFINISHED_BYTES_MAX, FRAMES_MAX * self._bytes_max))
        for owner in group.owners:
            if owner.id != me:
                self._speak_to(context, owner.id, getattr(owner.endpoints, channel), secret, owner.curve_key)

    def _speak_to(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        peer: OwnerId,
        endpoint: str,
        secret: CurveSecret,
        server_key: bytes,
    ) -> None:
        socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        prepare(socket, self._bytes_max)
        keep_alive(socket)
        socket.set(zmq.IMMEDIATE, 1)  # nothing waits in a queue for a peer that is not there
        use_curve(socket, secret, server_key)
        self.monitors[peer] = Monitor(socket)
        connect(socket, endpoint)
        self._speaking[peer] = socket

    def send(self, peer: OwnerId, *frames: bytes) -> bool:
        """Hand one message to ZeroMQ; False, and counted, when the peer is away, unknown or too slow (3.9)."""
        socket = self._speaking.get(peer)
        try:
            if socket is not None:
                send(socket, frames)
                return True
        except zmq.Again:
            pass
        self.not_sent[peer] += 1
        return False

    def receive(self, ready: Container[object] = EVERYTHING) -> list[tuple[OwnerId, bytes]]:
        """What is waiting, with the peer whose CURVE key the connection proved; never blocks.

        ``ready``: the sockets that a poll found readable; others are not asked.
        """
        return [(owner, frames[0]) for owner, frames in self.receive_frames(ready)]

    def receive_frames(self, ready: Container[object] = EVERYTHING) -> list[tuple[OwnerId, list[bytes]]]:
        """The same with every frame of each message."""
        heard = []
        for _ in range(HEARD_AT_ONCE_MAX if self.socket in ready else 0):
            frames = receive(self.socket, 1 + self._frames)
            if frames is None:
                break
            if len(frames) < 2:  # routing id and at least one more
                self.dropped["frames"] += 1
                continue
            owner = self._owners.get(key_of(frames[1]) or b"")
            if owner is None:
                self.dropped["unknown key"] += 1
            else:
                self._guard.note(frames[1])
                heard.append((owner, [frame.bytes for frame in frames[1:]]))
        self.dropped["unfinished"] += self._guard.check()
        return heard

    def connected(self, ready: Container[object] = EVERYTHING) -> list[OwnerId]:
        """Peers to which a connection was made, or made again, since the last call."""
        return [peer for peer, monitor in self.monitors.items() if True in monitor.changes(ready)]

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """What the loop waits on."""
        return [self.socket, *(monitor.socket for monitor in self.monitors.values())]

    def close(self) -> None:
        """Close every socket."""
        for peer, monitor in self.monitors.items():
            monitor.close()
            self._speaking[peer].close()
        self.socket.close()
