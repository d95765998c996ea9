"""A message without an end is stopped and nobody else is disturbed. Spoken by hand: ZeroMQ sends only whole ones."""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import termios
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import zmq

from dropbeard.signing.curve import CurveSecret
from dropbeard.transport import clients, peers
from dropbeard.transport.frames import receive
from dropbeard.transport.options import prepare, use_curve
from dropbeard.transport.unfinished import UnfinishedGuard
from tests.transport.test_clients import Desk
from tests.transport.test_peers import Node
from tests.transport.worlds import Context, Sockets, make_group, short_socket_path, until

BOUND = 4 << 20
FRAME = 1 << 20
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\0" + bytes(31)
READY = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"


def frame(size: int, more: bool) -> bytes:
    return bytes([3 if more else 2]) + struct.pack(">Q", size) + bytes(size)


class Hall:
    """A plain ROUTER under a guard, and hand-made connections to it."""

    def __init__(self, total: int = 1 << 30) -> None:
        self.context: Context = zmq.Context()
        self.socket: zmq.Socket[bytes] = self.context.socket(zmq.ROUTER)
        prepare(self.socket)
        self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.guard = UnfinishedGuard(self.socket, BOUND, total)
        self.made: list[socket.socket] = []
        self.heard = 0
        self.cut = 0

    def connect(self) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), 5)
        made.sendall(GREETING + b"\x04" + bytes([len(READY)]) + READY)
        self.made.append(made)
        return made

    def step(self) -> None:
        while (frames := receive(self.socket, 2)) is not None:
            self.heard += 1
            self.guard.note(frames[1])
        self.cut += self.guard.check()

    def close(self) -> None:
        for made in self.made:
            made.close()
        self.context.destroy(linger=0)


def is_cut(connection: socket.socket) -> bool:
    """True once the other side hung up; its own greeting and heartbeats are read away."""
    connection.setblocking(False)
    try:
        while connection.recv(65_536):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def has_left(connection: socket.socket) -> bool:
    """True once the other side's kernel has every byte."""
    waiting = array.array("i", [0])
    fcntl.ioctl(connection, termios.TIOCOUTQ, waiting)
    return waiting[0] == 0


Open = Callable[[int], Hall]


@pytest.fixture
def hall() -> Iterator[Open]:
    made: list[Hall] = []

    def make(total: int) -> Hall:
        made.append(Hall(total))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_message_that_does_not_end_is_cut_and_another_connection_lives(hall: Open) -> None:
    place = hall(1 << 30)
    bad, good = place.connect(), place.connect()
    for _ in range(BOUND // FRAME + 1):
        bad.sendall(frame(FRAME, more=True))
    assert until(lambda: is_cut(bad), step=place.step)
    good.sendall(frame(100, more=False))
    assert until(lambda: place.heard == 1, step=place.step)
    assert place.cut == 1
    assert not is_cut(good)


def test_a_connection_that_finishes_its_messages_may_send_for_ever(hall: Open) -> None:
    place = hall(1 << 30)
    busy, bad = place.connect(), place.connect()
    for _ in range(3 * BOUND // FRAME):
        busy.sendall(frame(FRAME, more=False))
        place.step()
    for _ in range(BOUND // FRAME + 1):
        bad.sendall(frame(FRAME, more=True))
    assert until(lambda: is_cut(bad), step=place.step)  # so a check was made
    assert until(lambda: place.heard == 3 * BOUND // FRAME, step=place.step)
    assert place.cut == 1
    assert not is_cut(busy)


def test_many_small_hoards_are_cut_from_the_largest_until_they_fit(hall: Open) -> None:
    place = hall(4 * FRAME)
    connections = [place.connect() for _ in range(3)]
    for frames, connection in enumerate(connections, start=1):
        for _ in range(frames):
            connection.sendall(frame(FRAME, more=True))
    assert until(lambda: all(has_left(connection) for connection in connections))
    assert until(lambda: is_cut(connections[2]), step=place.step)
    assert [is_cut(connection) for connection in connections] == [False, False, True]
    assert place.cut == 1


def test_a_local_socket_is_left_alone(tmp_path: Path) -> None:
    context: Context = zmq.Context()
    local: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
    local.bind(short_socket_path(tmp_path))
    guard = UnfinishedGuard(local, 0, 0)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as other:
        other.sendall(b"bytes that are no concern of the guard")
        assert not until(guard.check, 1.5)
        assert not is_cut(other)
    context.destroy(linger=0)


class Relay:
    """Passes a client's bytes on, up to a bound, and then holds the rest back."""

    def __init__(self, port: int, most: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._target, self._most, self._passed = port, most, 0
        self._ends: tuple[socket.socket, socket.socket] | None = None
        self._listener.setblocking(False)

    def pump(self) -> None:
        if self._ends is None:
            with suppress(BlockingIOError):
                near, _ = self._listener.accept()
                self._ends = near, socket.create_connection(("127.0.0.1", self._target), 5)
            return
        near, far = self._ends
        for _ in range(64):
            if self._passed < self._most:
                self._passed += _pass_on(near, far)
            _pass_on(far, near)

    def is_cut(self) -> bool:
        return self._ends is not None and self._passed >= self._most and is_cut(self._ends[1])

    def close(self) -> None:
        for end in (self._listener, *(self._ends or ())):
            end.close()


def _pass_on(source: socket.socket, target: socket.socket) -> int:
    source.setblocking(False)
    try:
        data = source.recv(65_536)
    except OSError:
        return 0
    target.settimeout(5)
    with suppress(OSError):
        target.sendall(data)
    return len(data)


class Hoarder:
    """Someone with a CURVE key whose message of many frames stops half-way."""

    def __init__(self, world: Sockets, secret: CurveSecret, endpoint: str, most: int) -> None:
        self._context: Context = zmq.Context()
        self.relay = Relay(int(endpoint.rsplit(":", 1)[1]), most + FRAME)
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        self._socket.set(zmq.LINGER, 0)
        use_curve(self._socket, secret, world.group.owners[0].curve_key)
        self._socket.connect(f"tcp://127.0.0.1:{self.relay.port}")
        self._socket.send_multipart([bytes(FRAME)] * (most // FRAME + 8))

    def close(self) -> None:
        self.relay.close()
        self._context.destroy(linger=0)


def test_a_client_that_stops_in_a_long_message_is_cut_and_counted() -> None:
    world = make_group()
    desk = Desk(world)
    client = Hoarder(world, CurveSecret.generate(), desk.endpoint, clients.UNFINISHED_BYTES_MAX)

    def step() -> None:
        client.relay.pump()
        desk.step()

    assert until(client.relay.is_cut, 20, step=step)
    assert desk.listener.dropped["unfinished"] == 1
    assert desk.heard == []
    client.close()
    desk.close()


def test_a_peer_that_stops_in_a_long_message_is_cut_and_counted() -> None:
    world = make_group()
    node = Node(world, 0)
    peer = Hoarder(world, world.secrets[2], world.group.owners[0].endpoints.votes, peers.UNFINISHED_BYTES_MAX)

    def step() -> None:
        peer.relay.pump()
        node.step()

    assert until(peer.relay.is_cut, 20, step=step)
    assert node.link.dropped["unfinished"] == 1
    assert node.heard == []
    peer.close()
    node.close()
