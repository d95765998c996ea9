"""Check every signature in a message before the core sees it, and drop what would change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, assert_never

from dropbeard.agreement.chain import is_full
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.agreement.voting import knows_certificate, knows_vote
from dropbeard.types.blocks import Page
from dropbeard.types.group import Group
from dropbeard.types.ids import OwnerId, Signature
from dropbeard.types.limits import PAGE_VIEWS
from dropbeard.types.messages import (
    AnyCertificate,
    BatchNotice,
    CertificateNotice,
    FetchBatches,
    FetchHeader,
    FetchPage,
    FetchViews,
    PageNotice,
    PeerMessage,
    Proposal,
    SignedVote,
    Status,
)
from dropbeard.types.statements import Notarize


class SignatureChecker(Protocol):
    """Checks one owner's node-key signature over a statement's bytes."""

    def check(self, signer: OwnerId, statement: bytes, signature: Signature) -> bool:
        """Is it that owner's signature? Never raises."""


def is_worth_handling(state: ReplicaState, message: PeerMessage, checker: SignatureChecker) -> bool:
    """Is the message news, and is everything signed in it signed as it says? Cheap questions come first."""
    match message:
        case SignedVote():
            return not knows_vote(state, message) and _vote_checks(message, checker)
        case Proposal():
            return message.header.digest not in state.chain.blocks and _proposal_checks(state, message, checker)
        case CertificateNotice(certificate):
            return not knows_certificate(state, certificate) and certificate_checks(state.group, certificate, checker)
        case Status():
            return _status_checks(state, message, checker)
        case PageNotice(page):
            return _page_is_wanted(state, page) and _page_checks(state.group, page, checker)
        case BatchNotice(signed):
            batch = signed.batch
            if state.group.owner(batch.owner) is None or state.lanes.get(batch.owner, batch.digest) is not None:
                return False
            return checker.check(batch.owner, batch.promise.encode(), signed.signature)
        case FetchHeader() | FetchViews() | FetchPage() | FetchBatches():
            return True
        case _:
            assert_never(message)


def _vote_checks(signed: SignedVote, checker: SignatureChecker) -> bool:
    return checker.check(signed.signer, signed.vote.encode(), signed.signature)


def certificate_checks(group: Group, certificate: AnyCertificate, checker: SignatureChecker) -> bool:
    """At least q distinct members signed this vote of this group and epoch."""
    vote, rows = certificate.vote, certificate.signatures
    signers = [signer for signer, _ in rows]
    if vote.group != group.id or vote.epoch != group.epoch or len(rows) < group.quorum:
        return False
    if any(group.owner(signer) is None for signer in signers) or signers != sorted(dict.fromkeys(signers)):
        return False
    statement = vote.encode()
    return all(checker.check(signer, statement, signature) for signer, signature in rows)


def _proposal_checks(state: ReplicaState, proposal: Proposal, checker: SignatureChecker) -> bool:
    header = proposal.header
    if header.view < 0 or header.group != state.group.id:
        return False
    vote = Notarize(state.group.id, state.group.epoch, header.view, header.digest)
    if not checker.check(state.group.leader(header.view), vote.encode(), proposal.signature):
        return False
    notarization = proposal.justification.notarization
    if notarization is not None and not certificate_checks(state.group, notarization, checker):
        return False
    return all(_page_known(state, page) or _page_checks(state.group, page, checker) for page in proposal.pages)


def _page_known(state: ReplicaState, page: Page) -> bool:
    return page.digest in state.chain.pages


def _page_is_wanted(state: ReplicaState, page: Page) -> bool:
    """A page that we asked for, or the first full one of its number (rule 3.2)."""
    if _page_known(state, page) or not page.nullifications:
        return False
    if any(want[0] == "page" and want[1] == page.digest for want in state.fetches):
        return True
    return is_full(page) and page.nullifications[0].vote.view // PAGE_VIEWS not in state.chain.full_pages


def _page_checks(group: Group, page: Page, checker: SignatureChecker) -> bool:
    rows: Sequence[AnyCertificate] = page.nullifications
    return bool(rows) and all(certificate_checks(group, certificate, checker) for certificate in rows)


def _status_checks(state: ReplicaState, status: Status, checker: SignatureChecker) -> bool:
    shown: list[AnyCertificate] = []
    if status.best is not None:
        shown.append(status.best)
    if status.finalization is not None:
        shown.append(status.finalization)
    return all(
        knows_certificate(state, certificate) or certificate_checks(state.group, certificate, checker)
        for certificate in shown
    )
