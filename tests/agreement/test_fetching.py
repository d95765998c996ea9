"""Status, and fetching what links lost (rule 3.9); what a refusal says, and how often (rule 3.6)."""

from __future__ import annotations

from itertools import pairwise

from dropbeard.agreement.effects import CastVote, Effect, Report, Send
from dropbeard.agreement.replica_state import ReplicaState, Transfer
from dropbeard.agreement.snapshots import catch_up
from dropbeard.types.blocks import LaneTip
from dropbeard.types.ids import NO_DIGEST, Digest, Height, LaneHeight, OwnerId, View
from dropbeard.types.limits import FETCH_BATCHES_MAX
from dropbeard.types.messages import (
    BatchNotice,
    FetchBatches,
    FetchHeader,
    FetchPage,
    FetchViews,
    SnapshotNotice,
    Status,
)
from dropbeard.types.statements import Notarize
from tests.agreement.pieces import (
    GENESIS,
    GROUP,
    attestation,
    batch,
    came,
    certificate_of,
    cut_with,
    end_turn,
    feed,
    first_block,
    later,
    nullify,
    owner,
    replica,
    signed_batch,
    tell,
    with_block,
)

RULES = GROUP.parameters
MADE = batch(2, [attestation(1)])
NEXT = batch(2, [attestation(2)], MADE)


def questions(effects: list[Effect]) -> list[tuple[OwnerId, object]]:
    kinds = FetchHeader | FetchViews | FetchPage | FetchBatches
    return [(e.peer, e.message) for e in effects if isinstance(e, Send) and isinstance(e.message, kinds)]


def reported(state: ReplicaState, *made: LaneTip) -> None:
    """Owner 3 reports these tips."""
    ends = {tip.owner: tip for tip in made}
    tips = tuple(ends.get(tip.owner, tip) for tip in GENESIS.cut)
    tell(state, 3, Status(GROUP.epoch, View(0), Height(0), None, None, tips))


def test_a_gap_below_a_reported_tip_is_fetched_from_who_reported_it() -> None:
    state = replica(1)
    feed(state, [came(NEXT)])
    reported(state, cut_with(NEXT)[2])
    assert questions(end_turn(state)) == [(3, FetchBatches(MADE.digest, LaneHeight(0)))]
    feed(state, [came(MADE)])
    assert questions(end_turn(state, RULES.status_interval_us)) == []


def test_a_fetch_that_nobody_serves_backs_off_to_the_status_interval() -> None:
    state = replica(1)
    reported(state, cut_with(MADE)[2])
    asked = [us for us in range(0, 5 * RULES.status_interval_us, 1_000) if questions(end_turn(state, us))]
    pauses = [b - a for a, b in pairwise(asked)]
    assert pauses[0] == RULES.finalize_timeout_us
    assert pauses == sorted(pauses)
    assert pauses[-1] == RULES.status_interval_us


def test_a_tip_reported_far_beyond_any_window_is_not_fetched() -> None:
    state = replica(1)
    reported(state, LaneTip(owner(2), LaneHeight(2 * RULES.lane_window + 1), MADE.digest))
    assert questions(end_turn(state)) == []


def test_certificates_of_the_views_below_a_reported_one_are_fetched_and_served() -> None:
    ahead, behind = replica(1), replica(3)
    for view in range(3):
        tell(ahead, 0, certificate_of(nullify(view)))
    tell(behind, 1, Status(GROUP.epoch, View(3), Height(0), None, None, GENESIS.cut))
    (asked,) = questions(end_turn(behind))
    assert asked == (1, FetchViews(View(0), View(2)))
    served = tell(ahead, 3, asked[1])
    assert served == [Send(owner(3), certificate_of(nullify(view))) for view in range(3)]
    assert tell(ahead, 3, FetchViews(View(0), View(1 << 60))) == served


def test_every_batch_above_the_final_cut_counts_as_reported_however_long_the_lane() -> None:
    """A lane longer than one fetch must not hide its lowest batch, the one that a starving leader leaves out."""
    state = replica(1)
    made = [MADE]
    while len(made) <= FETCH_BATCHES_MAX:
        made.append(batch(2, (), made[-1]))
    feed(state, [came(each) for each in made])
    end_turn(state)
    assert list(state.reported_us) == [each.digest for each in made]


def test_an_invalid_proposal_is_reported_once_and_not_in_every_turn() -> None:
    state = replica(1)
    feed(state, [came(MADE)])
    tell(state, 0, first_block(state, 0, MADE, state_root=Digest(b"x" * 32)))
    reports = [[e for e in end_turn(state, us) if isinstance(e, Report)] for us in (0, 1, 2)]
    assert [len(row) for row in reports] == [1, 0, 0]


def test_a_starving_leader_is_sent_what_it_left_out_once_for_each_of_its_blocks() -> None:
    state = replica(1)
    starved = batch(3, [attestation(3)])
    feed(state, [came(starved)])
    end_turn(state)
    wait_us = RULES.starvation_us + 1
    feed(state, [came(MADE)], later(wait_us))
    tell(state, 0, first_block(state, 0, MADE), later(wait_us))
    turns = [end_turn(state, wait_us + us) for us in range(3)]
    assert [Send(owner(0), BatchNotice(signed_batch(starved))) in turn for turn in turns] == [True, False, False]
    assert not any(isinstance(e, CastVote) and isinstance(e.vote, Notarize) for turn in turns for e in turn)


def test_a_snapshot_that_blocks_brought_us_past_is_not_stood_on() -> None:
    state, proposal = with_block()
    state.transfer = Transfer(GENESIS, proposal.header, SnapshotNotice(Height(0), NO_DIGEST, b"", ()))
    assert catch_up(state, state.chain.blocks[proposal.header.digest]) == []
    assert state.transfer is None
