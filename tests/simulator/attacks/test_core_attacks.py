"""Schedules against one replica that an earlier wording of the rules did not survive, and what each does without its
mend (rules 2.7 to 3.9, 5.2, 7.4, 8.1). Owner 3 is the liar; the replica is owner 1."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dropbeard.agreement import ordering, proposing
from dropbeard.agreement.effects import CastVote, Halt, Persist, Propose, Send
from dropbeard.agreement.events import EngineIsReady, RequestCame
from dropbeard.agreement.ledger_state import StateView
from dropbeard.agreement.replica_state import ReplicaState, new_replica
from dropbeard.agreement.restoring import restore
from dropbeard.evidence.kinds import MalformedOpening, UnjustifiedVote
from dropbeard.types.ids import LaneHeight, Nonce, TimeUs, Version, View
from dropbeard.types.messages import BatchNotice, BootAnswer, FetchBatches, FetchInput, FetchViews, InputNotice, Status
from dropbeard.types.parameters import SECOND
from dropbeard.types.requests import Request
from dropbeard.types.statements import Finalize, Notarize, Nullify
from dropbeard.types.task import Input, InputKind
from tests.agreement.pieces import (
    CLIENT,
    GENESIS,
    GROUP,
    JUDGE,
    KEYS,
    SECRET,
    START,
    attestation,
    batch,
    came,
    certificate_of,
    end_turn,
    feed,
    finalize,
    first_block,
    later,
    notarize,
    nullify,
    owner,
    replica,
    signed_batch,
    signed_vote,
    tell,
)
from tests.agreement.test_replies import answered, notarized, replies

Patch = pytest.MonkeyPatch
RULES = GROUP.parameters
LIAR = 3


def votes(effects: list[Any]) -> list[Any]:
    return [effect.vote for effect in effects if isinstance(effect, CastVote)]


# --- 2. a final block that nobody can apply ---------------------------------------------------------------------------


def serves_after_a_power_cut() -> bool:
    """The liar shows a batch and its block to us, we notarize, power goes: can we still serve the batch?"""
    state = replica(1)
    made = batch(LIAR, [attestation(1)])
    feed(state, [came(made)])
    tell(state, 0, first_block(state, 0, made))
    effects = end_turn(state)
    assert votes(effects)
    records = [effect.record for effect in effects if isinstance(effect, Persist)]
    again = replica(1)
    restore(again, records, START)
    return tell(again, 2, FetchBatches(made.digest, LaneHeight(0))) == [Send(owner(2), BatchNotice(signed_batch(made)))]


def test_2_what_we_vouch_for_is_on_our_disk_whoevers_it_is() -> None:
    assert serves_after_a_power_cut()


def test_2_a_mutant_that_keeps_its_votes_alone_leaves_only_the_liar_with_the_batch(monkeypatch: Patch) -> None:
    monkeypatch.setattr(ordering, "persist_ordered", lambda state, ordered: [])
    assert not serves_after_a_power_cut()


# --- 3. notarized, not final, no more work ----------------------------------------------------------------------------


def view_is_given_up(wait_us: int) -> bool:
    """Everything is in a notarized block that stays unfinalized; does a timer run for it?"""
    state = replica(1)
    notarized(state, answered(CLIENT))
    tell(state, 1, signed_vote(1, nullify(0)))  # we nullified its view, so we may not finalize it
    end_turn(state, wait_us)
    return state.timer_from_us is not None


def test_3_an_unfinalized_block_is_work_once_finalize_timeout_is_over() -> None:
    assert not view_is_given_up(0)
    assert view_is_given_up(RULES.finalize_timeout_us)


def test_3_a_mutant_that_sees_work_in_lanes_alone_never_finalizes_it(monkeypatch: Patch) -> None:
    plain = ordering.has_work

    def lanes_only(state: ReplicaState, after_best: StateView | None) -> bool:
        held = state.best
        state.best = (state.chain.final.header.view, held[1])
        found = plain(state, after_best)
        state.best = held
        return found

    monkeypatch.setattr(ordering, "has_work", lanes_only)
    assert not view_is_given_up(100 * RULES.finalize_timeout_us)


# --- 6. starvation that refuses honest leaders ------------------------------------------------------------------------


def other_branch_is_voted_for() -> bool:
    """The liar's lane forks; we hold and reported one branch for long, the leader orders the other."""
    state = replica(1)
    ours, theirs = batch(LIAR, [attestation(1)]), batch(LIAR, [attestation(2)])
    feed(state, [came(ours)])
    end_turn(state)
    feed(state, [came(theirs)])
    late = 2 * RULES.starvation_us
    tell(state, 0, first_block(state, 0, theirs), later(late))
    return bool([vote for vote in votes(end_turn(state, late)) if isinstance(vote, Notarize)])


def test_6_a_block_that_advances_a_lane_by_another_branch_is_not_refused() -> None:
    assert other_branch_is_voted_for()


def test_6_a_mutant_that_compares_digests_refuses_every_honest_leader(monkeypatch: Patch) -> None:
    def strict(state: ReplicaState, block: Any) -> list[Any]:
        for tip in block.header.cut:
            for digest in state.reported_us:
                held = state.lanes.get(tip.owner, digest)
                if held is not None and digest != tip.digest and held.batch.lane_height <= tip.height:
                    return [Send(owner(0), BatchNotice(held))]
        return []

    monkeypatch.setattr(ordering, "_starved", strict)
    assert not other_branch_is_voted_for()


# --- 7. a justification missing after a jump --------------------------------------------------------------------------


def asks_for_what_it_jumped_over() -> bool:
    """A nullification of view 4 alone brings us, the leader of view 5, there: can we propose one day?"""
    state = replica(1)
    feed(state, [came(batch(2, [attestation(1)]))])
    tell(state, 0, certificate_of(nullify(4)))
    effects = end_turn(state)
    asked = [e.message for e in effects if isinstance(e, Send) and isinstance(e.message, FetchViews)]
    return FetchViews(View(0), View(3)) in asked


def test_7_a_leader_that_jumped_fetches_the_nullifications_it_must_show() -> None:
    assert asks_for_what_it_jumped_over()


def test_7_a_mutant_that_does_not_ask_can_never_lead_again(monkeypatch: Patch) -> None:
    monkeypatch.setattr(proposing, "_pages", lambda state: None)
    assert not asks_for_what_it_jumped_over()


# --- 9. ways to frame an honest replica -------------------------------------------------------------------------------


def test_9_an_opening_that_matches_no_commitment_is_nobodys_statement() -> None:
    made = signed_batch(batch(0, [attestation(1)]))
    invented = MalformedOpening(made, 0, GENESIS.digest, bytes(32), b"no answer at all")
    fault = JUDGE.fault(invented)
    assert fault is not None
    assert "nobody's statement" in fault


def test_9_a_mutant_judge_that_takes_any_opening_convicts_the_honest(monkeypatch: Patch) -> None:
    monkeypatch.setattr("dropbeard.types.requests.Opening.commitment", lambda self: attestation(1).commitment)
    made = signed_batch(batch(0, [attestation(1)]))
    assert JUDGE.fault(MalformedOpening(made, 0, GENESIS.digest, bytes(32), b"no answer at all")) is None


def finalizes_a_rotten_block() -> bool:
    """Three liars notarize a header that skips views without showing who nullified them."""
    state = replica(1)
    rotten = first_block(state, 3)
    effects = tell(state, 3, rotten)
    effects += tell(state, 3, certificate_of(notarize(rotten.header), (0, 2, 3)))
    effects += end_turn(state)
    return any(isinstance(vote, Finalize) for vote in votes(effects))


def test_9_what_q_liars_notarize_is_finalized_only_with_a_justification_that_checks() -> None:
    assert not finalizes_a_rotten_block()


def test_9_a_mutant_that_finalizes_on_a_notarization_alone_would_be_convicted(monkeypatch: Patch) -> None:
    monkeypatch.setattr(ordering, "statically_valid", lambda group, proposal: None)
    monkeypatch.setattr("dropbeard.agreement.holding.cover_fault", lambda *rest: None)
    monkeypatch.setattr("dropbeard.evidence.justification.page_ranges", lambda first, last: [])
    assert finalizes_a_rotten_block()


# --- 10. a proposer of rot is convicted -------------------------------------------------------------------------------


def test_10_who_signs_a_header_whose_justification_does_not_check_is_convicted_by_it() -> None:
    state = replica(1)
    rotten = first_block(state, 3)
    leader = signed_vote(LIAR, notarize(rotten.header))
    shown = UnjustifiedVote(leader, rotten.header, rotten.justification.encoded, GENESIS, ())
    assert JUDGE.fault(shown) is None
    good = first_block(state, 0)
    fair = UnjustifiedVote(signed_vote(0, notarize(good.header)), good.header, good.justification.encoded, GENESIS, ())
    assert JUDGE.fault(fair) is not None


# --- 12. a client that cannot assemble q signatures -------------------------------------------------------------------


def client_gets_the_whole_finalization() -> bool:
    """We nullified the view, so our Finalize never reaches the client; the block is final all the same."""
    state = replica(1)
    proposal = notarized(state, answered(CLIENT))
    state.round(View(0)).nullified = True
    state.chain.blocks[proposal.header.digest].replied = False
    effects = tell(state, 0, certificate_of(finalize(proposal.header), (0, 2, 3)))
    effects += end_turn(state)
    return any(len(reply.signatures) >= GROUP.quorum for _, reply in replies(effects))


def test_12_who_did_not_finalize_sends_the_finalization_of_the_others() -> None:
    assert client_gets_the_whole_finalization()


def test_12_a_mutant_that_trusts_the_others_to_reply_leaves_the_client_with_too_few(monkeypatch: Patch) -> None:
    monkeypatch.setattr("dropbeard.agreement.finality.reply_with_finalization", lambda state, block: [])
    assert not client_gets_the_whole_finalization()


# --- 13. work known to few --------------------------------------------------------------------------------------------


def test_13_a_replica_whose_timer_starts_shows_the_leader_why() -> None:
    state = replica(1)
    made = batch(LIAR, [attestation(1)])
    feed(state, [came(made)])
    assert Send(owner(0), BatchNotice(signed_batch(made))) in end_turn(state)


def timer_runs_after_a_weak_quorum_gave_up() -> bool:
    state = replica(1)
    for signer in (2, LIAR):
        tell(state, signer, signed_vote(signer, nullify(0)))
    effects = end_turn(state)
    assert not votes(effects)  # it starts the timer; it is no reason to nullify at once
    return state.timer_from_us is not None


def test_13_f_plus_one_nullifies_start_the_timer_of_who_sees_no_work() -> None:
    assert timer_runs_after_a_weak_quorum_gave_up()


def test_13_a_mutant_that_waits_for_work_of_its_own_keeps_the_view_hanging(monkeypatch: Patch) -> None:
    plain = ordering.has_work

    def deaf(state: ReplicaState, after_best: StateView | None) -> bool:
        round_ = state.round(state.view)
        held, round_.nullifies = round_.nullifies, {}
        found = plain(state, after_best)
        round_.nullifies = held
        return found

    monkeypatch.setattr(ordering, "has_work", deaf)
    assert not timer_runs_after_a_weak_quorum_gave_up()


# --- 14. batches that the leader alone has ----------------------------------------------------------------------------


def batches_sent_with_a_proposal(burnt: bool) -> list[int]:
    state = replica(0)
    made = batch(LIAR, [attestation(1)])
    feed(state, [came(made)])
    state.burnt = burnt
    effects = end_turn(state)
    assert any(isinstance(effect, Propose) for effect in effects)
    return [int(e.peer) for e in effects if isinstance(e, Send) and isinstance(e.message, BatchNotice)]


def test_14_a_leader_whose_last_turn_was_nullified_sends_what_voters_have_not_reported() -> None:
    assert batches_sent_with_a_proposal(burnt=True) == [1, 2, 3]
    assert batches_sent_with_a_proposal(burnt=False) == []


def test_14_a_mutant_that_sends_no_batches_lets_every_voter_fetch_again(monkeypatch: Patch) -> None:
    monkeypatch.setattr(proposing, "_resend_batches", lambda state, below, cut: [])
    assert batches_sent_with_a_proposal(burnt=True) == []


# --- 15. batches that a liar piles up ---------------------------------------------------------------------------------


def kept_of(count: int) -> int:
    state = replica(1)
    for number in range(count):
        feed(state, [came(batch(LIAR, [attestation(number)]))])
    return len(state.lanes.lanes[owner(LIAR)].batches)


def test_15_of_many_batches_at_one_height_two_are_kept() -> None:
    assert kept_of(50) == 2


def test_15_a_mutant_that_keeps_them_all_has_no_bound(monkeypatch: Patch) -> None:
    monkeypatch.setattr("dropbeard.agreement.lane_store.KEPT_PER_HEIGHT", 1 << 30)
    assert kept_of(50) == 50


# --- 18. restored disks -----------------------------------------------------------------------------------------------


def speaks_after_a_rollback() -> list[Any]:
    """Our disk forgot that we finalized view 7; a peer that answers holds that vote."""
    state = new_replica(GROUP, owner(1), SECRET, START, KEYS.checker, boot=2)
    forgotten = signed_vote(1, Finalize(GROUP.id, GROUP.epoch, View(7), GENESIS.digest))
    effects = tell(state, 0, BootAnswer(GROUP.epoch, 2, forgotten, None))
    effects += tell(state, 2, BootAnswer(GROUP.epoch, 2, None, None))
    feed(state, [came(batch(2, [attestation(1)]))])
    for wait in range(1, 5):
        effects += end_turn(state, wait * 10 * SECOND)
    return effects


def test_18_a_rolled_back_replica_that_is_told_so_never_speaks_again() -> None:
    effects = speaks_after_a_rollback()
    assert [type(effect) for effect in effects if isinstance(effect, Halt)] == [Halt]
    assert not votes(effects)


def test_18_a_mutant_that_does_not_listen_signs_a_view_it_finalized_away(monkeypatch: Patch) -> None:
    monkeypatch.setattr("dropbeard.agreement.booting.stop_if_forgotten", lambda state, signed: [])
    assert any(isinstance(vote, Nullify) for vote in votes(speaks_after_a_rollback()))


def test_18_nothing_is_signed_before_n_minus_1_minus_f_peers_answered() -> None:
    state = new_replica(GROUP, owner(1), SECRET, START, KEYS.checker, boot=2)
    feed(state, [came(batch(2, [attestation(1)]))])
    assert not votes(end_turn(state, 60 * SECOND))
    tell(state, 0, BootAnswer(GROUP.epoch, 2, None, None))
    tell(state, 0, BootAnswer(GROUP.epoch, 2, None, None))
    assert not votes(end_turn(state, 120 * SECOND))
    tell(state, 2, BootAnswer(GROUP.epoch, 2, None, None))
    end_turn(state, 180 * SECOND)
    assert votes(end_turn(state, 240 * SECOND))


# --- 17. a model update while requests are open -----------------------------------------------------------------------


def test_17_after_a_restart_inputs_for_the_new_version_are_fetched_from_who_has_them() -> None:
    given = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), b"picture")
    request = Request(CLIENT, GROUP.id, Nonce(1), TimeUs(START.wall_us + 5 * SECOND), 0, b"", given.digest())
    state = replica(1)
    feed(state, [EngineIsReady(Version(1), GROUP.owners[1].model, 8), RequestCame(request, given)])
    (sent,) = tell(state, 2, FetchInput(request.id))
    other = replica(2)
    feed(other, [EngineIsReady(Version(1), GROUP.owners[2].model, 8)])
    other.missing[request.id] = (0, request.deadline)
    assert isinstance(sent, Send)
    assert isinstance(sent.message, InputNotice)
    ordered = tell(other, 1, sent.message)
    assert [effect.given for effect in ordered if hasattr(effect, "given")] == [given]
    changed = replace(sent.message, nonce=Nonce(2))
    assert tell(other, 1, changed) == []


# --- 19. who is silent ------------------------------------------------------------------------------------------------


def test_19_a_leader_is_silent_only_after_a_turn_with_work_and_until_it_says_anything() -> None:
    state = replica(1)
    tell(state, 2, certificate_of(nullify(0)))
    assert not state.silent  # nobody had work
    idle = replica(1)
    feed(idle, [came(batch(2, [attestation(1)]))])
    end_turn(idle)
    tell(idle, 2, certificate_of(nullify(0)))
    assert list(idle.silent) == [owner(0)]
    tell(idle, 0, Status(GROUP.epoch, View(0), GENESIS.height, None, None, GENESIS.cut))
    assert not idle.silent
