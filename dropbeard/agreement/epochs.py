"""From one epoch to the next: by its last block, or by a proof of it and a snapshot (rule 8.4)."""

from __future__ import annotations

from dataclasses import fields

from dropbeard.agreement.effects import Effect, Persist, Send
from dropbeard.agreement.lane_store import LaneStore
from dropbeard.agreement.ledger_state import StateView
from dropbeard.agreement.records import SuccessionRecord
from dropbeard.agreement.replica_state import Engine, OwnStage, ReplicaState
from dropbeard.agreement.requests import run
from dropbeard.agreement.snapshots import is_behind, is_unserved
from dropbeard.agreement.tables import Succeeding
from dropbeard.agreement.voting import on_certificate
from dropbeard.evidence.judge import Judge
from dropbeard.types.blocks import LaneTip
from dropbeard.types.ids import GENESIS_VIEW, NO_DIGEST, Epoch, LaneHeight, OwnerId, RequestId, Version
from dropbeard.types.limits import SUCCESSIONS_MAX
from dropbeard.types.membership import SignedChange, following_group
from dropbeard.types.messages import (
    BatchNotice,
    BootAnswer,
    BootQuestion,
    CertificateNotice,
    PageNotice,
    PeerMessage,
    Proposal,
    Status,
    SuccessionNotice,
)
from dropbeard.types.succession import Succession, root_header
from dropbeard.types.votes import SignedVote

KEPT = frozenset(
    (
        *("group", "me", "secret", "now", "judge", "chain", "lanes", "boot", "halted", "successions", "former"),
        *("awake", "next_status_us", "next_question_us", "persisted", "own_batch_us", "engine"),
        *("mine", "mine_by_client", "accounts", "open_mine", "outbox", "ends", "placed", "missing", "run_again"),
        *("own_model", "ticks", "ripe_ticks", "round_trips", "checkpoint", "milestones", "latest_deadline"),
        *("barred", "ending", "answer_us"),
    )
)
"""What a replica takes along; everything else starts anew, since views, lanes and votes are of one epoch."""


def epoch_of(message: PeerMessage) -> Epoch | None:
    """The epoch that a message speaks of; None when it is of none, or serves who is behind."""
    match message:
        case SignedVote():
            return message.vote.epoch
        case CertificateNotice():
            return message.certificate.vote.epoch
        case Proposal():
            return message.header.epoch
        case PageNotice():
            rows = message.page.nullifications
            return rows[0].vote.epoch if rows else None
        case BatchNotice():
            return message.signed.batch.epoch
        case Status() | BootQuestion() | BootAnswer():
            return message.epoch
        case _:
            return None


def other_epoch(state: ReplicaState, message: PeerMessage) -> Epoch | None:
    """The epoch that a message speaks of when it is not ours."""
    epoch = epoch_of(message)
    return None if epoch == state.group.epoch else epoch


def on_other_epoch(state: ReplicaState, sender: OwnerId, message: PeerMessage, epoch: Epoch) -> list[Effect]:
    """Who is behind is shown what ended its epoch; who is ahead is asked what ended ours."""
    if epoch > state.group.epoch:
        state.want("succession", state.group.epoch, 0, sender)
        return []
    return on_fetch_succession(state, sender, epoch) if isinstance(message, Status | BootQuestion) else []


def on_fetch_succession(state: ReplicaState, sender: OwnerId, epoch: Epoch) -> list[Effect]:
    """What ended an epoch that we left."""
    known = state.successions.get(epoch)
    return [] if known is None else [Send(sender, SuccessionNotice(known))]


def on_change_signed(state: ReplicaState, signed: SignedChange) -> list[Effect]:
    """Our next batch carries it."""
    state.next_change = signed
    return []


def end_epoch(state: ReplicaState) -> list[Effect]:
    """Step into the next epoch once the last block of this one is final here."""
    change = StateView(state.chain.base, ()).ending_at(state.group.epoch, state.chain.final.header.height)
    succession = None if change is None else _proof(state, change)
    if succession is None:
        return []
    _step(state, succession)
    return carry_over(state)


def _proof(state: ReplicaState, change: Succeeding) -> Succession | None:
    last, chain = state.chain.final, state.chain
    if last.proved_by is None or last.applied is None or last.applied.whole is None:
        return None
    headers = chain.links_down(last.proved_by, last)
    if headers is None:
        return None
    signatures = chain.finalizations[last.proved_by].signatures
    root, whole = last.applied.unsealed, last.applied.whole
    return Succession(change.epoch, tuple(headers), signatures, root, whole, change.configuration)


def on_succession(state: ReplicaState, given: Succession) -> list[Effect]:
    """Our epoch is over: follow by its blocks, or by a snapshot when they are too many. It was checked."""
    if given.epoch != state.group.epoch or len(state.successions) >= SUCCESSIONS_MAX:
        return []
    if state.chain.hollow is None and not is_behind(state, given.last) and not is_unserved(state):
        return on_certificate(state, given.finalization)
    jump(state, given)
    return [Persist(SuccessionRecord(given))]


def jump(state: ReplicaState, given: Succession) -> None:
    """Stand on the next epoch's root without its state, which a snapshot brings (rule 7.2)."""
    _step(state, given)
    state.chain.hollow = given
    state.ticks.clear()
    state.ripe_ticks.clear()


def _step(state: ReplicaState, given: Succession) -> None:
    """Views, votes, lanes and keys of the next epoch."""
    was_member, before = state.is_member, state.group
    group = following_group(before, given.configuration)
    root = root_header(group, given.last, given.configuration)
    state.successions[before.epoch] = given
    state.former[before.epoch] = state.lanes
    judge = Judge(group, root, state.judge.checker.following(group))
    state.chain.start_epoch(group, root)
    fresh = ReplicaState(group, state.me, state.secret, state.now, judge, state.chain, LaneStore(group))
    for spec in fields(ReplicaState):
        if spec.name not in KEPT:
            setattr(state, spec.name, getattr(fresh, spec.name))
    state.group, state.judge, state.lanes = group, judge, fresh.lanes
    state.best = (GENESIS_VIEW, root.digest)
    state.own_tip = LaneTip(state.me, LaneHeight(0), NO_DIGEST)
    state.awake = (state.awake and was_member) or state.boot == 0
    for owner in [owner for owner in state.round_trips if group.owner(owner) is None]:
        del state.round_trips[owner]


def carry_over(state: ReplicaState) -> list[Effect]:
    """What the lane of the last epoch promised and nobody ordered is promised again, the same; an update that was not
    ordered never was (rule 8.4)."""
    state.outbox.clear()
    if not state.is_member:
        return []
    reverted = state.own_model.version != state.chain.base.models[state.me].version
    state.own_model = state.chain.base.models[state.me]
    version, model = state.own_model.version, state.own_model.model
    if state.engine is not None:
        state.engine = Engine(version, model, state.engine.capacity)
    effects: list[Effect] = []
    for request, own in state.mine.items():
        own.openings = {said: opening for said, opening in own.openings.items() if said <= version}
        if _is_over(state, request, version):
            continue
        if version in own.openings:
            own.stage = OwnStage.ANSWERED
            state.outbox[request] = None
        elif reverted or own.stage is not OwnStage.RUNNING:
            effects += run(state, request, own)
    return effects


def _is_over(state: ReplicaState, request: RequestId, version: Version) -> bool:
    """Is our answer counted, or is none wanted any more?"""
    record, outcome = state.chain.base.open.get(request), state.chain.base.outcomes.get(request)
    if record is not None:
        return any((answer.owner, answer.version) == (state.me, version) for answer in record.answers)
    return request not in state.open_mine if outcome is None else state.me in outcome.owners
