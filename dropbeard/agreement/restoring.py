"""Bring a replica back from its journal: same state, same votes, same lane (rule 7.3)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from dropbeard.agreement.booting import note_promise
from dropbeard.agreement.chain import is_full
from dropbeard.agreement.effects import Broadcast, Effect
from dropbeard.agreement.epochs import carry_over, jump
from dropbeard.agreement.events import Now
from dropbeard.agreement.finality import finalize_ready
from dropbeard.agreement.ordering import on_proposal
from dropbeard.agreement.records import (
    BatchRecord,
    BlockRecord,
    CertificateRecord,
    EntriesRecord,
    EvidenceRecord,
    OpeningsRecord,
    Record,
    SnapshotRecord,
    SuccessionRecord,
    VoteRecord,
)
from dropbeard.agreement.replica_state import OwnRequest, OwnStage, ReplicaState
from dropbeard.agreement.requests import follow_update
from dropbeard.agreement.snapshots import install
from dropbeard.agreement.standing import BucketRecord, GuardRecord, HeldSnapshotRecord, OwnRecord, StandingRecord
from dropbeard.agreement.voting import on_certificate, on_vote
from dropbeard.errors import MessageInvalid
from dropbeard.types.blocks import LaneTip
from dropbeard.types.ids import RequestId, View
from dropbeard.types.lanes import LaneBatch, SignedBatch
from dropbeard.types.messages import Proposal


def restore(state: ReplicaState, records: Iterable[Record], now: Now) -> list[Effect]:
    """Replay the journal in its order; what it asks to send is only our open proposal, sent again, never remade."""
    state.now = now
    opened = OpeningsRecord(())
    for record in records:
        match record:
            case VoteRecord() | BlockRecord() | BatchRecord():
                _restore_said(state, record, opened)
            case OpeningsRecord():
                opened = record
            case CertificateRecord(certificate):
                on_certificate(state, certificate)
                state.note_persisted(b"certificate" + certificate.vote.encode())
                finalize_ready(state)
            case SnapshotRecord(header, small, rows):
                hollow = state.chain.hollow is not None
                install(state, header, small, rows)
                if hollow:
                    carry_over(state)
            case SuccessionRecord(succession):
                jump(state, succession)
            case EvidenceRecord(data):
                restore_evidence(state, data)
            case EntriesRecord():
                pass  # the block is applied again
            case StandingRecord() | HeldSnapshotRecord() | BucketRecord() | OwnRecord() | GuardRecord():
                raise MessageInvalid("a journal's row holds what belongs in a checkpoint")
            case _:
                assert_never(record)
    state.wanted.clear()
    state.passing.clear()
    return _own_proposal_again(state)


def restore_evidence(state: ReplicaState, data: bytes) -> None:
    """What we can show."""
    verdict = state.judge.verdict_of_file(data)
    if verdict is not None:
        state.evidence[verdict] = data


def _restore_said(state: ReplicaState, record: VoteRecord | BlockRecord | BatchRecord, opened: OpeningsRecord) -> None:
    """What was said in the epoch that we were in when we wrote it; what came of an earlier one binds nobody (8.4)."""
    match record:
        case VoteRecord(signed) if signed.vote.epoch == state.group.epoch:
            _return_to(state, signed.vote.view)
            on_vote(state, signed)
        case BlockRecord(proposal) if proposal.header.epoch == state.group.epoch:
            _return_to(state, proposal.header.view)
            restore_block(state, proposal)
            state.note_persisted(proposal.header.digest)
        case BatchRecord(signed_batch) if signed_batch.batch.epoch == state.group.epoch:
            _restore_batch(state, signed_batch, opened)
        case _:
            pass


def _return_to(state: ReplicaState, view: View) -> None:
    """We were in this view or a later one when we wrote of it; the certificate that led there need not be on disk, and
    a record that fell outside the window of views would be a promise forgotten."""
    state.view = max(state.view, view)


def restore_block(state: ReplicaState, proposal: Proposal) -> None:
    """The journal has every page; peers are sent those that a proposal carries and fetch the others (rule 3.2)."""
    on_proposal(state, proposal)
    block = state.chain.block(proposal.header.digest)
    if block is not None:
        block.proposal = replace(proposal, pages=tuple(page for page in proposal.pages if not is_full(page)))


def _restore_batch(state: ReplicaState, signed: SignedBatch, opened: OpeningsRecord) -> None:
    batch = signed.batch
    take_batch(state, signed)
    state.note_persisted(batch.digest)
    if batch.owner != state.me:
        return
    for known, item in zip(batch.request_ids, batch.attestations, strict=True):
        own = state.mine.get(known)
        if own is None:
            own = OwnRequest(item.client, item.deadline, item.patience_us, item.body, OwnStage.PROMISED)
            hold_open(state, known, own)
    for opening in opened.openings(batch, state.secret):
        state.mine[opening.request].openings[batch.version] = opening
    follow_own(state, batch)


def take_batch(state: ReplicaState, signed: SignedBatch) -> None:
    """Anybody's batch, whether a cut names it or not."""
    state.lanes.add(signed, state.final_lane_height(signed.batch.owner), named=True)
    note_promise(state, signed.statement)


def hold_open(state: ReplicaState, known: RequestId, own: OwnRequest) -> None:
    """A request that we answered and that has no final outcome yet."""
    state.mine[known] = own
    state.open_mine[known] = None
    state.mine_by_client[own.client] = state.mine_by_client.get(own.client, 0) + 1
    state.latest_deadline = max(state.latest_deadline, own.deadline)
    heapq.heappush(state.ends, (own.deadline, known))


def follow_own(state: ReplicaState, batch: LaneBatch) -> None:
    """Our lane goes on: its end, its promises, and what else stood in the batch."""
    state.own_tip = LaneTip(state.me, batch.lane_height, batch.digest)
    state.own_time = batch.time
    for known in batch.request_ids:
        if known in state.mine:
            state.mine[known].stage = OwnStage.PROMISED
        state.outbox.pop(known, None)
    _restore_items(state, batch)


def _restore_items(state: ReplicaState, batch: LaneBatch) -> None:
    """What else stood in a batch of ours: evidence shown, and an update, after which old promises are run again."""
    for data in batch.evidence:
        verdict = state.judge.verdict(data)
        if verdict is not None:
            state.shown[verdict] = None
    follow_update(state, batch)


def _own_proposal_again(state: ReplicaState) -> list[Effect]:
    if state.group.leader(state.view) != state.me:
        return []
    proposed = state.round(state.view).notarized
    block = None if proposed is None else state.chain.block(proposed)
    return [] if block is None or block.proposal is None else [Broadcast(block.proposal)]
