"""Schedules that make one replica hold more and more, or forget what binds it, each with its bug put back. Owner 3 is
the liar, clients are hostile."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from dropbeard.agreement import ordering, requests
from dropbeard.agreement.chain import genesis_header
from dropbeard.agreement.effects import Infer, PromiseBatch
from dropbeard.agreement.events import AnswersCame, BatchCame, EngineIsReady, RequestCame
from dropbeard.agreement.lane_store import Lane, LaneStore
from dropbeard.agreement.ledger import _Application, apply_block
from dropbeard.agreement.ledger_state import StateView, genesis_base
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.evidence.kinds import CommitmentPair
from dropbeard.simulator.keys import make_keys
from dropbeard.simulator.options import options_for
from dropbeard.types.blocks import Justification, LaneTip, Page
from dropbeard.types.group import FIRST_VERSION
from dropbeard.types.ids import NO_DIGEST, Digest, Height, LaneHeight, Nonce, TimeUs, Version
from dropbeard.types.lanes import LaneBatch, SignedBatch
from dropbeard.types.limits import PROPOSALS_PER_VIEW
from dropbeard.types.parameters import SECOND
from dropbeard.types.requests import Request
from dropbeard.types.task import Input, InputKind
from tests.agreement.pieces import (
    CLIENT,
    GROUP,
    JUDGE,
    START,
    attestation,
    batch,
    came,
    certificate_of,
    end_turn,
    feed,
    finalize,
    first_block,
    notarize,
    nullification_of,
    nullify,
    owner,
    replica,
    sign,
    signed_batch,
    tell,
)

Patch = pytest.MonkeyPatch
RULES = GROUP.parameters
LIAR = 3
GIVEN = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), b"picture")
REQUEST = Request(CLIENT, GROUP.id, Nonce(1), TimeUs(START.wall_us + 5 * SECOND), 0, b"", GIVEN.digest())


# --- pages of nullifications without end


def pages_kept(named: bool) -> int:
    """The liar leads view 3 and sends proposal after proposal, each with a page of its own over views 0 to 2; the page
    that a proposal commits to, or any other."""
    state = replica(1)
    for view in range(3):
        tell(state, 0, certificate_of(nullify(view)))
    signers = list(combinations(range(4), 3))
    for number in range(16):
        rows = tuple(nullification_of(view, signers[(number >> 2 * view) % 4]) for view in range(3))
        page = Page(rows)
        promised = page if named else Page(tuple(nullification_of(view) for view in range(3)))
        why = Justification(None, (promised.digest,))
        header = replace(first_block(state, 3).header, time=TimeUs(number), justification=why.digest)
        made = replace(first_block(state, 3), header=header, justification=why, pages=(page,))
        tell(state, LIAR, replace(made, signature=sign(LIAR, notarize(header))))
    return len(state.chain.pages)


@pytest.mark.parametrize("named", [True, False])
def test_of_a_leaders_pages_those_of_its_kept_proposals_are_kept(named: bool) -> None:
    assert pages_kept(named) <= PROPOSALS_PER_VIEW


def test_a_mutant_without_a_bound_of_proposals_keeps_every_page(monkeypatch: Patch) -> None:
    monkeypatch.setattr(ordering, "PROPOSALS_PER_VIEW", 1 << 30)
    assert pages_kept(named=True) == 16


# --- two answers of one owner whose clock is slow


def commitments_of_a_slow_clock() -> list[tuple[SignedBatch, int]]:
    """Our clock is slower than everyone's by more than retention; the client asks again once we forgot the request."""
    state = replica(1)
    feed(state, [EngineIsReady(Version(1), GROUP.owners[1].model, 8)])
    said: list[tuple[SignedBatch, int]] = []
    after = TimeUs(REQUEST.deadline + RULES.retention_us)
    tips = [batch(number, (), time=after) for number in (0, 2, LIAR)]
    for output in (bytes(12), bytes([1] * 12)):
        ordered = feed(state, [RequestCame(REQUEST, GIVEN)])
        if any(isinstance(effect, Infer) for effect in ordered):
            feed(state, [AnswersCame(FIRST_VERSION, ((REQUEST.id, output),))])
        made = [signed_batch(e.batch) for e in end_turn(state) if isinstance(e, PromiseBatch)]
        said += [(signed, at) for signed in made for at in range(len(signed.batch.attestations))]
        feed(state, [BatchCame(owner(1), signed) for signed in made])
        if state.chain.final.header.height == 0:
            make_final(state, *tips)
    return said


def make_final(state: ReplicaState, *tips: LaneBatch) -> None:
    proposal = first_block(state, 0, *tips)
    feed(state, [came(made) for made in tips])
    tell(state, 0, proposal)
    end_turn(state)
    for vote in (notarize, finalize):
        tell(state, 0, certificate_of(vote(proposal.header), (0, 2, 3)))
        end_turn(state)
    assert state.chain.final.header == proposal.header


def test_a_slow_clock_makes_no_owner_answer_twice() -> None:
    assert len(commitments_of_a_slow_clock()) == 1


def test_a_mutant_that_asks_its_own_clock_alone_is_convicted_while_honest(monkeypatch: Patch) -> None:
    plain = requests._refusal

    def own_clock(state: ReplicaState, request: Request, late: bool) -> Any:
        at, state.chain.final.header = state.chain.final.header, replace(state.chain.final.header, time=TimeUs(0))
        found = plain(state, request, late)
        state.chain.final.header = at
        return found

    monkeypatch.setattr(requests, "_refusal", own_clock)
    (first, first_at), (second, second_at) = commitments_of_a_slow_clock()
    assert JUDGE.fault(CommitmentPair(first, first_at, second, second_at)) is None


# --- inputs that nobody will run


def input_kept_after_the_end() -> bool:
    state = replica(1)
    feed(state, [EngineIsReady(Version(1), GROUP.owners[1].model, 8), RequestCame(REQUEST, GIVEN)])
    feed(state, [AnswersCame(FIRST_VERSION, ((REQUEST.id, bytes(12)),))])
    (own,) = [e.batch for e in end_turn(state) if isinstance(e, PromiseBatch)]
    feed(state, [BatchCame(owner(1), signed_batch(own))])
    (item,) = own.attestations
    others = [batch(number, [item._replace(commitment=attestation(1, by=number).commitment)]) for number in (0, 2, 3)]
    make_final(state, own, *others)
    assert REQUEST.id not in state.open_mine
    feed(state, [RequestCame(REQUEST, GIVEN)])
    return state.mine[REQUEST.id].asked is not None


def test_what_a_client_sends_again_after_the_end_is_not_kept() -> None:
    assert not input_kept_after_the_end()


def test_a_mutant_that_keeps_it_holds_the_inputs_of_hours(monkeypatch: Patch) -> None:
    monkeypatch.setattr(requests, "_drop_input_if_ended", lambda state, known, own: None)
    assert input_kept_after_the_end()


# --- batches of heights that are long over


def old_batches_kept(count: int) -> int:
    """The lane stands far above; its owner signs other batches for heights that were forgotten."""
    store = LaneStore(GROUP)
    tip = LaneTip(owner(LIAR), LaneHeight(1_000), Digest(b"t" * 32))
    store.forget_below((tip,))
    for height in range(2, 2 + count):
        made = replace(batch(LIAR), lane_height=LaneHeight(height), parent=Digest(b"p" * 32))
        store.add(signed_batch(made), tip.height, named=False)
    return len(store.lanes[owner(LIAR)].batches)


def test_of_heights_that_were_forgotten_nothing_comes_back() -> None:
    assert old_batches_kept(50) == 0


def test_a_mutant_that_takes_old_heights_again_holds_as_many_as_the_lane_ever_had(monkeypatch: Patch) -> None:
    monkeypatch.setattr(Lane, "is_over", lambda self, height: False)
    assert old_batches_kept(50) == 50


# --- records that two liars keep open for ever


def open_after(count: int) -> int:
    """n = 7, f = 2: two lanes attest invented requests whose deadlines, like these lanes' times, never come."""
    group = make_keys(options_for(1, 7)).group
    group = replace(group, parameters=replace(group.parameters, open_max=5))
    base, far = genesis_base(group), TimeUs(1 << 60)
    for number in range(count):
        lanes = {
            liar: [LaneBatch(group.id, group.epoch, liar, Version(1), LaneHeight(1), NO_DIGEST, far, (invented,))]
            for liar, invented in ((owner(k), attestation(number, deadline=far + 1, by=k)) for k in (5, 6))
        }
        applied = apply_block(group, StateView(base, ()), genesis_header(group), lanes, lambda data: None)
        base.merge(applied.delta, applied.time, Height(base.height + 1))
    return len(base.open)


def test_what_f_lanes_attest_stays_charged_to_one_of_them() -> None:
    assert open_after(40) <= 2 * 5


def test_a_mutant_that_discharges_at_the_second_lane_keeps_records_without_end(monkeypatch: Patch) -> None:
    plain = _Application._add

    def at_the_second(self: Any, request: Any, work: Any, counted: Any) -> None:
        if work.charged not in (None, counted.owner):
            self._discharge(work)
        plain(self, request, work, counted)

    monkeypatch.setattr(_Application, "_add", at_the_second)
    assert open_after(40) == 40
