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
    ClientKey,
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
from dropbeard.types.lanes import SignedBatch, SignedPromise
from dropbeard.types.requests import Opening
from dropbeard.types.statements import Finalize, Notarize, Nullify
from dropbeard.types.succession import Succession
from dropbeard.types.task import Input, InputKind
from dropbeard.types.votes import SignedVote

# --- votes socket ---------------------------------------------------------------------------------------------------


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
class Echo:
    """``stamp`` came from ``owner`` and lay here for ``held_us``."""

    owner: OwnerId
    stamp: int
    held_us: int


class Presence(enum.IntEnum):
    """What a node says of its own future; it binds nobody, and concerns nobody's turns but its own (rule 3.6)."""

    UNTOLD = 0
    """By a node that knows no other, or of a later minor version."""
    SERVES = 1
    WAITS = 2
    """It votes; its engine does not answer."""
    DRAINS = 3
    """It takes no new requests and ends soon."""
    LEAVES = 4
    """It ends now."""


@dataclass(frozen=True, slots=True)
class Status:
    """Where a replica stands; sent every ``status_interval`` and on reconnect (rule 3.9).

    ``best``: notarization of its best block, None for the genesis. ``tips``: the highest batch it holds of each lane.
    ``stamp`` is the sender's monotonic clock; ``echoes`` give back the last stamp of each peer, so that round trips can
    be measured (rule 3.7). ``minor``: of the wire version that it speaks.
    """

    epoch: Epoch
    view: View
    final_height: Height
    best: QuorumCertificate[Notarize] | None
    finalization: QuorumCertificate[Finalize] | None
    tips: Cut
    stamp: int = 0
    echoes: tuple[Echo, ...] = ()
    presence: Presence = Presence.UNTOLD
    minor: int = 0


@dataclass(frozen=True, slots=True)
class BootQuestion:
    """A replica that just started asks what others hold of its statements (rule 7.4). ``boot`` counts its starts.

    Who is in a later epoch answers with what ended this one (rule 8.4).
    """

    epoch: Epoch
    boot: int


@dataclass(frozen=True, slots=True)
class BootAnswer:
    """The asker's vote of the highest view and its lane's highest batch, as far as the sender knows (rule 7.4)."""

    epoch: Epoch
    boot: int
    vote: SignedVote | None
    lane: SignedPromise | None


@dataclass(frozen=True, slots=True)
class FetchSuccession:
    """Asks for what ended an epoch (rule 8.4); clients ask it, too."""

    epoch: Epoch


@dataclass(frozen=True, slots=True)
class SuccessionNotice:
    """What ended an epoch, and who serves the next one (rule 8.4)."""

    succession: Succession


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


# --- catchup socket: bulk bytes between replicas, so that they never delay votes or lanes (rule 9) --------------------


@dataclass(frozen=True, slots=True)
class FetchInput:
    """Asks an attesting replica for a request and its input (rule 2.3)."""

    request: RequestId


@dataclass(frozen=True, slots=True)
class InputNotice:
    """A request as its client sent it, with the input in the next frame. Nobody else is shown inputs."""

    client: ClientKey
    nonce: Nonce
    deadline: TimeUs
    patience_us: int
    options: bytes
    given: Input


@dataclass(frozen=True, slots=True)
class FetchSnapshot:
    """Asks for the outline of the snapshot of a height (rule 7.2)."""

    height: Height


@dataclass(frozen=True, slots=True)
class SnapshotNotice:
    """Everything of a snapshot but the buckets' rows (rule 4.1).

    ``root``: state root of the height one interval above, before the snapshot is mixed into it; ``small``: rows of the
    tables whose size depends on n; ``buckets``: (number, digest) in order.
    """

    height: Height
    root: Digest
    small: bytes
    buckets: tuple[tuple[int, Digest], ...]


@dataclass(frozen=True, slots=True)
class FetchBucket:
    """Asks for the rows of one bucket of a snapshot; its digest names them."""

    height: Height
    bucket: Digest


@dataclass(frozen=True, slots=True)
class BucketNotice:
    """The rows of one bucket, in the next frame."""

    rows: bytes


CatchupMessage = FetchInput | InputNotice | FetchSnapshot | SnapshotNotice | FetchBucket | BucketNotice
VotesMessage = (
    SignedVote
    | Proposal
    | CertificateNotice
    | Status
    | BootQuestion
    | BootAnswer
    | FetchSuccession
    | SuccessionNotice
    | FetchHeader
    | FetchViews
    | FetchPage
    | PageNotice
)
LanesMessage = BatchNotice | FetchBatches
PeerMessage = VotesMessage | LanesMessage | CatchupMessage

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
    UNKNOWN_REQUEST = 8
    NOT_ALLOWED = 9
    """The group's rules name its clients, and this one is not among them."""
    OVER_RATE = 10
    OVER_QUOTA = 11
    WRONG_VERSION = 12


@dataclass(frozen=True, slots=True)
class Hello:
    """A client's first message on a connection. ``minor``: of the wire version that it speaks."""

    group: GroupId
    minor: int = 0


@dataclass(frozen=True, slots=True)
class Welcome:
    """A node's answer: who it is and how many requests may be in flight on this connection."""

    owner: OwnerId
    epoch: Epoch
    credits: int
    minor: int = 0


@dataclass(frozen=True, slots=True)
class Submit:
    """A request without its input (rule 2.1). ``patience_us`` u32, ``shape`` as in task.Input."""

    group: GroupId
    nonce: Nonce
    deadline: TimeUs
    patience_us: int
    options: bytes
    kind: InputKind
    shape: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Submits:
    """1 to SUBMITS_MAX requests in one group; their inputs are the next frames, in this order."""

    requests: tuple[Submit, ...]


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


@dataclass(frozen=True, slots=True)
class FetchOutcome:
    """A client asks for its own request again, by id: openings, entries and what proves them (rule 5.2)."""

    request: RequestId


@dataclass(frozen=True, slots=True)
class FetchCards:
    """Anyone who may connect asks which group cards the node shows."""


@dataclass(frozen=True, slots=True)
class GroupCards:
    """Group cards as their file has them (TOML, UTF-8), not checked; empty if the node shows none."""

    toml: bytes


@dataclass(frozen=True, slots=True)
class Disclose:
    """Whoever holds a certificate gives it to the node to keep: its bytes, not checked (rule 8.2)."""

    certificate: bytes


@dataclass(frozen=True, slots=True)
class Disclosed:
    """Is the certificate with the node now, and why (not)."""

    kept: bool
    detail: str


ToNode = Hello | Submits | FetchOutcome | FetchSuccession | FetchCards | Disclose
ToClient = Welcome | Openings | Reply | Rejected | SuccessionNotice | GroupCards | Disclosed
