"""The node's side of the clients: a ROUTER that any CURVE key may use; the key is the client's name (rule 1.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from typing import Final

import zmq

from dropbeard.signing.curve import CurveSecret
from dropbeard.transport.frames import EVERYTHING, receive
from dropbeard.transport.options import (
    INPUT_FRAME_BYTES_MAX,
    INPUT_QUEUE_MAX,
    bind,
    bind_anew,
    keep_alive,
    prepare,
    serve_curve,
)
from dropbeard.transport.unfinished import UnfinishedGuard
from dropbeard.transport.zap import key_of
from dropbeard.types.ids import ClientKey
from dropbeard.types.limits import MESSAGE_BYTES_MAX, SUBMITS_BYTES_MAX, SUBMITS_MAX

HEARD_AT_ONCE_MAX: Final = 256
"""Messages and inputs taken off the socket in one turn, so that votes never wait long behind requests."""

HEARD_BYTES_AT_ONCE_MAX: Final = 64 << 20
"""Bytes taken off the socket in one turn; the rest waits for the next, so inputs never pile up in our memory."""

UNFINISHED_BYTES_MAX: Final = 2 * (MESSAGE_BYTES_MAX + INPUT_FRAME_BYTES_MAX)
"""What a connection may send without finishing a message: one message, and as much again for what surrounds it."""

ROUTES_PER_CLIENT_MAX: Final = 8
"""Connections of one key that are answered; an older one makes room."""

CLIENTS_MAX: Final = 65_536
"""Keys with a live connection; the one heard longest ago makes room."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One message of a client: header frame, then the frames of its inputs."""

    client: ClientKey
    data: bytes
    inputs: tuple[bytes, ...]


class ClientListener:
    """Hears clients and answers them on the connections they made."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, secret: CurveSecret) -> None:
        self.dropped: Counter[str] = Counter()
        self.not_sent: Counter[str] = Counter()
        self._routes: dict[ClientKey, dict[bytes, None]] = {}
        self.socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        prepare(self.socket, INPUT_FRAME_BYTES_MAX, INPUT_QUEUE_MAX)
        self.socket.set(zmq.SNDHWM, 8 * INPUT_QUEUE_MAX)
        keep_alive(self.socket)
        self.socket.set(zmq.ROUTER_MANDATORY, 1)  # without it a reply to a gone client vanishes uncounted
        serve_curve(self.socket, secret, "clients")
        bind(self.socket, endpoint)
        self._endpoint = endpoint
        self._guard = UnfinishedGuard(self.socket, UNFINISHED_BYTES_MAX)

    def move(self, endpoint: str, secret: CurveSecret) -> None:
        """Listen with another key, or elsewhere, from the next connection on (rule 8.4)."""
        bind_anew(self.socket, self._endpoint, endpoint, secret)
        self._endpoint = endpoint
        self._guard = UnfinishedGuard(self.socket, UNFINISHED_BYTES_MAX)

    def receive(self, ready: Container[object] = EVERYTHING) -> list[Heard]:
        """What is waiting; never blocks. ``ready`` as in PeerLink."""
        heard: list[Heard] = []
        taken_bytes = 0
        taken = 0 if self.socket in ready else HEARD_AT_ONCE_MAX
        while taken < HEARD_AT_ONCE_MAX and taken_bytes <= HEARD_BYTES_AT_ONCE_MAX:
            frames = receive(self.socket, 2 + SUBMITS_MAX)
            if frames is None:
                break
            taken += max(1, len(frames) - 2)
            size = sum(map(len, frames))
            taken_bytes += size
            too_many = len(frames) > 3 and size > MESSAGE_BYTES_MAX + SUBMITS_BYTES_MAX
            if len(frames) < 2 or len(frames[1]) > MESSAGE_BYTES_MAX or too_many:
                self.dropped["frames"] += 1
                continue
            key = key_of(frames[1])
            if key is None:
                self.dropped["unknown key"] += 1
                continue
            client = ClientKey(key)
            self._guard.note(frames[1])
            self._note_route(client, frames[0].bytes)
            heard.append(Heard(client, frames[1].bytes, tuple(frame.bytes for frame in frames[2:])))
        self.dropped["unfinished"] += self._guard.check()
        return heard

    def _note_route(self, client: ClientKey, route: bytes) -> None:
        routes = self._routes.pop(client, {})
        routes.pop(route, None)
        routes[route] = None
        if len(routes) > ROUTES_PER_CLIENT_MAX:
            del routes[next(iter(routes))]
        self._routes[client] = routes
        if len(self._routes) > CLIENTS_MAX:
            del self._routes[next(iter(self._routes))]

    def send(self, client: ClientKey, data: bytes) -> bool:
        """Send on every connection of the client; False, and counted, when none of them took it."""
        taken = False
        for route in list(self._routes.get(client, ())):
            try:
                self.socket.send_multipart([route, data], zmq.NOBLOCK)
                taken = True
            except zmq.Again:
                self.not_sent["full"] += 1
            except zmq.ZMQError:
                self._forget(client, route)
        if not taken:
            self.not_sent["gone"] += 1
        return taken

    def _forget(self, client: ClientKey, route: bytes) -> None:
        routes = self._routes[client]
        del routes[route]
        if not routes:
            del self._routes[client]

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()
