"""The session: whom it asks, when it asks again, when it gives up, and what the caller is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dropbeard.client.open_requests import REPEAT_AFTER_US
from dropbeard.client.session import GRACE_US, LINGER_US, Session
from dropbeard.errors import InputInvalid, RequestExpired, RequestRejected
from dropbeard.types import versions
from dropbeard.types.certificates import Certificate
from dropbeard.types.entries import EntryKind
from dropbeard.types.group import Group
from dropbeard.types.ids import ClientKey, Nonce, OwnerId, RequestId, Signature, TimeUs
from dropbeard.types.messages import FetchOutcome, Hello, Rejected, RejectReason, Reply, Submit, Welcome
from dropbeard.types.parameters import SECOND
from dropbeard.types.task import Input, InputKind
from tests.client.recorded import Recorded, recorded
from tests.verification.building import CLIENT, Plan, build, world

GIVEN = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), b"picture")
DEADLINE = TimeUs(100 * SECOND)
WALL = 90 * SECOND


@pytest.fixture
def group() -> Group:
    found: Group = recorded().group
    return found


def opened(group: Group, owners: int = 4) -> Session:
    session = Session(group, ClientKey(bytes(32)))
    for owner in range(owners):
        session.on_message(OwnerId(owner), Welcome(OwnerId(owner), group.epoch, 9), 0)
    return session


def submit(session: Session, now_us: int = 0) -> RequestId:
    return session.submit(GIVEN, Nonce(1), DEADLINE, 5, now_us, WALL)


def sent_to(session: Session) -> list[int]:
    owners = [int(owner) for owner, message, _ in session.outgoing if isinstance(message, Submit)]
    session.outgoing.clear()
    return owners


def reject(session: Session, request: RequestId, owner: int, reason: RejectReason, after_us: int = 0) -> None:
    session.on_message(OwnerId(owner), Rejected(request, reason, after_us, f"{reason.name} at {owner}"), 0)


def test_a_connection_is_greeted_with_the_groups_id(group: Group) -> None:
    session = Session(group, ClientKey(bytes(32)))
    session.on_connected(OwnerId(2))
    assert session.outgoing == [(OwnerId(2), Hello(group.id, versions.WIRE_MINOR), None)]


def test_a_request_goes_to_every_node_that_said_welcome_and_to_a_late_one_when_it_does(group: Group) -> None:
    session = opened(group, 3)
    submit(session)
    assert sent_to(session) == [0, 1, 2]
    session.on_message(OwnerId(3), Welcome(OwnerId(3), group.epoch, 9), 5)
    assert sent_to(session) == [3]


def test_a_welcome_in_anothers_name_is_ignored(group: Group) -> None:
    session = Session(group, ClientKey(bytes(32)))
    session.on_message(OwnerId(1), Welcome(OwnerId(2), group.epoch, 9), 0)
    assert session.credits == {}


def test_a_silent_node_is_asked_again_and_then_less_often(group: Group) -> None:
    session = opened(group)
    submit(session)
    sent_to(session)
    assert session.poll(REPEAT_AFTER_US - 1) == []
    assert sent_to(session) == []
    session.poll(REPEAT_AFTER_US)
    assert sent_to(session) == [0, 1, 2, 3]
    session.poll(2 * REPEAT_AFTER_US)
    assert sent_to(session) == []
    session.poll(3 * REPEAT_AFTER_US)
    assert sent_to(session) == [0, 1, 2, 3]


def test_a_busy_node_is_asked_again_when_it_says(group: Group) -> None:
    session = opened(group)
    request = submit(session)
    sent_to(session)
    reject(session, request, 1, RejectReason.BUSY, 50_000)
    session.poll(49_999)
    assert sent_to(session) == []
    session.poll(50_000)
    assert sent_to(session) == [1]


def test_too_many_final_refusals_end_the_request_with_every_reason(group: Group) -> None:
    session = opened(group)
    request = submit(session)
    reject(session, request, 0, RejectReason.BAD_INPUT)
    assert session.poll(1) == []
    reject(session, request, 3, RejectReason.BAD_REQUEST)
    done = session.poll(2)
    assert [d.request for d in done] == [request]
    assert isinstance(done[0].error, RequestRejected)
    assert "owner 0: BAD_INPUT at 0; owner 3: BAD_REQUEST at 3" in str(done[0].error)
    assert session.open_requests == 0


def test_busy_nodes_alone_never_end_a_request_before_its_deadline(group: Group) -> None:
    session = opened(group)
    request = submit(session)
    for owner in range(4):
        reject(session, request, owner, RejectReason.ENGINE_UNAVAILABLE)
    assert session.poll(1) == []


def test_a_request_without_an_outcome_ends_after_its_deadline_and_says_how_many_it_reached(group: Group) -> None:
    session = opened(group, 2)
    request = submit(session)
    end_us = DEADLINE - WALL + GRACE_US
    assert session.poll(end_us - 1) == []
    done = session.poll(end_us)
    assert [d.request for d in done] == [request]
    assert isinstance(done[0].error, RequestExpired)
    assert "2 of 4 nodes reached, need 3" in str(done[0].error)
    assert done[0].error.retry_safe


def test_an_input_that_the_task_does_not_take_is_never_sent(group: Group) -> None:
    session = opened(group)
    with pytest.raises(InputInvalid):
        session.submit(Input(InputKind.ENCODED_IMAGE, (0, 0, 0), b""), Nonce(1), DEADLINE, 5, 0, WALL)
    assert session.outgoing == []


def told_of(told: Recorded, session: Session, request: RequestId, owners: int, now_us: int) -> None:
    for owner, openings in told.openings:
        if owner < owners and any(o.request == request for o in openings.openings):
            session.on_message(owner, openings, now_us)
    for reply in told.replies:
        if any(entry.request == request for _, entry in reply.entries):
            session.on_message(reply.signatures[0][0], reply, now_us)


def expired_before_it_was_answered(session: Session) -> tuple[RequestId, Certificate]:
    """Submit the picture; a group that got too few answers says this to CLIENT about it."""
    request = submit(session)
    plan = Plan(kind=EntryKind.EXPIRED, base=(), leaves=1, twist_base=lambda entry: replace(entry, request=request))
    return request, build(world(), plan)


def told_by(session: Session, certificate: Certificate, owner: OwnerId, signature: Signature) -> None:
    entries = ((0, certificate.base.entry),)
    session.on_message(owner, Reply(certificate.headers, ((owner, signature),), entries, 1, ()), 1)


def test_a_certified_expiry_ends_the_request_when_a_quorum_signed_it() -> None:
    session = Session(world().group, CLIENT)
    request, certificate = expired_before_it_was_answered(session)
    for owner, signature in certificate.signatures:
        assert session.poll(1) == []
        told_by(session, certificate, owner, signature)
    done = session.poll(1)
    assert [d.request for d in done] == [request]
    assert isinstance(done[0].error, RequestExpired)
    assert "certified" in str(done[0].error)
    assert done[0].certificate is not None
    assert done[0].certificate.kind is EntryKind.EXPIRED


def test_one_signer_heard_three_times_is_no_quorum() -> None:
    session = Session(world().group, CLIENT)
    _, certificate = expired_before_it_was_answered(session)
    owner, signature = certificate.signatures[0]
    for _ in range(3):
        told_by(session, certificate, owner, signature)
    assert session.poll(1) == []


def test_an_entry_of_another_client_does_not_end_ours() -> None:
    session = Session(world().group, ClientKey(bytes(32)))
    request, certificate = expired_before_it_was_answered(session)
    assert certificate.base.entry.request == request
    for owner, signature in certificate.signatures:
        told_by(session, certificate, owner, signature)
    assert session.poll(1) == []


def asked(told: Recorded, request: RequestId) -> Session:
    session = Session(told.group, told.client)
    made, given = told.requests[request]
    wall_us = made.deadline - 10 * SECOND
    assert session.submit(given, made.nonce, made.deadline, made.patience_us, 0, wall_us) == request
    return session


def test_a_whole_certificate_ends_the_request_at_once() -> None:
    told: Recorded = recorded()
    request = told.agreed[0]
    session = asked(told, request)
    told_of(told, session, request, 4, 1_000)
    done = session.poll(1_000)
    assert [d.request for d in done] == [request]
    assert done[0].verified is not None
    assert done[0].verified.request == request


def test_nodes_that_take_long_for_every_certificate_get_no_request_again_within_the_usual_time() -> None:
    told: Recorded = recorded()
    session = asked(told, told.agreed[0])
    for owner in range(4):
        session.on_message(OwnerId(owner), Welcome(OwnerId(owner), told.group.epoch, 9), 0)
    now_us = 9 * SECOND
    told_of(told, session, told.agreed[0], 4, now_us)
    assert [done.error for done in session.poll(now_us)] == [None]
    sent_to(session)
    made, given = told.requests[told.agreed[1]]
    session.submit(given, made.nonce, made.deadline, made.patience_us, now_us, made.deadline - 10 * SECOND)
    sent_to(session)
    session.poll(now_us + REPEAT_AFTER_US)
    assert sent_to(session) == []
    session.poll(now_us + REPEAT_AFTER_US + SECOND)
    assert sent_to(session) == [0, 1, 2, 3]


def test_enough_openings_end_it_after_lingering_for_the_rest() -> None:
    told: Recorded = recorded()
    whole = [
        entry.request for reply in told.replies for _, entry in reply.entries if len(entry.promises) == told.group.n
    ]
    request = next(r for r in told.agreed if r in whole)
    session = asked(told, request)
    told_of(told, session, request, 3, 1_000)
    assert session.poll(1_000) == []
    assert session.next_due_us(1_000) == 1_000 + LINGER_US
    done = session.poll(1_000 + LINGER_US)
    assert done[0].verified is not None
    assert len(done[0].verified.answers) == 3


def test_a_request_ends_once_when_its_last_opening_comes_as_its_time_is_up() -> None:
    told: Recorded = recorded()
    whole = [e.request for reply in told.replies for _, e in reply.entries if len(e.promises) == told.group.n]
    request = next(r for r in told.agreed if r in whole)
    session = asked(told, request)
    told_of(told, session, request, 3, 1_000)
    assert session.poll(1_000) == []
    late_us = 1_000 + LINGER_US
    told_of(told, session, request, 4, late_us)
    done = session.poll(late_us)
    assert [d.request for d in done] == [request]
    assert done[0].verified is not None and len(done[0].verified.answers) == 4
    assert session.poll(late_us + 1) == []


def test_an_earlier_request_is_asked_for_by_id_alone_and_comes_with_its_certificate() -> None:
    told = recorded()
    name = told.agreed[0]
    session = Session(told.group, told.client)
    for owner in range(4):
        session.on_message(OwnerId(owner), Welcome(OwnerId(owner), told.group.epoch, 9), 0)
    assert session.fetch(told.requests[name][0], 0, SECOND) == name
    assert [message for _, message, _ in session.outgoing] == [FetchOutcome(name)] * 4
    told_of(told, session, name, 4, 1)
    (done,) = session.poll(2)
    assert done.error is None
    assert done.certificate is not None
    assert done.certificate.request() == told.requests[name][0]


@pytest.mark.parametrize(("reason", "refused"), [(RejectReason.BAD_INPUT, True), (RejectReason.BAD_REQUEST, False)])
def test_an_input_is_refused_when_one_honest_node_at_least_says_so(
    group: Group, reason: RejectReason, refused: bool
) -> None:
    session = opened(group)
    request = submit(session)
    reject(session, request, 0, RejectReason.BAD_INPUT)
    reject(session, request, 3, reason)
    (done,) = session.poll(1)
    assert isinstance(done.error, RequestRejected)
    assert done.error.input_refused is refused


def test_a_request_that_nobody_knows_is_rejected_when_too_few_are_left_to_ask() -> None:
    told = recorded()
    session = opened(told.group)
    request = replace(told.requests[told.agreed[0]][0], client=session.client)
    name = session.fetch(request, 0, SECOND)
    reject(session, name, 0, RejectReason.UNKNOWN_REQUEST)
    assert session.poll(1) == []
    reject(session, name, 1, RejectReason.UNKNOWN_REQUEST)
    (done,) = session.poll(1)
    assert isinstance(done.error, RequestRejected)


def test_when_an_owner_never_opens_who_signed_a_supplement_is_asked_how_it_hangs_together() -> None:
    told, found = recorded("withholder"), 0
    for request in told.agreed:
        session = asked(told, request)
        told_of(told, session, request, 4, 1_000)
        session.outgoing.clear()
        if session.poll(1_000) or session.poll(1_000 + LINGER_US):
            continue
        links = [owner for owner, message, _ in session.outgoing if message == FetchOutcome(request)]
        assert len(links) == len(set(links)) in (0, told.group.weak_quorum)
        for owner, message in told.shown[request] if links else ():
            session.on_message(owner, message, 2_000)
        done = session.poll(2_000) or session.poll(2_000 + LINGER_US)
        if links:
            found += 1
            assert [d.error for d in done] == [None]
    assert found
