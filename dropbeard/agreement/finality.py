"""Blocks become final, clients hear of it, what nobody needs any more is dropped (rules 3.5, 4.6, 5.2, 7.1)."""

from __future__ import annotations

import heapq

from dropbeard.agreement.chain import Block
from dropbeard.agreement.effects import Effect
from dropbeard.agreement.holding import apply_towards
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.agreement.replies import reply_with_finalization
from dropbeard.agreement.requests import close_own
from dropbeard.types.ids import Digest, Height, RequestId, TimeUs
from dropbeard.types.limits import HISTORY_BLOCKS


def finalize_ready(state: ReplicaState) -> list[Effect]:
    """Take every finalization whose blocks are all in hand and applied; fetch what is missing for the others."""
    effects: list[Effect] = []
    for digest in list(state.waiting_finalizations):
        block = state.chain.block(digest)
        if block is None:
            state.want("header", digest, state.chain.final.header.height)
        elif block.header.height <= state.chain.final.header.height:
            del state.waiting_finalizations[digest]
        elif apply_towards(state, block):
            del state.waiting_finalizations[digest]
            effects += _make_final(state, block)
    return effects


def _make_final(state: ReplicaState, block: Block) -> list[Effect]:
    path = state.chain.path_to_final(block)
    if path is None:
        return []
    path.reverse()
    state.chain.make_final(path, state.chain.finalizations[block.header.digest])
    state.failures = 0  # rule 3.7
    effects: list[Effect] = []
    for step in path:
        _note_outcomes(state, step)
        effects += reply_with_finalization(state, step)
    _forget_old(state)
    return effects


def _note_outcomes(state: ReplicaState, block: Block) -> None:
    applied = block.applied
    if applied is None:
        return
    for entry in applied.entries:
        if entry.request in state.mine:
            state.placed.setdefault(entry.request, []).append(block.header.digest)
    for request, record in applied.delta.open.items():
        own = state.mine.get(request)
        if record is None and own is not None:
            close_own(state, request, own)


def _forget_old(state: ReplicaState) -> None:
    final = state.chain.final.header
    for view in [v for v in state.rounds if v < final.view]:
        del state.rounds[view]
    _end_own(state, final.time)
    for digest in [d for d in state.reported_us if not _above_final(state, d)]:
        del state.reported_us[digest]
    before = Height(final.height - HISTORY_BLOCKS)
    if before >= state.chain.oldest + HISTORY_BLOCKS // 4:
        state.lanes.forget_below(state.chain.blocks[state.chain.heights[before]].header.cut)
        state.chain.forget(before)


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
            state.placed.pop(request, None)
            state.outbox.pop(request, None)
        else:
            again.append((TimeUs(own.deadline + retention), request))
    for end in again:
        heapq.heappush(state.ends, end)
