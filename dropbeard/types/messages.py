"""What travels: between replicas (votes and lanes), and between replica and client.

These are values; :mod:`dropbeard.codec` turns them into Cap'n Proto and back. A value of this module that came from
a socket has the right shape and sizes, but nothing in it is true until signatures and digests were checked.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from dropbeard.types.blocks import Cut, Header, Justification, Page, QuorumCertificate, Signatures
from dropbeard.types.entries import Entry
from dropbeard.types.ids import (
    Digest,
    Epoch,
    GroupId,
    Height,
    LaneHeight,
    Nonce,
    OwnerId,
    RequestId,
    Signature,
    TimeUs,
    View,
)
from dropbeard.types.lanes import SignedBatch
from dropbeard.types.requests import Opening
from dropbeard.types.statements import Finalize, Notarize, Nullify, Vote
from dropbeard.types.task import InputKind

# --- votes socket ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SignedVote:
    """One replica's vote (rule 3.4)."""

    signer: OwnerId
    vote: Vote
    signature: Signature


@dataclass(frozen=True, slots=True)
class Proposal:
    """A header with its leader's own Notarize signature and its justification (rule 3.2).

    ``pages``: the last pages of nullifications, at most PAGES_INLINE_MAX; older ones are fetched by digest.
    """

    header: Header
    signature: Signature
    justification: Justification
    pages: tuple[Page, ...]


AnyCertificate = QuorumCertificate[Notarize] | QuorumCertificate[Nullify] | QuorumCertificate[Finalize]


@dataclass(frozen=True, slots=True)
class CertificateNotice:
    """A quorum certificate passed on (rule 3.4)."""

    certificate: AnyCertificate


@dataclass(frozen=True, slots=True)
class Status:
    """Where a replica stands; sent every ``status_interval`` and on reconnect (rule 3.9).

    ``best``: notarization of its best block, None for the genesis. ``tips``: the highest batch it holds of each lane.
    """

    view: View
    final_height: Height
    best: QuorumCertificate[Notarize] | None
    finalization: QuorumCertificate[Finalize] | None
    tips: Cut


@dataclass(frozen=True, slots=True)
class FetchHeader:
    """Asks for the proposal of this header and of its ancestors above a height, at most FETCH_HEADERS_MAX of them."""

    header: Digest
    above: Height


@dataclass(frozen=True, slots=True)
class FetchViews:
    """Asks for the certificates that ended the views first..last (at most FETCH_VIEWS_MAX)."""

    first: View
    last: View


@dataclass(frozen=True, slots=True)
class FetchPage:
    """Asks for a page of nullifications by its digest."""

    page: Digest


@dataclass(frozen=True, slots=True)
class PageNotice:
    """A page of nullifications, spread or fetched (rule 3.2)."""

    page: Page


# --- lanes socket ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BatchNotice:
    """A lane batch, broadcast by its owner or served to who asked (rules 2.7, 3.3)."""

    signed: SignedBatch


@dataclass(frozen=True, slots=True)
class FetchBatches:
    """Asks for a lane's batches from the one with digest ``tip`` down to above lane height ``above`` (rule 3.3)."""

    tip: Digest
    above: LaneHeight


VotesMessage = SignedVote | Proposal | CertificateNotice | Status | FetchHeader | FetchViews | FetchPage | PageNotice
LanesMessage = BatchNotice | FetchBatches
PeerMessage = VotesMessage | LanesMessage

# --- clients socket -------------------------------------------------------------------------------------------------


class RejectReason(enum.IntEnum):
    """Why a request was not admitted (rule 2.2)."""

    BUSY = 1
    BAD_INPUT = 2
    BAD_REQUEST = 3
    WRONG_GROUP = 4
    OUT_OF_TIME = 5
    ENGINE_UNAVAILABLE = 6
    NO_CREDIT = 7


@dataclass(frozen=True, slots=True)
class Hello:
    """A client's first message on a connection."""

    group: GroupId


@dataclass(frozen=True, slots=True)
class Welcome:
    """A node's answer: who it is and how many requests may be in flight on this connection."""

    owner: OwnerId
    epoch: Epoch
    credits: int


@dataclass(frozen=True, slots=True)
class Submit:
    """A request; the input is the next frame (rule 2.1). ``patience_us`` u32, ``shape`` as in task.Input."""

    group: GroupId
    nonce: Nonce
    deadline: TimeUs
    patience_us: int
    options: bytes
    kind: InputKind
    shape: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Openings:
    """Provisional answers (rule 2.9); for a client these are nothing ordered."""

    openings: tuple[Opening, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """The client's entries of one block (rule 5.2).

    ``headers``: the signed header first, then parent by parent down to the entries' block. ``signatures``: finalize
    signatures over the first header, one (the sender's own) or a whole finalization. ``entries``: (leaf index, entry),
    indices ascending; ``count``: leaves of the tree; ``proof``: one multiproof for all of them.
    """

    headers: tuple[Header, ...]
    signatures: Signatures
    entries: tuple[tuple[int, Entry], ...]
    count: int
    proof: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """Not admitted, or not run; ``detail`` is one line for people."""

    request: RequestId
    reason: RejectReason
    retry_after_us: int
    detail: str


ToNode = Hello | Submit
ToClient = Welcome | Openings | Reply | Rejected
