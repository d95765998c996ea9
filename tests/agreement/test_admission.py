"""Rules for clients at admission: who may ask, how fast, how much a day; by injected clocks alone (rule 2.2)."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from dropbeard.agreement import admission
from dropbeard.agreement.admission import DAY_US
from dropbeard.agreement.effects import Effect, Infer, SendClient
from dropbeard.agreement.events import EngineIsReady, Now, RequestCame
from dropbeard.agreement.replica_state import ReplicaState, new_replica
from dropbeard.types.client_rules import ClientRules
from dropbeard.types.ids import ClientKey, Nonce, TimeUs, Version
from dropbeard.types.messages import Rejected, RejectReason
from dropbeard.types.parameters import SECOND
from dropbeard.types.requests import Request
from dropbeard.types.task import Input, InputKind
from tests.agreement.pieces import CLIENT, GROUP, KEYS, SECRET, START, feed, later, owner

GIVEN = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), b"picture")
OTHER = ClientKey(b"d" * 32)
MORNING = Now(START.monotonic_us, TimeUs(20_000 * DAY_US))


def replica_under(rules: ClientRules, now: Now = START) -> ReplicaState:
    state = new_replica(replace(GROUP, clients=rules), owner(1), SECRET, now, KEYS.checker)
    feed(state, [EngineIsReady(Version(1), GROUP.owners[1].model, 8)], now)
    return state


def ask(state: ReplicaState, nonce: int, now: Now = START, client: ClientKey = CLIENT) -> list[Effect]:
    deadline = TimeUs(now.wall_us + 5 * SECOND)
    request = Request(client, state.group.id, Nonce(nonce), deadline, 0, b"", GIVEN.digest())
    return feed(state, [RequestCame(request, GIVEN)], now)


def rejection(effects: list[Effect]) -> Rejected | None:
    (effect,) = effects
    if isinstance(effect, Infer):
        return None
    assert isinstance(effect, SendClient)
    assert isinstance(effect.message, Rejected)
    return effect.message


def reason(effects: list[Effect]) -> RejectReason | None:
    found = rejection(effects)
    return None if found is None else found.reason


def test_a_closed_group_runs_requests_of_its_clients_alone() -> None:
    state = replica_under(ClientRules(allow=(CLIENT,)))
    assert reason(ask(state, 1)) is None
    refused = rejection(ask(state, 1, client=OTHER))
    assert refused is not None
    assert (refused.reason, refused.retry_after_us) == (RejectReason.NOT_ALLOWED, 0)
    assert state.accounts == {}


def test_a_burst_is_admitted_and_then_the_rate_holds_to_the_microsecond() -> None:
    state = replica_under(ClientRules(3, 2))
    assert [reason(ask(state, n)) for n in range(3)] == [None, None, RejectReason.OVER_RATE]
    refused = rejection(ask(state, 3))
    assert refused is not None
    wait = refused.retry_after_us
    assert wait == -(-SECOND // 3)
    assert reason(ask(state, 4, later(wait - 1))) is RejectReason.OVER_RATE
    assert reason(ask(state, 5, later(wait))) is None
    assert reason(ask(state, 6, later(wait))) is RejectReason.OVER_RATE


def test_what_is_refused_uses_nothing_up() -> None:
    state = replica_under(ClientRules(1, 1, 2))
    ask(state, 0)
    before = replace(state.accounts[CLIENT])
    assert [reason(ask(state, n)) for n in (1, 2, 3)] == [RejectReason.OVER_RATE] * 3
    assert state.accounts[CLIENT] == before


def test_a_retry_uses_nothing_up() -> None:
    state = replica_under(ClientRules(1, 1))
    ask(state, 1)
    before = replace(state.accounts[CLIENT])
    assert ask(state, 1) == []
    assert state.accounts[CLIENT] == before


def test_each_client_has_limits_of_its_own() -> None:
    state = replica_under(ClientRules(1, 1))
    assert reason(ask(state, 1)) is None
    assert reason(ask(state, 2, client=OTHER)) is None
    assert reason(ask(state, 3)) is RejectReason.OVER_RATE


def test_the_quota_of_a_day_ends_with_the_utc_day_and_never_comes_back_with_the_clock() -> None:
    evening = Now(MORNING.monotonic_us + 20 * 3600 * SECOND, TimeUs(MORNING.wall_us + 20 * 3600 * SECOND))
    tomorrow = Now(MORNING.monotonic_us + DAY_US, TimeUs(MORNING.wall_us + DAY_US))
    state = replica_under(ClientRules(per_day=2), MORNING)
    assert [reason(ask(state, n, MORNING)) for n in range(2)] == [None, None]
    refused = rejection(ask(state, 2, evening))
    assert refused is not None
    assert (refused.reason, refused.retry_after_us) == (RejectReason.OVER_QUOTA, 4 * 3600 * SECOND)
    assert [reason(ask(state, n, tomorrow)) for n in (3, 4)] == [None, None]
    assert reason(ask(state, 5, MORNING)) is RejectReason.OVER_QUOTA


def test_another_rejection_comes_before_the_limits_and_uses_nothing_up() -> None:
    state = replica_under(ClientRules(1, 1))
    state.engine = None
    assert reason(ask(state, 1)) is RejectReason.ENGINE_UNAVAILABLE
    assert state.accounts == {}


@pytest.mark.parametrize("seed", range(5))
def test_in_no_stretch_of_time_more_is_admitted_than_burst_and_rate_allow(seed: int) -> None:
    dice, rules = random.Random(seed), ClientRules(7, 3)
    state, us, admitted = replica_under(rules), 0, []
    for nonce in range(300):
        us += dice.choice((0, 1, 1_000, 50_000, 200_000))
        if reason(ask(state, nonce, later(us))) is None:
            admitted.append(us)
    assert len(admitted) > 50
    for first, start in enumerate(admitted):
        for last in range(first, len(admitted)):
            assert (last - first + 1 - rules.burst) * SECOND <= rules.rate_per_s * (admitted[last] - start)


def test_the_clients_remembered_are_bounded_and_the_one_heard_longest_ago_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "CLIENT_ACCOUNTS_MAX", 3)
    state = replica_under(ClientRules(1, 2))
    clients = [ClientKey(bytes([n]) * 32) for n in range(4)]
    for client in (*clients[:3], clients[0], clients[3]):
        ask(state, len(state.mine), client=client)
    assert list(state.accounts) == [clients[2], clients[0], clients[3]]
