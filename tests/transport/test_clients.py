"""The clients' channel: the CURVE key is the client's name, and one bad client disturbs no other."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import zmq

from dropbeard.errors import TransportFailed
from dropbeard.signing.curve import CurveSecret
from dropbeard.transport.client_link import ClientLink
from dropbeard.transport.clients import HEARD_BYTES_AT_ONCE_MAX, ROUTES_PER_CLIENT_MAX, ClientListener, Heard
from dropbeard.transport.options import INPUT_FRAME_BYTES_MAX, prepare, use_curve
from dropbeard.transport.zap import ZapHandler
from dropbeard.types.group import Endpoints
from dropbeard.types.ids import ClientKey, Epoch, OwnerId
from dropbeard.types.limits import MESSAGE_BYTES_MAX, SUBMITS_BYTES_MAX, SUBMITS_MAX
from tests.transport.worlds import Context, Sockets, free_endpoints, make_group, until

ZERO = OwnerId(0)


class Desk:
    """Owner 0's clients channel with its own ZAP handler, as in a node process."""

    def __init__(self, world: Sockets) -> None:
        self.context: Context = zmq.Context()
        self.zap = ZapHandler(self.context, {"clients": None})
        self.endpoint = world.group.owners[0].endpoints.clients
        self.listener = ClientListener(self.context, self.endpoint, world.secrets[0])
        self.heard: list[Heard] = []

    def step(self) -> None:
        self.zap.answer_all()
        self.heard += self.listener.receive()

    def hears(self, messages: int) -> bool:
        return until(lambda: len(self.heard) == messages, step=self.step)

    def close(self) -> None:
        self.listener.close()
        self.zap.close()
        self.context.destroy(linger=0)


class Caller:
    """A client that may send any frames it likes to owner 0."""

    def __init__(self, world: Sockets, secret: CurveSecret) -> None:
        self.context: Context = zmq.Context()
        self.socket: zmq.Socket[bytes] = self.context.socket(zmq.DEALER)
        prepare(self.socket, INPUT_FRAME_BYTES_MAX + 1)
        use_curve(self.socket, secret, world.group.owners[0].curve_key)
        self.socket.connect(world.group.owners[0].endpoints.clients)
        self.got: list[bytes] = []

    def step(self) -> None:
        while self.socket.poll(0):
            self.got.append(self.socket.recv())

    def gets(self, data: bytes) -> bool:
        return until(lambda: self.got == [data], step=self.step)

    def close(self) -> None:
        self.context.destroy(linger=0)


Call = Callable[[CurveSecret], Caller]
"""Makes a client that is closed whatever the test's end."""


@pytest.fixture
def world() -> Sockets:
    return make_group()


@pytest.fixture
def desk(world: Sockets) -> Iterator[Desk]:
    found = Desk(world)
    yield found
    found.close()


@pytest.fixture
def call(world: Sockets) -> Iterator[Call]:
    made: list[Caller] = []

    def make(secret: CurveSecret) -> Caller:
        made.append(Caller(world, secret))
        return made[-1]

    yield make
    for caller in made:
        caller.close()


def test_any_key_is_heard_under_its_own_name_and_answered(desk: Desk, call: Call) -> None:
    secrets = [CurveSecret.generate(), CurveSecret.generate()]
    callers = [call(secret) for secret in secrets]
    for number, caller in enumerate(callers):
        caller.socket.send_multipart([b"header %d" % number, b"input"])
    assert desk.hears(2)
    names = [ClientKey(secret.public) for secret in secrets]
    assert {(h.client, h.data, h.inputs) for h in desk.heard} == {
        (names[0], b"header 0", (b"input",)),
        (names[1], b"header 1", (b"input",)),
    }
    assert desk.listener.send(names[1], b"to one")
    assert callers[1].gets(b"to one")
    callers[0].step()
    assert callers[0].got == []


def test_every_connection_of_a_key_gets_the_answer(desk: Desk, call: Call) -> None:
    secret = CurveSecret.generate()
    callers = [call(secret) for _ in range(2)]
    for caller in callers:
        caller.socket.send(b"hello")
    assert desk.hears(2)
    assert desk.listener.send(ClientKey(secret.public), b"answer")
    for caller in callers:
        assert caller.gets(b"answer")


def test_the_oldest_of_too_many_connections_of_a_key_is_answered_no_more(desk: Desk, call: Call) -> None:
    secret = CurveSecret.generate()
    callers = []
    for number in range(ROUTES_PER_CLIENT_MAX + 1):
        callers.append(call(secret))
        callers[-1].socket.send(b"hello")
        assert desk.hears(number + 1)
    assert desk.listener.send(ClientKey(secret.public), b"answer")
    for caller in callers[1:]:
        assert caller.gets(b"answer")
    callers[0].step()
    assert callers[0].got == []


def test_an_answer_to_a_client_that_is_gone_is_counted(desk: Desk, call: Call) -> None:
    secret = CurveSecret.generate()
    caller = call(secret)
    caller.socket.send(b"hello")
    assert desk.hears(1)
    caller.close()
    name = ClientKey(secret.public)
    assert until(lambda: not desk.listener.send(name, b"are you there"), step=desk.step)
    assert desk.listener.not_sent["gone"] == 1
    assert not desk.listener.send(ClientKey(bytes(32)), b"never seen")
    assert desk.listener.not_sent["gone"] == 2


def test_frames_beyond_the_bounds_are_dropped_and_counted(desk: Desk, call: Call) -> None:
    caller = call(CurveSecret.generate())
    caller.socket.send_multipart([b"x", bytes(MESSAGE_BYTES_MAX), bytes(SUBMITS_BYTES_MAX)])
    caller.socket.send_multipart([bytes(MESSAGE_BYTES_MAX + 1), b"input"])
    caller.socket.send_multipart([b"x"] * 5_000)
    caller.socket.send(b"good")
    caller.socket.send_multipart([b"header", *[b"input"] * SUBMITS_MAX])
    assert desk.hears(2)
    assert [(h.data, len(h.inputs)) for h in desk.heard] == [(b"good", 0), (b"header", SUBMITS_MAX)]
    assert desk.listener.dropped["frames"] == 3


def test_the_largest_header_and_input_are_heard(desk: Desk, call: Call) -> None:
    call(CurveSecret.generate()).socket.send_multipart([bytes(MESSAGE_BYTES_MAX), bytes(INPUT_FRAME_BYTES_MAX)])
    assert desk.hears(1)
    assert len(desk.heard[0].data) == MESSAGE_BYTES_MAX
    assert len(desk.heard[0].inputs[0]) == INPUT_FRAME_BYTES_MAX


def test_a_frame_too_large_for_any_input_ends_that_connection_alone(desk: Desk, call: Call) -> None:
    other, caller = call(CurveSecret.generate()), call(CurveSecret.generate())
    caller.socket.send_multipart([b"header", bytes(INPUT_FRAME_BYTES_MAX + 1)])
    other.socket.send_multipart([b"header", b"small"])
    assert desk.hears(1)
    caller.socket.send(b"again, on a new connection")
    assert desk.hears(2)
    assert [(h.data, h.inputs) for h in desk.heard] == [(b"header", (b"small",)), (b"again, on a new connection", ())]


def test_a_turn_takes_a_bounded_number_of_bytes_and_the_rest_comes_in_the_next(desk: Desk, call: Call) -> None:
    caller = call(CurveSecret.generate())
    caller.socket.send(b"hello")
    assert desk.hears(1)
    messages = HEARD_BYTES_AT_ONCE_MAX // INPUT_FRAME_BYTES_MAX + 3
    for _ in range(messages):
        caller.socket.send_multipart([b"header", bytes(INPUT_FRAME_BYTES_MAX)])
    until(lambda: False, 2)  # so that all of them wait
    assert len(desk.listener.receive()) < messages
    assert until(lambda: len(desk.heard) > 1, step=desk.step)


def test_garbage_and_plain_connections_do_not_disturb_a_good_client(desk: Desk, call: Call) -> None:
    port = int(desk.endpoint.rsplit(":", 1)[1])
    garbage = [socket.create_connection(("127.0.0.1", port), 2) for _ in range(20)]
    for connection in garbage:
        connection.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    context: Context = zmq.Context()
    plain: zmq.Socket[bytes] = context.socket(zmq.DEALER)
    plain.connect(desk.endpoint)
    plain.send(b"in the clear")
    caller = call(CurveSecret.generate())
    caller.socket.send(b"good")
    caller.socket.send_multipart([b"header", *[b"input"] * SUBMITS_MAX])
    assert desk.hears(2)
    assert [(h.data, len(h.inputs)) for h in desk.heard] == [(b"good", 0), (b"header", SUBMITS_MAX)]
    for connection in garbage:
        connection.close()
    context.destroy(linger=0)


def test_a_taken_clients_port_is_one_clear_error(world: Sockets, desk: Desk) -> None:
    with pytest.raises(TransportFailed, match="choose another port"):
        ClientListener(desk.context, desk.endpoint, world.secrets[0])


def test_a_link_counts_what_absent_nodes_do_not_get_and_reports_connections(world: Sockets, desk: Desk) -> None:
    secret = CurveSecret.generate()
    link = ClientLink(world.group, secret)
    came: list[OwnerId] = []

    def step() -> None:
        desk.step()
        came.extend(link.connected())

    assert until(lambda: came == [ZERO], step=step)
    assert link.send(ZERO, [b"header", b"input"])
    assert not link.send(OwnerId(3), [b"header", b"input"])
    assert link.not_sent == {OwnerId(3): 1}
    assert desk.hears(1)
    assert desk.listener.send(ClientKey(secret.public), b"answer")
    heard: list[tuple[OwnerId, bytes]] = []
    assert until(lambda: bool(heard), step=lambda: heard.extend(link.receive(0.01)))
    assert heard == [(ZERO, b"answer")]
    link.close()
    link.close()


def test_a_link_does_not_talk_to_a_node_with_another_key(world: Sockets) -> None:
    impostor = Sockets(world.group, [CurveSecret.generate(), *world.secrets[1:]])
    desk, link = Desk(impostor), ClientLink(world.group, CurveSecret.generate())
    assert not until(lambda: link.send(ZERO, [b"secret"]) or desk.heard, 0.7, step=desk.step)
    assert link.connected() == []
    link.close()
    desk.close()


def test_a_link_follows_a_node_to_its_new_key_and_place_and_hears_who_left_for_a_while(
    world: Sockets, desk: Desk
) -> None:
    secret, fresh = CurveSecret.generate(), CurveSecret.generate()
    link = ClientLink(world.group, secret)
    assert until(lambda: link.send(ZERO, [b"hello"]), step=desk.step) and desk.hears(1)
    first = world.group.owners[0]
    moved = replace(first, curve_key=fresh.public, endpoints=Endpoints(*free_endpoints(4)))
    link.follow(replace(world.group, owners=(moved, *world.group.owners[1:])))
    assert desk.listener.send(ClientKey(secret.public), b"late answer")
    heard: list[tuple[OwnerId, bytes]] = []
    assert until(lambda: bool(heard), step=lambda: heard.extend(link.receive(0.01)))
    assert heard == [(ZERO, b"late answer")]
    desk.listener.move(moved.endpoints.clients, fresh)
    assert until(lambda: link.send(ZERO, [b"hello again"]), step=desk.step)
    assert desk.hears(2)
    following = replace(
        world.group, owners=world.group.owners[1:], f=0, answers=3, epoch=Epoch(1), origin=world.group.id
    )
    link.follow(following)
    assert not link.send(ZERO, [b"nobody"])
    link.close()
