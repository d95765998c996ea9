"""A replica's own lane: admission, answers, batches, openings, ticks (rules 2.1 to 2.9)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dropbeard.agreement.effects import Effect, Infer, PromiseBatch, SendClient
from dropbeard.agreement.events import (
    AnswersCame,
    BatchCame,
    EngineIsReady,
    EngineWasLost,
    InferenceFailed,
    ModelWasLoaded,
    RequestCame,
)
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.agreement.requests import ENDS_SLACK
from dropbeard.types.group import FIRST_VERSION
from dropbeard.types.ids import Digest, GroupId, LaneHeight, Nonce, RequestId, Signature, TimeUs, Version
from dropbeard.types.lanes import Attestation, LaneBatch, SignedUpdate
from dropbeard.types.messages import Openings, Rejected, RejectReason, Reply
from dropbeard.types.parameters import SECOND
from dropbeard.types.requests import Request, salt_of
from dropbeard.types.statements import ModelUpdate
from dropbeard.types.task import Input, InputKind
from tests.agreement.pieces import (
    CLIENT,
    GROUP,
    KEYS,
    SECRET,
    START,
    attestation,
    batch,
    came,
    certificate_of,
    end_turn,
    feed,
    finalize,
    first_block,
    later,
    notarize,
    owner,
    replica,
    signed_batch,
    tell,
)

GIVEN = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), b"picture")
OUTPUT = bytes(12)
MODEL = GROUP.owners[1].model
RULES = GROUP.parameters


def ready(me: int = 1) -> ReplicaState:
    state = replica(me)
    feed(state, [EngineIsReady(Version(1), GROUP.owners[me].model, 8)])
    return state


def asked(nonce: int = 1, **changed: object) -> RequestCame:
    deadline = TimeUs(START.wall_us + 5 * SECOND)
    request = Request(CLIENT, GROUP.id, Nonce(nonce), deadline, 0, b"", GIVEN.digest())
    return RequestCame(replace(request, **changed), GIVEN)  # type: ignore[arg-type]


def rejections(effects: list[Effect]) -> list[RejectReason]:
    sent = [e.message for e in effects if isinstance(e, SendClient)]
    return [message.reason for message in sent if isinstance(message, Rejected)]


def promised(effects: list[Effect]) -> list[PromiseBatch]:
    return [effect for effect in effects if isinstance(effect, PromiseBatch)]


def test_a_request_in_order_goes_to_the_engine() -> None:
    event = asked()
    assert feed(ready(), [event]) == [Infer(event.request.id, GIVEN, event.request.deadline, FIRST_VERSION)]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (asked(group=GroupId(bytes(32))), RejectReason.WRONG_GROUP),
        (asked(options=b"?"), RejectReason.BAD_REQUEST),
        (asked(deadline=START.wall_us), RejectReason.OUT_OF_TIME),
        (asked(deadline=START.wall_us - 1), RejectReason.OUT_OF_TIME),
        (asked(deadline=START.wall_us + GROUP.parameters.horizon_us + 1), RejectReason.OUT_OF_TIME),
    ],
)
def test_a_request_out_of_order_is_rejected_with_its_reason(event: RequestCame, reason: RejectReason) -> None:
    assert rejections(feed(ready(), [event])) == [reason]


def test_without_an_engine_a_request_is_rejected_and_may_come_again() -> None:
    effects = feed(replica(1), [asked()])
    assert rejections(effects) == [RejectReason.ENGINE_UNAVAILABLE]
    assert isinstance(effects[0], SendClient)
    assert isinstance(effects[0].message, Rejected)
    assert effects[0].message.retry_after_us > 0


def test_an_engine_with_another_model_than_the_ledgers_does_not_count() -> None:
    state = replica(1)
    feed(state, [EngineIsReady(Version(1), Digest(bytes(32)), 8)])
    assert rejections(feed(state, [asked()])) == [RejectReason.ENGINE_UNAVAILABLE]


def test_one_client_has_a_bounded_share() -> None:
    state = ready()
    most = GROUP.parameters.client_open_max
    effects = feed(state, [asked(n) for n in range(most + 1)])
    assert rejections(effects) == [RejectReason.NO_CREDIT]
    other = asked(0, client=type(CLIENT)(b"d" * 32))
    assert rejections(feed(state, [other])) == []


def test_a_retry_is_never_run_twice() -> None:
    state = ready()
    feed(state, [asked()])
    assert feed(state, [asked()]) == []


def test_an_answer_is_promised_in_a_lane_batch_and_opened_when_that_is_signed() -> None:
    state = ready()
    request = asked().request
    feed(state, [asked(), AnswersCame(FIRST_VERSION, ((request.id, OUTPUT),))])
    (promise,) = promised(end_turn(state))
    (opening,) = promise.openings
    assert (opening.request, opening.owner, opening.version, opening.model) == (request.id, 1, 1, MODEL)
    assert opening.salt == salt_of(SECRET, request.id, Version(1))
    assert [item.commitment for item in promise.batch.attestations] == [opening.commitment()]
    assert promise.batch.request_ids == (request.id,)
    assert (promise.batch.lane_height, promise.batch.time) == (1, START.wall_us)
    effects = feed(state, [BatchCame(owner(1), signed_batch(promise.batch))])
    assert effects == [SendClient(CLIENT, Openings((opening,)))]
    assert feed(state, [asked()]) == [SendClient(CLIENT, Openings((opening,)))]


def test_a_second_answer_to_one_request_is_ignored() -> None:
    state = ready()
    request = asked().request
    feed(state, [asked(), AnswersCame(FIRST_VERSION, ((request.id, OUTPUT),))])
    end_turn(state)
    feed(
        state,
        [
            AnswersCame(FIRST_VERSION, ((request.id, b"other answer"),)),
            AnswersCame(FIRST_VERSION, ((RequestId(bytes(32)), OUTPUT),)),
        ],
    )
    assert promised(end_turn(state)) == []


def test_a_lane_chains_its_batches_and_its_time_never_falls() -> None:
    state = ready()
    first, second = asked(1).request, asked(2).request
    feed(state, [asked(1), asked(2), AnswersCame(FIRST_VERSION, ((first.id, OUTPUT),))])
    (one,) = promised(end_turn(state))
    state.own_time = TimeUs(START.wall_us + 7)
    feed(state, [AnswersCame(FIRST_VERSION, ((second.id, OUTPUT),))])
    (two,) = promised(end_turn(state))
    assert (two.batch.lane_height, two.batch.parent, two.batch.time) == (2, one.batch.digest, START.wall_us + 7)


def test_a_lost_engine_rejects_what_it_was_running_and_a_retry_is_admitted_again() -> None:
    state = ready()
    feed(state, [asked()])
    assert rejections(feed(state, [EngineWasLost()])) == [RejectReason.ENGINE_UNAVAILABLE]
    feed(state, [EngineIsReady(Version(1), MODEL, 8)])
    assert feed(state, [asked()]) == [Infer(asked().request.id, GIVEN, asked().request.deadline, FIRST_VERSION)]


def test_a_failed_inference_is_told_to_its_client_and_frees_its_credit() -> None:
    state = ready()
    feed(state, [asked()])
    failed = InferenceFailed(asked().request.id, RejectReason.BAD_INPUT, "not an image")
    effects = feed(state, [failed])
    assert effects == [SendClient(CLIENT, Rejected(asked().request.id, RejectReason.BAD_INPUT, 0, "not an image"))]
    assert (state.mine, state.open_mine, state.mine_by_client) == ({}, {}, {})


def test_a_full_lane_rejects_as_busy() -> None:
    state = ready()
    state.own_tip = replace(state.own_tip, height=LaneHeight(GROUP.parameters.lane_window))
    assert rejections(feed(state, [asked()])) == [RejectReason.BUSY]


def agreed_block(state: ReplicaState, patience_us: int = 0) -> None:
    """Lanes 0, 2 and 3 answer one request; the block that orders them is notarized."""
    made = [batch(i, [attestation(1, patience_us=patience_us, by=i)]) for i in (0, 2, 3)]
    feed(state, [came(b) for b in made])
    proposal = first_block(state, 0, *made)
    tell(state, 0, proposal)
    end_turn(state)
    tell(state, 0, certificate_of(notarize(proposal.header)))
    end_turn(state)
    tell(state, 0, certificate_of(finalize(proposal.header), (0, 2, 3)))


def test_a_replica_ticks_once_when_patience_has_run_out_and_block_time_lags() -> None:
    state = ready()
    agreed_block(state, patience_us=SECOND)
    end_turn(state)
    assert promised(end_turn(state, SECOND - 1)) == []
    (tick,) = promised(end_turn(state, SECOND))
    assert tick.batch.attestations == ()
    assert tick.batch.time == START.wall_us + SECOND
    assert promised(end_turn(state, SECOND + 1)) == []


def test_a_replica_does_not_tick_for_what_at_most_f_lanes_attest() -> None:
    state = ready()
    made = batch(2, [attestation(1, deadline=START.wall_us + SECOND, by=2)])
    feed(state, [came(made)])
    proposal = first_block(state, 0, made)
    tell(state, 0, proposal)
    end_turn(state)
    tell(state, 0, certificate_of(notarize(proposal.header)))
    end_turn(state)
    assert promised(end_turn(state, 2 * SECOND)) == []


def test_who_did_not_finalize_a_block_sends_its_clients_the_whole_finalization() -> None:
    state = ready()
    made = [batch(i, [attestation(1, by=i)]) for i in (0, 2, 3)]
    feed(state, [came(b) for b in made])
    proposal = first_block(state, 0, *made)
    tell(state, 0, proposal)
    end_turn(state)
    state.round(proposal.header.view).nullified = True
    tell(state, 0, certificate_of(notarize(proposal.header)))
    end_turn(state)
    tell(state, 0, certificate_of(finalize(proposal.header), (0, 2, 3)))
    sent = [e for e in end_turn(state) if isinstance(e, SendClient)]
    assert [(e.client, type(e.message)) for e in sent] == [(CLIENT, Reply)]
    reply = sent[0].message
    assert isinstance(reply, Reply)
    assert [signer for signer, _ in reply.signatures] == [0, 2, 3]
    assert reply.headers == (proposal.header,)


def test_own_lane_times_follow_the_clock() -> None:
    state = ready()
    feed(state, [asked()], later(40))
    feed(state, [AnswersCame(FIRST_VERSION, ((asked().request.id, OUTPUT),))], later(50))
    (promise,) = promised(end_turn(state, 60))
    assert promise.batch.time == START.wall_us + 60


def lane_after_quiet_time(turns: int) -> list[LaneBatch]:
    """What an idle replica with a loaded update appends, one turn each block interval."""
    state = replica(2)
    update = ModelUpdate(GROUP.id, GROUP.epoch, owner(2), Version(2), Digest(b"n" * 32))
    signed = SignedUpdate(update, Signature(KEYS.owner_keys[2].sign(update.encode())))
    feed(state, [EngineIsReady(Version(1), GROUP.owners[2].model, 8), ModelWasLoaded(signed)])
    made: list[LaneBatch] = []
    for turn in range(turns):
        effects = end_turn(state, (turn + 1) * RULES.block_interval_us)
        made += [effect.batch for effect in effects if isinstance(effect, PromiseBatch)]
    return made


def test_a_quiet_lane_goes_on_with_empty_batches_until_it_may_carry_an_update() -> None:
    made = lane_after_quiet_time(RULES.update_gap + 3)
    assert [batch.lane_height for batch in made] == list(range(1, RULES.update_gap + 1))
    assert [batch.update is not None for batch in made] == [False] * (RULES.update_gap - 1) + [True]
    assert all(batch.attestations == () for batch in made)


def test_without_them_an_update_of_an_idle_group_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropbeard.agreement.requests._update_waits", lambda state: False)
    assert lane_after_quiet_time(RULES.update_gap + 3) == []


def agreed_without(state: ReplicaState, request: Request) -> None:
    """A final block in which the other three answered it."""
    rows = [Attestation(CLIENT, request.deadline, 0, request.body, Digest(bytes([i]) * 32)) for i in (0, 2, 3)]
    made = [batch(i, [row]) for i, row in zip((0, 2, 3), rows, strict=True)]
    feed(state, [came(b) for b in made])
    proposal = first_block(state, 0, *made)
    tell(state, 0, proposal)
    end_turn(state)
    tell(state, 0, certificate_of(notarize(proposal.header)))
    tell(state, 0, certificate_of(finalize(proposal.header), (0, 2, 3)))
    end_turn(state)


def runs(effects: list[Effect]) -> int:
    return sum(isinstance(effect, Infer) for effect in effects)


def test_a_retry_runs_what_was_agreed_without_us_again_also_after_the_engine_died_over_it() -> None:
    state, request = ready(), asked().request
    feed(state, [asked(), AnswersCame(FIRST_VERSION, ((request.id, OUTPUT),))])
    end_turn(state)
    agreed_without(state, request)
    state.own_model = replace(state.own_model, version=Version(2))
    back = EngineIsReady(Version(2), state.own_model.model, 8)
    assert runs(feed(state, [back, asked()])) == 1
    feed(state, [EngineWasLost()])
    end_turn(state)
    assert runs(feed(state, [back, asked()])) == 1


def test_what_the_engine_refuses_leaves_nothing_that_grows() -> None:
    state = ready()
    for nonce in range(3 * ENDS_SLACK):
        feed(state, [asked(nonce), InferenceFailed(asked(nonce).request.id, RejectReason.BUSY, "")])
    assert len(state.ends) <= ENDS_SLACK + 1
    feed(state, [asked()])
    assert (asked().request.deadline, asked().request.id) in state.ends
