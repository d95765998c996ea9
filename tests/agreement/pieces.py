"""Small parts for tests of the core: a group of four with stand-in keys, replicas, batches, blocks, certificates."""

from __future__ import annotations

from collections.abc import Sequence

from dropbeard.agreement.chain import genesis_header
from dropbeard.agreement.effects import Effect
from dropbeard.agreement.events import BatchCame, Event, Now, PeerSpoke, TurnEnded
from dropbeard.agreement.ledger import apply_block
from dropbeard.agreement.ledger_state import StateView
from dropbeard.agreement.replica import handle
from dropbeard.agreement.replica_state import ReplicaState, new_replica
from dropbeard.evidence.judge import Judge
from dropbeard.simulator.keys import make_keys
from dropbeard.simulator.options import options_for
from dropbeard.types.blocks import Cut, Header, Justification, LaneTip, QuorumCertificate, Signatures
from dropbeard.types.ids import (
    NO_DIGEST,
    ClientKey,
    Digest,
    Height,
    LaneHeight,
    Nonce,
    OwnerId,
    Signature,
    TimeUs,
    Version,
    View,
)
from dropbeard.types.lanes import Attestation, LaneBatch, SignedBatch
from dropbeard.types.messages import CertificateNotice, Proposal
from dropbeard.types.requests import body_digest
from dropbeard.types.statements import Finalize, Notarize, Nullify, Vote
from dropbeard.types.votes import SignedVote

KEYS = make_keys(options_for(1, 4))
GROUP = KEYS.group
GENESIS = genesis_header(GROUP)
JUDGE = Judge(GROUP, GENESIS, KEYS.checker)
CLIENT = ClientKey(b"c" * 32)
START = Now(1_000_000, TimeUs(1_000_000_000))
SECRET = b"s" * 32


def owner(number: int) -> OwnerId:
    return OwnerId(number)


def later(us: int) -> Now:
    return Now(START.monotonic_us + us, TimeUs(START.wall_us + us))


def replica(me: int = 0) -> ReplicaState:
    return new_replica(GROUP, owner(me), SECRET, START, KEYS.checker)


def sign(number: int, vote: Vote) -> Signature:
    return Signature(KEYS.keys[number].sign(vote.encode()))


def signed_vote(number: int, vote: Vote) -> SignedVote:
    return SignedVote(owner(number), vote, sign(number, vote))


def certificate_of(vote: Vote, signers: Sequence[int] = (0, 1, 2)) -> CertificateNotice:
    rows: Signatures = tuple((owner(i), sign(i, vote)) for i in signers)
    return CertificateNotice(QuorumCertificate(vote, rows))  # type: ignore[arg-type]


def notarization_of(header: Header, signers: Sequence[int] = (0, 1, 2)) -> QuorumCertificate[Notarize]:
    return QuorumCertificate(notarize(header), tuple((owner(i), sign(i, notarize(header))) for i in signers))


def nullification_of(view: int, signers: Sequence[int] = (0, 1, 2)) -> QuorumCertificate[Nullify]:
    return QuorumCertificate(nullify(view), tuple((owner(i), sign(i, nullify(view))) for i in signers))


def notarize(header: Header) -> Notarize:
    return Notarize(GROUP.id, GROUP.epoch, header.view, header.digest)


def finalize(header: Header) -> Finalize:
    return Finalize(GROUP.id, GROUP.epoch, header.view, header.digest)


def nullify(view: int) -> Nullify:
    return Nullify(GROUP.id, GROUP.epoch, View(view))


def attestation(number: int, deadline: int = 1_020_000_000, patience_us: int = 0, by: int = 0) -> Attestation:
    """Request ``number`` as owner ``by`` attests it."""
    body = body_digest(Nonce(number), GROUP.id, b"", NO_DIGEST)
    return Attestation(CLIENT, TimeUs(deadline), patience_us, body, Digest(bytes([number % 256, by]) * 16))


def batch(
    number: int, items: Sequence[Attestation] = (), before: LaneBatch | None = None, time: int = START.wall_us
) -> LaneBatch:
    """The next batch of owner ``number``'s lane."""
    height = LaneHeight(1 if before is None else before.lane_height + 1)
    parent = NO_DIGEST if before is None else before.digest
    return LaneBatch(GROUP.id, GROUP.epoch, owner(number), Version(1), height, parent, TimeUs(time), tuple(items))


def signed_batch(made: LaneBatch) -> SignedBatch:
    return SignedBatch(made, Signature(KEYS.keys[made.owner].sign(made.promise.encode())))


def came(made: LaneBatch) -> BatchCame:
    return BatchCame(made.owner, signed_batch(made))


def cut_with(*tips: LaneBatch, over: Cut = GENESIS.cut) -> Cut:
    ends = {made.owner: LaneTip(made.owner, made.lane_height, made.digest) for made in tips}
    return tuple(ends.get(tip.owner, tip) for tip in over)


def first_block(state: ReplicaState, view: int, *tips: LaneBatch, **changed: object) -> Proposal:
    """A valid child of the genesis in ``view`` 0 that orders ``tips`` (each a lane's first batch)."""
    applied = apply_block(
        GROUP, _genesis_view(state), GENESIS, {made.owner: [made] for made in tips}, state.judge.verdict
    )
    justification = Justification(None, ())
    fields: dict[str, object] = {
        "group": GROUP.id,
        "epoch": GROUP.epoch,
        "height": Height(1),
        "view": View(view),
        "parent": GENESIS.digest,
        "parent_view": GENESIS.view,
        "cut": cut_with(*tips),
        "time": applied.time,
        "entries_root": applied.tree.root,
        "state_root": applied.state_root,
        "justification": justification.digest,
        **changed,
    }
    header = Header(**fields)  # type: ignore[arg-type]
    return Proposal(header, sign(GROUP.leader(header.view), notarize(header)), justification, ())


def _genesis_view(state: ReplicaState) -> StateView:
    found = state.chain.state_after(state.chain.final)
    assert found is not None
    return found


def tell(state: ReplicaState, sender: int, message: object, now: Now = START) -> list[Effect]:
    return handle(state, PeerSpoke(owner(sender), message), now)  # type: ignore[arg-type]


def feed(state: ReplicaState, events: Sequence[Event], now: Now = START) -> list[Effect]:
    return [effect for event in events for effect in handle(state, event, now)]


def end_turn(state: ReplicaState, us: int = 0) -> list[Effect]:
    """End a turn ``us`` microseconds after the start."""
    return handle(state, TurnEnded(), later(us))


def with_block(me: int = 1) -> tuple[ReplicaState, Proposal]:
    """A follower that holds the batch and the proposal of view 0."""
    state = replica(me)
    made = batch(2, [attestation(1)])
    proposal = first_block(state, 0, made)
    feed(state, [came(made)])
    tell(state, 0, proposal)
    return state, proposal
