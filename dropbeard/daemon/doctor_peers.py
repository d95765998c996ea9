"""What a node's peers answer: TCP, the CURVE handshake with its own key, and which genesis they serve."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import zmq

from dropbeard.codec.client import decode_to_client, encode_to_node
from dropbeard.daemon.findings import Finding, fail, ok, warn
from dropbeard.daemon.identity import Identity
from dropbeard.errors import MessageInvalid, VersionRefused
from dropbeard.signing.curve import CurveSecret
from dropbeard.transport.frames import receive
from dropbeard.transport.monitor import Monitor
from dropbeard.transport.options import connect, prepare, use_curve
from dropbeard.types import versions
from dropbeard.types.cards import tcp_parts
from dropbeard.types.group import Group, Owner
from dropbeard.types.messages import Hello, Rejected, RejectReason, Welcome

CONNECT_S: Final = 2.0
SPEAK_S: Final = 4.0
AT_ONCE: Final = 32


@dataclass(slots=True)
class Answer:
    """What came of one peer. ``closed``: endpoints that no connection could be made to; ``genesis``: does it serve this
    group? None when it said nothing. ``wire``: the version that it speaks, ``understood`` if it is ours too.
    """

    owner: Owner
    closed: tuple[str, ...] = ()
    handshake: bool = False
    genesis: bool | None = None
    wire: str | None = None
    understood: bool = True


def ask_peers(group: Group, identity: Identity) -> list[Answer]:
    """Ask every peer at once; takes CONNECT_S and SPEAK_S at most, and names to look up."""
    peers = [owner for owner in group.owners if owner.id != identity.owner.id]
    closed = _closed([end for owner in peers for end in owner.endpoints.all])
    answers = [Answer(owner, tuple(end for end in owner.endpoints.all if end in closed)) for owner in peers]
    _speak(group, identity.curve, [row for row in answers if not row.closed])
    return answers


def _closed(endpoints: list[str]) -> set[str]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return {end for end, is_open in zip(endpoints, pool.map(_is_open, endpoints), strict=True) if not is_open}


def _is_open(endpoint: str) -> bool:
    place = tcp_parts(endpoint)
    if place is None:
        return True
    try:
        with socket.create_connection(place, CONNECT_S):
            return True
    except OSError:
        return False


@dataclass(slots=True)
class _Talk:
    """The two connections to one peer: as the node that we are, and as any client."""

    answer: Answer
    votes: zmq.Socket[bytes]
    handshake: Monitor
    clients: zmq.Socket[bytes]

    @property
    def over(self) -> bool:
        return self.answer.handshake and (self.answer.genesis is not None or not self.answer.understood)

    def listen(self, group: Group) -> None:
        self.answer.handshake = self.answer.handshake or True in self.handshake.changes()
        frames = receive(self.clients, 1)
        if not frames:
            return
        try:
            message = decode_to_client(frames[0].bytes, group)
        except VersionRefused as wrong:
            self.answer.wire, self.answer.understood = str(wrong.theirs), False
            return
        except MessageInvalid:
            return
        if isinstance(message, Welcome):
            self.answer.genesis, self.answer.wire = True, versions.spoken(message.minor)
        elif isinstance(message, Rejected) and message.reason is RejectReason.WRONG_GROUP:
            self.answer.genesis = False

    def close(self) -> None:
        self.handshake.close()
        self.votes.close()
        self.clients.close()


def _speak(group: Group, own: CurveSecret, answers: Iterable[Answer]) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    talks = [_begin(context, group, own, answer) for answer in answers]
    until = time.monotonic() + SPEAK_S
    with closing(_All(talks, context)):
        while time.monotonic() < until and not all(talk.over for talk in talks):
            for talk in talks:
                talk.listen(group)
            time.sleep(0.02)


@dataclass(slots=True)
class _All:
    talks: list[_Talk]
    context: zmq.Context[zmq.Socket[bytes]]

    def close(self) -> None:
        for talk in self.talks:
            talk.close()
        self.context.destroy(linger=0)


def _begin(context: zmq.Context[zmq.Socket[bytes]], group: Group, own: CurveSecret, answer: Answer) -> _Talk:
    owner = answer.owner
    votes, clients = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
    for end in (votes, clients):
        prepare(end)
        end.set(zmq.LINGER, 0)
    use_curve(votes, own, owner.curve_key)
    use_curve(clients, own, owner.curve_key)  # a closed group lets no stranger through
    monitor = Monitor(votes)
    connect(votes, owner.endpoints.votes)
    connect(clients, owner.endpoints.clients)
    clients.send(encode_to_node(Hello(group.id, versions.WIRE_MINOR)), zmq.NOBLOCK)
    return _Talk(answer, votes, monitor, clients)


def reach(group: Group, answers: list[Answer]) -> Finding:
    """Can connections be made to them?"""
    down = [f"{row.owner.name} ({', '.join(row.closed)})" for row in answers if row.closed]
    if not down:
        return ok("reach", f"all endpoints of {len(answers)} peers take connections")
    mend = "start their nodes, or open the ports in the firewalls between"
    text = f"no connection to {'; '.join(down)}"
    enough = 1 + len(answers) - len(down) >= max(group.quorum, group.answers)
    return warn("reach", text, mend) if enough else fail("reach", text, mend)


def handshakes(answers: list[Answer]) -> Finding:
    """Do they know this node's transport key, and have their own?"""
    asked = [row for row in answers if not row.closed]
    refused = [row.owner.name for row in asked if not row.handshake]
    if refused:
        mend = "compare the genesis files: the transport key of one of the two nodes is another there"
        return fail("curve", f"no CURVE handshake with {', '.join(refused)}", mend)
    return ok("curve", f"handshake with {len(asked)} peers")


def genesis_of_peers(answers: list[Answer]) -> Finding:
    """Do they serve the same group?"""
    other = [row.owner.name for row in answers if row.genesis is False]
    if other:
        return fail("genesis-of-peers", f"{', '.join(other)} serve another genesis", "give every owner the same file")
    silent = [row.owner.name for row in answers if row.genesis is None and row.understood]
    if silent:
        text = f"{', '.join(silent)} did not say which group they serve"
        return warn("genesis-of-peers", text, "check again when their nodes run")
    return ok("genesis-of-peers", f"{len(answers)} peers serve this group")


def wire_versions(answers: list[Answer]) -> Finding:
    """Do they speak a version that this release understands?"""
    ours = versions.spoken(versions.WIRE_MINOR)
    other = [f"{row.owner.name} speaks {row.wire}" for row in answers if not row.understood]
    if other:
        mend = "install releases of the same major version of the wire on both sides"
        return fail("wire-versions", f"this release speaks {ours}; {', '.join(other)}", mend)
    heard = sorted({row.wire for row in answers if row.wire is not None})
    return ok("wire-versions", f"this release speaks {ours}, its peers {', '.join(heard) or 'said nothing'}")
