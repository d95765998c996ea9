"""A session follows its group over changes of the membership, with requests under way (rule 8.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dropbeard.client.epochs import ASK_AGAIN_US
from dropbeard.client.open_requests import Done
from dropbeard.client.session import Session
from dropbeard.errors import LedgerInvalid
from dropbeard.types.ids import Epoch, OwnerId, Signature
from dropbeard.types.messages import (
    FetchSuccession,
    Openings,
    Rejected,
    RejectReason,
    Reply,
    Submit,
    SuccessionNotice,
    Welcome,
)
from dropbeard.types.parameters import SECOND
from dropbeard.types.succession import Succession
from dropbeard.verification.lineage import lineage_of
from tests.client.recorded import recorded_over_epochs

TOLD = recorded_over_epochs()
LINEAGE = lineage_of(TOLD.group, TOLD.successions)
LATEST = LINEAGE.groups[-1]


def asked_everything(*known: Succession) -> Session:
    """Every request of the schedule is under way at once, by who knows these successions beforehand."""
    session = Session(TOLD.group, TOLD.client, known)
    for request, given in TOLD.requests.values():
        wall_us = request.deadline - 10 * SECOND
        session.submit(given, request.nonce, request.deadline, request.patience_us, 0, wall_us)
    return session


def questions(session: Session) -> list[tuple[OwnerId, Epoch]]:
    asked = [(owner, m.epoch) for owner, m, _ in session.outgoing if isinstance(m, FetchSuccession)]
    session.outgoing.clear()
    return asked


def carry_on(session: Session, answer: bool = True) -> list[Done]:
    """Hear everything that the nodes said, in its order; they answer what they are asked, or do not."""
    ended: list[Done] = []
    for number, (owner, message) in enumerate(TOLD.told):
        session.on_message(owner, message, number)
        for whom, epoch in questions(session):
            if answer:
                session.on_message(whom, SuccessionNotice(TOLD.successions[epoch]), number)
        ended += session.poll(number)
    return [*ended, *session.poll(9 * SECOND)]


def test_requests_under_way_get_certificates_of_every_epoch_that_their_group_passes_through() -> None:
    session = asked_everything()
    ended = carry_on(session)
    certified = [done.certificate for done in ended if done.certificate is not None]
    assert {certificate.epoch for certificate in certified} == {0, 1, 2}
    assert set(TOLD.agreed) <= {done.request for done in ended if done.error is None}
    assert all(LINEAGE.verify(certificate) for certificate in certified)
    assert session.group == LATEST


def test_who_knows_the_successions_beforehand_asks_for_none() -> None:
    session = asked_everything(*TOLD.successions)
    assert session.group == LATEST
    for number, (owner, message) in enumerate(TOLD.told):
        session.on_message(owner, message, number)
    assert questions(session) == []


def test_without_an_answer_only_the_first_epoch_is_certified_and_the_nodes_are_asked_again() -> None:
    session = asked_everything()
    assert {done.certificate.epoch for done in carry_on(session, answer=False) if done.certificate is not None} == {0}
    ahead = next((o, m) for o, m in TOLD.told if isinstance(m, Reply) and m.headers[0].epoch == 1)
    session.on_message(*ahead, ASK_AGAIN_US + len(TOLD.told))
    assert (ahead[0], Epoch(0)) in questions(session)
    session.on_message(*ahead, ASK_AGAIN_US + len(TOLD.told) + 1)
    assert questions(session) == []


def welcomed(session: Session, owner: int, epoch: int = 0, now_us: int = 0) -> None:
    session.on_message(OwnerId(owner), Welcome(OwnerId(owner), Epoch(epoch), 9), now_us)


def test_a_welcome_of_a_later_epoch_is_asked_about_and_what_nobody_asked_for_is_not_taken() -> None:
    session = Session(TOLD.group, TOLD.client)
    session.on_message(OwnerId(0), SuccessionNotice(TOLD.successions[0]), 0)
    assert session.group.epoch == 0
    welcomed(session, 0, 2)
    assert questions(session) == [(0, 0)]
    session.on_message(OwnerId(1), SuccessionNotice(TOLD.successions[0]), 1)
    assert session.group.epoch == 0
    session.on_message(OwnerId(0), SuccessionNotice(TOLD.successions[0]), 2)
    assert session.group.epoch == 1
    assert questions(session) == [(0, 1)]


def test_a_succession_with_a_forged_signature_leads_nowhere() -> None:
    session = Session(TOLD.group, TOLD.client)
    welcomed(session, 0, 1)
    given = TOLD.successions[0]
    forged = replace(given, signatures=tuple((owner, Signature(bytes(64))) for owner, _ in given.signatures))
    session.on_message(OwnerId(0), SuccessionNotice(forged), 1)
    assert session.group.epoch == 0
    with pytest.raises(LedgerInvalid, match="what ended epoch 0 does not check"):
        Session(TOLD.group, TOLD.client, [forged])


def sent_to(session: Session) -> set[int]:
    owners = {int(owner) for owner, message, _ in session.outgoing if isinstance(message, Submit)}
    session.outgoing.clear()
    return owners


def test_new_owners_get_what_is_open_and_who_left_gets_nothing_more() -> None:
    session = asked_everything()
    for owner in TOLD.group.members:
        welcomed(session, owner)
    assert sent_to(session) == set(TOLD.group.members)
    for given in TOLD.successions:
        welcomed(session, 1, given.epoch + 1, now_us=2 * SECOND * given.epoch)
        session.on_message(OwnerId(1), SuccessionNotice(given), 2 * SECOND * given.epoch)
    session.outgoing.clear()
    came = set(LATEST.members) - set(TOLD.group.members)
    assert came and session.group == LATEST
    for owner in came:
        welcomed(session, owner, 2, 3 * SECOND)
    assert sent_to(session) == came
    session.poll(11 * SECOND)
    assert sent_to(session) == set(LATEST.members)


def test_an_opening_of_an_owner_that_left_still_counts() -> None:
    session = asked_everything(*TOLD.successions)
    left = set(TOLD.group.members) - set(LATEST.members)
    openings = [(o, m) for o, m in TOLD.told if isinstance(m, Openings) and o in left]
    assert openings
    for owner, message in openings:
        session.on_message(owner, message, 1)
        known = message.openings[0].request
        assert session._assembler.open[known].openings


def test_a_node_that_joins_or_leaves_right_now_does_not_end_a_request() -> None:
    session = asked_everything()
    request = next(iter(TOLD.requests))
    for owner in (0, 1):
        welcomed(session, owner)
        session.on_message(OwnerId(owner), Rejected(request, RejectReason.WRONG_GROUP, 0, "not now"), 0)
    assert session.poll(1) == []
    for owner in (2, 3):
        session.on_message(OwnerId(owner), Rejected(request, RejectReason.WRONG_GROUP, 0, "another group"), 0)
    assert [done.request for done in session.poll(1)] == [request]


def test_who_left_goes_on_showing_the_certificates_of_its_epochs() -> None:
    left = set(TOLD.group.members) - set(LATEST.members)
    shown = [m for rows in TOLD.shown.values() for o, m in rows if o in left and isinstance(m, Reply)]
    whole = [reply for reply in shown if len(reply.signatures) >= TOLD.group.quorum]
    assert len(whole) > 1
    assert all(reply.headers[0].epoch < LATEST.epoch for reply in whole)
