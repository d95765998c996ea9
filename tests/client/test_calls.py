"""Calls over a session, sans IO: credits, what a caller is told, and what its options make of a certificate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dropbeard.client.answers import Answer, Grade, Provisional
from dropbeard.client.calls import Calls, Ended, Greeting
from dropbeard.client.options import REST_S, Options
from dropbeard.codec.client import encode_to_client
from dropbeard.errors import AnswerBelowRequired, ClientClosed, ClientError, ConfigInvalid, RequestExpired
from dropbeard.types.ids import ClientKey, OwnerId, RequestId
from dropbeard.types.messages import Submit, ToClient, Welcome
from dropbeard.types.parameters import SECOND
from dropbeard.verification.aggregate import Assurance, Decision
from dropbeard.verification.certificate import Verified
from tests.client.recorded import Recorded, recorded

ALL = range(4)
PLAIN = Options()
Caller = str


@pytest.fixture
def told() -> Recorded:
    found: Recorded = recorded()
    return found


def hear(calls: Calls[Caller], owner: int, message: ToClient) -> None:
    calls.hear(OwnerId(owner), encode_to_client(message), 0)


def welcomed(told: Recorded, *credits: int) -> Calls[Caller]:
    calls: Calls[Caller] = Calls(told.group, told.client)
    for owner, granted in enumerate(credits):
        hear(calls, owner, Welcome(OwnerId(owner), told.group.epoch, granted))
    return calls


def submitted(calls: Calls[Caller], told: Recorded, options: Options = PLAIN, now_us: int = 0) -> Submit:
    """What the nodes get for a call that began at 0."""
    given = told.requests[told.agreed[0]][1]
    calls.submit(given, options, 0, (now_us, 90 * SECOND), "caller")
    message = calls.session.outgoing[-1][1]
    assert isinstance(message, Submit)
    return message


def fetching(calls: Calls[Caller], told: Recorded, options: Options = PLAIN) -> RequestId:
    """Certificates of recorded requests come by asking for them: their ids are known beforehand."""
    return calls.fetch(told.requests[told.agreed[0]][0], options, 5.0, 0, "caller")


def answered(calls: Calls[Caller], told: Recorded, request: RequestId) -> list[Ended | Provisional]:
    for owner, message in told.shown[request]:
        hear(calls, owner, message)
    return [what for _, _, what in calls.advance(2_000)]


def test_credits_are_what_enough_nodes_grant_and_none_before(told: Recorded) -> None:
    assert not welcomed(told, 9, 9).has_room
    assert not welcomed(told, 9, 9).is_connected
    assert welcomed(told, 9, 5, 7, 2).credits == 5
    assert welcomed(told, 0, 0, 0).credits == 1


def test_a_node_that_is_down_is_waited_for_no_longer_than_a_moment_once_enough_said_welcome(told: Recorded) -> None:
    calls = welcomed(told, 8, 8)
    greeting = Greeting(calls, 5.0, 10.0)
    assert greeting.left_s(12.0) == 3.0
    hear(calls, 2, Welcome(OwnerId(2), told.group.epoch, 8))
    assert greeting.left_s(13.0) == REST_S
    assert greeting.left_s(13.0 + REST_S) == 0
    del calls.session.credits[OwnerId(2)]  # as in an epoch that needs one more
    assert greeting.left_s(14.0) == 1.0
    hear(calls, 2, Welcome(OwnerId(2), told.group.epoch, 8))
    assert greeting.left_s(14.0) == REST_S
    hear(calls, 3, Welcome(OwnerId(3), told.group.epoch, 8))
    assert greeting.left_s(14.0) == 0


def test_the_moment_for_the_rest_ends_with_the_time_to_connect(told: Recorded) -> None:
    assert Greeting(welcomed(told, 8, 8, 8), 0.25, 10.0).left_s(10.0) == 0.25


def test_there_is_room_until_as_many_are_under_way_as_granted(told: Recorded) -> None:
    calls = welcomed(told, 2, 2, 2)
    rooms = []
    for _ in range(2):
        submitted(calls, told)
        rooms.append(calls.has_room)
    calls.cancel(next(iter(calls._calls)))
    assert [*rooms, calls.has_room] == [True, False, True]


def test_time_spent_waiting_for_a_credit_is_gone_from_the_deadline_and_from_the_patience(told: Recorded) -> None:
    calls = welcomed(told, 2, 2, 2)
    options = Options(timeout=5.0, patience=5.0)
    message = submitted(calls, told, options, now_us=2 * SECOND)
    assert (message.deadline, message.patience_us) == (93 * SECOND, 3 * SECOND)
    with pytest.raises(RequestExpired, match="no credit became free within 5 s.*2 requests at once"):
        submitted(calls, told, options, now_us=5 * SECOND)


def test_a_request_under_way_is_not_asked_for_twice(told: Recorded) -> None:
    calls = welcomed(told, 9, 9, 9, 9)
    fetching(calls, told)
    with pytest.raises(ClientError, match="under way already"):
        fetching(calls, told)


def test_a_request_of_another_key_is_refused(told: Recorded) -> None:
    request = told.requests[told.agreed[0]][0]
    with pytest.raises(ConfigInvalid, match="another client key"):
        welcomed(told, 9).fetch(replace(request, client=ClientKey(bytes(32))), PLAIN, 1, 0, "")


def test_an_end_becomes_an_answer_by_the_callers_own_aggregate(told: Recorded) -> None:
    calls = welcomed(told, 9, 9, 9, 9)
    request = fetching(calls, told, Options(aggregate=lambda verified: Decision(2, 2, verified.n, Assurance.ROBUST)))
    (ended,) = answered(calls, told, request)
    assert isinstance(ended, Ended)
    answer = ended.outcome(told.group)
    assert isinstance(answer, Answer)
    assert (answer.class_id, answer.label, answer.margin) == (2, told.group.task.labels[2], told.group.n)
    assert answer.grade is Grade.FINAL


def test_an_aggregate_without_labels_is_an_answer_with_its_decision(told: Recorded) -> None:
    class Vector:
        margin = 0.25
        assurance = Assurance.HONEST_PLURALITY

    def vector(_: Verified) -> Vector:
        return Vector()

    calls = welcomed(told, 9, 9, 9, 9)
    request = fetching(calls, told, Options(aggregate=vector))
    (ended,) = answered(calls, told, request)
    assert isinstance(ended, Ended)
    answer = ended.outcome(told.group)
    assert isinstance(answer, Answer)
    assert isinstance(answer.decision, Vector)
    assert (answer.label, answer.class_id, answer.shown, answer.margin) == (None, None, "", 0.25)


@pytest.mark.parametrize("worth", list(Assurance))
@pytest.mark.parametrize("required", list(Assurance))
def test_an_answer_worth_less_than_required_is_an_error_that_holds_it(
    told: Recorded, worth: Assurance, required: Assurance
) -> None:
    calls = welcomed(told, 9, 9, 9, 9)
    options = Options(aggregate=lambda _: Decision(1, 1, 1, worth), require=required)
    (ended,) = answered(calls, told, fetching(calls, told, options))
    assert isinstance(ended, Ended)
    outcome = ended.outcome(told.group)
    if worth.covers(required):
        assert isinstance(outcome, Answer)
    else:
        assert isinstance(outcome, AnswerBelowRequired)
        assert outcome.answer.assurance is worth
        assert not outcome.retry_safe


def test_provisional_answers_grow_owner_by_owner_and_the_same_one_is_told_once(told: Recorded) -> None:
    calls = welcomed(told, 9, 9, 9, 9)
    request = fetching(calls, told)
    calls._opened[request] = {}
    calls.session.watch(request)
    heard = []
    for owner, openings in told.openings:
        if any(opening.request == request for opening in openings.openings):
            for _ in range(2):
                hear(calls, owner, openings)
                heard += [what for _, _, what in calls.advance(3_000)]
    assert all(isinstance(what, Provisional) for what in heard)
    assert [len(what.owners) for what in heard if isinstance(what, Provisional)] == [1, 2, 3, 4]
    last = heard[-1]
    assert isinstance(last, Provisional)
    assert (last.grade, last.elapsed_ms, last.request_id) == (Grade.PROVISIONAL, 3.0, request.hex())
    assert last.leading in {owner.label for owner in last.owners}


def test_a_frame_that_cannot_be_read_is_only_silence(told: Recorded) -> None:
    calls = welcomed(told, 9, 9, 9)
    calls.hear(OwnerId(0), b"nonsense", 0)
    assert list(calls.advance(1)) == []


def test_a_close_ends_every_call_and_its_error_says_what_was_asked(told: Recorded) -> None:
    calls = welcomed(told, 9, 9, 9, 9)
    request = fetching(calls, told)
    ((call, name, ended),) = calls.close()
    error = ended.outcome(told.group)
    assert (call.waiting, name) == ("caller", request)
    assert isinstance(error, ClientClosed)
    assert error.request == told.requests[request][0]
    assert list(calls.close()) == []
    assert answered(calls, told, request) == []


@pytest.mark.parametrize("wrong", [{"provisional_timeout": 0.0}, {"provisional_timeout": 11.0}, {"patience": 11.0}])
def test_times_that_cannot_be_are_refused(told: Recorded, wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigInvalid, match="<= timeout"):
        PLAIN.changed(told.group, wrong)


def test_a_shorter_timeout_takes_the_other_times_with_it(told: Recorded) -> None:
    options = Options(provisional_timeout=8.0).changed(told.group, {"timeout": 0.5})
    assert (options.timeout, options.patience, options.provisional_timeout) == (0.5, 0.5, 0.5)
    assert PLAIN.changed(told.group, {}) is PLAIN
