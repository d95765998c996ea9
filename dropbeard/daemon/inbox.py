"""From frames to events: decode, check signatures, drop what says nothing new, answer what needs no agreement."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import assert_never

from dropbeard.agreement.effects import SendClient
from dropbeard.agreement.events import BatchCame, Event, OutcomeAsked, PeerSpoke, RequestCame
from dropbeard.agreement.inspection import is_worth_handling
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.codec.catchup import decode_catchup
from dropbeard.codec.client import decode_to_node
from dropbeard.codec.peer import decode_lanes, decode_votes
from dropbeard.errors import InputInvalid, MessageInvalid
from dropbeard.types.ids import ClientKey, Height, OwnerId, RequestId
from dropbeard.types.messages import (
    BatchNotice,
    FetchCards,
    FetchOutcome,
    GroupCards,
    Hello,
    PeerMessage,
    Rejected,
    RejectReason,
    Status,
    Submit,
    Submits,
    Welcome,
)
from dropbeard.types.requests import Request
from dropbeard.types.task import Input


class Inbox:
    """Turns what came over the node's sockets into events for the core; counts what it drops, by reason."""

    def __init__(self, state: ReplicaState, cards: bytes = b"") -> None:
        self._state = state
        self._cards = GroupCards(cards)
        self.dropped: Counter[str] = Counter()
        self.draining = False
        """New requests are turned away."""
        self.heard: dict[OwnerId, int] = {}
        """When each peer was last heard of on any socket, in monotonic microseconds."""
        self.heights: dict[OwnerId, Height] = {}
        """The final height that each peer last claimed."""

    def from_votes(self, sender: OwnerId, data: bytes) -> list[Event]:
        """A frame of the votes socket."""
        try:
            message = decode_votes(data, self._state.group)
        except MessageInvalid:
            self.dropped["malformed vote message"] += 1
            return []
        return self._from_peer(sender, message)

    def from_lanes(self, sender: OwnerId, data: bytes) -> list[Event]:
        """A frame of the lanes socket."""
        try:
            message = decode_lanes(data, self._state.group)
        except MessageInvalid:
            self.dropped["malformed lane message"] += 1
            return []
        return self._from_peer(sender, message)

    def from_catchup(self, sender: OwnerId, frames: list[bytes]) -> list[Event]:
        """The frames of a message of the catchup socket."""
        try:
            message = decode_catchup(frames[0], frames[1] if len(frames) > 1 else None)
        except MessageInvalid:
            self.dropped["malformed catchup message"] += 1
            return []
        return self._from_peer(sender, message)

    def _from_peer(self, sender: OwnerId, message: PeerMessage) -> list[Event]:
        self.heard[sender] = time.monotonic_ns() // 1000
        if not is_worth_handling(self._state, message, self._state.judge.checker):
            self.dropped["known or not signed as it says"] += 1
            return []
        if isinstance(message, Status):
            self.heights[sender] = message.final_height
        if isinstance(message, BatchNotice):
            return [BatchCame(sender, message.signed)]
        return [PeerSpoke(sender, message)]

    def from_client(self, client: ClientKey, data: bytes, inputs: Sequence[bytes]) -> list[Event | SendClient]:
        """A message of a client, with the frames of the inputs when it holds requests; events, or answers at once."""
        try:
            message = decode_to_node(data)
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
            case FetchCards():
                return [SendClient(client, self._cards)]
            case _:
                assert_never(message)

    def _greeting(self, hello: Hello) -> Welcome | Rejected:
        group = self._state.group
        if hello.group != group.id:
            none = RequestId(bytes(32))
            return Rejected(none, RejectReason.WRONG_GROUP, 0, f"this node serves group {group.id.hex()[:12]}")
        return Welcome(self._state.me, group.epoch, group.parameters.client_open_max)

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
        if self.draining and asked.id not in self._state.mine:
            retry_us = self._state.group.parameters.status_interval_us
            detail = "this node is being stopped and takes nothing new"
            return SendClient(client, Rejected(asked.id, RejectReason.BUSY, retry_us, detail))
        try:
            self._state.group.task.check_input(given)
        except InputInvalid as wrong:
            return SendClient(client, Rejected(asked.id, RejectReason.BAD_INPUT, 0, str(wrong)))
        return RequestCame(asked, given)
