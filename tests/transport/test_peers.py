"""The votes and lanes channels: only the genesis' keys get in, the key is the identity, nothing is lost silently."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import zmq

from dropbeard.errors import TransportFailed
from dropbeard.signing.curve import CurveSecret, z85
from dropbeard.transport.options import listening_at
from dropbeard.transport.peers import PeerLink
from dropbeard.transport.zap import ZapHandler
from dropbeard.types.ids import OwnerId
from dropbeard.types.limits import MESSAGE_BYTES_MAX
from tests.transport.worlds import Context, Sockets, make_group, until


class Node:
    """One owner's votes channel with its own ZAP handler, as in a node process."""

    def __init__(self, world: Sockets, me: int) -> None:
        self.context: Context = zmq.Context()
        keys = frozenset(owner.curve_key for owner in world.group.owners if owner.id != me)
        self.zap = ZapHandler(self.context, {"votes": keys})
        others = [owner for owner in world.group.owners if owner.id != me]
        self.link = PeerLink(self.context, others, world.group.owners[me], world.secrets[me], "votes")
        self.heard: list[tuple[OwnerId, bytes]] = []
        self.reconnected: list[OwnerId] = []

    def step(self) -> None:
        self.zap.answer_all()
        self.heard += self.link.receive()
        self.reconnected += self.link.connected()

    def close(self) -> None:
        if self.context.closed:
            return
        self.link.close()
        self.zap.close()
        self.context.destroy(linger=0)


@pytest.fixture
def world() -> Sockets:
    return make_group()


@pytest.fixture
def pair(world: Sockets) -> Iterator[tuple[Node, Node]]:
    nodes = (Node(world, 0), Node(world, 1))
    yield nodes
    for node in nodes:
        node.close()


def together(*nodes: Node) -> None:
    for node in nodes:
        node.step()


def dealer(context: Context, endpoint: str) -> zmq.Socket[bytes]:
    found: zmq.Socket[bytes] = context.socket(zmq.DEALER)
    found.set(zmq.LINGER, 0)
    found.connect(endpoint)
    return found


def curve_dealer(world: Sockets, context: Context, secret: CurveSecret, routing_id: bytes = b"") -> zmq.Socket[bytes]:
    found: zmq.Socket[bytes] = context.socket(zmq.DEALER)
    found.set(zmq.LINGER, 0)
    if routing_id:
        found.set(zmq.ROUTING_ID, routing_id)
    found.set(zmq.CURVE_SECRETKEY, z85(secret.raw))
    found.set(zmq.CURVE_PUBLICKEY, z85(secret.public))
    found.set(zmq.CURVE_SERVERKEY, z85(world.group.owners[0].curve_key))
    found.connect(world.group.owners[0].endpoints.votes)
    return found


def test_a_message_arrives_with_the_owner_of_its_key(pair: tuple[Node, Node]) -> None:
    first, second = pair
    assert until(lambda: first.link.send(OwnerId(1), b"to one"), step=lambda: together(*pair))
    assert until(lambda: second.link.send(OwnerId(0), b"to zero"), step=lambda: together(*pair))
    assert until(lambda: bool(first.heard and second.heard), step=lambda: together(*pair))
    assert first.heard == [(OwnerId(1), b"to zero")]
    assert second.heard == [(OwnerId(0), b"to one")]
    assert first.reconnected == [OwnerId(1)]


@pytest.mark.parametrize("peer", [3, 9])
def test_a_message_to_an_absent_or_unknown_peer_is_refused_and_counted(pair: tuple[Node, Node], peer: int) -> None:
    assert not pair[0].link.send(OwnerId(peer), b"nobody is there")
    assert pair[0].link.not_sent[OwnerId(peer)] == 1


def test_an_unknown_key_never_reaches_the_application(world: Sockets, pair: tuple[Node, Node]) -> None:
    context: Context = zmq.Context()
    stranger = curve_dealer(world, context, CurveSecret.generate())
    stranger.send(b"let me in")
    assert until(lambda: pair[0].zap.refused["votes"] > 0, step=lambda: together(*pair))
    together(*pair)
    assert pair[0].heard == []
    context.destroy(linger=0)


def test_a_peer_that_claims_anothers_routing_id_is_still_itself(world: Sockets, pair: tuple[Node, Node]) -> None:
    context: Context = zmq.Context()
    peer = curve_dealer(world, context, world.secrets[2], routing_id=b"owner 1")
    peer.send(b"I am owner 1, believe me")
    assert until(lambda: bool(pair[0].heard), step=lambda: together(*pair))
    assert pair[0].heard == [(OwnerId(2), b"I am owner 1, believe me")]
    context.destroy(linger=0)


def test_a_connection_without_curve_is_not_heard(world: Sockets, pair: tuple[Node, Node]) -> None:
    context: Context = zmq.Context()
    plain = dealer(context, world.group.owners[0].endpoints.votes)
    plain.send(b"in the clear")
    assert not until(lambda: bool(pair[0].heard), 0.7, step=lambda: together(*pair))
    context.destroy(linger=0)


def test_too_many_frames_and_too_large_ones_are_dropped(world: Sockets, pair: tuple[Node, Node]) -> None:
    context: Context = zmq.Context()
    peer = curve_dealer(world, context, world.secrets[2])
    peer.send_multipart([b"one", b"two", b"three"])
    peer.send(b"good")
    assert until(lambda: bool(pair[0].heard), step=lambda: together(*pair))
    assert pair[0].heard == [(OwnerId(2), b"good")]
    assert pair[0].link.dropped["frames"] == 1
    peer.send(bytes(MESSAGE_BYTES_MAX))
    assert until(lambda: len(pair[0].heard) > 1, step=lambda: together(*pair))
    assert len(pair[0].heard.pop()[1]) == MESSAGE_BYTES_MAX
    peer.send(bytes(MESSAGE_BYTES_MAX + 1))

    def speak_again() -> None:
        peer.send(b"after the large one, on a connection made again")  # what goes out with the old one is lost
        together(*pair)

    assert until(lambda: len(pair[0].heard) > 1, step=speak_again)
    assert len(pair[0].heard[1][1]) < 100
    context.destroy(linger=0)


def test_garbage_on_the_port_does_not_disturb_a_good_peer(world: Sockets, pair: tuple[Node, Node]) -> None:
    port = int(world.group.owners[0].endpoints.votes.rsplit(":", 1)[1])
    garbage = [socket.create_connection(("127.0.0.1", port), 2) for _ in range(20)]
    for number, connection in enumerate(garbage):
        connection.send(bytes([number]) * 100)
    assert until(lambda: pair[1].link.send(OwnerId(0), b"still here"), step=lambda: together(*pair))
    assert until(lambda: bool(pair[0].heard), step=lambda: together(*pair))
    assert pair[0].heard == [(OwnerId(1), b"still here")]
    for connection in garbage:
        connection.close()


def test_a_peer_that_reads_nothing_blocks_nobody(pair: tuple[Node, Node]) -> None:
    first, second = pair
    assert until(lambda: first.link.send(OwnerId(1), b"hello"), step=lambda: together(*pair))
    sent = sum(first.link.send(OwnerId(1), bytes(1_000)) for _ in range(40_000))
    assert sent < 40_000
    assert first.link.not_sent[OwnerId(1)] >= 40_000 - sent
    assert until(lambda: len(second.heard) >= sent, 20, step=lambda: together(second))


def test_a_connection_made_again_is_reported(world: Sockets, pair: tuple[Node, Node]) -> None:
    first, second = pair
    assert until(lambda: first.reconnected == [OwnerId(1)], step=lambda: together(*pair))
    second.close()
    again = Node(world, 1)
    assert until(lambda: len(first.reconnected) > 1, 15, step=lambda: together(first, again))
    again.close()


def test_a_taken_port_is_one_clear_error(world: Sockets, pair: tuple[Node, Node]) -> None:
    context: Context = zmq.Context()
    with pytest.raises(TransportFailed, match="choose another port"):
        PeerLink(context, world.group.owners[1:], world.group.owners[0], world.secrets[0], "votes")
    context.destroy(linger=0)


def test_a_node_may_listen_on_another_address_than_the_genesis_names() -> None:
    assert listening_at("tcp://node.example:7400", "0.0.0.0") == "tcp://0.0.0.0:7400"
    assert listening_at("tcp://node.example:7400", None) == "tcp://node.example:7400"
    assert listening_at("ipc:///run/votes", "0.0.0.0") == "ipc:///run/votes"
