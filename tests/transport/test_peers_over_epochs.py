"""The channels between nodes when owners come, leave and change their keys and places (rule 8.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from dropbeard.signing.curve import CurveSecret
from dropbeard.types.group import Endpoints, Owner
from dropbeard.types.ids import OwnerId
from tests.transport.test_peers import Node, together
from tests.transport.worlds import Sockets, free_endpoints, make_group, until


@pytest.fixture
def world() -> Sockets:
    return make_group()


@pytest.fixture
def pair(world: Sockets) -> Iterator[tuple[Node, Node]]:
    """Owners 0 and 1, each of which knows of the other alone."""
    nodes = (Node(world, 0), Node(world, 1))
    for node, peer in zip(nodes, (1, 0), strict=True):
        follow(node, world.group.owners[1 - peer], world.secrets[1 - peer], world.group.owners[peer])
    yield nodes
    for node in nodes:
        node.close()


def follow(node: Node, seat: Owner, secret: CurveSecret, *peers: Owner) -> None:
    node.zap.allow("votes", frozenset(peer.curve_key for peer in peers))
    node.link.follow(peers, seat, secret)


def speaks(speaker: Node, hearer: Node, owner: int, name: int, *others: Node) -> Callable[[], bool]:
    """Does word of owner ``name``, whom ``speaker`` is, reach owner ``owner``, whom ``hearer`` is?"""

    def step() -> bool:
        together(speaker, hearer, *others)
        speaker.link.drop_older()
        hearer.link.drop_older()
        speaker.link.send(OwnerId(owner), b"word")
        heard, hearer.heard = hearer.heard, []
        return (OwnerId(name), b"word") in heard

    return step


def test_who_joins_is_let_in_once_its_peer_knows_it_though_it_dialled_too_early(
    world: Sockets, pair: tuple[Node, Node]
) -> None:
    owners, first, third = world.group.owners, pair[0], Node(world, 2)
    follow(third, owners[2], world.secrets[2], owners[0])
    assert until(lambda: first.zap.refused["votes"] > 0, step=lambda: together(first, third))
    follow(first, owners[0], world.secrets[0], owners[1], owners[2])
    assert until(speaks(third, first, 0, 2))
    assert until(speaks(first, third, 2, 0))
    third.close()


def test_who_left_is_neither_heard_nor_spoken_to(world: Sockets, pair: tuple[Node, Node]) -> None:
    first, second = pair
    assert until(speaks(second, first, 0, 1))
    follow(first, world.group.owners[0], world.secrets[0])
    assert not first.link.send(OwnerId(1), b"no")
    word = speaks(second, first, 0, 1)
    assert until(lambda: word() or first.link.dropped["unknown key"] > 0)
    assert not word()


def test_a_new_transport_key_takes_over_whichever_side_steps_first(world: Sockets, pair: tuple[Node, Node]) -> None:
    first, second = pair
    fresh = CurveSecret.generate()
    old, new = world.group.owners[1], replace(world.group.owners[1], curve_key=fresh.public)
    assert until(speaks(first, second, 1, 0)) and until(speaks(second, first, 0, 1))
    follow(second, new, fresh, world.group.owners[0])
    assert until(lambda: first.zap.refused["votes"] > 0, step=lambda: together(*pair))
    follow(first, world.group.owners[0], world.secrets[0], new, old)
    assert until(speaks(first, second, 1, 0)) and until(speaks(second, first, 0, 1))

    def lines() -> int:
        speaks(first, second, 1, 0)()
        return len(first.link._lines[OwnerId(1)]) + len(second.link._lines[OwnerId(0)])

    assert until(lambda: lines() == 2)


def test_before_a_peer_steps_it_is_reached_and_heard_by_its_old_key(world: Sockets, pair: tuple[Node, Node]) -> None:
    first, second = pair
    old = world.group.owners[1]
    assert until(speaks(first, second, 1, 0)) and until(speaks(second, first, 0, 1))
    follow(first, world.group.owners[0], world.secrets[0], replace(old, curve_key=CurveSecret.generate().public), old)
    assert until(speaks(first, second, 1, 0)) and until(speaks(second, first, 0, 1))


def test_a_node_that_moves_is_found_at_its_new_place(world: Sockets, pair: tuple[Node, Node]) -> None:
    first, second = pair
    old = world.group.owners[1]
    moved = replace(old, endpoints=Endpoints(*free_endpoints(4)))
    assert until(speaks(first, second, 1, 0))
    follow(second, moved, world.secrets[1], world.group.owners[0])
    follow(first, world.group.owners[0], world.secrets[0], moved, old)
    assert until(speaks(first, second, 1, 0)) and until(speaks(second, first, 0, 1))
