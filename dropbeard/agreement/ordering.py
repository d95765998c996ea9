"""The voter's half of a view: proposals taken and checked, work, time-outs (rules 3.2 to 3.7)."""

from __future__ import annotations

from dropbeard.agreement.accusing import accuse_of_unjustified
from dropbeard.agreement.chain import Block, statically_valid
from dropbeard.agreement.effects import Broadcast, CastVote, Effect, Report, Send
from dropbeard.agreement.holding import (
    apply_towards,
    justify,
    ordered_batches,
    persist_block,
    persist_ordered,
    try_apply,
)
from dropbeard.agreement.ledger_state import StateView
from dropbeard.agreement.proposing import propose
from dropbeard.agreement.replica_state import ReplicaState, scaled_timeouts
from dropbeard.agreement.voting import knows_certificate, nullify_view, on_certificate
from dropbeard.types.blocks import Header
from dropbeard.types.ids import OwnerId
from dropbeard.types.limits import PROPOSALS_PER_VIEW, VIEW_WINDOW
from dropbeard.types.messages import BatchNotice, CertificateNotice, Presence, Proposal
from dropbeard.types.statements import Notarize


def on_proposal(state: ReplicaState, proposal: Proposal) -> list[Effect]:
    """Keep a proposal that is valid by its bytes; the leader's signature and every certificate in it were checked."""
    header = proposal.header
    if (
        header.digest in state.chain.blocks
        or not state.chain.final.header.view < header.view <= state.view + VIEW_WINDOW
    ):
        return []
    wrong = statically_valid(state.chain, proposal)
    if wrong is not None:
        rotten = accuse_of_unjustified(state, Block(header, proposal, state.mono))
        return [Report(state.group.leader(header.view), f"invalid proposal: {wrong}"), *rotten]
    round_ = state.round(header.view)
    if len(round_.proposals) >= PROPOSALS_PER_VIEW and not _is_named(state, header):
        return []  # nor what came with it: its leader could make pages without end
    effects = _take_certificates(state, proposal)
    round_.proposals.append(header.digest)
    block = state.chain.blocks[header.digest] = Block(header, proposal, state.mono)
    if header.digest in state.prepared:
        try_apply(state, block)  # our own: worked out when it was proposed, and kept no longer than its view
    return effects


def _is_named(state: ReplicaState, header: Header) -> bool:
    """Does a certificate, a fetch of ours or a known child name this header?"""
    if any(want[0] == "header" and want[1] == header.digest for want in state.fetches):
        return True
    return header.digest in state.chain.finalizations or header.digest in state.round(header.view).notarizations


def _take_certificates(state: ReplicaState, proposal: Proposal) -> list[Effect]:
    effects: list[Effect] = []
    if proposal.justification.notarization is not None:
        effects += on_certificate(state, proposal.justification.notarization)
    for page in proposal.pages:
        if page.digest not in proposal.justification.pages:
            continue
        state.chain.add_page(page)
        for nullification in page.nullifications:
            if not knows_certificate(state, nullification):
                effects += on_certificate(state, nullification)
    return effects


def vote_on_proposals(state: ReplicaState) -> list[Effect]:
    """Notarize the current view's proposal if it is valid and all that it orders is held (rules 3.3, 3.4)."""
    effects: list[Effect] = []
    round_ = state.round(state.view)
    for digest in round_.proposals:
        block = state.chain.blocks.get(digest)
        if block is None or round_.notarized is not None or round_.finalized not in (None, digest):
            continue
        justify(state, block)
        apply_towards(state, block)
        if block.refused is not None:
            wrong: list[Effect] = [Report(state.group.leader(state.view), f"invalid proposal: {block.refused}")]
            effects += _complain(block, [*wrong, *accuse_of_unjustified(state, block)])
        elif block.justified and block.applied is not None:
            starved = [] if block.header.is_closing else _starved(state, block)
            effects += _complain(block, starved) if starved else _notarize(state, block)
    return effects


def _complain(block: Block, effects: list[Effect]) -> list[Effect]:
    """Say what is wrong with a block once, not in every turn that its view lasts."""
    if block.complained:
        return []
    block.complained = True
    return effects


def _notarize(state: ReplicaState, block: Block) -> list[Effect]:
    state.round(state.view).notarized = block.header.digest
    vote = Notarize(state.group.id, state.group.epoch, state.view, block.header.digest)
    parent = state.chain.blocks[block.header.parent]
    ordered = ordered_batches(state, parent.header.cut, block.header.cut, state.me)
    rows = ordered if isinstance(ordered, dict) else {}
    return [*persist_block(state, block), *persist_ordered(state, rows), CastVote(vote)]


def _starved(state: ReplicaState, block: Block) -> list[Effect]:
    """Batches that we held and reported for longer than ``starvation`` in a lane that the block does not advance."""
    parent = state.chain.blocks[block.header.parent]
    leader = state.group.leader(block.header.view)
    refusals: list[Effect] = []
    for below, tip in zip(parent.header.cut, block.header.cut, strict=True):
        following = state.lanes.tip_from(below, 1)
        since = state.reported_us.get(following.digest)
        if tip != below or following == below or since is None or leader == state.me:
            continue
        if state.mono - since > state.group.parameters.starvation_us:
            signed = state.lanes.get(following.owner, following.digest)
            if signed is not None:
                refusals.append(Send(leader, BatchNotice(signed)))
    return refusals


def has_work(state: ReplicaState, after_best: StateView | None) -> bool:
    """Is there anything to order or to finalize, or a change of epochs on its way? (rule 3.6)"""
    if after_best is not None and after_best.succeeding(state.group.epoch) is not None:
        return True
    best_view, digest = state.best
    best = state.chain.block(digest)
    if best is None:
        state.want("header", digest, state.chain.final.header.height)
    elif state.lanes.goes_on(best.header.cut):
        return True
    if best_view > state.chain.final.header.view:
        waited = state.mono - state.round(best_view).notarized_at_us
        if waited >= state.group.parameters.finalize_timeout_us:
            return True
    return len(state.round(state.view).nullifies) >= state.group.weak_quorum


def drive_view(state: ReplicaState, after_best: StateView | None) -> list[Effect]:
    """Propose if it is our turn, run the view's timers, give up when they end (rules 3.2, 3.5, 3.6)."""
    if not has_work(state, after_best):
        state.timer_from_us = None
        return []
    effects: list[Effect] = []
    if state.timer_from_us is None:
        state.timer_from_us = state.mono
        effects += _tell_leader(state)
    round_ = state.round(state.view)
    leader = state.group.leader(state.view)
    may_lead = leader == state.me and state.ending is not Presence.LEAVES
    if may_lead and round_.notarized is None and not round_.nullified:
        effects += propose(state)
    if round_.nullified:
        effects += _repeat_nullify(state)
    elif round_.finalized is None and _timed_out(state, leader):
        effects += nullify_view(state)
    return effects


def _timed_out(state: ReplicaState, leader: OwnerId) -> bool:
    propose_us, advance_us = scaled_timeouts(state)
    elapsed = state.mono - (state.timer_from_us or state.mono)
    patience_us = 0 if leader in state.silent or leader in state.leaving else propose_us
    proposed = bool(state.round(state.view).proposals)
    return (elapsed >= patience_us and not proposed) or elapsed >= propose_us + advance_us


def _repeat_nullify(state: ReplicaState) -> list[Effect]:
    """Repeat our Nullify with our best certificate until the view ends (rule 3.5)."""
    round_ = state.round(state.view)
    if round_.my_nullify is None or state.mono - round_.nullify_sent_us < repeat_after_us(state):
        return []
    round_.nullify_sent_us = state.mono
    effects: list[Effect] = [Broadcast(round_.my_nullify)]
    best_view, best = state.best
    held = state.rounds.get(best_view)
    if held is not None and best in held.notarizations:
        effects.append(Broadcast(CertificateNotice(held.notarizations[best])))
    return effects


def repeat_after_us(state: ReplicaState) -> int:
    """How long a Nullify waits before it is sent again."""
    return min(state.group.parameters.status_interval_us, scaled_timeouts(state)[0])


def _tell_leader(state: ReplicaState) -> list[Effect]:
    """The batches that started our timer, to the leader at once (rule 3.6)."""
    leader = state.group.leader(state.view)
    best = state.chain.block(state.best[1])
    if best is None or leader == state.me:
        return []
    effects: list[Effect] = []
    for tip in best.header.cut:
        following = state.lanes.tip_from(tip, 1)
        signed = state.lanes.get(tip.owner, following.digest) if following != tip else None
        if signed is not None and following.owner != leader:
            effects.append(Send(leader, BatchNotice(signed)))
    return effects
