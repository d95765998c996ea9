"""A replica's own lane: requests admitted, run, promised, opened; and ticks (rules 2.2 to 2.9)."""

from __future__ import annotations

import heapq

from dropbeard.agreement.admission import Refusal, charge
from dropbeard.agreement.effects import Effect, Infer, PromiseBatch, SendClient
from dropbeard.agreement.events import AnswersCame, EngineIsReady, InferenceFailed, ModelWasLoaded
from dropbeard.agreement.ledger_state import StateView
from dropbeard.agreement.replica_state import Engine, OwnRequest, OwnStage, ReplicaState
from dropbeard.agreement.replies import answer_retry
from dropbeard.evidence.judge import Verdict
from dropbeard.types.blocks import LaneTip
from dropbeard.types.ids import ClientKey, Height, LaneHeight, RequestId, TimeUs
from dropbeard.types.lanes import Attestation, LaneBatch, SignedUpdate
from dropbeard.types.limits import EVIDENCE_BATCH_BYTES_MAX, EVIDENCE_BYTES_MAX
from dropbeard.types.messages import Openings, Rejected, RejectReason
from dropbeard.types.requests import Opening, Request, salt_of
from dropbeard.types.task import Input

ENDS_SLACK = 1_024
"""Due times of requests that were given up, kept until there are more: clients choose how far they lie ahead."""


def on_request(state: ReplicaState, request: Request, given: Input) -> list[Effect]:
    """Admit, run and remember a request; or answer what is known of it; or reject it with a reason (rule 2.2)."""
    known = request.id
    own = state.mine.get(known)
    if own is not None:
        own.asked = own.asked or (request, given)
        told = [*answer_retry(state, request.client, known), *_run_again_if_left_out(state, known, own)]
        _drop_input_if_ended(state, known, own)
        return told
    told = answer_retry(state, request.client, known)
    refusal = _refused(state, request, is_left_out(state, known))
    if refusal is None:
        return [*told, *admit(state, request, given)]
    rejected = Rejected(known, refusal.reason, refusal.retry_after_us, refusal.detail)
    return told or [SendClient(request.client, rejected)]


def admit(state: ReplicaState, request: Request, given: Input) -> list[Effect]:
    """Run a request and owe an answer to it."""
    known = request.id
    own = OwnRequest(request.client, request.deadline, request.patience_us, request.body, OwnStage.RUNNING)
    own.asked = (request, given)
    state.latest_deadline = max(state.latest_deadline, request.deadline)
    state.mine[known] = own
    state.open_mine[known] = None
    state.mine_by_client[request.client] = state.mine_by_client.get(request.client, 0) + 1
    heapq.heappush(state.ends, (request.deadline, known))
    return run(state, known, own)


def run(state: ReplicaState, known: RequestId, own: OwnRequest) -> list[Effect]:
    """Have the engine answer under our version; what is agreed without us gets retention to do it (rule 4.5)."""
    own.stage = OwnStage.RUNNING
    if own.asked is None:
        state.missing.setdefault(known, (state.mono, own.deadline))
        return []
    late = is_left_out(state, known)
    deadline = TimeUs(state.wall + state.group.parameters.retention_us) if late else own.deadline
    return [Infer(known, own.asked[1], deadline, state.own_model.version)]


def is_left_out(state: ReplicaState, request: RequestId) -> bool:
    """Is the request agreed, finally, without an answer of ours? (rule 4.5)"""
    agreed = state.chain.base.outcomes.get(request)
    return agreed is not None and state.me not in agreed.owners


def _run_again_if_left_out(state: ReplicaState, known: RequestId, own: OwnRequest) -> list[Effect]:
    """On a retry: what we promised under an older version never counted (rules 4.3, 4.5)."""
    stale = own.stage is OwnStage.PROMISED and state.own_model.version not in own.openings
    return run(state, known, own) if stale and is_left_out(state, known) else []


def _drop_input_if_ended(state: ReplicaState, known: RequestId, own: OwnRequest) -> None:
    """Nobody runs an input again once the final state shows an end; clients could pile them up until retention ends."""
    if known not in state.open_mine:
        own.asked = None


def on_outcome_asked(state: ReplicaState, client: ClientKey, request: RequestId) -> list[Effect]:
    """A client's own request, by id alone: what is known of it, or that nothing is (rule 5.2)."""
    told = answer_retry(state, client, request)
    unknown = "nothing is known of this request: it was never asked here, has no outcome yet, or its retention is over"
    return told or [SendClient(client, Rejected(request, RejectReason.UNKNOWN_REQUEST, 0, unknown))]


def _refused(state: ReplicaState, request: Request, late: bool) -> Refusal | None:
    """Why the request is not admitted; when it is, it counts against its client's rate and quota, unless the group has
    agreed on it already."""
    found = _refusal(state, request, late)
    if found is not None:
        return Refusal(found[0], _retry_after_us(state, found[0]), found[1])
    return None if late else charge(state, request.client)


def _refusal(state: ReplicaState, request: Request, late: bool) -> tuple[RejectReason, str] | None:
    rules = state.group.parameters
    if request.group != state.group.id:
        return RejectReason.WRONG_GROUP, "this node serves another group; check the genesis file"
    if not state.is_member or state.chain.hollow is not None:
        return RejectReason.WRONG_GROUP, "this node's owner is not in the group, or joins it right now"
    if state.group.clients is not None and not late and not state.group.clients.allows(request.client):
        return RejectReason.NOT_ALLOWED, "this group serves named clients alone; ask an owner to be let in"
    if state.is_barred:
        return RejectReason.WRONG_GROUP, "this node was restored from a backup and only observes; ask the others"
    if request.options:
        return RejectReason.BAD_REQUEST, "this task takes no options; send none"
    # Block time too: a slow clock would let in, and answer anew, what was promised once and is forgotten (rule 2.5).
    passed = max(state.wall, state.chain.final.header.time)
    if not late and not passed < request.deadline <= state.wall + rules.horizon_us:
        return RejectReason.OUT_OF_TIME, f"the deadline must lie ahead by at most {rules.horizon_us} us"
    if state.engine is None:
        return RejectReason.ENGINE_UNAVAILABLE, "this node's engine is not running; it is being restarted"
    if not has_room(state):
        return RejectReason.BUSY, "this node has as many unordered answers as it may"
    if state.mine_by_client.get(request.client, 0) >= rules.client_open_max:
        return RejectReason.NO_CREDIT, f"at most {rules.client_open_max} requests of one client may be open"
    return None


def has_room(state: ReplicaState) -> bool:
    """May this replica promise one more answer? (rules 2.8, 4.2)"""
    full = len(state.open_mine) >= state.group.parameters.open_max or _lane_is_full(state)
    return state.engine is not None and not full


def _retry_after_us(state: ReplicaState, reason: RejectReason) -> int:
    soon = reason in (RejectReason.BUSY, RejectReason.NO_CREDIT)
    if reason is RejectReason.ENGINE_UNAVAILABLE:
        return state.group.parameters.status_interval_us
    return state.group.parameters.propose_timeout_us if soon else 0


def _lane_is_full(state: ReplicaState) -> bool:
    ahead = state.own_tip.height - state.final_lane_height(state.me)
    return ahead >= state.group.parameters.lane_window  # rule 2.8


def on_engine_ready(state: ReplicaState, event: EngineIsReady) -> list[Effect]:
    """The engine counts only if it runs the model that our lane is at (rule 2.8)."""
    matches = (state.own_model.version, state.own_model.model) == (event.version, event.model)
    state.engine = Engine(event.version, event.model, event.capacity) if matches else None
    return []


def update_fault(state: ReplicaState, signed: SignedUpdate) -> str | None:
    """Why our lane could not carry this update next, in words for its owner; None when it can (rule 4.3)."""
    update, own = signed.update, state.own_model
    if (update.group, update.epoch, update.owner) != (state.group.id, state.group.epoch, state.me):
        return "the update is for another group, epoch or owner"
    if update.version != own.version + 1:
        return f"the lane is at version {own.version}: the next update must have version {own.version + 1}"
    if not state.judge.checker.check_owner(state.me, update.encode(), signed.signature):
        return "the update is not signed with the owner key that the genesis names"
    return None


def on_model_loaded(state: ReplicaState, event: ModelWasLoaded) -> list[Effect]:
    """Announce it as soon as the lane may carry it."""
    state.next_update = event.signed
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
    """Forget a request, unless we promised an answer under an older version: that one is kept and run again (4.3)."""
    own = state.mine[request]
    if own.openings:
        state.run_again[request] = state.mono + state.group.parameters.finalize_timeout_us
        return []
    del state.mine[request]
    close_own(state, request, own)
    if len(state.ends) > 2 * len(state.mine) + ENDS_SLACK:
        state.ends = sorted({row for row in state.ends if row[1] in state.mine})
    return [SendClient(own.client, Rejected(request, reason, _retry_after_us(state, reason), detail))]


def close_own(state: ReplicaState, request: RequestId, own: OwnRequest) -> None:
    """The request no longer counts against the client's and the lane's bounds."""
    if request in state.open_mine:
        own.asked = None
        del state.open_mine[request]
        left = state.mine_by_client.get(own.client, 1) - 1
        if left:
            state.mine_by_client[own.client] = left
        else:
            state.mine_by_client.pop(own.client, None)


def on_answers(state: ReplicaState, event: AnswersCame) -> list[Effect]:
    """Commit to each answer; the lane batch leaves at the end of the turn (rules 2.6, 2.7)."""
    state.answer_us = event.took_us
    model = state.own_model
    for request, output in event.answers:
        own = state.mine.get(request)
        if own is None or own.stage is not OwnStage.RUNNING or event.version != model.version:
            continue  # rule 2.5: one answer per request and version
        salt = salt_of(state.secret, request, model.version)
        own.openings[model.version] = Opening(request, state.me, model.version, model.model, output, salt)
        own.stage = OwnStage.ANSWERED
        state.outbox[request] = None
    return []


def extend_lane(state: ReplicaState, best: StateView | None) -> list[Effect]:
    """Promise what was answered, update, show evidence; or tick when block time lags behind a due record (2.7)."""
    effects: list[Effect] = []
    while _has_items(state) and not _lane_is_full(state):
        requests = list(state.outbox)[: state.group.parameters.batch_items_max]
        for request in requests:
            del state.outbox[request]
        effects += _promise(state, requests)
    if not effects and (_tick_is_due(state, best) or _update_waits(state)) and not _lane_is_full(state):
        effects += _promise(state, [])
    return effects


def _has_items(state: ReplicaState) -> bool:
    waits = state.outbox or state.next_change is not None or _update_may_leave(state)
    return bool(waits or (state.evidence and _unshown(state)))


def _update_may_leave(state: ReplicaState) -> bool:
    if state.next_update is None:
        return False
    return state.own_tip.height + 1 >= state.own_model.lane_height + state.group.parameters.update_gap


def _update_waits(state: ReplicaState) -> bool:
    """Empty batches bring a quiet lane to where it may carry the update (rule 4.3)."""
    if state.next_update is None:
        return False
    waited = state.mono - state.own_batch_us >= state.group.parameters.block_interval_us
    return waited and not _update_may_leave(state)


def _unshown(state: ReplicaState) -> list[Verdict]:
    """Evidence that neither the final ledger nor our lane holds; lanes carry what fits them (rule 8.1)."""
    marks = state.chain.base.marks
    names = [name for name in state.evidence if name not in state.shown and name not in marks]
    fitting = [name for name in names if len(state.evidence[name]) <= EVIDENCE_BYTES_MAX]
    most = min(state.group.parameters.evidence_max, EVIDENCE_BATCH_BYTES_MAX // EVIDENCE_BYTES_MAX)
    return fitting[:most]


def _promise(state: ReplicaState, requests: list[RequestId]) -> list[Effect]:
    """One batch: attestations, then evidence, then the update, which is the last batch of the old version."""
    items, openings = [], []
    for request in requests:
        own = state.mine[request]
        opening = own.openings[state.own_model.version]
        own.stage = OwnStage.PROMISED
        items.append(Attestation(own.client, own.deadline, own.patience_us, own.body, opening.commitment()))
        openings.append(opening)
    shown = _unshown(state)
    state.shown.update(dict.fromkeys(shown))
    update = state.next_update if _update_may_leave(state) and not state.outbox else None
    state.own_time = max(state.own_time, state.wall)
    batch = LaneBatch(
        group=state.group.id,
        epoch=state.group.epoch,
        owner=state.me,
        version=state.own_model.version,
        lane_height=LaneHeight(state.own_tip.height + 1),
        parent=state.own_tip.digest,
        time=state.own_time,
        attestations=tuple(items),
        evidence=tuple(state.evidence[name] for name in shown),
        update=update,
        change=state.next_change,
    )
    state.next_change = None
    state.own_tip = LaneTip(state.me, batch.lane_height, batch.digest)
    state.own_batch_us = state.mono
    state.note_persisted(batch.digest)
    return [PromiseBatch(batch, tuple(openings)), *follow_update(state, batch)]


def follow_update(state: ReplicaState, batch: LaneBatch) -> list[Effect]:
    """Our lane is at its next version: run again whatever the final state does not show as ended (rule 4.3)."""
    updated = state.own_model.after(batch, state.group.parameters.update_gap, Height(0))
    if updated is None:
        return []
    state.own_model, state.next_update = updated, None
    state.engine = None if state.engine is None else Engine(updated.version, updated.model, state.engine.capacity)
    return [effect for request in state.open_mine for effect in run(state, request, state.mine[request])]


def _tick_is_due(state: ReplicaState, best: StateView | None) -> bool:
    """Has a record that f+1 lanes attest fallen due by our clock, while neither our lane nor block time says so?

    A due time is dropped only when final block time has passed it: its record may be in a block that is applied here
    and not yet notarized, so that the best state does not show it now and does later.
    """
    while state.ticks and state.ticks[0][0] <= state.wall:
        state.ripe_ticks[heapq.heappop(state.ticks)] = None
    if not state.ripe_ticks:
        return False
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
        if own is not None and batch.version in own.openings:
            by_client.setdefault(own.client, []).append(own.openings[batch.version])
    return [SendClient(client, Openings(tuple(openings))) for client, openings in by_client.items()]
