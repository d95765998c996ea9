"""Votes and certificates: tallies, R1 to R3, entering views (rules 3.4, 3.5)."""

from __future__ import annotations

from typing import assert_never

from dropbeard.agreement.accusing import accuse_by_vote
from dropbeard.agreement.booting import note_vote, stop_if_signed_without_us
from dropbeard.agreement.effects import Broadcast, CastVote, Effect
from dropbeard.agreement.holding import justify, persist_block, persist_certificate
from dropbeard.agreement.passing import pass_on_later
from dropbeard.agreement.replica_state import ReplicaState, Round
from dropbeard.signing.guard import VIEWS_KEPT
from dropbeard.types.blocks import Page, QuorumCertificate, Signatures
from dropbeard.types.ids import Digest, OwnerId, Signature, View
from dropbeard.types.limits import PAGE_VIEWS, VIEW_WINDOW
from dropbeard.types.messages import AnyCertificate, PageNotice
from dropbeard.types.statements import Finalize, Notarize, Nullify, Vote
from dropbeard.types.votes import SignedVote

DIGESTS_PER_SIGNER = 2
"""Different headers counted for one signer in one view: the second convicts it, a third adds nothing."""


def knows_vote(state: ReplicaState, signed: SignedVote) -> bool:
    """Would this vote change nothing? Asked before its signature is checked."""
    view = signed.vote.view
    if view < state.chain.final.header.view or view > state.view + VIEW_WINDOW:
        return True
    round_ = state.rounds.get(view)
    return round_ is not None and signed.signer in _tally(round_, signed.vote)


def _tally(round_: Round, vote: Vote) -> dict[OwnerId, Signature]:
    match vote:
        case Notarize():
            return round_.notarizes.get(vote.header, {})
        case Finalize():
            return round_.finalizes.get(vote.header, {})
        case Nullify():
            return round_.nullifies
        case _:
            assert_never(vote)


def knows_certificate(state: ReplicaState, certificate: AnyCertificate) -> bool:
    """Would this certificate change nothing? Asked before its signatures are checked."""
    vote = certificate.vote
    if isinstance(vote, Finalize):
        return vote.header in state.chain.finalizations or vote.view < state.chain.final.header.view
    if vote.view < state.chain.final.header.view:
        return True
    round_ = state.rounds.get(vote.view)
    if round_ is None:
        return False
    return vote.header in round_.notarizations if isinstance(vote, Notarize) else round_.nullification is not None


def on_vote(state: ReplicaState, signed: SignedVote) -> list[Effect]:
    """Count a vote; certify when it completes a quorum."""
    if knows_vote(state, signed):
        return []
    vote, signer = signed.vote, signed.signer
    round_ = state.round(vote.view)
    effects: list[Effect] = []
    note_vote(state, signed)
    if signer == state.me:
        note_own_vote(round_, signed)
        state.own_vote_view = max(state.own_vote_view, vote.view)
    effects += accuse_by_vote(state, round_, signed)
    match vote:
        case Notarize():
            tally = _count(round_.notarizes, signed, vote.header)
        case Finalize():
            tally = _count(round_.finalizes, signed, vote.header)
        case Nullify():
            round_.nullifies[signer] = signed.signature
            tally = round_.nullifies
        case _:
            assert_never(vote)
    if len(tally) == state.group.quorum:
        effects += on_certificate(state, certificate_from(vote, tally))
    return effects


def certificate_from(vote: Vote, tally: dict[OwnerId, Signature]) -> AnyCertificate:
    """A quorum certificate over a tally; signers ascend."""
    signatures: Signatures = tuple(sorted(tally.items()))
    return QuorumCertificate(vote, signatures)  # type: ignore[return-value]


def _count(
    tallies: dict[Digest, dict[OwnerId, Signature]], signed: SignedVote, header: Digest
) -> dict[OwnerId, Signature]:
    tally = tallies.get(header, {})
    if sum(signed.signer in voters for voters in tallies.values()) < DIGESTS_PER_SIGNER:
        tallies.setdefault(header, tally)[signed.signer] = signed.signature
    return tally


def _accuse_signers(state: ReplicaState, certificate: AnyCertificate) -> list[Effect]:
    """A certificate may hold votes that never came here by themselves."""
    if certificate.vote.view < state.chain.final.header.view:
        return []
    round_, vote = state.round(certificate.vote.view), certificate.vote
    counted = _tally(round_, vote)
    signed = [SignedVote(signer, vote, given) for signer, given in certificate.signatures if signer not in counted]
    for new in signed:
        note_vote(state, new)
    return [effect for new in signed for effect in accuse_by_vote(state, round_, new)]


def note_own_vote(round_: Round, signed: SignedVote) -> None:
    """Remember a promise of ours, also when it comes back from the journal."""
    match signed.vote:
        case Notarize():
            round_.notarized = signed.vote.header
        case Finalize():
            round_.finalized = signed.vote.header
        case Nullify():
            round_.nullified = True
            round_.my_nullify = signed
        case _:
            assert_never(signed.vote)


def on_certificate(state: ReplicaState, certificate: AnyCertificate) -> list[Effect]:
    """Take a quorum certificate: move views, remember what may be finalized, and whom to pass it on (rule 3.5)."""
    if knows_certificate(state, certificate):
        return []
    vote = certificate.vote
    accused = [*stop_if_signed_without_us(state, certificate), *_accuse_signers(state, certificate)]
    if isinstance(vote, Finalize):
        state.chain.finalizations[vote.header] = QuorumCertificate(vote, certificate.signatures)
        state.waiting_finalizations[vote.header] = None
        pass_on_later(state, certificate)
        return accused
    round_ = state.round(vote.view)
    if isinstance(vote, Notarize):
        if not round_.notarizations:
            round_.notarized_at_us = state.mono
        round_.notarizations[vote.header] = QuorumCertificate(vote, certificate.signatures)
        state.waiting_to_finalize[(vote.view, vote.header)] = None
        if vote.view > state.best[0]:
            state.best = (vote.view, vote.header)
    else:
        round_.nullification = QuorumCertificate(vote, certificate.signatures)
        _blame_leader(state, vote.view, round_)
    if vote.view >= state.view:
        _enter(state, View(vote.view + 1))
    pass_on_later(state, certificate)
    return [*accused, *_spread_full_page(state, vote.view)]


def _spread_full_page(state: ReplicaState, view: View) -> list[Effect]:
    """Make and spread an aligned page as soon as all its views are nullified (rule 3.2)."""
    number = view // PAGE_VIEWS
    if number in state.chain.full_pages:
        return []
    held = []
    for at in range(number * PAGE_VIEWS, (number + 1) * PAGE_VIEWS):
        round_ = state.rounds.get(View(at))
        if round_ is None or round_.nullification is None:
            return []
        held.append(round_.nullification)
    page = Page(tuple(held))
    state.chain.add_page(page)
    return [Broadcast(PageNotice(page))]


def _blame_leader(state: ReplicaState, view: View, round_: Round) -> None:
    """A nullified turn: timeouts grow, and a leader that said nothing in it is silent (rules 3.6, 3.7)."""
    if view < state.view:
        return
    state.failures = min(state.failures + 1, state.group.parameters.timeout_growth_steps_max)
    leader = state.group.leader(view)
    if leader == state.me:
        state.burnt = True
    elif view == state.view and state.timer_from_us is not None and not round_.proposals:
        state.silent[leader] = None


def _enter(state: ReplicaState, view: View) -> None:
    state.view = view
    state.timer_from_us = None
    state.prepared.clear()


def cast_finalizes(state: ReplicaState) -> list[Effect]:
    """Finalize every notarized block that R1 to R3 allow, also of earlier views (rule 3.5)."""
    effects: list[Effect] = []
    for view, header in list(state.waiting_to_finalize):
        too_old = view < max(state.chain.final.header.view, state.own_vote_view - VIEWS_KEPT)
        if too_old or not _may_finalize(state.round(view), header):  # the guard no longer knows what we did then
            del state.waiting_to_finalize[(view, header)]
            continue
        round_, block = state.round(view), state.chain.block(header)
        if block is None:
            state.want("header", header, state.chain.final.header.height)
            continue
        justify(state, block)
        if block.justified and block.header.view == view:  # R3: header and justification held and checked
            del state.waiting_to_finalize[(view, header)]
            round_.finalized = header
            effects += persist_block(state, block)
            effects += persist_certificate(state, round_.notarizations[header])
            effects.append(CastVote(Finalize(state.group.id, state.group.epoch, view, header)))
    return effects


def _may_finalize(round_: Round, header: Digest) -> bool:
    """R1, R2 and R2' for Finalize."""
    return not round_.nullified and round_.finalized is None and round_.notarized in (None, header)


def nullify_view(state: ReplicaState) -> list[Effect]:
    """Give up on the current view; the way from the best block to it is on disk first (rule 3.8)."""
    round_ = state.round(state.view)
    round_.nullified = True
    round_.nullify_sent_us = state.mono
    effects: list[Effect] = []
    best_view, best = state.best
    notarization = state.rounds[best_view].notarizations.get(best) if best_view in state.rounds else None
    if notarization is not None:
        effects += persist_certificate(state, notarization)
    for view in range(best_view + 1, state.view):
        held = state.rounds.get(View(view))
        if held is not None and held.nullification is not None:
            effects += persist_certificate(state, held.nullification)
    return [*effects, CastVote(Nullify(state.group.id, state.group.epoch, state.view))]
