"""From one epoch to the next (rule 8.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dropbeard.agreement import ordering
from dropbeard.agreement.effects import Broadcast, CastVote, Effect, Persist, PromiseBatch, Propose, Send
from dropbeard.agreement.epochs import epoch_of
from dropbeard.agreement.events import AnswersCame, BatchCame, ChangeWasSigned, EngineIsReady, RequestCame
from dropbeard.agreement.inspection import is_worth_handling
from dropbeard.agreement.records import SnapshotRecord, SuccessionRecord, decode_record, encode_record
from dropbeard.agreement.replica_state import ReplicaState, new_replica
from dropbeard.simulator.membership import sign_change
from dropbeard.types.ids import Digest, Epoch, Height, Nonce, OwnerId, TimeUs, Version, View
from dropbeard.types.lanes import LaneBatch
from dropbeard.types.membership import next_group
from dropbeard.types.messages import (
    BatchNotice,
    BootQuestion,
    BucketNotice,
    FetchBucket,
    FetchSnapshot,
    FetchSuccession,
    SnapshotNotice,
    Status,
    SuccessionNotice,
)
from dropbeard.types.requests import Request
from dropbeard.types.succession import Succession, decode_succession, root_header, succession_form_fault
from dropbeard.types.task import Input, InputKind
from tests.agreement.epoch_pieces import (
    KEYS,
    LAST,
    block_over,
    change,
    changing_batch,
    close_epoch,
    finalized,
    grown,
    notarize,
    replaced,
)
from tests.agreement.pieces import (
    CLIENT,
    GENESIS,
    GROUP,
    SECRET,
    START,
    attestation,
    batch,
    end_turn,
    feed,
    nullify,
    owner,
    replica,
    signed_batch,
    signed_vote,
    tell,
)

RULES = GROUP.parameters
ANSWER = b"\x00\x00\x00\x00\x40\x9c"


def status(epoch: int) -> Status:
    return Status(Epoch(epoch), View(0), Height(0), None, None, ())


def votes(effects: list[Effect]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, CastVote | Propose)]


def speaks(state: ReplicaState) -> bool:
    return state.may_speak


def sent(effects: list[Effect], kind: type) -> list[Any]:
    return [effect.message for effect in effects if isinstance(effect, Send) and isinstance(effect.message, kind)]


# --- the last block and those that close it ---------------------------------------------------------------------------


def test_an_ordered_change_ends_the_epoch_some_heights_later() -> None:
    state = replica(1)
    at = grown(state)
    held = state.chain.block(at.digest)
    assert held is not None
    after = state.chain.state_after(held)
    assert after is not None
    found = after.succeeding(GROUP.epoch)
    assert found is not None and (found.last, found.root) == (LAST, 0)
    assert found.last == at.height == 1 + RULES.epoch_delay


def test_the_first_of_two_changes_counts() -> None:
    state = replica(1)
    wider = sign_change(KEYS, GROUP, next_group(GROUP, (*GROUP.owners, KEYS.spares[0]), 1, 4))
    grown(state, replace(batch(2), change=wider))  # height 1 takes lanes 1, 2, 3 before lane 0 (rule 4.2)
    last = state.chain.block(state.best[1])
    assert last is not None
    after = state.chain.state_after(last)
    assert after is not None
    found = after.succeeding(GROUP.epoch)
    assert found is not None and found.configuration == wider.configuration


def test_above_the_last_height_only_closing_blocks_are_voted_for() -> None:
    state = replica(1)
    last = grown(state)
    taller = block_over(state, last, last.view + 1)
    tell(state, GROUP.leader(taller.header.view), taller)
    assert votes(end_turn(state)) == []
    refused = state.chain.block(taller.header.digest)
    assert refused is not None and refused.refused == "the epoch is over: only closing blocks extend its last block"
    closing = block_over(state, last, last.view + 1, closing=True)
    tell(state, GROUP.leader(closing.header.view), closing)
    assert [type(effect.vote).__name__ for effect in votes(end_turn(state)) if isinstance(effect, CastVote)] == [
        "Notarize"
    ]


def test_a_closing_block_before_the_last_height_is_refused() -> None:
    state = replica(1)
    at = notarize(state, block_over(state, GENESIS, 0))
    early = block_over(state, at, 1, closing=True)
    tell(state, GROUP.leader(early.header.view), early)
    assert votes(end_turn(state)) == []


@pytest.mark.parametrize("changed", [{"time": TimeUs(1)}, {"height": Height(9)}, {"cut": ()}])
def test_a_closing_block_that_changes_anything_is_refused(changed: dict[str, Any]) -> None:
    state = replica(1)
    last = grown(state)
    good = block_over(state, last, last.view + 1, closing=True)
    bad = replace(good, header=replace(good.header, **changed))
    tell(state, GROUP.leader(bad.header.view), bad)
    assert votes(end_turn(state)) == []


def test_the_leader_after_the_last_block_proposes_a_closing_one() -> None:
    state = replica(0)
    last = grown(state)
    assert GROUP.leader(View(last.view + 1)) == 0
    made = [effect for effect in end_turn(state, RULES.block_interval_us) if isinstance(effect, Propose)]
    header = made[0].header
    assert header.is_closing and (header.height, header.cut, header.time) == (last.height, last.cut, last.time)


def works_on_a_change() -> bool:
    state = replica(1)
    grown(state)
    return state.timer_from_us is not None


def test_a_change_on_its_way_is_work() -> None:
    assert works_on_a_change()


def test_a_mutant_for_which_it_is_none_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ordering.has_work
    monkeypatch.setattr(ordering, "has_work", lambda state, after_best: plain(state, None))
    assert not works_on_a_change()


# --- the step ---------------------------------------------------------------------------------------------------------


def test_a_final_last_block_starts_the_next_epoch_on_a_header_that_nobody_signs() -> None:
    state = replica(1)
    last = close_epoch(state)
    assert (state.group, state.view, state.own_tip.height) == (replaced(), 0, 0)
    root = state.chain.final.header
    assert root == root_header(replaced(), last, change().configuration)
    assert (root.height, root.parent, root.view, root.epoch) == (last.height, last.digest, -1, 1)
    assert [tip.owner for tip in root.cut] == [1, 2, 3, 4]
    assert state.chain.base.models[OwnerId(4)].model == KEYS.spares[0].model


def test_a_final_closing_block_makes_the_last_block_final_too() -> None:
    state = replica(1)
    last = grown(state)
    first = notarize(state, block_over(state, last, last.view + 1, closing=True))
    second = notarize(state, block_over(state, first, first.view + 1, closing=True))
    assert state.group.epoch == 0
    tell(state, 3, finalized(second))
    end_turn(state)
    assert state.chain.final.header == root_header(replaced(), last, change().configuration)
    assert [header.digest for header in state.successions[Epoch(0)].headers] == [
        second.digest,
        first.digest,
        last.digest,
    ]
    assert state.chain.at(LAST).header == last


def test_19_who_leaves_takes_its_attestations_along_and_says_nothing_more() -> None:
    leaver, stayer = replica(0), replica(1)
    for state in (leaver, stayer):
        close_epoch(state, batch(2, [attestation(7, by=2)]), batch(1))
    assert [a.owner for record in stayer.chain.base.open.values() for a in record.answers] == [2]
    said = end_turn(leaver, RULES.status_interval_us)
    assert [type(e.message) for e in said if isinstance(e, Broadcast)] == [BootQuestion]
    assert votes(said) == []


def promised_before_and_after_a_change(leaver: bool = False) -> tuple[list[LaneBatch], list[LaneBatch]]:
    """What our lane holds of one answered request in each of two epochs; no block of the first ordered it. ``leaver``:
    but one did order the attestation of the owner who leaves."""
    state = replica(1)
    given = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), b"a picture")
    soon = TimeUs(START.wall_us + 10_000_000)
    request = Request(CLIENT, GROUP.id, Nonce(1), soon, 0, b"", given.digest())
    feed(state, [EngineIsReady(Version(1), GROUP.owners[1].model, 8), RequestCame(request, given)])
    feed(state, [AnswersCame(Version(1), ((request.id, ANSWER),))])
    first = [effect.batch for effect in end_turn(state) if isinstance(effect, PromiseBatch)]
    last = grown(state, attested=first[0].attestations if leaver else ())
    tell(state, 3, finalized(last))
    return first, [effect.batch for effect in end_turn(state) if isinstance(effect, PromiseBatch)]


def test_19_what_was_promised_and_not_ordered_is_promised_again_the_same() -> None:
    first, again = promised_before_and_after_a_change()
    assert [made.attestations for made in again] == [made.attestations for made in first]
    assert (again[0].epoch, again[0].lane_height) == (1, 1)


def test_19_what_only_one_who_leaves_brought_into_a_block_is_promised_again_too() -> None:
    first, again = promised_before_and_after_a_change(leaver=True)
    assert [made.attestations for made in again] == [made.attestations for made in first]


def test_19_a_mutant_that_forgets_it_keeps_its_clients_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropbeard.agreement.epochs.carry_over", lambda state: [])
    first, again = promised_before_and_after_a_change()
    assert (len(first), again) == (1, [])


def test_an_update_that_was_not_ordered_never_was() -> None:
    state = replica(1)
    state.own_model = replace(state.own_model, version=Version(2), model=Digest(bytes(32)))
    close_epoch(state)
    assert (state.own_model.version, state.own_model.model) == (1, GROUP.owners[1].model)
    assert state.next_update is None


def test_the_next_batch_carries_a_signed_change_once() -> None:
    state = replica(1)
    feed(state, [ChangeWasSigned(change())])
    made = [effect.batch for effect in end_turn(state) if isinstance(effect, PromiseBatch)]
    assert [b.change for b in made] == [change()]
    assert [e for e in end_turn(state) if isinstance(e, PromiseBatch)] == []


# --- who is elsewhere -------------------------------------------------------------------------------------------------


def test_who_is_behind_is_shown_what_ended_its_epoch_and_who_is_ahead_is_asked() -> None:
    ahead, behind = replica(1), replica(2)
    close_epoch(ahead)
    shown = sent(tell(ahead, 2, status(0)), SuccessionNotice)
    assert [notice.succession.epoch for notice in shown] == [0]
    assert sent(tell(ahead, 2, FetchSuccession(Epoch(0))), SuccessionNotice) == shown
    assert sent(tell(ahead, 2, FetchSuccession(Epoch(1))), SuccessionNotice) == []
    tell(behind, 1, status(1))
    assert sent(end_turn(behind), FetchSuccession) == [FetchSuccession(Epoch(0))]


def test_votes_and_batches_of_another_epoch_count_nothing() -> None:
    state = replica(1)
    grown(state)
    old = signed_batch(batch(2))
    tell(state, 3, finalized(state.chain.blocks[state.best[1]].header))
    end_turn(state)
    assert not is_worth_handling(state, BatchNotice(old), state.judge.checker)
    feed(state, [BatchCame(owner(2), old)])
    assert state.lanes.lanes[OwnerId(2)].batches == {}
    for number in range(3):
        tell(state, number, signed_vote(number, nullify(0)))
    assert state.view == 0
    assert epoch_of(BatchNotice(old)) == 0


def succession_of(last_of: ReplicaState, *tips: LaneBatch) -> Succession:
    close_epoch(last_of, *tips)
    return last_of.successions[Epoch(0)]


def test_a_replica_a_few_blocks_behind_follows_by_the_blocks() -> None:
    given, state = succession_of(replica(1)), replica(2)
    grown(state)
    assert is_worth_handling(state, SuccessionNotice(given), state.judge.checker)
    tell(state, 1, SuccessionNotice(given))
    end_turn(state)
    assert (state.group.epoch, state.chain.hollow) == (1, None)


def test_a_replica_far_behind_jumps_and_stands_on_a_snapshot_that_the_succession_proves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ahead, state = replica(1), replica(2)
    given = succession_of(ahead, batch(2, [attestation(7, by=2)]))
    monkeypatch.setattr("dropbeard.agreement.snapshots.LAG_INTERVALS", 0)
    effects = tell(state, 1, SuccessionNotice(given))
    records = [effect.record for effect in effects if isinstance(effect, Persist)]
    assert (state.group.epoch, state.chain.hollow, records) == (1, given, [SuccessionRecord(given)])
    assert not speaks(state)
    asked = sent(end_turn(state), FetchSnapshot)
    outline = sent(tell(ahead, 2, asked[0]), SnapshotNotice)[0]
    tell(state, 1, replace(outline, small=outline.small + b"x"))
    tell(state, 1, outline)
    for question in sent(end_turn(state, RULES.status_interval_us), FetchBucket):
        tell(state, 1, sent(tell(ahead, 2, question), BucketNotice)[0])
    stored = [e.record for e in end_turn(state, 2 * RULES.status_interval_us) if isinstance(e, Persist)]
    assert [type(record) for record in stored] == [SnapshotRecord]
    assert speaks(state)
    assert state.chain.base.models == ahead.chain.base.models
    assert state.chain.final.header == ahead.chain.final.header


def test_one_who_joins_learns_of_its_epoch_from_the_genesis_alone() -> None:
    ahead = replica(1)
    given = succession_of(ahead)
    joiner = new_replica(GROUP, owner(4), SECRET, START, KEYS.checker, boot=1)
    asked = [e.message for e in end_turn(joiner) if isinstance(e, Broadcast)]
    assert asked == [BootQuestion(GROUP.epoch, 1)]
    assert sent(tell(ahead, 4, asked[0]), SuccessionNotice) == [SuccessionNotice(given)]


def spoiled(given: Succession, how: str) -> Succession:
    if how == "signature":
        return replace(given, signatures=given.signatures[1:])
    if how == "configuration":
        return replace(given, configuration=given.configuration[:-1] + b"?")
    if how == "whole":
        return replace(given, whole=Digest(bytes(32)))
    if how == "epoch":
        return replace(given, epoch=Epoch(1))
    return replace(given, headers=(replace(given.last, time=TimeUs(1)),))


@pytest.mark.parametrize("how", ["signature", "configuration", "whole", "epoch", "header"])
def test_a_succession_that_does_not_check_is_not_worth_handling(how: str) -> None:
    given, state = succession_of(replica(1)), replica(2)
    assert is_worth_handling(state, SuccessionNotice(given), state.judge.checker)
    assert not is_worth_handling(state, SuccessionNotice(spoiled(given, how)), state.judge.checker)


def test_a_closing_block_does_not_pass_for_the_last_one() -> None:
    state = replica(1)
    last = grown(state)
    closing = notarize(state, block_over(state, last, last.view + 1, closing=True))
    tell(state, 3, finalized(closing))
    end_turn(state)
    given = state.successions[Epoch(0)]
    assert succession_form_fault(GROUP, given) is None
    assert succession_form_fault(GROUP, replace(given, headers=given.headers[:1])) is not None


def test_a_succession_comes_back_from_its_bytes() -> None:
    given = succession_of(replica(1))
    assert decode_succession(given.encode(), GROUP.id) == given
    record = SuccessionRecord(given)
    assert decode_record(encode_record(record), GROUP) == record


def test_changing_batches_are_checked_by_their_bytes() -> None:
    state = replica(1)
    good = changing_batch()
    few = replace(good, change=replace(change(), signatures=change().signatures[1:]))
    assert is_worth_handling(state, BatchNotice(signed_batch(good)), state.judge.checker)
    assert not is_worth_handling(state, BatchNotice(signed_batch(few)), state.judge.checker)


def test_the_whole_state_that_voters_work_out_is_the_one_that_is_kept() -> None:
    state = replica(1)
    items = [attestation(number, deadline=1_001_000_000 + 700_000 * number, by=2) for number in range(9)]
    last = close_epoch(state, batch(2, items), batch(3, [attestation(number, by=3) for number in range(4)]))
    kept = state.chain.base.whole.snapshots[last.height]
    assert kept.digest == state.successions[Epoch(0)].whole
    assert len(kept.buckets) > 3
