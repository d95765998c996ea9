"""Cards are signed by owners alone, endorsed by f+1 of them, and never taken for more than they prove."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from dropbeard.errors import ConfigInvalid, KeyInvalid
from dropbeard.marketplace.group_cards import latest, list_card, prices_from_cards, sign_card
from dropbeard.marketplace.prices import Price
from dropbeard.signing.ecdsa_p256 import PrivateKey
from dropbeard.types.group_card import GroupCard, SignedCard
from dropbeard.types.ids import OwnerId, Signature
from tests.marketplace.signed_groups import GROUP, KEYS, owner_key, signed


@pytest.mark.parametrize(("signers", "endorsed"), [((), False), ((2,), False), ((2, 0), True), ((0, 1, 2, 3), True)])
def test_a_card_is_endorsed_by_f_plus_one_owners(signers: tuple[int, ...], endorsed: bool) -> None:
    listed = list_card(signed(signers), "F", GROUP)
    assert (listed.signers, listed.wrong) == (tuple(sorted(signers)), ())
    assert (listed.endorsed, listed.proved) == (endorsed, True)
    assert not list_card(signed(signers), "F").proved


def test_a_wrong_signature_counts_for_nothing_and_is_named() -> None:
    good = signed((0, 1))
    twice = replace(good, signatures=tuple((owner, good.signatures[0][1]) for owner in (OwnerId(0), OwnerId(1))))
    other_terms = replace(good, card=signed((), answer=1).card)
    stranger = good.with_signature(OwnerId(9), Signature(b"\1" * 64))
    assert list_card(twice, "F", GROUP).signers == (0,)
    assert (list_card(twice, "F", GROUP).wrong, list_card(twice, "F", GROUP).endorsed) == ((1,), False)
    assert list_card(other_terms, "F", GROUP).wrong == (0, 1)
    assert list_card(stranger, "F", GROUP).wrong == (9,)


def test_a_key_that_is_no_key_in_a_card_is_a_wrong_signature() -> None:
    card = signed((0, 1)).card
    broken = replace(card, owners=(replace(card.owners[0], owner_key=bytes(33)), *card.owners[1:]))
    assert list_card(SignedCard(broken, signed((0, 1)).signatures), "F").wrong == (0, 1)


def test_only_an_owner_key_of_the_group_signs() -> None:
    blank = signed(())
    for key in (PrivateKey.generate(), KEYS.keys[0]):
        assert isinstance(key, PrivateKey)
        with pytest.raises(KeyInvalid, match="no owner key of the group simulated"):
            sign_card(blank, GROUP, key)


def changed(card: GroupCard) -> dict[str, GroupCard]:
    first, *rest = card.owners
    return {
        "another group": replace(card, group=type(card.group)(bytes(32))),
        "another name": replace(card, name="other"),
        "another f": replace(card, f=0),
        "another key": replace(card, owners=(replace(first, owner_key=card.owners[1].owner_key), *rest)),
        "another endpoint": replace(card, owners=(replace(first, clients="tcp://10.9.9.9:1"), *rest)),
        "an owner less": replace(card, owners=tuple(rest)),
    }


@pytest.mark.parametrize("what", changed(signed(()).card))
def test_a_card_that_contradicts_the_genesis_is_refused_and_not_signed(what: str) -> None:
    card = SignedCard(changed(signed(()).card)[what], ())
    with pytest.raises(ConfigInvalid, match=r"^F: it"):
        list_card(card, "F", GROUP)
    with pytest.raises(ConfigInvalid, match="not signed"):
        sign_card(card, GROUP, owner_key(0))


def test_the_catalogue_shows_an_endorsed_card_before_a_newer_that_one_owner_signed() -> None:
    cards = [signed((0, 1), serial=1), signed((2,), serial=9), signed((1, 2), serial=3), signed((0, 3), serial=2)]
    for order in permutations(cards):
        (shown,) = latest(list_card(card, "F", GROUP) for card in order)
        assert shown.signed == cards[2]


def test_cards_of_one_group_with_other_keys_are_all_shown() -> None:
    card = signed((0, 1)).card
    mine = [PrivateKey.generate() for _ in card.owners]
    owners = tuple(replace(o, owner_key=k.public.to_bytes()) for o, k in zip(card.owners, mine, strict=True))
    terms = replace(card.terms, serial=99)
    forged = SignedCard(replace(card, owners=owners, terms=terms), ())
    for owner, key in zip(owners, mine, strict=True):
        forged = forged.with_signature(owner.id, Signature(key.sign(forged.card.endorsement.encode())))
    shown = latest([list_card(forged, "forged"), list_card(signed((0, 1)), "good")])
    assert sorted(listed.source for listed in shown) == ["forged", "good"]
    assert [listed.proved for listed in shown] == [False, False]
    with pytest.raises(ConfigInvalid, match="not the genesis'"):
        list_card(forged, "forged", GROUP)


def test_prices_come_from_an_endorsed_card_of_the_group_alone() -> None:
    cards = [signed((0,), serial=5, answer=9), signed((0, 1), serial=2, answer=7, late=3), signed((0, 1), answer=1)]
    prices = prices_from_cards(cards, GROUP, "F")
    assert (prices.currency, prices.usual, prices.card) == ("EUR", Price(7, 3), cards[1].card.digest.hex())
    for none in ([], cards[:1]):
        with pytest.raises(ConfigInvalid, match="that 2 owners signed"):
            prices_from_cards(none, GROUP, "F")
