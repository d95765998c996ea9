"""From effects to frames: each message encoded once, on the socket it belongs to."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final, assert_never

from dropbeard.agreement.effects import Broadcast, Halt, Infer, Report, Send, SendClient
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.agreement.turn import Outgoing
from dropbeard.codec.catchup import encode_catchup
from dropbeard.codec.client import encode_to_client
from dropbeard.codec.peer import encode_lanes, encode_votes
from dropbeard.errors import ReplicaHalted
from dropbeard.transport.clients import ClientListener
from dropbeard.transport.peers import PeerLink
from dropbeard.types.ids import OwnerId
from dropbeard.types.messages import (
    BatchNotice,
    BucketNotice,
    FetchBatches,
    FetchBucket,
    FetchInput,
    FetchSnapshot,
    InputNotice,
    PeerMessage,
    SnapshotNotice,
)

log = logging.getLogger("dropbeard.node")

REPORTS_MAX: Final = 1_000
"""Different offences that are logged in one life of the node."""


class Outbox:
    """Sends what a turn wants sent; work for the engine is handed back."""

    def __init__(
        self, state: ReplicaState, votes: PeerLink, lanes: PeerLink, catchup: PeerLink, clients: ClientListener
    ) -> None:
        self._state = state
        self._votes = votes
        self._lanes = lanes
        self._catchup = catchup
        self._clients = clients
        self._reported: dict[tuple[OwnerId, str], None] = {}

    def send(self, outgoing: Sequence[Outgoing]) -> list[Infer]:
        """Everything but Infer, which is returned."""
        work: list[Infer] = []
        for effect in outgoing:
            match effect:
                case Send(peer, message):
                    self._to_peers((peer,), message)
                case Broadcast(message):
                    self._to_peers(self._state.peers, message)
                case SendClient(client, message):
                    self._clients.send(client, encode_to_client(message))
                case Infer():
                    work.append(effect)
                case Report(accused, offence):
                    self._report(accused, offence)
                case Halt(reason):
                    raise ReplicaHalted(reason)
                case _:
                    assert_never(effect)
        return work

    def _to_peers(self, peers: Sequence[OwnerId], message: PeerMessage) -> None:
        link, frames = self._encode(message)
        for peer in peers:
            link.send(peer, *frames)

    def _encode(self, message: PeerMessage) -> tuple[PeerLink, list[bytes]]:
        match message:
            case BatchNotice() | FetchBatches():
                return self._lanes, [encode_lanes(message)]
            case FetchInput() | InputNotice() | FetchSnapshot() | SnapshotNotice() | FetchBucket() | BucketNotice():
                return self._catchup, encode_catchup(message)
            case _:
                return self._votes, [encode_votes(message)]

    def _report(self, accused: OwnerId, offence: str) -> None:
        """Once for each kind of offence and owner: a liar must not fill the log."""
        if (accused, offence) not in self._reported and len(self._reported) < REPORTS_MAX:
            self._reported[accused, offence] = None
            owner = self._state.group.owner(accused)
            log.warning("peer-offence owner=%s offence=%s", accused if owner is None else owner.name, offence)
