"""Slow and silent nodes: what a session asks of whom besides, and when it stops to wait."""

from __future__ import annotations

import pytest

from dropbeard.client.open_requests import REPEAT_AFTER_US
from dropbeard.client.session import Session
from dropbeard.client.silence import HEDGE_AFTER_US, PROBE_EVERY, SILENT_AFTER
from dropbeard.errors import RequestExpired
from dropbeard.types.ids import OwnerId, RequestId
from dropbeard.types.messages import FetchOutcome, Rejected, RejectReason, Submit, Welcome
from dropbeard.types.parameters import SECOND
from tests.client.recorded import Recorded, recorded

ALL = range(4)


@pytest.fixture
def told() -> Recorded:
    found: Recorded = recorded()
    return found


def asked(told: Recorded, number: int = 0, session: Session | None = None) -> tuple[Session, RequestId]:
    """A session of which every node has a request that the group agreed on."""
    session = session or Session(told.group, told.client)
    for owner in ALL:
        session.on_message(OwnerId(owner), Welcome(OwnerId(owner), told.group.epoch, 9), 0)
    request = told.agreed[number]
    made, given = told.requests[request]
    wall_us = made.deadline - 10 * SECOND
    assert session.submit(given, made.nonce, made.deadline, made.patience_us, 0, wall_us) == request
    session.outgoing.clear()
    return session, request


def opened_by(told: Recorded, session: Session, request: RequestId, owners: range) -> None:
    for owner, openings in told.openings:
        if owner in owners and any(opening.request == request for opening in openings.openings):
            session.on_message(owner, openings, 1_000)


def replied(told: Recorded, session: Session, request: RequestId) -> None:
    for reply in told.replies:
        if any(entry.request == request for _, entry in reply.entries):
            session.on_message(reply.signatures[0][0], reply, 1_000)


def asked_for(session: Session, request: RequestId) -> list[int]:
    owners = [int(owner) for owner, message, _ in session.outgoing if message == FetchOutcome(request)]
    session.outgoing.clear()
    return owners


def test_a_late_certificate_is_asked_for_by_id_at_a_weak_quorum_of_who_answered_and_once(told: Recorded) -> None:
    session, request = asked(told)
    opened_by(told, session, request, ALL)
    assert session.poll(HEDGE_AFTER_US - 1) == []
    assert session.outgoing == []
    session.poll(HEDGE_AFTER_US)
    assert len(set(asked_for(session, request))) == told.group.weak_quorum
    session.poll(REPEAT_AFTER_US - 1)
    assert session.outgoing == []


def test_what_they_show_ends_the_request(told: Recorded) -> None:
    session, request = asked(told)
    opened_by(told, session, request, ALL)
    session.poll(HEDGE_AFTER_US)
    asked_of = asked_for(session, request)
    shown = [(owner, message) for owner, message in told.shown[request] if int(owner) == asked_of[0]]
    for owner, message in shown:
        session.on_message(owner, message, HEDGE_AFTER_US)
    assert [done.error for done in session.poll(HEDGE_AFTER_US)] == [None]


def test_nobody_is_asked_while_owners_are_still_at_work_or_the_group_has_patience(told: Recorded) -> None:
    patient = next(place for place, name in enumerate(told.agreed) if told.requests[name][0].patience_us)
    session, request = asked(told, patient)
    opened_by(told, session, request, range(2))
    session.poll(HEDGE_AFTER_US)
    assert asked_for(session, request) == []
    opened_by(told, session, request, range(3))
    session.poll(2 * HEDGE_AFTER_US)
    assert told.requests[request][0].patience_us > HEDGE_AFTER_US
    assert asked_for(session, request) == []
    session.poll(3 * HEDGE_AFTER_US)
    assert len(asked_for(session, request)) == told.group.weak_quorum


def test_a_node_that_knows_nothing_yet_of_a_request_under_way_does_not_end_it(told: Recorded) -> None:
    session, request = asked(told)
    for owner in ALL:
        session.on_message(OwnerId(owner), Rejected(request, RejectReason.UNKNOWN_REQUEST, 0, "not yet"), 1)
    assert session.poll(2) == []
    session.poll(REPEAT_AFTER_US)
    assert [type(message) for _, message, _ in session.outgoing] == [Submit] * 4


def test_too_few_answers_by_the_provisional_timeout_end_the_request(told: Recorded) -> None:
    session, request = asked(told)
    session.expect_answers(request, 300)
    opened_by(told, session, request, range(2))
    assert session.poll(299) == []
    (done,) = session.poll(300)
    assert isinstance(done.error, RequestExpired)
    assert "2 of 3 owners needed" in str(done.error)
    assert done.error.request == told.requests[request][0]
    assert session.open_requests == 0


def test_enough_answers_by_the_provisional_timeout_let_it_go_on(told: Recorded) -> None:
    session, request = asked(told)
    session.expect_answers(request, 300)
    opened_by(told, session, request, range(3))
    assert session.poll(300) == []
    assert session.open_requests == 1


def test_provisional_answers_are_kept_for_watched_requests_alone(told: Recorded) -> None:
    session, request = asked(told)
    other = asked(told, 1, session)[1]
    session.watch(request)
    opened_by(told, session, request, range(2))
    opened_by(told, session, other, range(2))
    taken = session.take_openings()
    assert {name for name, _ in taken} == {request}
    assert sorted({opening.owner for _, opening in taken}) == [0, 1]
    assert session.take_openings() == []
    session.cancel(request)
    opened_by(told, session, request, range(2, 4))
    assert session.take_openings() == []


def answered_without(told: Recorded, session: Session, number: int, silent: OwnerId) -> None:
    """Let a certificate end that the silent owner promised and never opened."""
    request = asked(told, number, session)[1]
    opened_by(told, session, request, range(silent))
    replied(told, session, request)
    done = session.poll(1_000) or session.poll(SECOND // 2)
    assert [d.error for d in done] == [None]


def test_there_is_no_patience_for_an_owner_that_stays_silent_but_a_probe_now_and_then(told: Recorded) -> None:
    session = Session(told.group, told.client)
    for number in range(SILENT_AFTER):
        assert session.hedged(77) == 77
        answered_without(told, session, number, OwnerId(3))
    patiences = [session.hedged(77) for _ in range(PROBE_EVERY)]
    assert patiences == [0] * (PROBE_EVERY - 1) + [77]


def test_an_owner_that_answers_again_is_waited_for_again(told: Recorded) -> None:
    session = Session(told.group, told.client)
    for number in range(SILENT_AFTER):
        answered_without(told, session, number, OwnerId(3))
    assert session.hedged(77) == 0
    request = asked(told, SILENT_AFTER, session)[1]
    opened_by(told, session, request, ALL)
    replied(told, session, request)
    assert [done.error for done in session.poll(1_000)] == [None]
    assert session.hedged(77) == 77
