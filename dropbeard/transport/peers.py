"""One channel between replicas (votes, lanes, or catching up): a ROUTER to hear, a DEALER per peer to speak."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Container, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import zmq

from dropbeard.signing.curve import CurveSecret
from dropbeard.transport.frames import EVERYTHING, receive, send
from dropbeard.transport.monitor import Monitor
from dropbeard.transport.options import (
    bind,
    bind_anew,
    connect,
    keep_alive,
    listening_at,
    prepare,
    serve_curve,
    use_curve,
)
from dropbeard.transport.unfinished import UnfinishedGuard
from dropbeard.transport.zap import key_of
from dropbeard.types.group import Owner
from dropbeard.types.ids import OwnerId
from dropbeard.types.limits import BULK_BYTES_MAX, FRAMES_MAX, MESSAGE_BYTES_MAX

HEARD_AT_ONCE_MAX: Final = 512
"""Messages taken off a channel in one turn."""

UNFINISHED_BYTES_MAX: Final = 16 * MESSAGE_BYTES_MAX
"""What a connection may send without finishing a message: far more than one, since peers are few and send much."""

DIAL_AGAIN_S: Final = 1.0
"""A peer that does not know our key yet, as it is an epoch behind, is tried again after this long (rule 8.4)."""


@dataclass(slots=True)
class _Line:
    """A connection that we make. ``place``: endpoint, the peer's CURVE key, our own public one."""

    place: tuple[str, bytes, bytes]
    socket: zmq.Socket[bytes]
    monitor: Monitor
    dial_at: float | None = None
    """When it is dialled again after it was refused."""

    def dial_again(self) -> None:
        endpoint = self.place[0]
        with suppress(zmq.ZMQError):  # ZeroMQ may have given it up entirely
            self.socket.disconnect(endpoint)
        connect(self.socket, endpoint)

    def close(self) -> None:
        self.monitor.close()
        self.socket.close()


class PeerLink:
    """``channel`` is "votes", "lanes" or "catchup": it names the endpoints of the owners and the ZAP domain.

    ``seat``: this node's own owner, at whose endpoint it listens; ``host`` is the address to listen on when it is not
    that one's own. Messages on "catchup" have one or two frames of up to BULK_BYTES_MAX; elsewhere they have one of up
    to MESSAGE_BYTES_MAX. ``peers`` as in ``follow``.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        peers: Iterable[Owner],
        seat: Owner,
        secret: CurveSecret,
        channel: str,
        host: str | None = None,
    ) -> None:
        self._context, self._channel, self._host = context, channel, host
        self._secret = secret
        self._frames = FRAMES_MAX if channel == "catchup" else 1
        self._bytes_max = BULK_BYTES_MAX if channel == "catchup" else MESSAGE_BYTES_MAX
        self._owners: dict[bytes, OwnerId] = {}
        self.dropped: Counter[str] = Counter()
        self.not_sent: Counter[OwnerId] = Counter()
        self.socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        self._lines: dict[OwnerId, list[_Line]] = {}
        """The newest first; an older one of a peer goes once the newest is up."""
        prepare(self.socket, self._bytes_max)
        keep_alive(self.socket)
        serve_curve(self.socket, secret, channel)
        self._endpoint = self._listening_at(seat)
        bind(self.socket, self._endpoint)
        self._guard = self._new_guard()
        self._speak_to(peers)

    def _listening_at(self, seat: Owner) -> str:
        endpoint: str = getattr(seat.endpoints, self._channel)
        return listening_at(endpoint, self._host)

    def _new_guard(self) -> UnfinishedGuard:
        return UnfinishedGuard(self.socket, max(UNFINISHED_BYTES_MAX, FRAMES_MAX * self._bytes_max))

    def follow(self, peers: Iterable[Owner], seat: Owner, secret: CurveSecret) -> None:
        """Hear and speak to these owners from now on (rule 8.4). One that is named twice, since its key or its place
        changed, is heard by either key and spoken to as the first says.
        """
        endpoint = self._listening_at(seat)
        if (endpoint, secret) != (self._endpoint, self._secret):
            bind_anew(self.socket, self._endpoint, endpoint, secret)
            self._endpoint, self._secret, self._guard = endpoint, secret, self._new_guard()
        self._speak_to(peers)

    def _speak_to(self, peers: Iterable[Owner]) -> None:
        wanted: dict[OwnerId, Owner] = {}
        self._owners = {}
        for owner in peers:
            wanted.setdefault(owner.id, owner)
            self._owners.setdefault(owner.curve_key, owner.id)
        for gone in [owner for owner in self._lines if owner not in wanted]:
            for line in self._lines.pop(gone):
                line.close()
        for owner in wanted.values():
            place = (getattr(owner.endpoints, self._channel), owner.curve_key, self._secret.public)
            lines = self._lines.setdefault(owner.id, [])
            if not lines or lines[0].place != place:
                lines.insert(0, self._line(place))

    def _line(self, place: tuple[str, bytes, bytes]) -> _Line:
        endpoint, server_key, _ = place
        socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        prepare(socket, self._bytes_max)
        keep_alive(socket)
        socket.set(zmq.IMMEDIATE, 1)  # nothing waits in a queue for a peer that is not there
        use_curve(socket, self._secret, server_key)
        line = _Line(place, socket, Monitor(socket))
        connect(socket, endpoint)
        return line

    def send(self, peer: OwnerId, *frames: bytes) -> bool:
        """Hand one message to ZeroMQ; False, and counted, when the peer is away, unknown or too slow (3.9)."""
        for line in self._lines.get(peer, ()):
            try:
                send(line.socket, frames)
            except zmq.Again:
                continue
            return True
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
        made = [peer for peer, lines in self._lines.items() for line in lines if _tend(line, ready)]
        return list(dict.fromkeys(made))

    def drop_older(self) -> bool:
        """Close connections that a newer one took the place of; were there any? ``sockets`` is then another list."""
        dropped = False
        for lines in self._lines.values():
            if len(lines) > 1 and lines[0].monitor.up:
                for line in lines[1:]:
                    line.close()
                del lines[1:]
                dropped = True
        return dropped

    def is_up(self, peer: OwnerId) -> bool:
        """Does a connection that we made to it stand?"""
        return any(line.monitor.up for line in self._lines.get(peer, ()))

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """What the loop waits on."""
        return [self.socket, *(line.monitor.socket for lines in self._lines.values() for line in lines)]

    def close(self) -> None:
        """Close every socket."""
        for lines in self._lines.values():
            for line in lines:
                line.close()
        self.socket.close()


def _tend(line: _Line, ready: Container[object]) -> bool:
    """Was the connection made? One that was refused is dialled again, which ZeroMQ would never do."""
    made = True in line.monitor.changes(ready)
    if line.monitor.refused:
        line.monitor.refused, line.dial_at = False, time.monotonic() + DIAL_AGAIN_S
    if line.dial_at is not None and time.monotonic() >= line.dial_at:
        line.dial_at = None
        line.dial_again()
    return made
