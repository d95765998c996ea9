"""From frames to events: decode, check signatures, drop what says nothing new, answer what needs no agreement."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, assert_never

from dropbeard.agreement.effects import SendClient
from dropbeard.agreement.events import BatchCame, Event, OutcomeAsked, PeerSpoke, RequestCame
from dropbeard.agreement.inspection import is_worth_handling
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.codec.catchup import decode_catchup
from dropbeard.codec.client import decode_to_node
from dropbeard.codec.peer import decode_lanes, decode_votes
from dropbeard.daemon.disclosures import DisclosureDesk
from dropbeard.errors import InputInvalid, MessageInvalid, VersionRefused
from dropbeard.types import versions
from dropbeard.types.ids import ClientKey, Epoch, Height, OwnerId, RequestId
from dropbeard.types.messages import (
    BatchNotice,
    Disclose,
    FetchCards,
    FetchOutcome,
    FetchSuccession,
    GroupCards,
    Hello,
    PeerMessage,
    Presence,
    Rejected,
    RejectReason,
    Status,
    Submit,
    Submits,
    SuccessionNotice,
    Welcome,
)
from dropbeard.types.requests import Request
from dropbeard.types.task import Input

log = logging.getLogger("dropbeard.node")

CLIENT_VERSIONS_MAX: Final = 8
"""Other versions of clients that are logged, once each."""

NO_REQUEST: Final = RequestId(bytes(32))


class Said(NamedTuple):
    """A peer's last status: when it came (monotonic microseconds), and how many blocks it was behind us then."""

    at_us: int
    epoch: Epoch
    behind: int
    presence: Presence
    minor: int


class Inbox:
    """Turns what came over the node's sockets into events for the core; counts what it drops, by reason."""

    def __init__(self, state: ReplicaState, cards: bytes = b"", disclosures: DisclosureDesk | None = None) -> None:
        self._state = state
        self._disclosures = disclosures
        self._cards = GroupCards(cards)
        self.dropped: Counter[str] = Counter()
        self.draining = False
        """New requests are turned away."""
        self.full = False
        """So they are while the disk is full."""
        self.heard: dict[OwnerId, int] = {}
        """When each peer was last heard of on any socket, in monotonic microseconds."""
        self.heights: dict[OwnerId, Height] = {}
        """The final height that each peer last claimed."""
        self.said: dict[OwnerId, Said] = {}
        self.refused: dict[OwnerId, int] = {}
        """Peers that are not understood, with the major version of the wire that they speak."""
        self._client_versions: dict[int, None] = {}

    def from_votes(self, sender: OwnerId, data: bytes) -> list[Event]:
        """A frame of the votes socket."""
        return self._from_peer(sender, "vote", lambda: decode_votes(data, self._state.group))

    def from_lanes(self, sender: OwnerId, data: bytes) -> list[Event]:
        """A frame of the lanes socket."""
        return self._from_peer(sender, "lane", lambda: decode_lanes(data, self._state.group))

    def from_catchup(self, sender: OwnerId, frames: list[bytes]) -> list[Event]:
        """The frames of a message of the catchup socket."""
        return self._from_peer(
            sender, "catchup", lambda: decode_catchup(frames[0], frames[1] if len(frames) > 1 else None)
        )

    def _from_peer(self, sender: OwnerId, channel: str, decode: Callable[[], PeerMessage]) -> list[Event]:
        try:
            message = decode()
        except VersionRefused as wrong:
            self.dropped["other wire version"] += 1
            self._refuse(sender, wrong)
            return []
        except MessageInvalid:
            self.dropped[f"malformed {channel} message"] += 1
            return []
        self.refused.pop(sender, None)
        return self._take(sender, message)

    def _refuse(self, sender: OwnerId, wrong: VersionRefused) -> None:
        """One line, not one for each message."""
        if self.refused.get(sender) != wrong.theirs:
            self.refused[sender] = wrong.theirs
            owner = self._state.group.owner(sender)  # None: of an epoch that is over, and heard for a while (rule 8.4)
            log.warning("peer-version-refused owner=%s reason=%s", sender if owner is None else owner.name, wrong)

    def _take(self, sender: OwnerId, message: PeerMessage) -> list[Event]:
        self.heard[sender] = time.monotonic_ns() // 1000
        if not is_worth_handling(self._state, message, self._state.judge.checker):
            self.dropped["known or not signed as it says"] += 1
            return []
        if isinstance(message, Status):
            self.heights[sender] = message.final_height
            behind = self._state.chain.final.header.height - message.final_height
            self.said[sender] = Said(self.heard[sender], message.epoch, behind, message.presence, message.minor)
        if isinstance(message, BatchNotice):
            return [BatchCame(sender, message.signed)]
        return [PeerSpoke(sender, message)]

    def from_client(self, client: ClientKey, data: bytes, inputs: Sequence[bytes]) -> list[Event | SendClient]:
        """A message of a client, with the frames of the inputs when it holds requests; events, or answers at once."""
        try:
            message = decode_to_node(data)
        except VersionRefused as wrong:
            return [self._refuse_client(client, wrong)]
        except MessageInvalid:
            self.dropped["malformed client message"] += 1
            return []
        match message:
            case Hello():
                return [SendClient(client, self._greeting(message))]
            case Submits(requests) if len(requests) == len(inputs):
                return [self._submitted(client, *row) for row in zip(requests, inputs, strict=True)]
            case Submits():
                self.dropped["requests without their inputs"] += 1
                return []
            case FetchOutcome(request):
                return [OutcomeAsked(client, request)]
            case FetchSuccession(epoch):
                # While the disk is full it may hold a vote of ours that is not written yet.
                known = None if self.full else self._state.successions.get(epoch)
                return [] if known is None else [SendClient(client, SuccessionNotice(known))]
            case FetchCards():
                return [SendClient(client, self._cards)]
            case Disclose(certificate):
                desk = self._disclosures
                return [] if desk is None else [SendClient(client, desk.take(certificate, self._state.mono))]
            case _:
                assert_never(message)

    def _refuse_client(self, client: ClientKey, wrong: VersionRefused) -> SendClient:
        """Whatever it reads of this answer, the version in it tells it why."""
        self.dropped["client of another wire version"] += 1
        if wrong.theirs not in self._client_versions and len(self._client_versions) < CLIENT_VERSIONS_MAX:
            self._client_versions[wrong.theirs] = None
            log.warning("client-version-refused reason=%s", wrong)
        return SendClient(client, Rejected(NO_REQUEST, RejectReason.WRONG_VERSION, 0, str(wrong)))

    def _greeting(self, hello: Hello) -> Welcome | Rejected:
        group = self._state.group
        if hello.group != group.id:
            text = f"this node serves group {group.id.hex()[:12]}"
            return Rejected(NO_REQUEST, RejectReason.WRONG_GROUP, 0, text)
        return Welcome(self._state.me, group.epoch, group.parameters.client_open_max, versions.WIRE_MINOR)

    def _submitted(self, client: ClientKey, submit: Submit, data: bytes) -> Event | SendClient:
        given = Input(submit.kind, submit.shape, data)
        asked = Request(
            client,
            submit.group,
            submit.nonce,
            submit.deadline,
            submit.patience_us,
            submit.options,
            given.digest(),
        )
        if (self.draining or self.full) and asked.id not in self._state.mine:
            retry_us = self._state.group.parameters.status_interval_us
            why = "is being stopped" if self.draining else "has no room on its disk"
            detail = f"this node {why} and takes nothing new"
            return SendClient(client, Rejected(asked.id, RejectReason.BUSY, retry_us, detail))
        try:
            self._state.group.task.check_input(given)
        except InputInvalid as wrong:
            return SendClient(client, Rejected(asked.id, RejectReason.BAD_INPUT, 0, str(wrong)))
        return RequestCame(asked, given)
