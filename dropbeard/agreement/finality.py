"""Blocks become final, clients hear of it, what nobody needs any more is dropped (rules 3.5, 4.6, 5.2, 7.1)."""

from __future__ import annotations

import heapq

from dropbeard.agreement.chain import Block
from dropbeard.agreement.effects import Effect, Persist
from dropbeard.agreement.epochs import carry_over, end_epoch
from dropbeard.agreement.holding import (
    apply_towards,
    ordered_batches,
    persist_block,
    persist_certificate,
    persist_ordered,
)
from dropbeard.agreement.records import EntriesRecord
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.agreement.replies import reply_with_finalization
from dropbeard.agreement.requests import close_own
from dropbeard.agreement.shelving import pack_entries, packed_requests
from dropbeard.agreement.snapshots import (
    catch_up,
    cut_at,
    fetch_root_state,
    must_skip_to,
    served_from,
)
from dropbeard.types.ids import Digest, Height, RequestId, TimeUs
from dropbeard.types.limits import APPLIED_BLOCKS, FORGOTTEN_BLOCKS, HISTORY_BLOCKS


def finalize_ready(state: ReplicaState) -> list[Effect]:
    """Take every finalization whose blocks are all in hand and applied; fetch what is missing for the others."""
    effects: list[Effect] = []
    hollow = state.chain.hollow is not None
    if not hollow and not state.waiting_finalizations:
        return effects
    if hollow:
        effects += fetch_root_state(state)
    for digest in list(state.waiting_finalizations):
        block = state.chain.block(digest)
        if block is None:
            state.want("header", digest, state.chain.final.header.height)
        elif block.header.height <= state.chain.final.header.height and not block.header.is_closing:
            del state.waiting_finalizations[digest]
        elif state.chain.hollow is not None or (must_skip_to(state, block.header) and not _is_in_hand(state, block)):
            effects += catch_up(state, block)
        elif apply_towards(state, block):
            del state.waiting_finalizations[digest]
            effects += _make_final(state, block)
            over = end_epoch(state)
            if state.chain.final is state.chain.root:
                return [*effects, *over]
    return [*effects, *carry_over(state)] if hollow and state.chain.hollow is None else effects


def _is_in_hand(state: ReplicaState, block: Block) -> bool:
    """Are the blocks down to the final one here and applied? Then no snapshot is asked for, however many they are: were
    they notarized and not finalized for long, nobody would have one."""
    return state.chain.path_to_final(block) is not None and apply_towards(state, block)


def _make_final(state: ReplicaState, block: Block) -> list[Effect]:
    path = state.chain.path_to_final(block)
    if path is None:
        return []
    path.reverse()
    state.chain.make_final(path, state.chain.finalizations[block.header.digest])
    state.failures = 0  # rule 3.7
    effects: list[Effect] = []
    for step in path:
        effects += _keep(state, step)
        _note_outcomes(state, step)
        effects += reply_with_finalization(state, step)
        _forget_changes(state, step)
    effects += persist_certificate(state, state.chain.finalizations[block.header.digest])
    _forget_old(state)
    return effects


def _keep(state: ReplicaState, block: Block) -> list[Effect]:
    """A final block and what it orders are on disk, voted for or not: they are the ledger (rules 3.8, 7.1)."""
    parent = state.chain.blocks[block.header.parent]
    ordered = ordered_batches(state, parent.header.cut, block.header.cut, state.me)
    rows = ordered if isinstance(ordered, dict) else {}
    shown: list[Effect] = []
    if block.applied is not None and block.applied.entries:
        block.packed = pack_entries(block.applied.entries)
        shown.append(Persist(EntriesRecord(block.header.digest, block.packed)))
    return [*persist_ordered(state, rows), *persist_block(state, block), *shown]


def _forget_changes(state: ReplicaState, block: Block) -> None:
    """Of a block well below the final one only its entries are asked for, in the form in which the journal has them;
    and nobody needs lane batches so far down that who lacks them takes a snapshot (rule 7.1)."""
    chain, height, interval = state.chain, block.header.height, state.group.parameters.snapshot_interval
    old = chain.heights.get(Height(height - APPLIED_BLOCKS))
    if old is not None:
        chain.blocks[old].applied = None
        state.lanes.pack_below(cut_at(state, Height(height - APPLIED_BLOCKS)))
    if height % interval == 0:
        state.lanes.forget_below(cut_at(state, served_from(state, block.header.height)))


def _note_outcomes(state: ReplicaState, block: Block) -> None:
    applied = block.applied
    if applied is None:
        return
    for entry in applied.entries:
        state.placed.setdefault(entry.request, []).append(block.header.digest)
    for request, record in applied.delta.open.items():
        own = state.mine.get(request)
        if record is None and own is not None and (request in applied.delta.outcomes or own.deadline <= applied.time):
            close_own(state, request, own)  # a record that only owners attested who left had no end (rule 8.4)


def _forget_old(state: ReplicaState) -> None:
    final = state.chain.final.header
    for view in [v for v in state.rounds if v < final.view]:
        del state.rounds[view]
    _end_own(state, final.time)
    for digest in [d for d in state.reported_us if not _above_final(state, d)]:
        del state.reported_us[digest]
    _forget_blocks(state, Height(final.height - HISTORY_BLOCKS))


def _forget_blocks(state: ReplicaState, before: Height) -> None:
    """Drop blocks up to ``before`` that are past retention too: until then any node shows their entries (rule 4.6).
    Many at once, since all that is held is searched for them."""
    kept_from = state.chain.final.header.time - state.group.parameters.retention_us
    over, following = state.chain.oldest, Height(state.chain.oldest + FORGOTTEN_BLOCKS)
    while following <= before and state.chain.at(following).header.time < kept_from:
        over, following = following, Height(following + FORGOTTEN_BLOCKS)
    if over == state.chain.oldest:
        return
    for height in range(state.chain.oldest, over + 1):
        block = state.chain.at(Height(height))
        for request in packed_requests(block.packed):
            state.placed.pop(request, None)
    top = state.chain.at(over).header
    if top.epoch == state.group.epoch:
        state.former.clear()
        state.lanes.forget_below(top.cut)
    elif top.epoch in state.former:
        for epoch in [epoch for epoch in state.former if epoch < top.epoch]:
            del state.former[epoch]
        state.former[top.epoch].forget_below(top.cut)
    state.chain.forget(over)


def _above_final(state: ReplicaState, digest: Digest) -> bool:
    for owner in state.group.members:
        signed = state.lanes.get(owner, digest)
        if signed is not None:
            return signed.batch.lane_height > state.final_lane_height(owner)
    return False


def _end_own(state: ReplicaState, time: TimeUs) -> None:
    """Past its deadline an open request without a record never gets one; past retention nobody asks again."""
    retention = state.group.parameters.retention_us
    again: list[tuple[TimeUs, RequestId]] = []
    while state.ends and state.ends[0][0] <= time:
        _, request = heapq.heappop(state.ends)
        own = state.mine.get(request)
        if own is None:
            continue
        if request not in state.chain.base.open:
            close_own(state, request, own)
        if own.deadline + retention <= time:
            del state.mine[request]
            state.outbox.pop(request, None)
        else:
            again.append((TimeUs(own.deadline + retention), request))
    for end in again:
        heapq.heappush(state.ends, end)
