"""The oracle counts a liar's signature wherever it is shown: in seed 5890 a status alone showed one."""

from __future__ import annotations

from dataclasses import replace

from dropbeard.simulator.wiretap import votes_in
from dropbeard.types.blocks import Justification, QuorumCertificate
from dropbeard.types.ids import Epoch, Height, View
from dropbeard.types.messages import BootAnswer, CertificateNotice, Proposal, Status, SuccessionNotice
from dropbeard.types.statements import Finalize, Notarize, Vote
from tests.agreement.epoch_pieces import close_epoch
from tests.agreement.pieces import GENESIS, GROUP, notarization_of, nullify, replica, sign, signed_vote

HEADER = replace(GENESIS, view=View(0))
BEST = notarization_of(HEADER)
FINAL = QuorumCertificate(Finalize(GROUP.id, GROUP.epoch, View(0), HEADER.digest), BEST.signatures)
VOTE = Notarize(GROUP.id, GROUP.epoch, View(0), HEADER.digest)


def names(*certificates: QuorumCertificate[Vote]) -> list[tuple[object, ...]]:
    return [(signer, one.vote, signature) for one in certificates for signer, signature in one.signatures]


def test_votes_of_a_status_and_of_a_certificate_are_found() -> None:
    assert list(votes_in(Status(Epoch(0), View(1), Height(0), BEST, FINAL, ()))) == names(BEST, FINAL)
    assert list(votes_in(CertificateNotice(FINAL))) == names(FINAL)


def test_a_vote_alone_is_found_in_an_answer_too() -> None:
    signed = signed_vote(2, nullify(1))
    expected = [(signed.signer, signed.vote, signed.signature)]
    assert list(votes_in(signed)) == expected
    assert list(votes_in(BootAnswer(Epoch(0), 1, signed, None))) == expected


def test_votes_of_a_justification_are_found() -> None:
    proposal = Proposal(HEADER, sign(GROUP.leader(View(0)), VOTE), Justification(BEST, ()), ())
    assert list(votes_in(proposal)) == names(BEST)


def test_the_signatures_that_ended_an_epoch_are_found() -> None:
    state = replica(1)
    close_epoch(state)
    given = state.successions[Epoch(0)]
    assert list(votes_in(SuccessionNotice(given))) == names(given.finalization)
