"""What a leader proposes and what a voter refuses (rules 3.1 to 3.3, 3.6)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dropbeard.agreement.effects import Broadcast, CastVote, Effect, Persist, Propose, Report, Send
from dropbeard.agreement.events import AnswersCame, TurnEnded
from dropbeard.agreement.inspection import is_worth_handling
from dropbeard.agreement.proposing import ANSWER_SHARE, TIMEOUT_SHARE, WORTH_A_BLOCK, proposal_wait_us
from dropbeard.agreement.records import EvidenceRecord
from dropbeard.agreement.replica import handle
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.evidence.kinds import BatchPair, encode_evidence
from dropbeard.types.blocks import Justification, LaneTip, Page
from dropbeard.types.ids import Digest, Height, LaneHeight, Signature, TimeUs, Version, View
from dropbeard.types.messages import BatchNotice, Proposal
from dropbeard.types.parameters import MILLISECOND, Parameters
from dropbeard.types.votes import SignedVote
from tests.agreement.pieces import (
    GENESIS,
    GROUP,
    KEYS,
    START,
    attestation,
    batch,
    came,
    certificate_of,
    cut_with,
    feed,
    first_block,
    later,
    notarization_of,
    notarize,
    nullification_of,
    nullify,
    owner,
    replica,
    sign,
    signed_batch,
    signed_vote,
    tell,
    with_block,
)

OTHER = Digest(b"x" * 32)


def end(state: ReplicaState, us: int = 0) -> list[Effect]:
    return handle(state, TurnEnded(), later(us))


def proposals(effects: list[Effect]) -> list[Propose]:
    return [effect for effect in effects if isinstance(effect, Propose)]


def notarizes(effects: list[Effect]) -> bool:
    return any(isinstance(effect, CastVote) for effect in effects)


def test_a_leader_with_work_proposes_once_with_every_batch_on_disk_first() -> None:
    state = replica(0)
    made = [batch(1, [attestation(1)]), batch(2, [attestation(2)])]
    feed(state, [came(b) for b in made])
    effects = end(state)
    (proposed,) = proposals(effects)
    assert proposed.header.cut == cut_with(*made)
    assert (proposed.header.height, proposed.header.view, proposed.header.parent) == (1, 0, GENESIS.digest)
    kinds = [type(effect) for effect in effects if isinstance(effect, Persist | Propose)]
    assert kinds == [Persist, Persist, Propose]
    assert proposals(end(state, 1)) == []


def test_what_a_leader_worked_out_for_its_proposal_is_not_worked_out_again() -> None:
    state = replica(0)
    feed(state, [came(batch(1, [attestation(1)]))])
    (proposed,) = proposals(end(state))
    worked_out = state.prepared[proposed.header.digest]
    vote = notarize(proposed.header)
    tell(state, 0, Proposal(proposed.header, sign(0, vote), proposed.justification, proposed.inline))
    for number in range(3):
        tell(state, number, signed_vote(number, vote))
    assert (state.view, state.prepared) == (1, {})
    block = state.chain.block(proposed.header.digest)
    assert block is not None and block.applied is worked_out


def test_a_leader_without_work_proposes_nothing() -> None:
    assert proposals(end(replica(0))) == []


def test_who_does_not_lead_the_view_proposes_nothing() -> None:
    state = replica(1)
    feed(state, [came(batch(2, [attestation(1)]))])
    assert proposals(end(state)) == []


def test_a_leader_takes_at_most_so_many_batches_of_a_lane() -> None:
    state = replica(0)
    made = [batch(1)]
    for _ in range(GROUP.parameters.block_batches_max + 3):
        made.append(batch(1, (), made[-1]))
    feed(state, [came(b) for b in made])
    (proposed,) = proposals(end(state))
    assert proposed.header.cut[1].height == GROUP.parameters.block_batches_max


def test_a_leader_skips_nullified_views_with_a_nullification_of_each() -> None:
    state = replica(3)
    feed(state, [came(batch(1, [attestation(1)]))])
    for view in range(3):
        tell(state, 2, certificate_of(nullify(view)))
    (proposed,) = proposals(end(state))
    assert proposed.header.view == 3
    assert [cert.vote.view for page in proposed.pages for cert in page.nullifications] == [0, 1, 2]
    assert proposed.justification.pages == tuple(page.digest for page in proposed.pages)


def test_a_leader_that_jumped_fetches_the_certificates_it_lacks_before_it_proposes() -> None:
    state = replica(3)
    feed(state, [came(batch(1, [attestation(1)]))])
    tell(state, 2, certificate_of(nullify(2)))
    effects = end(state)
    assert proposals(effects) == []
    assert any(isinstance(e, Send) and type(e.message).__name__ == "FetchViews" for e in effects)


def test_a_follower_notarizes_what_the_leader_proposes() -> None:
    leader, follower = replica(0), replica(1)
    made = batch(2, [attestation(1)])
    feed(leader, [came(made)])
    (proposed,) = proposals(end(leader))
    proposal = Proposal(proposed.header, sign(0, notarize(proposed.header)), proposed.justification, proposed.inline)
    feed(follower, [came(made)])
    tell(follower, 0, proposal)
    assert notarizes(end(follower))


@pytest.mark.parametrize(
    "changed",
    [
        {"height": Height(2)},
        {"time": TimeUs(START.wall_us + 1)},
        {"entries_root": OTHER},
        {"state_root": OTHER},
        {"justification": OTHER},
        {"parent": OTHER},
        {"parent_view": View(-2)},
        {"cut": GENESIS.cut[:3]},
        {"cut": tuple(LaneTip(t.owner, LaneHeight(5), OTHER) for t in GENESIS.cut)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_proposal_with_one_wrong_field_is_never_notarized(changed: dict[str, object]) -> None:
    state = replica(1)
    made = batch(2, [attestation(1)])
    feed(state, [came(made)])
    wrong = first_block(state, 0, made, **changed)
    effects = [*tell(state, 0, wrong), *end(state), *end(state, 1)]
    assert not notarizes(effects)
    good = first_block(state, 0, made)
    tell(state, 0, good)
    assert notarizes(end(state, 2))


def test_a_proposal_whose_batches_are_missing_is_notarized_when_they_came() -> None:
    state = replica(1)
    made = batch(2, [attestation(1)])
    tell(state, 0, first_block(state, 0, made))
    effects = end(state)
    assert not notarizes(effects)
    asked = [e for e in effects if isinstance(e, Send) and type(e.message).__name__ == "FetchBatches"]
    assert [e.peer for e in asked] == [0]
    feed(state, [came(made)])
    assert notarizes(end(state))


def test_a_branch_that_does_not_extend_what_is_ordered_is_no_extension() -> None:
    store = replica(1).lanes
    first, twin = batch(2, [attestation(1)]), batch(2, [attestation(2)])
    branch = batch(2, (), twin)
    for made in (first, twin, branch):
        assert store.add(signed_batch(made), LaneHeight(0), False)
    ordered = LaneTip(first.owner, first.lane_height, first.digest)
    tip = LaneTip(branch.owner, branch.lane_height, branch.digest)
    assert store.between(ordered, tip) is None
    assert store.tip_from(ordered) == ordered
    below = LaneTip(twin.owner, twin.lane_height, twin.digest)
    rows = store.between(below, tip)
    assert isinstance(rows, list)
    assert [row.batch for row in rows] == [branch]


def test_two_batches_at_one_height_convict_their_owner_and_a_third_is_not_kept() -> None:
    state = replica(1)
    twins = [batch(2, [attestation(i)]) for i in range(3)]
    assert feed(state, [came(twins[0])]) == []
    pair = BatchPair(signed_batch(twins[0]).statement, signed_batch(twins[1]).statement)
    shown = EvidenceRecord(encode_evidence(GROUP, pair))
    assert feed(state, [came(twins[1])]) == [Persist(shown), Report(owner(2), "DOUBLE_BATCH")]
    assert feed(state, [came(twins[2])]) == []
    assert len(state.lanes.twins(owner(2), LaneHeight(1))) == 2


def test_a_block_that_starves_a_reported_lane_is_refused_and_the_leader_gets_the_batch() -> None:
    state = replica(1)
    starved, served = batch(3, [attestation(1)]), batch(2, [attestation(2)])
    feed(state, [came(starved)])
    end(state)
    wait_us = GROUP.parameters.starvation_us + 1
    feed(state, [came(served)], later(wait_us))
    tell(state, 0, first_block(state, 0, served), later(wait_us))
    effects = end(state, wait_us)
    assert not any(isinstance(e, CastVote) and type(e.vote).__name__ == "Notarize" for e in effects)
    assert Send(owner(0), BatchNotice(signed_batch(starved))) in effects


def test_a_lane_left_out_for_a_short_time_is_no_reason_to_refuse() -> None:
    state = replica(1)
    left_out, served = batch(3, [attestation(1)]), batch(2, [attestation(2)])
    feed(state, [came(left_out), came(served)])
    end(state)
    tell(state, 0, first_block(state, 0, served))
    assert notarizes(end(state, 10))


def worth(state: ReplicaState, message: object) -> bool:
    return is_worth_handling(state, message, KEYS.checker)  # type: ignore[arg-type]


def test_only_what_is_signed_as_it_says_is_worth_handling() -> None:
    state = replica(1)
    made = batch(2, [attestation(1)])
    proposal = first_block(state, 0, made)
    vote = signed_vote(2, notarize(proposal.header))
    page = Page((nullification_of(0),))
    assert worth(state, vote)
    assert worth(state, proposal)
    assert worth(state, BatchNotice(signed_batch(made)))
    assert worth(state, certificate_of(nullify(0)))
    assert not worth(state, SignedVote(owner(3), vote.vote, vote.signature))
    assert not worth(state, replace(proposal, signature=Signature(bytes(64))))
    assert not worth(state, BatchNotice(replace(signed_batch(made), signature=Signature(bytes(64)))))
    assert not worth(state, certificate_of(nullify(0), (0, 1)))
    assert worth(state, replace(proposal, pages=(page,)))
    assert not worth(state, replace(proposal, pages=(Page(()),)))


def test_a_justification_with_a_forged_notarization_is_not_worth_handling() -> None:
    state = replica(1)
    made = batch(2, [attestation(1)])
    proposal = first_block(state, 0, made)
    forged = notarization_of(proposal.header)
    rows = tuple((signer, Signature(bytes(64))) for signer, _ in forged.signatures)
    justification = Justification(replace(forged, signatures=rows), ())
    child = replace(
        proposal.header,
        height=Height(2),
        view=View(1),
        parent=proposal.header.digest,
        parent_view=View(0),
        justification=justification.digest,
    )
    assert not worth(state, Proposal(child, sign(1, notarize(child)), justification, ()))


def test_what_is_known_is_not_worth_handling_again() -> None:
    state = replica(1)
    made = batch(2, [attestation(1)])
    proposal = first_block(state, 0, made)
    vote = signed_vote(2, notarize(proposal.header))
    feed(state, [came(made)])
    tell(state, 0, proposal)
    tell(state, 2, vote)
    tell(state, 2, certificate_of(nullify(5)))
    for known in (vote, proposal, BatchNotice(signed_batch(made)), certificate_of(nullify(5))):
        assert not worth(state, known)


def test_a_block_over_another_is_broadcast_only_by_its_leader() -> None:
    state = replica(2)
    assert not [e for e in end(state) if isinstance(e, Broadcast) and isinstance(e.message, Proposal)]


def leader_of_slow_answers(took_us: int) -> tuple[ReplicaState, int]:
    """The next leader, whose engine takes so long, and how long it waits after the block of view 0."""
    state, proposal = with_block(1)
    state.group = replace(GROUP, parameters=Parameters())
    feed(state, [AnswersCame(Version(1), (), took_us)])
    return state, proposal_wait_us(state, state.chain.blocks[proposal.header.digest])


def test_a_leader_waits_for_a_share_of_what_answers_take_and_not_for_long() -> None:
    rules = Parameters()
    assert leader_of_slow_answers(0)[1] == rules.block_interval_us
    assert leader_of_slow_answers(400 * MILLISECOND)[1] == 400 * MILLISECOND // ANSWER_SHARE
    assert leader_of_slow_answers(60_000 * MILLISECOND)[1] == rules.propose_timeout_us // TIMEOUT_SHARE


def test_a_leader_does_not_wait_for_more_once_a_lane_has_enough() -> None:
    state, _ = leader_of_slow_answers(400 * MILLISECOND)
    (parent,) = (block for block in state.chain.blocks.values() if block.header.height == 1)
    few = batch(2, [attestation(n) for n in range(2, WORTH_A_BLOCK)], batch(2, [attestation(1)]))
    state.lanes.add(signed_batch(few), LaneHeight(0), named=False)
    assert proposal_wait_us(state, parent) == 400 * MILLISECOND // ANSWER_SHARE
    more = batch(2, [attestation(n) for n in range(20, 22)], few)
    state.lanes.add(signed_batch(more), LaneHeight(0), named=False)
    assert proposal_wait_us(state, parent) == Parameters().block_interval_us
