"""Facts in: everything that can happen to a replica, in the past tense. Signatures in them were checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dropbeard.types.ids import ClientKey, Digest, OwnerId, RequestId, TimeUs, Version
from dropbeard.types.lanes import SignedBatch, SignedUpdate
from dropbeard.types.membership import SignedChange
from dropbeard.types.messages import (
    BootAnswer,
    BootQuestion,
    CatchupMessage,
    CertificateNotice,
    FetchBatches,
    FetchHeader,
    FetchPage,
    FetchSuccession,
    FetchViews,
    PageNotice,
    Presence,
    Proposal,
    RejectReason,
    Status,
    SuccessionNotice,
)
from dropbeard.types.requests import Request
from dropbeard.types.task import Input
from dropbeard.types.votes import SignedVote


class Now(NamedTuple):
    """The two clocks as they stood when the event happened: monotonic (timers) and wall (deadlines, lane times)."""

    monotonic_us: int
    wall_us: TimeUs


@dataclass(frozen=True, slots=True)
class PeerSpoke:
    """An authenticated peer's message came; the replica itself counts as a peer of its own votes and batches."""

    sender: OwnerId
    message: (
        SignedVote
        | Proposal
        | CertificateNotice
        | Status
        | PageNotice
        | FetchHeader
        | FetchViews
        | FetchPage
        | FetchBatches
        | BootQuestion
        | BootAnswer
        | FetchSuccession
        | SuccessionNotice
        | CatchupMessage
    )


@dataclass(frozen=True, slots=True)
class BatchCame:
    """A lane batch came, from whomever; its owner's signature checked."""

    sender: OwnerId
    signed: SignedBatch


@dataclass(frozen=True, slots=True)
class PeerConnected:
    """A connection to a peer was made, or made again (rule 3.9)."""

    peer: OwnerId


@dataclass(frozen=True, slots=True)
class RequestCame:
    """A request came on its client's own connection; ``request.input_digest`` was computed from ``given`` here."""

    request: Request
    given: Input


@dataclass(frozen=True, slots=True)
class OutcomeAsked:
    """A client asks for its own request again, by id, on its own connection."""

    client: ClientKey
    request: RequestId


@dataclass(frozen=True, slots=True)
class EngineIsReady:
    """The engine answered that it runs this model."""

    version: Version
    model: Digest
    capacity: int


@dataclass(frozen=True, slots=True)
class ModelWasLoaded:
    """The owner signed an update and the engine has its model loaded beside the one in force (rule 4.3).

    ``requests.update_fault`` found nothing wrong with it.
    """

    signed: SignedUpdate


@dataclass(frozen=True, slots=True)
class ChangeWasSigned:
    """A quorum of owners signed the next configuration, and our owner wants it ordered (rule 8.4).

    ``membership.change_fault`` found nothing wrong with it.
    """

    signed: SignedChange


@dataclass(frozen=True, slots=True)
class EngineWasLost:
    """The engine went away; what it was running is not coming."""


@dataclass(frozen=True, slots=True)
class AnswersCame:
    """The engine finished a batch under ``version``: canonical output bytes by request.

    ``took_us``: what an answer takes lately, queueing included, in microseconds.
    """

    version: Version
    answers: tuple[tuple[RequestId, bytes], ...]
    took_us: int = 0


@dataclass(frozen=True, slots=True)
class InferenceFailed:
    """The engine did not run a request."""

    request: RequestId
    reason: RejectReason
    detail: str


@dataclass(frozen=True, slots=True)
class NodeEnds:
    """The node takes no new requests any more (DRAINS), or has nothing under way and ends after this turn (LEAVES)."""

    presence: Presence


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """Nothing more for now: decide what follows from all that came (propose, vote, time out, batch, fetch)."""


Event = (
    PeerSpoke
    | BatchCame
    | PeerConnected
    | RequestCame
    | OutcomeAsked
    | EngineIsReady
    | ModelWasLoaded
    | ChangeWasSigned
    | EngineWasLost
    | AnswersCame
    | InferenceFailed
    | NodeEnds
    | TurnEnded
)
