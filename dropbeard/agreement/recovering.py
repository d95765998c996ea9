"""Requests that this replica owes an answer: others' inputs are fetched (rule 2.3), failed runs repeated (rule 4.3)."""

from __future__ import annotations

from dropbeard.agreement.effects import Effect, Send
from dropbeard.agreement.ledger_state import StateView
from dropbeard.agreement.replica_state import OwnStage, ReplicaState
from dropbeard.agreement.requests import admit, has_room, run
from dropbeard.types.ids import OwnerId, RequestId
from dropbeard.types.messages import FetchInput, InputNotice
from dropbeard.types.requests import Request


def want_inputs(state: ReplicaState, best: StateView | None) -> None:
    """Ask for what is still lacking when the client's own copy had time to come."""
    for request, (since, deadline) in list(state.missing.items()):
        if deadline <= state.wall or not _is_lacking(state, request):
            del state.missing[request]
        elif state.mono - since >= state.group.parameters.finalize_timeout_us and has_room(state):
            open_record = best is not None and best.record(request) is not None
            if open_record or request in state.mine:
                state.want("input", request)


def _is_lacking(state: ReplicaState, request: RequestId) -> bool:
    own = state.mine.get(request)
    return own is None or (own.stage is OwnStage.RUNNING and own.asked is None and request in state.open_mine)


def run_failed_again(state: ReplicaState) -> list[Effect]:
    """What an earlier version of ours promised and the new one owes, once the engine is there (rule 4.3)."""
    effects: list[Effect] = []
    for request, due_us in list(state.run_again.items()):
        own = state.mine.get(request)
        if own is None or request not in state.open_mine or own.deadline <= state.wall:
            del state.run_again[request]
            if own is not None and own.stage is OwnStage.RUNNING:
                own.stage = OwnStage.PROMISED  # a retry runs it again (rule 4.5)
        elif due_us <= state.mono and state.engine is not None:
            del state.run_again[request]
            effects += run(state, request, own)
    return effects


def on_fetch_input(state: ReplicaState, sender: OwnerId, asked: FetchInput) -> list[Effect]:
    """Show a peer what a client asked us, as long as we hold it."""
    own = state.mine.get(asked.request)
    if own is None or own.asked is None:
        return []
    request, given = own.asked
    notice = InputNotice(request.client, request.nonce, request.deadline, request.patience_us, request.options, given)
    return [Send(sender, notice)]


def on_input(state: ReplicaState, notice: InputNotice) -> list[Effect]:
    """Run it if it is what we lack: the id covers every field and the input's bytes, whoever sent them."""
    digest = notice.given.digest()
    request = Request(
        notice.client, state.group.id, notice.nonce, notice.deadline, notice.patience_us, notice.options, digest
    )
    if request.id not in state.missing or not has_room(state):
        return []
    del state.missing[request.id]
    own = state.mine.get(request.id)
    if own is None:
        return admit(state, request, notice.given)
    own.asked = (request, notice.given)
    return run(state, request.id, own) if own.stage is OwnStage.RUNNING else []
