"""Everything a replica knows, as plain data; handlers are the free functions of the other modules."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import NamedTuple

from dropbeard.agreement.chain import Chain
from dropbeard.agreement.events import Now
from dropbeard.agreement.lane_store import LaneStore
from dropbeard.agreement.ledger import Applied
from dropbeard.agreement.standing import Milestone
from dropbeard.agreement.tables import ModelInForce
from dropbeard.evidence.judge import Judge, Verdict
from dropbeard.types.blocks import Cut, Header, LaneTip, Notarization, Nullification
from dropbeard.types.checking import SignatureChecker
from dropbeard.types.group import FIRST_VERSION, Group
from dropbeard.types.ids import (
    GENESIS_HEIGHT,
    GENESIS_VIEW,
    NO_DIGEST,
    ClientKey,
    Digest,
    Epoch,
    Height,
    LaneHeight,
    OwnerId,
    RequestId,
    Signature,
    TimeUs,
    Version,
    View,
)
from dropbeard.types.lanes import SignedPromise, SignedUpdate
from dropbeard.types.limits import PERSISTED_MAX
from dropbeard.types.membership import SignedChange
from dropbeard.types.messages import AnyCertificate, Presence, SnapshotNotice
from dropbeard.types.requests import Opening, Request
from dropbeard.types.succession import Succession
from dropbeard.types.task import Input
from dropbeard.types.votes import SignedVote

FIRST_VIEW = View(0)
NO_TIME = TimeUs(0)

Want = tuple[str, bytes | int, int]
"""What is being fetched: (kind, digest or view, a height or view that bounds it)."""


@dataclass(slots=True)
class Round:
    """One view: who voted what, what was certified, and what this replica promised in it."""

    notarizes: dict[Digest, dict[OwnerId, Signature]] = field(default_factory=dict)
    finalizes: dict[Digest, dict[OwnerId, Signature]] = field(default_factory=dict)
    nullifies: dict[OwnerId, Signature] = field(default_factory=dict)
    proposals: list[Digest] = field(default_factory=list)
    notarizations: dict[Digest, Notarization] = field(default_factory=dict)
    nullification: Nullification | None = None
    notarized_at_us: int = 0
    notarized: Digest | None = None
    """What we signed Notarize for (R1)."""
    finalized: Digest | None = None
    """What we signed Finalize for."""
    nullified: bool = False
    """Whether we signed Nullify."""
    my_nullify: SignedVote | None = None
    nullify_sent_us: int = 0


class OwnStage(enum.Enum):
    """How far this replica is with a request it admitted."""

    RUNNING = 1
    ANSWERED = 2
    PROMISED = 3


@dataclass(slots=True)
class OwnRequest:
    """A request that this replica admitted: what an attestation of it says, and how far it is under its version.

    ``asked`` is kept until the final state shows the request as ended (rule 4.3): the owner's next model runs it again,
    and peers that lack it fetch it (rule 2.3). None after a restart: it is fetched again where it is needed.
    """

    client: ClientKey
    deadline: TimeUs
    patience_us: int
    body: Digest
    stage: OwnStage
    asked: tuple[Request, Input] | None = None
    openings: dict[Version, Opening] = field(default_factory=dict)
    """What we promised, by the model version that said it."""


@dataclass(slots=True)
class Account:
    """What one client used up here. ``debt`` falls by ``rate_per_s`` in each microsecond and grows by a million with
    each request, so whole numbers hold any rate exactly; ``used`` counts requests of the UTC day ``day`` since 1970.
    """

    at_us: int
    day: int
    debt: int = 0
    used: int = 0


@dataclass(slots=True)
class Fetch:
    """A want that was asked for: when it is asked for again, and how often it was."""

    next_us: int
    attempts: int


class Passing(NamedTuple):
    """A certificate that peers may lack, and when those that have not shown that they hold it are sent it."""

    certificate: AnyCertificate
    due_us: int


@dataclass(slots=True)
class Engine:
    """The engine as it last reported itself; None fields while it is away."""

    version: Version
    model: Digest
    capacity: int


@dataclass(slots=True)
class Transfer:
    """A snapshot on its way: of which header, the one that proves it (None: the epoch's succession does), its outline,
    the buckets that came."""

    header: Header
    prover: Header | None
    outline: SnapshotNotice | None = None
    buckets: dict[Digest, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class ReplicaState:
    """The whole state machine of one replica. ``secret``: 32 bytes that salt its commitments (rule 2.6)."""

    group: Group
    me: OwnerId
    secret: bytes
    now: Now
    judge: Judge
    chain: Chain
    lanes: LaneStore
    rounds: dict[View, Round] = field(default_factory=dict)
    view: View = FIRST_VIEW
    timer_from_us: int | None = None
    failures: int = 0
    best: tuple[View, Digest] = (GENESIS_VIEW, NO_DIGEST)
    """View and digest of the highest notarized block."""
    waiting_to_finalize: dict[tuple[View, Digest], None] = field(default_factory=dict)
    waiting_finalizations: dict[Digest, None] = field(default_factory=dict)
    """Headers with a finalization in ``chain.finalizations`` whose path is not complete yet."""
    passing: dict[tuple[type, View], Passing] = field(default_factory=dict)
    """By kind and view: certificates that may have to be passed on (rule 3.4)."""
    silent: dict[OwnerId, None] = field(default_factory=dict)
    leaving: dict[OwnerId, None] = field(default_factory=dict)
    """Peers whose last status said that they end: they are not waited for, as silent ones (rule 3.6)."""
    ending: Presence | None = None
    """What our statuses say, once we drain or leave."""
    burnt: bool = False
    """Our last turn as leader was nullified (rule 3.3)."""
    boot: int = 0
    """How often this replica was started on its disk; 0: it has none that could be rolled back (rule 7.4)."""
    awake: bool = True
    """May it make statements? Not before enough peers said what they hold of its own."""
    boot_answers: dict[OwnerId, None] = field(default_factory=dict)
    next_question_us: int = 0
    barred: frozenset[bytes] = frozenset()
    """Node keys that may sign nothing more: this state was restored from a backup of theirs (rule 7.4)."""
    halted: str | None = None
    own_vote_view: View = GENESIS_VIEW
    """The highest view that a vote of ours was cast in."""
    latest_votes: dict[OwnerId, SignedVote] = field(default_factory=dict)
    latest_promises: dict[OwnerId, SignedPromise] = field(default_factory=dict)
    transfer: Transfer | None = None
    unserved: Height | None = None
    """The final height above which nobody serves what we lack, so that a snapshot must bring us on (rule 7.2)."""
    checkpoint: Height = GENESIS_HEIGHT
    """Height of the latest checkpoint that was begun (rule 7.1)."""
    milestones: list[Milestone] = field(default_factory=list)
    """Kept checkpoints, ascending, before which everything is still owed to somebody."""
    latest_deadline: TimeUs = NO_TIME
    """Of any request that was ever admitted here."""
    successions: dict[Epoch, Succession] = field(default_factory=dict)
    """What ended each epoch that we left (rule 8.4)."""
    former: dict[Epoch, LaneStore] = field(default_factory=dict)
    """Lanes of earlier epochs, for who is behind, as long as blocks that order them are kept."""
    peer_stamps: dict[OwnerId, tuple[int, int]] = field(default_factory=dict)
    """The last stamp of each peer and when it came."""
    round_trips: dict[OwnerId, int] = field(default_factory=dict)
    """Microseconds to each peer and back, smoothed (rule 3.7)."""
    timeouts_us: tuple[int, int, int] | None = None
    """Failures, propose and advance timeout as last worked out; None when a round trip changed since."""
    peer_tips: dict[OwnerId, Cut] = field(default_factory=dict)
    lacking_tips: dict[OwnerId, list[LaneTip]] = field(default_factory=dict)
    """Tips that a peer reported and below which we may lack batches."""
    peer_views: dict[OwnerId, View] = field(default_factory=dict)
    peer_heights: dict[OwnerId, Height] = field(default_factory=dict)
    """The highest final height that each peer reported (rule 7.1)."""
    reported_us: dict[Digest, int] = field(default_factory=dict)
    """When we first told everyone that we hold a batch above the final cut (rule 3.6)."""
    prepared: dict[Digest, Applied] = field(default_factory=dict)
    """What our own proposal does, until it comes back through the inbox."""
    next_status_us: int = 0
    wanted: dict[Want, OwnerId | None] = field(default_factory=dict)
    fetches: dict[Want, Fetch] = field(default_factory=dict)
    persisted: dict[bytes, None] = field(default_factory=dict)
    """Names of what the journal holds, the latest PERSISTED_MAX; one that was dropped is only written again."""

    own_tip: LaneTip = field(default_factory=lambda: LaneTip(OwnerId(0), LaneHeight(0), NO_DIGEST))
    own_time: TimeUs = NO_TIME
    own_batch_us: int = 0
    answer_us: int = 0
    """What an answer of our engine takes lately, as it was last told."""
    own_model: ModelInForce = ModelInForce(FIRST_VERSION, NO_DIGEST, Height(0), LaneHeight(0))
    """Version and model that our lane is at: in force for the next batch we append (rule 4.3)."""
    next_update: SignedUpdate | None = None
    """The next model is loaded; the update leaves as soon as ``update_gap`` allows."""
    next_change: SignedChange | None = None
    """A membership change that our next batch carries (rule 8.4)."""
    engine: Engine | None = None
    missing: dict[RequestId, tuple[int, TimeUs]] = field(default_factory=dict)
    """Requests that we owe an answer and whose input we lack: since when, and their deadline (rule 2.3). Each is open
    in the ledger or our own, which bounds them."""
    run_again: dict[RequestId, int] = field(default_factory=dict)
    """Requests of ours that the engine failed under its new version, and when it gets them again (rule 4.3)."""
    mine: dict[RequestId, OwnRequest] = field(default_factory=dict)
    mine_by_client: dict[ClientKey, int] = field(default_factory=dict)
    """Requests of each client that have no final outcome here (rule 4.2)."""
    accounts: dict[ClientKey, Account] = field(default_factory=dict)
    """What clients used of their rate and quota; whoever was admitted longest ago comes first (rule 2.2)."""
    open_mine: dict[RequestId, None] = field(default_factory=dict)
    outbox: dict[RequestId, None] = field(default_factory=dict)
    """Answered, not yet promised."""
    ends: list[tuple[TimeUs, RequestId]] = field(default_factory=list)
    """Heap of (deadline, request) of ``mine``."""
    placed: dict[RequestId, list[Digest]] = field(default_factory=dict)
    """Final blocks that hold entries of a request; as long as those blocks are kept (rule 5.2)."""
    evidence: dict[Verdict, bytes] = field(default_factory=dict)
    """What we can show, one piece for each accused and offence (rule 8.1)."""
    shown: dict[Verdict, None] = field(default_factory=dict)
    """Pieces that stand in our own lane."""
    ticks: list[tuple[TimeUs, RequestId]] = field(default_factory=list)
    """Heap of (due, request) of records that f+1 lanes attest (rule 2.7)."""
    ripe_ticks: dict[tuple[TimeUs, RequestId], None] = field(default_factory=dict)
    """Those that are due by our clock and not yet by final block time."""

    def round(self, view: View) -> Round:
        """The round of a view, made when first touched."""
        found = self.rounds.get(view)
        if found is None:
            found = self.rounds[view] = Round()
        return found

    @property
    def mono(self) -> int:
        """Monotonic microseconds of the event in hand."""
        return self.now.monotonic_us

    @property
    def wall(self) -> TimeUs:
        """Wall-clock microseconds of the event in hand."""
        return self.now.wall_us

    @property
    def is_member(self) -> bool:
        """Does this replica serve the current epoch?"""
        return self.group.owner(self.me) is not None

    @property
    def is_barred(self) -> bool:
        """Does it only observe, since its key of this epoch may have signed what this state does not show?"""
        if not self.barred:
            return False
        own = self.group.owner(self.me)
        return own is not None and own.node_key in self.barred

    @property
    def may_speak(self) -> bool:
        """May it make statements? (rules 7.4, 8.4)"""
        return self.awake and self.is_member and self.chain.hollow is None and not self.is_barred

    @property
    def peers(self) -> tuple[OwnerId, ...]:
        """Every replica but this one."""
        return self.group.all_but(self.me)

    def want(self, kind: str, name: bytes | int, bound: int = 0, hint: OwnerId | None = None) -> None:
        """Ask for something until it is here or nobody needs it any more (rule 3.9); ``hint`` is asked first."""
        self.wanted.setdefault((kind, name, bound), hint)

    def note_persisted(self, name: bytes) -> bool:
        """Remember that the journal has (or gets) this; False when it had it already."""
        if name in self.persisted:
            return False
        if len(self.persisted) >= PERSISTED_MAX:
            del self.persisted[next(iter(self.persisted))]
        self.persisted[name] = None
        return True

    def final_lane_height(self, owner: OwnerId) -> LaneHeight:
        """How far the final cut has come in a lane."""
        return self.chain.final_lanes.get(owner, LaneHeight(0))


PROPOSE_TRIPS = 8
ADVANCE_TRIPS = 16
"""Time-outs in round trips: word of the work, a fetch, the proposal; the largest fetch and two votes (rule 3.7)."""

TIMEOUT_FLOOR_SHARE = 2
"""A measured time-out is never below this fraction of the genesis' own: one quiet moment must not start a storm."""


def scaled_timeouts(state: ReplicaState) -> tuple[int, int]:
    """(propose, advance) timeouts: multiples of the round trip to the q-th fastest replica, at most the genesis' own,
    then grown by repeated failure; microseconds (rule 3.7)."""
    if state.timeouts_us is not None and state.timeouts_us[0] == state.failures:
        return state.timeouts_us[1:]
    rules = state.group.parameters
    growth = (rules.timeout_growth_percent / 100) ** state.failures
    trip = _quorum_trip_us(state)
    propose_us, advance_us = rules.propose_timeout_us, rules.advance_timeout_us
    if trip is not None:
        propose_us = min(propose_us, max(PROPOSE_TRIPS * trip, propose_us // TIMEOUT_FLOOR_SHARE))
        advance_us = min(advance_us, max(ADVANCE_TRIPS * trip, advance_us // TIMEOUT_FLOOR_SHARE))
    state.timeouts_us = state.failures, int(propose_us * growth), int(advance_us * growth)
    return state.timeouts_us[1:]


def _quorum_trip_us(state: ReplicaState) -> int | None:
    """Round trip to the q-th fastest replica, ourselves the fastest; None while too few were measured."""
    others = state.group.quorum - 1
    trips = sorted(state.round_trips.values())
    return trips[others - 1] if 0 < others <= len(trips) else None


def new_replica(
    group: Group, me: OwnerId, secret: bytes, now: Now, checker: SignatureChecker, boot: int = 0
) -> ReplicaState:
    """A replica that has seen nothing. ``boot`` counts the starts on its disk; 0 without one (rule 7.4)."""
    chain = Chain(group)
    judge = Judge(group, chain.final.header, checker)
    state = ReplicaState(group, me, secret, now, judge, chain, LaneStore(group))
    state.own_model = chain.base.models.get(me, state.own_model)
    state.boot, state.awake = boot, boot == 0 or group.n - 1 <= group.f
    state.best = (GENESIS_VIEW, chain.final.header.digest)
    state.own_tip = LaneTip(me, LaneHeight(0), NO_DIGEST)
    return state
