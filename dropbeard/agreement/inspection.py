"""Check every signature in a message before the core sees it, and drop what would change nothing."""

from __future__ import annotations

from typing import assert_never

from dropbeard.agreement.chain import is_full
from dropbeard.agreement.epochs import other_epoch
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.agreement.voting import knows_certificate, knows_vote
from dropbeard.evidence.justification import certificate_checks, page_checks, succession_fault
from dropbeard.types.blocks import Page
from dropbeard.types.checking import SignatureChecker
from dropbeard.types.group import Group
from dropbeard.types.lanes import SignedBatch
from dropbeard.types.limits import PAGE_VIEWS
from dropbeard.types.membership import change_fault
from dropbeard.types.messages import (
    AnyCertificate,
    BatchNotice,
    BootAnswer,
    BootQuestion,
    BucketNotice,
    CertificateNotice,
    FetchBatches,
    FetchBucket,
    FetchHeader,
    FetchInput,
    FetchPage,
    FetchSnapshot,
    FetchSuccession,
    FetchViews,
    InputNotice,
    PageNotice,
    PeerMessage,
    Proposal,
    SnapshotNotice,
    Status,
    SuccessionNotice,
)
from dropbeard.types.statements import Notarize
from dropbeard.types.votes import SignedVote


def is_worth_handling(state: ReplicaState, message: PeerMessage, checker: SignatureChecker) -> bool:
    """Is the message news, and is everything signed in it signed as it says? Cheap questions come first.

    Of another epoch's messages only the epoch is looked at (rule 8.4).
    """
    if other_epoch(state, message) is not None:
        return not isinstance(message, BatchNotice)
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
            return _page_is_wanted(state, page) and page_checks(state.group, page, checker)
        case BatchNotice(signed):
            batch = signed.batch
            if state.group.owner(batch.owner) is None or state.lanes.get(batch.owner, batch.digest) is not None:
                return False
            return _batch_checks(state.group, signed, checker)
        case FetchHeader() | FetchViews() | FetchPage() | FetchBatches() | FetchInput() | FetchSuccession():
            return True
        case SuccessionNotice(given):
            return succession_fault(state.group, given, checker) is None
        case BootQuestion() | FetchSnapshot() | FetchBucket():
            return True
        case BootAnswer():
            return not state.awake and _boot_answer_checks(state, message, checker)
        case InputNotice():
            return bool(state.missing)
        case SnapshotNotice() | BucketNotice():
            return state.transfer is not None
        case _:
            assert_never(message)


def _batch_checks(group: Group, signed: SignedBatch, checker: SignatureChecker) -> bool:
    """The node key's signature, and those of owner keys in it: valid by its bytes alone (rules 2.8, 4.3, 8.4)."""
    batch = signed.batch
    if not checker.check(batch.owner, batch.promise.encode(), signed.signature):
        return False
    if batch.change is not None and change_fault(group, batch.change, checker) is not None:
        return False
    given = batch.update
    return given is None or checker.check_owner(batch.owner, given.update.encode(), given.signature)


def _vote_checks(signed: SignedVote, checker: SignatureChecker) -> bool:
    return checker.check(signed.signer, signed.vote.encode(), signed.signature)


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
    return all(_page_known(state, page) or page_checks(state.group, page, checker) for page in proposal.pages)


def _page_known(state: ReplicaState, page: Page) -> bool:
    return page.digest in state.chain.pages


def _page_is_wanted(state: ReplicaState, page: Page) -> bool:
    """A page that we asked for, or the first full one of its number (rule 3.2)."""
    if _page_known(state, page) or not page.nullifications:
        return False
    if any(want[0] == "page" and want[1] == page.digest for want in state.fetches):
        return True
    return is_full(page) and page.nullifications[0].vote.view // PAGE_VIEWS not in state.chain.full_pages


def _boot_answer_checks(state: ReplicaState, answer: BootAnswer, checker: SignatureChecker) -> bool:
    """Only statements of our own count, and only those we signed in this epoch: views and lanes began anew with it, so
    older ones are always ahead of ours and show nothing (rule 8.4)."""
    vote, lane, here = answer.vote, answer.lane, state.group.epoch
    if vote is not None and not (vote.signer == state.me and vote.vote.epoch == here and _vote_checks(vote, checker)):
        return False
    if lane is None:
        return True
    own = lane.promise.owner == state.me and lane.promise.epoch == here
    return own and checker.check(state.me, lane.promise.encode(), lane.signature)


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
