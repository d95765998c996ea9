"""Votes, certificates and views: R1 to R3, and what leads from one view to the next (rules 3.4 to 3.7)."""

from __future__ import annotations

from collections.abc import Sequence

from dropbeard.agreement.effects import Broadcast, CastVote, Effect, Persist, Report
from dropbeard.agreement.events import TurnEnded
from dropbeard.agreement.records import BatchRecord, BlockRecord, CertificateRecord
from dropbeard.agreement.replica import handle
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.signing.guard import VIEWS_KEPT
from dropbeard.types.blocks import Justification, Page
from dropbeard.types.ids import View
from dropbeard.types.messages import Proposal
from dropbeard.types.statements import Finalize, Notarize, Nullify
from tests.agreement.pieces import (
    GENESIS,
    GROUP,
    START,
    attestation,
    batch,
    came,
    certificate_of,
    feed,
    finalize,
    first_block,
    later,
    notarize,
    nullification_of,
    nullify,
    owner,
    replica,
    sign,
    signed_vote,
    tell,
    with_block,
)

PROPOSE_US = GROUP.parameters.propose_timeout_us
ADVANCE_US = GROUP.parameters.advance_timeout_us


def votes(effects: Sequence[Effect]) -> list[object]:
    return [effect.vote for effect in effects if isinstance(effect, CastVote)]


def end(state: ReplicaState, us: int = 0) -> list[Effect]:
    return handle(state, TurnEnded(), later(us))


def test_a_valid_proposal_is_notarized_and_what_it_needs_is_on_disk_first() -> None:
    state, proposal = with_block()
    effects = [e for e in end(state) if isinstance(e, Persist | CastVote)]
    assert [type(e.record) if isinstance(e, Persist) else type(e.vote) for e in effects] == [
        BlockRecord,
        BatchRecord,
        Notarize,
    ]
    assert votes(effects) == [notarize(proposal.header)]


def test_r1_a_second_proposal_of_the_view_is_not_notarized() -> None:
    state, _ = with_block()
    end(state)
    other = first_block(state, 0)
    assert other.header.view == 0
    effects = tell(state, 0, other)
    assert votes([*effects, *end(state)]) == []
    assert Report(owner(0), "DOUBLE_NOTARIZE") not in effects
    tell(state, 0, signed_vote(0, notarize(with_block()[1].header)))
    assert Report(owner(0), "DOUBLE_NOTARIZE") in tell(state, 0, signed_vote(0, notarize(other.header)))


def test_a_quorum_of_notarize_is_a_notarization_and_leads_to_the_next_view() -> None:
    state, proposal = with_block()
    end(state)
    for number in (0, 2, 3):
        assert state.view == 0
        tell(state, number, signed_vote(number, notarize(proposal.header)))
    assert state.view == 1
    effects = end(state)
    assert votes(effects) == [finalize(proposal.header)]
    records = [e.record for e in effects if isinstance(e, Persist)]
    assert [type(record) for record in records] == [CertificateRecord]


def test_one_signer_counts_once() -> None:
    state, proposal = with_block()
    for _ in range(5):
        tell(state, 3, signed_vote(3, notarize(proposal.header)))
    tell(state, 2, signed_vote(2, notarize(proposal.header)))
    assert state.view == 0


def test_r2_a_nullified_view_is_not_finalized() -> None:
    state, proposal = with_block()
    state.round(proposal.header.view).nullified = True
    tell(state, 0, certificate_of(notarize(proposal.header)))
    assert state.view == 1
    assert votes(end(state)) == []


def test_r2_prime_another_header_than_the_one_notarized_is_not_finalized() -> None:
    state, proposal = with_block()
    end(state)
    other = first_block(state, 0)
    tell(state, 0, other)
    tell(state, 0, certificate_of(notarize(other.header), (0, 2, 3)))
    assert votes(end(state)) == []
    assert state.round(proposal.header.view).notarized == proposal.header.digest


def test_r3_a_notarization_without_its_header_is_fetched_and_not_finalized() -> None:
    state = replica(1)
    made = batch(2, [attestation(1)])
    proposal = first_block(state, 0, made)
    tell(state, 0, certificate_of(notarize(proposal.header)))
    effects = end(state)
    assert votes(effects) == []
    assert any(getattr(e, "message", None).__class__.__name__ == "FetchHeader" for e in effects)
    tell(state, 0, proposal)
    assert votes(end(state)) == [finalize(proposal.header)]


def test_r3_a_notarized_header_whose_justification_does_not_check_is_not_finalized() -> None:
    """Attack 9 (d): liars notarize a rotten header to have an honest replica finalize it, and convict it for that."""
    for views, honest in (((0, 1), True), ((0, 5), False)):
        state = replica(1)
        made = batch(2, [attestation(1)])
        page = Page(tuple(nullification_of(view) for view in views))
        why = Justification(None, (page.digest,))
        header = first_block(state, 2, made, justification=why.digest).header
        tell(state, 2, Proposal(header, sign(2, notarize(header)), why, (page,)))
        tell(state, 0, certificate_of(notarize(header), (0, 2, 3)))
        assert (finalize(header) in votes(end(state))) == honest


def test_a_quorum_of_finalize_makes_the_block_final_and_its_ledger_state_too() -> None:
    state, proposal = with_block()
    end(state)
    tell(state, 0, certificate_of(notarize(proposal.header)))
    end(state)
    for number in (0, 2, 3):
        tell(state, number, signed_vote(number, finalize(proposal.header)))
    end(state)
    assert state.chain.final.header == proposal.header
    assert len(state.chain.base.open) == 1


def test_a_finalization_without_the_batches_waits_for_them() -> None:
    state = replica(1)
    made = batch(2, [attestation(1)])
    proposal = first_block(state, 0, made)
    tell(state, 0, proposal)
    tell(state, 0, certificate_of(finalize(proposal.header)))
    effects = end(state)
    assert state.chain.final.header == GENESIS
    assert any(getattr(e, "message", None).__class__.__name__ == "FetchBatches" for e in effects)
    feed(state, [came(made)])
    end(state)
    assert state.chain.final.header == proposal.header


def test_a_nullification_leads_on_from_any_earlier_view() -> None:
    state = replica(1)
    tell(state, 2, certificate_of(nullify(7)))
    assert state.view == 8


def test_without_work_no_timer_runs() -> None:
    state = replica(1)
    assert votes(end(state)) == []
    assert votes(end(state, 10 * (PROPOSE_US + ADVANCE_US))) == []


def test_a_leader_that_proposes_nothing_is_nullified_after_the_propose_timeout() -> None:
    state = replica(1)
    feed(state, [came(batch(2, [attestation(1)]))])
    end(state)
    assert votes(end(state, PROPOSE_US - 1)) == []
    assert votes(end(state, PROPOSE_US)) == [nullify(0)]
    assert votes(end(state, PROPOSE_US + 1)) == []


def test_a_proposal_that_gets_no_certificate_is_nullified_after_the_advance_timeout_as_well() -> None:
    state, _ = with_block()
    end(state)
    assert votes(end(state, PROPOSE_US + ADVANCE_US - 1)) == []
    assert votes(end(state, PROPOSE_US + ADVANCE_US)) == [nullify(0)]


def test_a_nullify_is_repeated_until_the_view_ends() -> None:
    state = replica(1)
    feed(state, [came(batch(2, [attestation(1)]))])
    end(state)
    end(state, PROPOSE_US)
    own = signed_vote(1, nullify(0))
    tell(state, 1, own)
    assert Broadcast(own) not in end(state, PROPOSE_US + 1)
    assert Broadcast(own) in end(state, 3 * PROPOSE_US)


def test_notarize_stays_allowed_after_nullify_of_the_same_view() -> None:
    state = replica(1)
    made = batch(2, [attestation(1)])
    feed(state, [came(made)])
    end(state)
    end(state, PROPOSE_US)
    proposal = first_block(state, 0, made)
    tell(state, 0, proposal, later(PROPOSE_US + 1))
    assert votes(end(state, PROPOSE_US + 1)) == [notarize(proposal.header)]


def test_a_silent_leader_is_skipped_at_once_next_time_until_it_speaks() -> None:
    state = replica(1)
    feed(state, [came(batch(2, [attestation(1)]))])
    end(state)
    tell(state, 2, certificate_of(nullify(0)), later(PROPOSE_US))
    assert list(state.silent) == [0]
    tell(state, 2, certificate_of(nullify(3)), later(PROPOSE_US))
    assert state.view == 4
    assert votes(end(state, PROPOSE_US)) == [nullify(4)]
    tell(state, 0, signed_vote(0, nullify(4)), later(PROPOSE_US))
    assert list(state.silent) == []


def test_timeouts_grow_with_nullified_views_and_fall_back_with_a_final_block() -> None:
    state, proposal = with_block()
    end(state)
    tell(state, 0, certificate_of(notarize(proposal.header)))
    tell(state, 2, certificate_of(nullify(1)))
    tell(state, 2, certificate_of(nullify(2)))
    assert state.failures == 2
    tell(state, 0, certificate_of(finalize(proposal.header)))
    end(state)
    assert state.failures == 0


def test_f_plus_one_nullify_are_work_and_fewer_are_not() -> None:
    state = replica(1)
    tell(state, 2, signed_vote(2, nullify(0)))
    end(state)
    assert state.timer_from_us is None
    tell(state, 3, signed_vote(3, nullify(0)))
    end(state)
    assert state.timer_from_us == START.monotonic_us


def test_a_notarized_block_that_stays_unfinalized_is_work() -> None:
    state, proposal = with_block(me=2)
    end(state)
    tell(state, 0, certificate_of(notarize(proposal.header)))
    end(state)
    assert state.timer_from_us is None
    end(state, GROUP.parameters.finalize_timeout_us)
    assert state.timer_from_us is not None


def test_nullify_and_finalize_of_one_view_are_reported() -> None:
    state, proposal = with_block()
    tell(state, 3, signed_vote(3, Finalize(GROUP.id, GROUP.epoch, proposal.header.view, proposal.header.digest)))
    effects = tell(state, 3, signed_vote(3, Nullify(GROUP.id, GROUP.epoch, proposal.header.view)))
    assert Report(owner(3), "NULLIFY_FINALIZE") in effects


def test_a_full_page_of_nullifications_is_spread() -> None:
    state = replica(1)
    spread = [e for view in range(64) for e in tell(state, 2, certificate_of(nullify(view)))]
    pages = [e.message for e in spread if isinstance(e, Broadcast) and type(e.message).__name__ == "PageNotice"]
    assert len(pages) == 1
    assert list(state.chain.full_pages) == [0]


def test_a_notarization_older_than_the_guard_remembers_is_not_finalized() -> None:
    state, proposal = with_block()
    state.own_vote_view = View(proposal.header.view + VIEWS_KEPT + 1)
    tell(state, 0, certificate_of(notarize(proposal.header), (0, 2, 3)))
    assert not [vote for vote in votes(end(state)) if isinstance(vote, Finalize)]
    fresh, again = with_block()
    tell(fresh, 0, certificate_of(notarize(again.header), (0, 2, 3)))
    assert [vote for vote in votes(end(fresh)) if isinstance(vote, Finalize)]
