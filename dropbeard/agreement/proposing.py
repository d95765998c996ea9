"""The leader's half of a view: one proposal on the best notarized block (rule 3.2)."""

from __future__ import annotations

from dataclasses import replace

from dropbeard.agreement.chain import Block, is_full, make_pages
from dropbeard.agreement.effects import Effect, Propose, Send
from dropbeard.agreement.holding import apply_towards, ends_epoch, ordered_batches, persist_ordered, unsigned
from dropbeard.agreement.ledger import Applied, apply_block
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.types.blocks import Cut, Header, Justification, Page
from dropbeard.types.ids import NO_DIGEST, Height, OwnerId
from dropbeard.types.limits import FETCH_VIEWS_MAX
from dropbeard.types.merkle import EMPTY_ROOT
from dropbeard.types.messages import BatchNotice

WORTH_A_BLOCK = 16
"""As many attestations of one lane are not kept waiting for others."""

ANSWER_SHARE = 8
"""A leader waits for more answers for this part of what its own engine takes for one."""

TIMEOUT_SHARE = 4
"""And never for more than this part of what the others wait for it."""


def propose(state: ReplicaState) -> list[Effect]:
    """Our one proposal of the current view, as soon as parent, justification and ``block_interval`` allow."""
    parent = state.chain.block(state.best[1])
    if parent is None or not apply_towards(state, parent) or proposal_wait_us(state, parent) > 0:
        return []
    pages = _pages(state)
    before = state.chain.state_after(parent)
    if pages is None or before is None:
        return []
    best_view, digest = state.best
    notarization = state.rounds[best_view].notarizations[digest] if best_view >= 0 else None
    justification = Justification(notarization, tuple(page.digest for page in pages))
    if ends_epoch(state, before, parent):
        return _propose_closing(state, parent, justification, pages)
    cut = state.lanes.tips_from(parent.header.cut, state.group.parameters.block_batches_max)
    ordered = ordered_batches(state, parent.header.cut, cut, state.me)
    if not isinstance(ordered, dict):
        return []
    applied = apply_block(state.group, before, parent.header, unsigned(ordered), state.judge.verdict)
    header = _header(state, parent, cut, applied, justification)
    state.prepared[header.digest] = applied
    resent = _resend_batches(state, parent.header.cut, cut)
    return [*persist_ordered(state, ordered), *resent, _proposal(state, header, justification, pages)]


def _proposal(state: ReplicaState, header: Header, justification: Justification, pages: tuple[Page, ...]) -> Propose:
    state.round(state.view).notarized = header.digest
    state.note_persisted(header.digest)
    return Propose(header, justification, pages, tuple(page for page in pages if not is_full(page)))


def _propose_closing(
    state: ReplicaState, parent: Block, justification: Justification, pages: tuple[Page, ...]
) -> list[Effect]:
    """Nothing but one more chance for the last block of the epoch to become final (rule 8.4)."""
    header = replace(
        parent.header,
        view=state.view,
        parent=parent.header.digest,
        parent_view=parent.header.view,
        entries_root=EMPTY_ROOT,
        state_root=NO_DIGEST,
        justification=justification.digest,
    )
    return [_proposal(state, header, justification, pages)]


def _header(state: ReplicaState, parent: Block, cut: Cut, applied: Applied, justification: Justification) -> Header:
    return Header(
        group=state.group.id,
        epoch=state.group.epoch,
        height=Height(parent.header.height + 1),
        view=state.view,
        parent=parent.header.digest,
        parent_view=parent.header.view,
        cut=cut,
        time=applied.time,
        entries_root=applied.tree.root,
        state_root=applied.state_root,
        justification=justification.digest,
    )


def _pages(state: ReplicaState) -> tuple[Page, ...] | None:
    """Pages for the views since the best block; None while nullifications are being fetched."""
    held = {view: r.nullification for view, r in state.rounds.items() if r.nullification is not None}
    pages, missing = make_pages(state.chain, state.best[0], state.view, held)
    if missing:
        state.want("views", missing[0], min(missing[-1], missing[0] + FETCH_VIEWS_MAX - 1))
        return None
    for page in pages:
        state.chain.add_page(page)
    return tuple(pages)


def proposal_wait_us(state: ReplicaState, parent: Block) -> int:
    """Microseconds until the parent, since we first saw it, has been there for long enough (rule 3.2)."""
    if parent.header.digest == state.chain.root.header.digest:
        return 0
    return parent.seen_at_us + _interval_us(state, parent) - state.mono


def _interval_us(state: ReplicaState, parent: Block) -> int:
    """``block_interval``; where answers take long, more, as long as the block would hold few of them: one of a few
    requests costs every node as much as one of many."""
    rules = state.group.parameters
    longer_us = min(state.answer_us // ANSWER_SHARE, rules.propose_timeout_us // TIMEOUT_SHARE)
    if longer_us <= rules.block_interval_us or any(
        state.lanes.attests(tip, WORTH_A_BLOCK) for tip in parent.header.cut
    ):
        return rules.block_interval_us
    return longer_us


def _resend_batches(state: ReplicaState, below: Cut, cut: Cut) -> list[Effect]:
    """After a turn of ours that was nullified: each batch of the cut that a voter has not reported (rule 3.3)."""
    if not state.burnt:
        return []
    state.burnt = False
    effects: list[Effect] = []
    for peer in state.peers:
        reported = {tip.owner: tip.height for tip in state.peer_tips.get(peer, ())}
        for low, tip in zip(below, cut, strict=True):
            above = max(low.height, reported.get(OwnerId(tip.owner), low.height))
            effects += [Send(peer, BatchNotice(signed)) for signed in state.lanes.down_from(tip, above)]
    return effects
