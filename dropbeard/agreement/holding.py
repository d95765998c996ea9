"""What a block needs in hand: justification, ordered batches, applied state, copies on disk (rules 3.2, 3.3, 3.8)."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

from dropbeard.agreement.chain import Block
from dropbeard.agreement.effects import Effect, Persist
from dropbeard.agreement.ledger import Applied, apply_block, nothing_applied
from dropbeard.agreement.ledger_state import StateView
from dropbeard.agreement.records import BatchRecord, BlockRecord, CertificateRecord
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.evidence.justification import closes, cover_fault
from dropbeard.types.blocks import Cut, LaneTip
from dropbeard.types.ids import OwnerId
from dropbeard.types.lanes import LaneBatch, SignedBatch
from dropbeard.types.messages import AnyCertificate, Proposal

Ordered = Mapping[OwnerId, Sequence[SignedBatch]]


def justify(state: ReplicaState, block: Block) -> None:
    """Settle whether a block's justification checks, fetching pages and headers it needs (rule 3.2)."""
    if block.justified or block.refused is not None or block.proposal is None:
        return
    parent = state.chain.block(block.header.parent)
    missing = state.chain.missing_pages(block.proposal.justification)
    leader = state.group.leader(block.header.view)
    for digest in missing:
        state.want("page", digest, hint=leader)
    if parent is None:
        state.want("header", block.header.parent, state.chain.final.header.height, leader)
    elif not missing:
        justification = block.proposal.justification
        block.refused = cover_fault(block.header, justification, parent.header, state.chain.pages)
        block.justified = block.refused is None


def ordered_batches(
    state: ReplicaState, parent: Cut, cut: Cut, hint: OwnerId
) -> dict[OwnerId, list[SignedBatch]] | str | tuple[LaneTip, ...]:
    """The batches between two cuts; those that are lacking and being fetched; or what is wrong with the cut (3.3)."""
    ordered: dict[OwnerId, list[SignedBatch]] = {}
    lacking: list[LaneTip] = []
    for below, tip in zip(parent, cut, strict=True):
        if not below.height <= tip.height <= below.height + state.group.parameters.block_batches_max:
            return "its cut grows a lane beyond the limits"
        rows = state.lanes.between(below, tip)
        if rows is None:
            return "its cut does not extend its parent's"
        if isinstance(rows, LaneTip):
            state.want("batch", rows.digest, below.height, hint)
            lacking.append(rows)
        else:
            ordered[tip.owner] = rows
    return tuple(lacking) if lacking else ordered


def try_apply(state: ReplicaState, block: Block) -> Applied | None:
    """Compute what a block does, once parent and batches are in hand; refuse it when its header lies."""
    if block.applied is not None or block.refused is not None:
        return block.applied
    parent = state.chain.block(block.header.parent)
    hint = state.group.leader(block.header.view)
    if parent is None or (block.lacks and _still_lacks(state, block, parent, hint)):
        return None
    before = state.chain.state_after(parent)
    if before is None:
        return None
    if ends_epoch(state, before, parent):
        return _try_closing(block, parent)
    ordered = ordered_batches(state, parent.header.cut, block.header.cut, hint)
    if not isinstance(ordered, dict):
        block.refused, block.lacks = (ordered, ()) if isinstance(ordered, str) else (None, ordered)
        return None
    header = block.header
    applied = state.prepared.pop(header.digest, None)
    if applied is None:
        applied = apply_block(state.group, before, parent.header, unsigned(ordered), state.judge.verdict)
    computed = (applied.time, applied.tree.root, applied.state_root)
    if computed != (header.time, header.entries_root, header.state_root):
        block.refused = "its time, entries root or state root is not what its batches give"
        return None
    block.applied = applied
    _note_dues(state, applied)
    return applied


def ends_epoch(state: ReplicaState, after: StateView, block: Block) -> bool:
    """Is it the last block of the epoch, or one that closes it? Only closing blocks extend such a one (rule 8.4)."""
    return after.ending_at(state.group.epoch, block.header.height) is not None


def _try_closing(block: Block, parent: Block) -> Applied | None:
    if closes(block.header, parent.header):
        block.applied = nothing_applied(block.header)
    else:
        block.refused = "the epoch is over: only closing blocks extend its last block"
    return block.applied


def _still_lacks(state: ReplicaState, block: Block, parent: Block, hint: OwnerId) -> bool:
    """None of the batches that it lacked has come: ask again without walking every lane."""
    for tip in block.lacks:
        if state.lanes.get(tip.owner, tip.digest) is not None:
            return False
    below = {tip.owner: tip.height for tip in parent.header.cut}
    for tip in block.lacks:
        state.want("batch", tip.digest, below[tip.owner], hint)
    return True


def unsigned(ordered: Ordered) -> dict[OwnerId, list[LaneBatch]]:
    """The batches alone."""
    return {owner: [signed.batch for signed in rows] for owner, rows in ordered.items()}


def apply_towards(state: ReplicaState, block: Block) -> bool:
    """Apply ``block`` and every ancestor above the final one, as far as parts are in hand; is ``block`` applied?"""
    if block.applied is not None:
        return True
    path: list[Block] = []
    at = block
    while at.applied is None and at.header.height > state.chain.final.header.height:
        path.append(at)
        parent = state.chain.block(at.header.parent)
        if parent is None:
            state.want("header", at.header.parent, state.chain.final.header.height)
            return False
        at = parent
    return all(try_apply(state, step) is not None for step in reversed(path)) and block.applied is not None


def _note_dues(state: ReplicaState, applied: Applied) -> None:
    """Of records that f+1 lanes attest: when they fall due (ticks, rule 2.7) and which we lack (rule 2.3)."""
    for request, record in applied.delta.open.items():
        if record is not None and len(record.answers) > state.group.f:
            heapq.heappush(state.ticks, (record.due, request))
            if request not in state.mine:
                state.missing.setdefault(request, (state.mono, record.deadline))


def persist_ordered(state: ReplicaState, ordered: Ordered) -> list[Effect]:
    """Every lane batch that a cut orders, whoever's lane (rule 3.8)."""
    effects: list[Effect] = []
    for rows in ordered.values():
        for signed in rows:
            if state.note_persisted(signed.batch.digest):
                effects.append(Persist(BatchRecord(signed)))
    return effects


def persist_block(state: ReplicaState, block: Block) -> list[Effect]:
    """Header and justification, with every page, unless the journal has them (rule 3.8)."""
    whole = whole_proposal(state, block)
    if whole is None or not state.note_persisted(block.header.digest):
        return []
    return [Persist(BlockRecord(whole))]


def whole_proposal(state: ReplicaState, block: Block) -> Proposal | None:
    """A block's proposal with every page of its justification; None while one is lacking."""
    proposal, held = block.proposal, state.chain.pages
    if proposal is None or not all(page in held for page in proposal.justification.pages):
        return None
    pages = tuple(held[page] for page in proposal.justification.pages)
    return Proposal(proposal.header, proposal.signature, proposal.justification, pages)


def persist_certificate(state: ReplicaState, certificate: AnyCertificate) -> list[Effect]:
    """A certificate that a vote depends on, unless the journal has one of the same vote."""
    name = b"certificate" + certificate.vote.encode()
    if not state.note_persisted(name):
        return []
    return [Persist(CertificateRecord(certificate))]
