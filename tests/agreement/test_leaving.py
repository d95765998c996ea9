"""What a node says of its own end, and that it touches nobody's turns but its own (rule 3.6)."""

from __future__ import annotations

import pytest

from dropbeard.agreement.effects import Broadcast, CastVote, Effect, Propose
from dropbeard.agreement.events import EngineIsReady, NodeEnds
from dropbeard.agreement.fetching import status_of
from dropbeard.agreement.replica import handle
from dropbeard.types.ids import Height, Version, View
from dropbeard.types.messages import Presence, Status
from dropbeard.types.statements import Vote
from tests.agreement.pieces import (
    GENESIS,
    GROUP,
    START,
    attestation,
    batch,
    came,
    end_turn,
    feed,
    first_block,
    later,
    notarize,
    nullify,
    replica,
    tell,
)

PROPOSE_US = GROUP.parameters.propose_timeout_us


def said(presence: Presence) -> Status:
    return Status(GROUP.epoch, View(0), Height(0), None, None, GENESIS.cut, presence=presence)


def votes(effects: list[Effect]) -> list[Vote]:
    return [effect.vote for effect in effects if isinstance(effect, CastVote)]


def test_who_leaves_says_so_to_everyone_at_once_and_leads_no_more() -> None:
    state = replica(0)
    handle(state, EngineIsReady(Version(1), state.own_model.model, 8), START)
    assert status_of(state).presence is Presence.SERVES
    (told,) = handle(state, NodeEnds(Presence.DRAINS), START)
    assert told == Broadcast(status_of(state))
    assert status_of(state).presence is Presence.DRAINS
    handle(state, NodeEnds(Presence.LEAVES), START)
    feed(state, [came(batch(2, [attestation(1)]))])
    assert not [effect for effect in end_turn(state, PROPOSE_US - 1) if isinstance(effect, Propose)]


def test_who_drains_still_leads() -> None:
    state = replica(0)
    handle(state, NodeEnds(Presence.DRAINS), START)
    feed(state, [came(batch(2, [attestation(1)]))])
    assert [effect for effect in end_turn(state, GROUP.parameters.block_interval_us) if isinstance(effect, Propose)]


def test_without_an_engine_a_replica_says_that_it_waits() -> None:
    assert status_of(replica(0)).presence is Presence.WAITS


def test_a_leader_that_left_is_not_waited_for_until_it_says_another_thing() -> None:
    state = replica(1)
    tell(state, 0, said(Presence.LEAVES))
    feed(state, [came(batch(2, [attestation(1)]))])
    assert votes(end_turn(state)) == [nullify(0)]
    back = replica(1)
    tell(back, 0, said(Presence.LEAVES))
    tell(back, 0, said(Presence.WAITS))
    feed(back, [came(batch(2, [attestation(1)]))])
    assert votes(end_turn(back)) == []


@pytest.mark.parametrize("liar", [2, 3])
def test_a_liar_that_says_it_leaves_cuts_nobodys_turn_short_but_its_own(liar: int) -> None:
    state = replica(1)
    tell(state, liar, said(Presence.LEAVES))
    feed(state, [came(batch(2, [attestation(1)]))])
    assert votes(end_turn(state, PROPOSE_US - 1)) == []


def test_the_proposal_of_who_left_is_still_notarized() -> None:
    state = replica(1)
    made = batch(2, [attestation(1)])
    feed(state, [came(made)])
    tell(state, 0, said(Presence.LEAVES))
    assert votes(end_turn(state)) == [nullify(0)]
    proposal = first_block(state, 0, made)
    tell(state, 0, proposal, later(1))
    assert votes(end_turn(state, 1)) == [notarize(proposal.header)]
