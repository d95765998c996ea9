"""Certificates go to who may lack them, and to nobody else (rule 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dropbeard.agreement.chain import Block
from dropbeard.agreement.effects import Effect, Send, WakeAt
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.types.ids import OwnerId, View
from dropbeard.types.messages import CertificateNotice, Proposal
from tests.agreement.pieces import (
    GROUP,
    START,
    certificate_of,
    end_turn,
    finalize,
    notarize,
    nullify,
    owner,
    signed_vote,
    tell,
    with_block,
)

WAIT_US = GROUP.parameters.finalize_timeout_us


def notarized(me: int = 1) -> tuple[ReplicaState, Proposal]:
    """A follower that holds a block and its notarization."""
    state, proposal = with_block(me)
    end_turn(state)
    tell(state, 0, certificate_of(notarize(proposal.header), (0, 2, 3)))
    return state, proposal


def sent(effects: Sequence[Effect], kind: type) -> list[OwnerId]:
    return [e.peer for e in effects if isinstance(e, Send) and isinstance(e.message, kind)]


def test_a_new_certificate_is_not_passed_on_at_once() -> None:
    state, _ = notarized()
    assert sent(end_turn(state, WAIT_US - 1), CertificateNotice) == []


def test_a_certificate_is_passed_on_to_peers_that_have_not_shown_that_they_hold_it() -> None:
    state, proposal = notarized()
    tell(state, 3, signed_vote(3, finalize(proposal.header)))
    assert sent(end_turn(state, WAIT_US), CertificateNotice) == [owner(0), owner(2)]
    assert sent(end_turn(state, 2 * WAIT_US), CertificateNotice) == []


def test_who_voted_in_a_later_view_is_not_sent_a_certificate() -> None:
    state, _ = notarized()
    for number in (0, 2, 3):
        tell(state, number, signed_vote(number, nullify(1)))
    assert sent(end_turn(state, WAIT_US - 1), CertificateNotice) == []
    due = end_turn(state, WAIT_US)
    passed = [e.message for e in due if isinstance(e, Send) and isinstance(e.message, CertificateNotice)]
    assert passed == [certificate_of(nullify(1), (0, 2, 3))] * 3


def test_a_finalization_is_passed_on_to_who_did_not_sign_it() -> None:
    state, proposal = notarized()
    tell(state, 0, certificate_of(finalize(proposal.header), (0, 1, 2)))
    assert sent(end_turn(state, WAIT_US), CertificateNotice) == [owner(3), owner(3)]
    state, proposal = notarized()
    for number in (0, 2, 3):
        tell(state, number, signed_vote(number, finalize(proposal.header)))
    assert sent(end_turn(state, WAIT_US), CertificateNotice) == []


def test_a_certificate_of_a_view_below_the_final_block_is_passed_on_to_nobody() -> None:
    state, proposal = notarized()
    later_block = Block(replace(proposal.header, view=View(5)), None, 0)
    state.chain.stand_on(later_block)
    assert sent(end_turn(state, WAIT_US), CertificateNotice) == []


def test_it_wakes_when_a_certificate_is_due() -> None:
    state, _ = notarized()
    wakes = [e.monotonic_us for e in end_turn(state) if isinstance(e, WakeAt)]
    assert wakes[0] <= START.monotonic_us + WAIT_US
