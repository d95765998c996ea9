"""The one dispatch: every event a replica can meet, and what follows at the end of a turn."""

from __future__ import annotations

from typing import assert_never

from dropbeard.agreement.accusing import accuse_of_batches
from dropbeard.agreement.booting import (
    ask_peers,
    note_promise,
    on_boot_answer,
    on_boot_question,
    stop_if_forgotten,
    stop_if_lane_forgotten,
)
from dropbeard.agreement.effects import Effect, Report, Send, WakeAt
from dropbeard.agreement.epochs import (
    on_change_signed,
    on_fetch_succession,
    on_other_epoch,
    on_succession,
    other_epoch,
)
from dropbeard.agreement.events import (
    AnswersCame,
    BatchCame,
    ChangeWasSigned,
    EngineIsReady,
    EngineWasLost,
    Event,
    InferenceFailed,
    ModelWasLoaded,
    NodeEnds,
    Now,
    OutcomeAsked,
    PeerConnected,
    PeerSpoke,
    RequestCame,
    TurnEnded,
)
from dropbeard.agreement.fetching import (
    on_fetch,
    on_node_ends,
    on_status,
    send_fetches,
    send_status,
    status_of,
    want_reported,
)
from dropbeard.agreement.finality import finalize_ready
from dropbeard.agreement.holding import apply_towards
from dropbeard.agreement.lane_store import fits_group
from dropbeard.agreement.ordering import drive_view, on_proposal, repeat_after_us, vote_on_proposals
from dropbeard.agreement.passing import next_passing_us, pass_on
from dropbeard.agreement.proposing import proposal_wait_us
from dropbeard.agreement.recovering import on_fetch_input, on_input, run_failed_again, want_inputs
from dropbeard.agreement.replica_state import ReplicaState, scaled_timeouts
from dropbeard.agreement.replies import reply_with_own_signature
from dropbeard.agreement.requests import (
    extend_lane,
    on_answers,
    on_engine_lost,
    on_engine_ready,
    on_inference_failed,
    on_model_loaded,
    on_outcome_asked,
    on_request,
    openings_to_clients,
)
from dropbeard.agreement.snapshots import on_bucket, on_fetch_bucket, on_fetch_snapshot, on_snapshot
from dropbeard.agreement.voting import cast_finalizes, on_certificate, on_vote
from dropbeard.types.ids import OwnerId
from dropbeard.types.lanes import SignedBatch
from dropbeard.types.messages import (
    BootAnswer,
    BootQuestion,
    BucketNotice,
    CatchupMessage,
    CertificateNotice,
    FetchBatches,
    FetchBucket,
    FetchHeader,
    FetchInput,
    FetchPage,
    FetchSnapshot,
    FetchSuccession,
    FetchViews,
    InputNotice,
    PageNotice,
    Proposal,
    SnapshotNotice,
    Status,
    SuccessionNotice,
)
from dropbeard.types.statements import Finalize
from dropbeard.types.votes import SignedVote


def handle(state: ReplicaState, event: Event, now: Now) -> list[Effect]:
    """Turn one event into effects; the state is changed in place and nothing else is."""
    state.now = now
    if state.halted is not None:
        return [WakeAt(state.mono + state.group.parameters.status_interval_us)]  # it has nothing to wake for
    match event:
        case TurnEnded():
            return _end_turn(state)
        case PeerSpoke(sender, message):
            elsewhere = other_epoch(state, message)
            if elsewhere is not None:
                return on_other_epoch(state, sender, message, elsewhere)
            if not isinstance(message, BootQuestion | FetchHeader | FetchViews | FetchPage | FetchBatches):
                state.silent.pop(sender, None)  # rule 3.6: who only asks may not lead yet
            return _on_peer(state, event)
        case BatchCame(_, signed) if signed.batch.epoch != state.group.epoch:
            return []
        case BatchCame(sender, signed):
            state.silent.pop(sender, None)
            if sender != state.me and signed.batch.owner == state.me and not state.is_barred:
                return stop_if_lane_forgotten(state, signed.statement)
            return _on_batch(state, signed)
        case PeerConnected(peer):
            return [Send(peer, status_of(state))] if state.may_speak else []
        case RequestCame(request, given):
            return on_request(state, request, given)
        case OutcomeAsked(client, wanted):
            return on_outcome_asked(state, client, wanted)
        case EngineIsReady():
            return on_engine_ready(state, event)
        case ModelWasLoaded():
            return on_model_loaded(state, event)
        case ChangeWasSigned(signed_change):
            return on_change_signed(state, signed_change)
        case EngineWasLost():
            return on_engine_lost(state)
        case AnswersCame():
            return on_answers(state, event)
        case InferenceFailed():
            return on_inference_failed(state, event)
        case NodeEnds(presence):
            return on_node_ends(state, presence)
        case _:
            assert_never(event)


def _on_peer(state: ReplicaState, event: PeerSpoke) -> list[Effect]:
    message = event.message
    match message:
        case SignedVote():
            if event.sender != state.me and message.signer == state.me:
                return stop_if_forgotten(state, message)
            return [*on_vote(state, message), *_reply_to_clients(state, message)]
        case Proposal():
            return on_proposal(state, message)
        case CertificateNotice(certificate):
            return on_certificate(state, certificate)
        case Status():
            return on_status(state, event.sender, message)
        case PageNotice(page):
            state.chain.add_page(page)
            return []
        case FetchHeader() | FetchViews() | FetchPage() | FetchBatches():
            return on_fetch(state, event.sender, message)
        case FetchSuccession(epoch):
            return on_fetch_succession(state, event.sender, epoch)
        case SuccessionNotice(succession):
            return on_succession(state, succession)
        case BootQuestion():
            return on_boot_question(state, event.sender, message)
        case BootAnswer():
            return on_boot_answer(state, event.sender, message)
        case FetchInput() | InputNotice() | FetchSnapshot() | SnapshotNotice() | FetchBucket() | BucketNotice():
            return _on_catchup(state, event.sender, message)
        case _:
            assert_never(message)


def _on_catchup(state: ReplicaState, sender: OwnerId, message: CatchupMessage) -> list[Effect]:
    match message:
        case FetchInput():
            return on_fetch_input(state, sender, message)
        case InputNotice():
            return on_input(state, message)
        case FetchSnapshot():
            return on_fetch_snapshot(state, sender, message)
        case SnapshotNotice():
            return on_snapshot(state, message)
        case FetchBucket():
            return on_fetch_bucket(state, sender, message)
        case BucketNotice():
            return on_bucket(state, message)
        case _:
            assert_never(message)


def _reply_to_clients(state: ReplicaState, signed: SignedVote) -> list[Effect]:
    """Our own Finalize, back from the signer: clients get it at once with their entries (rule 5.2)."""
    if signed.signer != state.me or not isinstance(signed.vote, Finalize):
        return []
    return reply_with_own_signature(state, signed.vote.header, signed.signature)


def _on_batch(state: ReplicaState, signed: SignedBatch) -> list[Effect]:
    """Keep a batch; two at one height convict the owner (rules 2.8, 8.1)."""
    if not fits_group(state.group, signed):
        return [Report(signed.batch.owner, "invalid lane batch")]
    batch = signed.batch
    named = any(want[0] == "batch" and want[1] == batch.digest for want in state.fetches)
    kept = state.lanes.add(signed, state.final_lane_height(batch.owner), named)
    note_promise(state, signed.statement)
    effects = accuse_of_batches(state, signed) if kept else []
    if kept and batch.owner == state.me:
        effects += openings_to_clients(state, batch)
    return effects


def _end_turn(state: ReplicaState) -> list[Effect]:
    """All that follows from what is known now; called until nothing new comes of it."""
    effects = finalize_ready(state)
    if not state.may_speak:
        learns = not state.awake or not state.is_member or state.is_barred
        effects += ask_peers(state) if learns else []
        return [*effects, *_exchange(state), WakeAt(_next_wake(state))]
    effects += vote_on_proposals(state)
    effects += cast_finalizes(state)
    best = state.chain.block(state.best[1])
    after_best = None
    if best is not None and apply_towards(state, best):
        after_best = state.chain.state_after(best)
    effects += extend_lane(state, after_best)
    want_inputs(state, after_best)
    effects += run_failed_again(state)
    effects += drive_view(state, after_best)
    return [*effects, *_exchange(state), WakeAt(_next_wake(state))]


def _exchange(state: ReplicaState) -> list[Effect]:
    """Status and fetches, which bind nobody."""
    want_reported(state)
    said = [*send_status(state), *pass_on(state)] if state.may_speak else []
    return [*said, *send_fetches(state)]


def _next_wake(state: ReplicaState) -> int:
    """The earliest monotonic time at which something follows without a new event."""
    rules, now = state.group.parameters, state.mono
    times = [state.next_status_us, state.next_question_us]
    times += [fetch.next_us for fetch in state.fetches.values()]
    if state.timer_from_us is not None:
        times += _view_times(state, state.timer_from_us)
    best_view, digest = state.best
    if best_view > state.chain.final.header.view:
        times.append(state.round(best_view).notarized_at_us + rules.finalize_timeout_us)
    best = state.chain.block(digest)
    if best is not None and state.group.leader(state.view) == state.me and state.may_speak:
        times.append(now + proposal_wait_us(state, best))
    times += next_passing_us(state)
    if state.ticks:
        times.append(now + (state.ticks[0][0] - state.wall))
    if state.missing:
        times.append(next(iter(state.missing.values()))[0] + rules.finalize_timeout_us)
    times += state.run_again.values()
    if state.ripe_ticks or state.next_update is not None:
        times.append(state.own_batch_us + rules.block_interval_us)
    return min([time for time in times if time > now], default=state.next_status_us)


def _view_times(state: ReplicaState, started_us: int) -> list[int]:
    propose_us, advance_us = scaled_timeouts(state)
    repeat_us = state.round(state.view).nullify_sent_us + repeat_after_us(state)
    return [started_us + propose_us, started_us + propose_us + advance_us, repeat_us]
