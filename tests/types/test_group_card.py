"""Group cards: every card reads back as it was, no two share their bytes, and what is none is a line that says so."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbeard.errors import ConfigInvalid
from dropbeard.types import limits
from dropbeard.types.group_card import SLO_MS_MAX, SignedCard, Terms, card_of, cards_from_toml, cards_to_toml
from dropbeard.types.ids import Epoch, OwnerId, Signature
from dropbeard.types.statements import MembershipChange, ModelUpdate
from tests.verification.building import world

GROUP = world(4).group
TERMS = Terms("EUR", 250, 100, 300, 2, "2027-01-31")
CARD = card_of(GROUP, TERMS)
SIGNED = SignedCard(CARD, ((OwnerId(1), Signature(b"\1" * 64)), (OwnerId(3), Signature(b"\3" * 64))))
TEXT = cards_to_toml([SIGNED])

PRINTABLE = st.text(st.characters(codec="utf-8"), min_size=1, max_size=4).filter(
    lambda text: text.isprintable() and text == text.strip()
)
TERMS_OF = st.builds(
    Terms,
    PRINTABLE,
    st.integers(0, limits.PRICE_MAX),
    st.integers(0, limits.PRICE_MAX),
    st.integers(1, SLO_MS_MAX),
    st.integers(1, (1 << 32) - 1),
    st.dates().map(lambda day: day.isoformat()),
)
SIGNATURES = st.dictionaries(
    st.integers(0, 3).map(OwnerId), st.binary(min_size=64, max_size=64).map(Signature), max_size=4
).map(lambda rows: tuple(sorted(rows.items())))


@given(st.lists(st.builds(SignedCard, TERMS_OF.map(lambda terms: card_of(GROUP, terms)), SIGNATURES), min_size=1))
def test_cards_one_after_the_other_read_back_as_they_were(cards: list[SignedCard]) -> None:
    cards = cards[:4]
    assert cards_from_toml("\n".join(cards_to_toml([card]) for card in cards), "F") == tuple(cards)


@given(TERMS_OF, TERMS_OF)
def test_other_terms_are_another_card(one: Terms, other: Terms) -> None:
    assert (card_of(GROUP, one).digest == card_of(GROUP, other).digest) == (one == other)


def test_every_value_of_a_card_counts_in_its_digest() -> None:
    owner = CARD.owners[2]
    changes: dict[str, object] = {
        "name": "n",
        "owner_key": bytes(33),
        "curve_key": bytes(32),
        "clients": "tcp://h:1",
        "model": bytes(32),
        "model_name": "m",
        "id": OwnerId(9),
    }
    assert sorted(changes) == sorted(spec.name for spec in fields(owner))
    cards = [
        replace(CARD, owners=(*CARD.owners[:2], replace(owner, **{name: value}), CARD.owners[3]))  # type: ignore[arg-type]
        for name, value in changes.items()
    ]
    cards += [replace(CARD, epoch=Epoch(1)), replace(CARD, name="x"), replace(CARD, task="x"), replace(CARD, f=0)]
    cards += [replace(CARD, answers=4), replace(CARD, owners=CARD.owners[:3]), CARD]
    assert len({card.digest for card in cards}) == len(cards)


def test_an_endorsement_is_no_other_statement_of_an_owner_key() -> None:
    encoded = CARD.endorsement.encode()
    assert encoded == b"dropbeard/1/group card\0" + GROUP.id + bytes(4) + CARD.digest
    assert not any(encoded.startswith(kind.domain) for kind in (ModelUpdate, MembershipChange))


def test_a_second_signature_of_an_owner_replaces_its_first() -> None:
    again = SIGNED.with_signature(OwnerId(1), Signature(b"\7" * 64)).with_signature(OwnerId(0), Signature(b"\0" * 64))
    assert again.signatures == (
        (OwnerId(0), b"\0" * 64),
        (OwnerId(1), b"\7" * 64),
        (OwnerId(3), b"\3" * 64),
    )


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("format = 1", "format = 2", "format 2 is unknown"),
        ("answer = 250", "answer = -1", "answer is -1"),
        ("answer = 250", "answer = 2.5", "Expected `int`"),
        ("slo_p99_ms = 300", "slo_p99_ms = 0", "slo_p99_ms is 0"),
        ("2027-01-31", "tomorrow", "write a day as"),
        ("serial = 2", "", "missing required field `serial`"),
        ("serial = 2", "serial = 2\nserials = 2", "did you mean `serial`"),
        ("f = 1", "f = 2", "do not fit"),
        ("answers = 3", "answers = 4", "do not fit"),
        ("epoch = 0", "epoch = 4294967296", "do not fit"),
        ('currency = "EUR"', 'currency = "\\u001b[2J"', "currency must be"),
        ('name = "tested"', 'name = ""', "must be 1 to 64"),
        ("owner = 1", "owner = 3", "signatures do not ascend"),
        ("\nid = 1", "\nid = 0", "owners do not ascend"),
        ("\nid = 3", "\nid = 65536", "owners do not ascend, or are out of bounds"),
        ('group = "{group}"', 'group = "ab"', "64 lower-case hex digits"),
        ("[[card]]", "[card]", "Expected `array`"),
    ],
)
def test_what_is_no_card_is_one_line_that_names_the_file(old: str, new: str, part: str) -> None:
    old = old.replace("{group}", GROUP.id.hex())  # its keys are made anew in each process
    assert old in TEXT
    with pytest.raises(ConfigInvalid) as wrong:
        cards_from_toml(TEXT.replace(old, new, 1), "F.card")
    assert str(wrong.value).startswith("F.card")
    assert part in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_a_file_of_too_many_cards_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="257 cards, at most 256"):
        cards_from_toml(TEXT * (limits.GROUP_CARDS_MAX + 1), "F.card")
