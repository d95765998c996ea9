"""A replica's own lane: requests admitted, run, promised, opened; and ticks (rules 2.2 to 2.9)."""

from __future__ import annotations

import heapq

from dropbeard.agreement.effects import Effect, Infer, PromiseBatch, SendClient
from dropbeard.agreement.events import AnswersCame, EngineIsReady, InferenceFailed
from dropbeard.agreement.ledger_state import StateView
from dropbeard.agreement.replica_state import Engine, OwnRequest, OwnStage, ReplicaState
from dropbeard.agreement.replies import answer_retry
from dropbeard.types.blocks import LaneTip
from dropbeard.types.ids import ClientKey, LaneHeight, RequestId, TimeUs
from dropbeard.types.lanes import Attestation, LaneBatch
from dropbeard.types.messages import Openings, Rejected, RejectReason
from dropbeard.types.requests import Opening, Request, salt_of
from dropbeard.types.task import Input


def on_request(state: ReplicaState, request: Request, given: Input) -> list[Effect]:
    """Admit, run and remember a request; or answer what is known of it; or reject it with a reason (rule 2.2)."""
    known = request.id
    if known in state.mine:
        return answer_retry(state, request.client, known)
    agreed = state.chain.base.outcomes.get(known)
    late = agreed is not None and state.me not in agreed.owners  # rule 4.5: run it, deadline or not
    refusal = _refusal(state, request, late)
    if refusal is not None:
        reason, detail = refusal
        return [SendClient(request.client, Rejected(known, reason, _retry_after_us(state, reason), detail))]
    own = OwnRequest(request.client, request.deadline, request.patience_us, request.body, OwnStage.RUNNING)
    state.mine[known] = own
    state.open_mine[known] = None
    state.mine_by_client[request.client] = state.mine_by_client.get(request.client, 0) + 1
    heapq.heappush(state.ends, (request.deadline, known))
    deadline = TimeUs(state.wall + state.group.parameters.retention_us) if late else request.deadline
    return [Infer(known, given, deadline)]


def _refusal(state: ReplicaState, request: Request, late: bool) -> tuple[RejectReason, str] | None:
    rules = state.group.parameters
    if request.group != state.group.id:
        return RejectReason.WRONG_GROUP, "this node serves another group; check the genesis file"
    if request.options:
        return RejectReason.BAD_REQUEST, "this task takes no options; send none"
    if not late and not state.wall < request.deadline <= state.wall + rules.horizon_us:
        return RejectReason.OUT_OF_TIME, f"the deadline must lie ahead by at most {rules.horizon_us} us"
    if state.engine is None:
        return RejectReason.ENGINE_UNAVAILABLE, "this node's engine is not running; it is being restarted"
    if len(state.open_mine) >= rules.open_max or _lane_is_full(state):
        return RejectReason.BUSY, "this node has as many unordered answers as it may"
    if state.mine_by_client.get(request.client, 0) >= rules.client_open_max:
        return RejectReason.NO_CREDIT, f"at most {rules.client_open_max} requests of one client may be open"
    return None


def _retry_after_us(state: ReplicaState, reason: RejectReason) -> int:
    soon = reason in (RejectReason.BUSY, RejectReason.NO_CREDIT)
    if reason is RejectReason.ENGINE_UNAVAILABLE:
        return state.group.parameters.status_interval_us
    return state.group.parameters.propose_timeout_us if soon else 0


def _lane_is_full(state: ReplicaState) -> bool:
    ahead = state.own_tip.height - state.final_lane_height(state.me)
    return ahead >= state.group.parameters.lane_window  # rule 2.8


def on_engine_ready(state: ReplicaState, event: EngineIsReady) -> list[Effect]:
    """The engine counts only if it runs the model that the ledger has in force for this owner (rule 2.8)."""
    force = state.chain.base.models[state.me]
    matches = (force.version, force.model) == (event.version, event.model)
    state.engine = Engine(event.version, event.model, event.capacity) if matches else None
    return []


def on_engine_lost(state: ReplicaState) -> list[Effect]:
    """What it was running is rejected, so that clients know and a retry is admitted again."""
    state.engine = None
    running = [request for request, own in state.mine.items() if own.stage is OwnStage.RUNNING]
    effects: list[Effect] = []
    for request in running:
        reason = RejectReason.ENGINE_UNAVAILABLE
        effects += _give_up(state, request, reason, "this node's engine stopped while it ran the request")
    return effects


def on_inference_failed(state: ReplicaState, event: InferenceFailed) -> list[Effect]:
    """Tell the client, forget the request."""
    own = state.mine.get(event.request)
    if own is None or own.stage is not OwnStage.RUNNING:
        return []
    return _give_up(state, event.request, event.reason, event.detail)


def _give_up(state: ReplicaState, request: RequestId, reason: RejectReason, detail: str) -> list[Effect]:
    own = state.mine.pop(request)
    close_own(state, request, own)
    return [SendClient(own.client, Rejected(request, reason, _retry_after_us(state, reason), detail))]


def close_own(state: ReplicaState, request: RequestId, own: OwnRequest) -> None:
    """The request no longer counts against the client's and the lane's bounds."""
    if request in state.open_mine:
        del state.open_mine[request]
        left = state.mine_by_client.get(own.client, 1) - 1
        if left:
            state.mine_by_client[own.client] = left
        else:
            state.mine_by_client.pop(own.client, None)


def on_answers(state: ReplicaState, event: AnswersCame) -> list[Effect]:
    """Commit to each answer; the lane batch leaves at the end of the turn (rules 2.6, 2.7)."""
    force = state.chain.base.models[state.me]
    for request, output in event.answers:
        own = state.mine.get(request)
        if own is None or own.stage is not OwnStage.RUNNING:
            continue  # rule 2.5: one answer per request and version
        salt = salt_of(state.secret, request, force.version)
        own.opening = Opening(request, state.me, force.version, force.model, output, salt)
        own.stage = OwnStage.ANSWERED
        state.outbox[request] = None
    return []


def extend_lane(state: ReplicaState, best: StateView | None) -> list[Effect]:
    """Promise what was answered, or tick when block time lags behind a due record (rule 2.7)."""
    effects: list[Effect] = []
    while state.outbox and not _lane_is_full(state):
        requests = list(state.outbox)[: state.group.parameters.batch_items_max]
        for request in requests:
            del state.outbox[request]
        effects.append(_promise(state, requests))
    if not effects and _tick_is_due(state, best) and not _lane_is_full(state):
        effects.append(_promise(state, []))
    return effects


def _promise(state: ReplicaState, requests: list[RequestId]) -> PromiseBatch:
    items, openings = [], []
    for request in requests:
        own = state.mine[request]
        if own.opening is None:
            raise AssertionError("only answered requests are promised")
        own.stage = OwnStage.PROMISED
        commitment = own.opening.commitment()
        items.append(Attestation(own.client, own.deadline, own.patience_us, own.body, commitment))
        openings.append(own.opening)
    state.own_time = max(state.own_time, state.wall)
    batch = LaneBatch(
        group=state.group.id,
        epoch=state.group.epoch,
        owner=state.me,
        version=state.chain.base.models[state.me].version,
        lane_height=LaneHeight(state.own_tip.height + 1),
        parent=state.own_tip.digest,
        time=state.own_time,
        attestations=tuple(items),
    )
    state.own_tip = LaneTip(state.me, batch.lane_height, batch.digest)
    state.own_batch_us = state.mono
    state.note_persisted(batch.digest)
    return PromiseBatch(batch, tuple(openings))


def _tick_is_due(state: ReplicaState, best: StateView | None) -> bool:
    """Has a record that f+1 lanes attest fallen due by our clock, while neither our lane nor block time says so?

    A due time is dropped only when final block time has passed it: its record may be in a block that is applied here
    and not yet notarized, so that the best state does not show it now and does later.
    """
    while state.ticks and state.ticks[0][0] <= state.wall:
        state.ripe_ticks[heapq.heappop(state.ticks)] = None
    final_time, needed = state.chain.final.header.time, False
    for due, request in list(state.ripe_ticks):
        if due <= final_time:
            del state.ripe_ticks[due, request]
        elif best is not None and state.own_time < due:
            record = best.record(request)
            needed = needed or (record is not None and record.due == due)
    return needed and state.mono - state.own_batch_us >= state.group.parameters.block_interval_us


def openings_to_clients(state: ReplicaState, batch: LaneBatch) -> list[Effect]:
    """Our batch is promised: its answers go to their clients, as provisional ones (rule 2.9)."""
    by_client: dict[ClientKey, list[Opening]] = {}
    for request in batch.request_ids:
        own = state.mine.get(request)
        if own is not None and own.opening is not None:
            by_client.setdefault(own.client, []).append(own.opening)
    return [SendClient(client, Openings(tuple(openings))) for client, openings in by_client.items()]
