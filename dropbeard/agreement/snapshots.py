"""Catching up by a snapshot that the state root of a final header proves, from any peers (rules 4.1, 7.1, 7.2)."""

from __future__ import annotations

import heapq

from dropbeard.agreement.chain import Block
from dropbeard.agreement.effects import Effect, Persist, Send
from dropbeard.agreement.ledger import nothing_applied
from dropbeard.agreement.ledger_state import Base
from dropbeard.agreement.records import SnapshotRecord
from dropbeard.agreement.replica_state import ReplicaState, Transfer
from dropbeard.agreement.requests import close_own
from dropbeard.agreement.rows import base_from_rows
from dropbeard.agreement.whole_state import snapshot_digest, snapshot_root
from dropbeard.types import hashing
from dropbeard.types.blocks import Cut, Header
from dropbeard.types.ids import GENESIS_HEIGHT, NO_DIGEST, Height, OwnerId, View
from dropbeard.types.messages import BucketNotice, FetchBucket, FetchSnapshot, SnapshotNotice
from dropbeard.types.succession import empty_cut

LAG_INTERVALS = 2
"""A replica that is this many snapshot intervals behind takes a snapshot; blocks are faster for less."""

ATTEMPTS_IN_VAIN = 6
"""Times that something is asked for before we take it that nobody has it any more."""


def is_behind(state: ReplicaState, header: Header) -> bool:
    """Is this final header so far ahead that a snapshot is due?"""
    return header.height - state.chain.final.header.height > LAG_INTERVALS * _interval(state)


def is_unserved(state: ReplicaState) -> bool:
    """Did we ask in vain for headers or batches above our final height? Others have pruned them, and a snapshot is what
    they still have (rule 7.1). Once found, it stays so until we get on."""
    final = state.chain.final.header.height
    if state.unserved == final:
        return True
    # A batch counts only when a block needs it: any liar reports tips that nobody has.
    lacking = {tip.digest for block in state.chain.blocks.values() for tip in block.lacks}
    for (kind, name, _), fetch in state.fetches.items():
        if fetch.attempts >= ATTEMPTS_IN_VAIN and (kind == "header" or (kind == "batch" and name in lacking)):
            state.unserved = final
    return state.unserved == final


def must_skip_to(state: ReplicaState, header: Header) -> bool:
    """Is a snapshot due that this final header proves: because it is far ahead, or nobody serves the blocks between?"""
    if is_behind(state, header):
        return True
    return _proved(state, header) > state.chain.final.header.height and is_unserved(state)


def _proved(state: ReplicaState, header: Header) -> Height:
    return Height((header.height // _interval(state) - 1) * _interval(state))


def reported_height(state: ReplicaState) -> Height:
    """The highest final height that a quorum reported, ourselves among it (rule 7.1)."""
    heights = [state.peer_heights.get(peer, GENESIS_HEIGHT) for peer in state.peers]
    ranked = sorted([*heights, state.chain.final.header.height], reverse=True)
    return ranked[state.group.quorum - 1] if len(ranked) >= state.group.quorum else GENESIS_HEIGHT


def served_from(state: ReplicaState, height: Height) -> Height:
    """From where on lane batches are kept in memory for who is behind, seen from a final height: who is further behind
    takes a snapshot that a quorum holds with its proof."""
    interval = _interval(state)
    proved = (reported_height(state) // interval - 1) * interval
    return Height(max(0, min(proved, height - LAG_INTERVALS * interval)))


def cut_at(state: ReplicaState, height: Height) -> Cut:
    """What this epoch had ordered at a height; nothing of any lane when that was before it, or is not known."""
    digest = state.chain.heights.get(height)
    block = None if digest is None else state.chain.block(digest)
    if block is None or block.header.epoch != state.group.epoch:
        return empty_cut(state.group)
    return block.header.cut


def _interval(state: ReplicaState) -> int:
    return state.group.parameters.snapshot_interval


def catch_up(state: ReplicaState, block: Block) -> list[Effect]:
    """Fetch headers down from a finalized block to the snapshot it proves, then the snapshot, then install it."""
    proved = _proved(state, block.header)
    transfer = state.transfer
    if transfer is not None and transfer.prover and transfer.header.height <= state.chain.final.header.height:
        transfer = state.transfer = None  # blocks brought us past it
    if proved > state.chain.root.header.height and (transfer is None or transfer.header.height < proved):
        state.transfer = _begin(state, block, proved) or transfer
    return _pull(state)


def fetch_root_state(state: ReplicaState) -> list[Effect]:
    """The state at the root of an epoch that we jumped to, which the epoch's succession proves (rule 8.4)."""
    if state.transfer is None:
        state.transfer = Transfer(state.chain.root.header, None)
    return _pull(state)


def _pull(state: ReplicaState) -> list[Effect]:
    """Ask for what a transfer lacks; install it when nothing does."""
    transfer = state.transfer
    if transfer is None:
        return []
    outline = transfer.outline
    if outline is None:
        state.want("snapshot", transfer.header.height)
        return []
    missing = [digest for _, digest in outline.buckets if digest not in transfer.buckets]
    for digest in missing:
        state.want("bucket", digest, transfer.header.height)
    return [] if missing else _install(state, transfer, outline)


def _begin(state: ReplicaState, block: Block, proved: Height) -> Transfer | None:
    prover: Header | None = None
    at = block.header
    while at.height > proved:
        if at.height == proved + _interval(state):
            prover = at
        below = state.chain.block(at.parent)
        if below is None:
            state.want("header", at.parent, proved - 1)
            return None
        if below.header.height != at.height - 1:
            return None
        at = below.header
    return None if prover is None else Transfer(at, prover)


def on_snapshot(state: ReplicaState, notice: SnapshotNotice) -> list[Effect]:
    """An outline counts if the prover's state root covers exactly it."""
    transfer = state.transfer
    if transfer is None or transfer.outline is not None or notice.height != transfer.header.height:
        return []
    whole = snapshot_digest(notice.height, notice.small, notice.buckets)
    if transfer.prover is not None:
        proved = snapshot_root(notice.root, whole) == transfer.prover.state_root
    else:
        proved = state.chain.hollow is not None and whole == state.chain.hollow.whole
    if proved:
        transfer.outline = notice
    return []


def on_bucket(state: ReplicaState, notice: BucketNotice) -> list[Effect]:
    """Rows count if the outline names their digest."""
    transfer = state.transfer
    if transfer is None or transfer.outline is None:
        return []
    digest = hashing.digest(hashing.STATE_BUCKET, notice.rows)
    if any(digest == known for _, known in transfer.outline.buckets):
        transfer.buckets[digest] = notice.rows
    return []


def _install(state: ReplicaState, transfer: Transfer, outline: SnapshotNotice) -> list[Effect]:
    rows = b"".join(transfer.buckets[digest] for _, digest in outline.buckets)
    state.transfer = None
    install(state, transfer.header, outline.small, rows)
    return [Persist(SnapshotRecord(transfer.header, outline.small, rows))]


def install(state: ReplicaState, header: Header, small: bytes, rows: bytes) -> None:
    """Stand at the snapshot's height as if every block below had been applied here."""
    base = base_from_rows(state.group, header, small, rows)
    chain = state.chain
    known = chain.blocks.get(header.digest)
    proposal = None if known is None else known.proposal
    chain.base, chain.hollow = base, None
    chain.stand_on(Block(header, proposal, state.mono, applied=nothing_applied(header), justified=True))
    if header.digest == chain.root.header.digest:
        chain.root = chain.final
    chain.blocks = {d: b for d, b in chain.blocks.items() if b.header.height > header.height}
    chain.blocks[header.digest] = chain.final
    for block in chain.blocks.values():
        if block is not chain.final:
            block.applied = block.refused = None
    chain.heights, chain.oldest = {header.height: header.digest}, header.height
    state.lanes.forget_below(header.cut)
    state.placed.clear()
    for view in [v for v in state.rounds if v < header.view]:
        del state.rounds[View(view)]
    _renew(state, base)


def _renew(state: ReplicaState, base: Base) -> None:
    """Own requests that ended in skipped blocks; what falls due, and what we lack, among the open ones."""
    for request in list(state.open_mine):
        if request in base.outcomes and state.me in base.outcomes[request].owners:
            close_own(state, request, state.mine[request])
    state.ticks.clear()
    state.ripe_ticks.clear()
    for request, record in base.open.items():
        if len(record.answers) > state.group.f:
            heapq.heappush(state.ticks, (record.due, request))
            if request not in state.mine:
                state.missing.setdefault(request, (state.mono, record.deadline))


def on_fetch_snapshot(state: ReplicaState, sender: OwnerId, asked: FetchSnapshot) -> list[Effect]:
    """Show the outline of a snapshot that is kept, with the root that leads to its proof."""
    snapshot = state.chain.base.whole.snapshots.get(asked.height)
    above = state.chain.heights.get(Height(asked.height + _interval(state)))
    prover = None if above is None else state.chain.blocks[above]
    ended = any(given.last.height == asked.height for given in state.successions.values())
    if snapshot is None:
        return []
    if ended:
        root = NO_DIGEST  # the succession proves it
    elif prover is not None and prover.unsealed is not None:
        root = prover.unsealed
    else:
        return []
    outline = tuple((number, digest) for number, (digest, _) in snapshot.buckets.items())
    return [Send(sender, SnapshotNotice(asked.height, root, snapshot.small, outline))]


def on_fetch_bucket(state: ReplicaState, sender: OwnerId, asked: FetchBucket) -> list[Effect]:
    """Show one bucket of a snapshot that is kept."""
    snapshot = state.chain.base.whole.snapshots.get(asked.height)
    for digest, rows in () if snapshot is None else snapshot.buckets.values():
        if digest == asked.bucket:
            return [Send(sender, BucketNotice(rows))]
    return []
