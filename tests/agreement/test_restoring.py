"""A replica that comes back from its journal over long gaps of views (rules 3.2, 3.4, 7.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from dropbeard.agreement.effects import Broadcast, CastVote
from dropbeard.agreement.records import BatchRecord, BlockRecord, CertificateRecord, Record, VoteRecord
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.agreement.restoring import restore
from dropbeard.types.blocks import Justification, Page, page_ranges
from dropbeard.types.ids import GENESIS_VIEW, NO_DIGEST, View
from dropbeard.types.limits import PAGE_VIEWS, PAGES_INLINE_MAX, VIEW_WINDOW
from dropbeard.types.messages import Proposal
from tests.agreement.pieces import (
    GROUP,
    START,
    attestation,
    batch,
    came,
    certificate_of,
    end_turn,
    feed,
    finalize,
    first_block,
    notarization_of,
    notarize,
    nullification_of,
    nullify,
    replica,
    sign,
    signed_batch,
    signed_vote,
    tell,
)

FAR = 3 * VIEW_WINDOW + 1


def restored(me: int, records: Sequence[Record]) -> ReplicaState:
    state = replica(me)
    restore(state, records, START)
    return state


def casts(state: ReplicaState, us: int) -> list[object]:
    return [e.vote for e in end_turn(state, us) if isinstance(e, CastVote)]


def proposal_after(views: int) -> Proposal:
    """A child of the genesis after so many nullified views, with every page."""
    made = batch(2, [attestation(1)])
    numbers = [range(first, min(first + PAGE_VIEWS, views)) for first in range(0, views, PAGE_VIEWS)]
    pages = tuple(Page(tuple(nullification_of(view) for view in row)) for row in numbers)
    why = Justification(None, tuple(page.digest for page in pages))
    header = first_block(replica(1), views, made, justification=why.digest).header
    return Proposal(header, sign(GROUP.leader(header.view), notarize(header)), why, pages)


@pytest.mark.parametrize("view", [0, VIEW_WINDOW, VIEW_WINDOW + 1, FAR])
def test_a_nullify_is_not_forgotten_however_far_the_view_had_jumped(view: int) -> None:
    state = restored(1, [VoteRecord(signed_vote(1, nullify(view)))])
    assert state.view == view
    assert state.round(View(view)).nullified
    proposal = first_block(state, view, batch(2))
    tell(state, 2, certificate_of(notarize(proposal.header), (0, 2, 3)))
    tell(state, GROUP.leader(View(view)), proposal)
    assert finalize(proposal.header) not in casts(state, 0)


def test_a_notarize_is_not_forgotten_however_far_the_view_had_jumped() -> None:
    made = batch(2, [attestation(1)])
    pages = Justification(None, tuple(NO_DIGEST for _ in page_ranges(GENESIS_VIEW, View(FAR))))
    proposal = replace(first_block(replica(1), FAR, made, justification=pages.digest), justification=pages)
    vote = signed_vote(1, notarize(proposal.header))
    state = restored(1, [BlockRecord(proposal), BatchRecord(signed_batch(made)), VoteRecord(vote)])
    assert state.round(View(FAR)).notarized == proposal.header.digest
    assert state.chain.block(proposal.header.digest) is not None
    assert notarize(first_block(state, FAR).header) not in casts(state, 0)


def test_a_finalize_is_not_forgotten_and_no_nullify_of_its_view_follows() -> None:
    made = batch(2, [attestation(1)])
    proposal = first_block(replica(1), 0, made)
    records: list[Record] = [
        BlockRecord(proposal),
        CertificateRecord(notarization_of(proposal.header)),
        VoteRecord(signed_vote(1, finalize(proposal.header))),
        BatchRecord(signed_batch(made)),
    ]
    state = restored(1, records)
    assert (state.view, state.best) == (1, (0, proposal.header.digest))
    assert state.round(View(0)).finalized == proposal.header.digest
    assert casts(state, 0) == []


def test_an_own_proposal_is_sent_again_with_as_few_pages_as_at_first() -> None:
    views = (PAGES_INLINE_MAX + 2) * PAGE_VIEWS + 1 + 1
    whole = proposal_after(views)
    leader = GROUP.leader(whole.header.view)
    state = replica(leader)
    records: list[Record] = [BlockRecord(whole), VoteRecord(signed_vote(leader, notarize(whole.header)))]
    again = [e.message for e in restore(state, records, START) if isinstance(e, Broadcast)]
    assert again == [Proposal(whole.header, whole.signature, whole.justification, whole.pages[-1:])]
    assert state.chain.missing_pages(whole.justification) == []


def test_what_was_restored_is_not_written_again() -> None:
    made = batch(2, [attestation(1)])
    proposal = first_block(replica(1), 0, made)
    records: list[Record] = [
        BlockRecord(proposal),
        BatchRecord(signed_batch(made)),
        CertificateRecord(certificate_of(nullify(0)).certificate),
    ]
    state = restored(1, records)
    assert state.note_persisted(made.digest) is False
    assert state.note_persisted(proposal.header.digest) is False
    assert state.note_persisted(b"certificate" + nullify(0).encode()) is False


def test_a_restored_replica_repeats_its_nullify() -> None:
    mine = signed_vote(1, nullify(0))
    state = restored(1, [VoteRecord(mine)])
    tell(state, 2, signed_vote(2, nullify(0)))
    assert Broadcast(mine) in end_turn(state)


def finalized_another() -> ReplicaState:
    """Back in view 0 with nothing on disk but our Finalize of a block that is gone; another one is proposed."""
    lost = first_block(replica(1), 0).header
    state = restored(1, [VoteRecord(signed_vote(1, finalize(lost)))])
    made = batch(2, [attestation(1)])
    feed(state, [came(made)])
    tell(state, 0, first_block(state, 0, made))
    return state


def test_r2_prime_no_other_header_is_notarized_after_a_finalize() -> None:
    assert casts(finalized_another(), 0) == []


def test_r2_a_finalized_view_is_not_nullified_however_long_it_lasts() -> None:
    state = finalized_another()
    casts(state, 0)
    rules = GROUP.parameters
    assert nullify(0) not in casts(state, rules.propose_timeout_us + rules.advance_timeout_us)
