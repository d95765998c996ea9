"""Rules for clients in the genesis: they read back, they count in the id, and without them nothing changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dropbeard.errors import ConfigInvalid
from dropbeard.types.client_rules import ClientRules
from dropbeard.types.genesis_file import genesis_from_toml, genesis_to_toml
from dropbeard.types.ids import ClientKey
from dropbeard.types.limits import CLIENT_LIMIT_MAX, CLIENTS_ALLOWED_MAX
from tests.verification.building import world
from tests.verification.portable_file import portable

GROUP = world(4).group
ONE, TWO = ClientKey(b"\1" * 32), ClientKey(b"\2" * 32)
KEYS = st.lists(st.binary(min_size=32, max_size=32), max_size=4, unique=True).map(lambda keys: tuple(sorted(keys)))
LIMITS = st.integers(1, CLIENT_LIMIT_MAX)


@st.composite
def rules(draw: st.DrawFn) -> ClientRules:
    rate, burst = draw(st.one_of(st.just((0, 0)), st.tuples(LIMITS, LIMITS)))
    per_day, keys = draw(st.one_of(st.just(0), LIMITS)), draw(KEYS)
    assume(rate or per_day or keys)
    return ClientRules(rate, burst, per_day, tuple(map(ClientKey, keys)))


def test_without_rules_a_group_has_the_bytes_that_it_always_had() -> None:
    whole = GROUP.encode()
    assert GROUP.clients is None
    assert whole.endswith(GROUP.parameters.encode())
    assert "[clients]" not in genesis_to_toml(GROUP)


@given(rules())
def test_a_group_with_rules_reads_back_and_both_verifiers_compute_its_id(given_rules: ClientRules) -> None:
    group = replace(GROUP, clients=given_rules)
    text = genesis_to_toml(group)
    read = genesis_from_toml(text)
    assert (read.clients, read.id) == (given_rules, group.id)
    assert portable.read_genesis(text).id == group.id
    assert group.encode() == GROUP.encode() + given_rules.encode()
    assert group.id != GROUP.id


@given(rules(), rules())
def test_two_rules_never_share_their_bytes(one: ClientRules, other: ClientRules) -> None:
    assert (one.encode() == other.encode()) == (one == other)


def test_the_layout_is_the_one_described() -> None:
    made = ClientRules(5, 10, 1_000, (ONE, TWO))
    assert made.encode() == bytes.fromhex("01 05000000 0a000000 e8030000 02000000") + ONE + TWO


def test_only_allowed_keys_may_ask_a_closed_group_and_anyone_an_open_one() -> None:
    closed, limited = ClientRules(allow=(ONE,)), ClientRules(1, 1)
    assert (closed.is_closed, closed.allows(ONE), closed.allows(TWO)) == (True, True, False)
    assert (limited.is_closed, limited.allows(TWO)) == (False, True)


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"rate_per_s": 1}, "go together"),
        ({"burst": 1}, "go together"),
        ({"per_day": -1}, "clients.per_day must be between 0"),
        ({"per_day": CLIENT_LIMIT_MAX + 1}, "clients.per_day must be between 0"),
        ({"allow": (TWO, ONE)}, "ascending"),
        ({"allow": (ONE, ONE)}, "each once"),
        ({"allow": (ClientKey(b"short"),)}, "keys of 32 bytes"),
        ({"allow": (ONE,) * (CLIENTS_ALLOWED_MAX + 1)}, "at most 16384"),
        ({}, "leave [clients] out"),
    ],
)
def test_rules_that_contradict_themselves_are_refused(changed: dict[str, object], part: str) -> None:
    with pytest.raises(ConfigInvalid) as wrong:
        ClientRules(**changed)  # type: ignore[arg-type]
    assert part in str(wrong.value)


@pytest.mark.parametrize(
    ("table", "part"),
    [
        ("rate_per_s = 1\nburst = 1\nper_day = 0\nallow = []", "nobody could ask"),
        ("rate_per_s = 1\nburst = 1\nper_day = 0\nallow = ['ab']", "64 lower-case hex digits"),
        ("rate_per_s = 1\nburst = 1", "missing required field `per_day`"),
        ("rate_per_sec = 1\nburst = 1\nper_day = 0", "did you mean `rate_per_s`"),
    ],
)
def test_a_table_that_holds_no_rules_is_one_line_that_names_the_file(table: str, part: str) -> None:
    with pytest.raises(ConfigInvalid) as wrong:
        genesis_from_toml(f"{genesis_to_toml(GROUP)}\n[clients]\n{table}\n", "F.toml")
    assert str(wrong.value).startswith("F.toml")
    assert str(wrong.value).count("F.toml") == 1
    assert part in str(wrong.value)
