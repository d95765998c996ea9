"""A group with real owner keys, and cards of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dropbeard.marketplace.group_cards import sign_card
from dropbeard.signing.ecdsa_p256 import PrivateKey
from dropbeard.simulator.keys import make_keys
from dropbeard.simulator.options import options_for
from dropbeard.types.group import Group
from dropbeard.types.group_card import SignedCard, Terms, card_of

REAL_KEYS_SEED = 20
KEYS = make_keys(options_for(REAL_KEYS_SEED, 4, "none", 1))
GROUP = KEYS.group
TERMS = Terms("EUR", 250, 100, 300, 1, "2099-12-31")


def owner_key(number: int) -> PrivateKey:
    key = KEYS.owner_keys[number]
    assert isinstance(key, PrivateKey)
    return key


def signed(signers: Sequence[int], group: Group = GROUP, **terms: object) -> SignedCard:
    card = SignedCard(card_of(group, replace(TERMS, **terms)), ())  # type: ignore[arg-type]
    for number in signers:
        card = sign_card(card, group, owner_key(number))
    return card
