"""Sign group cards, and say of a card whose signatures check and what that is worth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dropbeard.errors import ConfigInvalid, KeyInvalid
from dropbeard.marketplace.prices import Price, Prices
from dropbeard.signing.ecdsa_p256 import PrivateKey, PublicKey
from dropbeard.types.group import Group
from dropbeard.types.group_card import SignedCard, card_owner
from dropbeard.types.ids import OwnerId, Signature
from dropbeard.types.quorum import weak_quorum_size


@dataclass(frozen=True, slots=True)
class Listed:
    """A card of the catalogue. ``signers``: owners whose signatures check; ``wrong``: those whose do not.

    ``proved``: the genesis was at hand, and the card states its owners, keys, models and sizes as the genesis does.
    Without it the signatures check with the keys that the card itself names: anyone can make such a card with keys of
    their own. ``source`` is where the card came from.
    """

    signed: SignedCard
    source: str
    signers: tuple[OwnerId, ...]
    wrong: tuple[OwnerId, ...]
    proved: bool

    @property
    def endorsed(self) -> bool:
        """Did at least f+1 owners sign, so that an honest one did?"""
        return len(self.signers) >= weak_quorum_size(self.signed.card.f)


def sign_card(signed: SignedCard, group: Group, key: PrivateKey) -> SignedCard:
    """Add the signature of one of the group's owners. KeyInvalid for another key, ConfigInvalid for another's card."""
    fault = card_fault(signed, group)
    if fault is not None:
        raise ConfigInvalid(f"the card is not signed: {fault}")
    public = key.public.to_bytes()
    owner = next((owner for owner in group.owners if owner.owner_key == public), None)
    if owner is None:
        raise KeyInvalid(f"this is no owner key of the group {group.name}; name owner.key, not node.key")
    return signed.with_signature(owner.id, Signature(key.sign(signed.card.endorsement.encode())))


def card_fault(signed: SignedCard, group: Group) -> str | None:
    """What of the card is not as the genesis says; None when all is."""
    card = signed.card
    if card.group != group.id:
        return "it is the card of another group"
    told = (card.epoch, card.name, card.task, card.f, card.answers)
    if told != (group.epoch, group.name, group.task.name, group.f, group.answers):
        return "its epoch, name, task, f or answers are not the genesis'"
    if card.owners != tuple(map(card_owner, group.owners)):
        return "its owners, their keys, endpoints or models are not the genesis'"
    return None


def list_card(signed: SignedCard, source: str, group: Group | None = None) -> Listed:
    """Check a card's signatures, with the genesis if it is at hand. ConfigInvalid when the card contradicts it."""
    if group is not None:
        fault = card_fault(signed, group)
        if fault is not None:
            raise ConfigInvalid(f"{source}: {fault}")
    keys = {owner.id: owner.owner_key for owner in signed.card.owners}
    statement = signed.card.endorsement.encode()
    good = [owner for owner, signature in signed.signatures if _checks(keys.get(owner), statement, signature)]
    wrong = tuple(owner for owner, _ in signed.signatures if owner not in good)
    return Listed(signed, source, tuple(good), wrong, group is not None)


def _checks(key: bytes | None, statement: bytes, signature: Signature) -> bool:
    try:
        return key is not None and PublicKey.from_bytes(key).verify(statement, signature)
    except KeyInvalid:
        return False


def latest(cards: Iterable[Listed]) -> list[Listed]:
    """One card for each group: endorsed before not, then the highest serial, then most signers; by name, then group.

    An old card stays signed for ever, so a higher serial replaces it, if it is as good. Cards that name other owner
    keys for one group are all listed: without the genesis nobody can tell which of them are the group's.
    """
    found: dict[tuple[bytes, ...], Listed] = {}
    for listed in cards:
        card = listed.signed.card
        name = (card.group, *(owner.owner_key for owner in card.owners))
        known = found.get(name)
        if known is None or _rank(listed) > _rank(known):
            found[name] = listed
    return sorted(found.values(), key=lambda listed: (listed.signed.card.name, listed.signed.card.digest))


def _rank(listed: Listed) -> tuple[bool, int, int, bytes]:
    card = listed.signed.card
    return listed.endorsed, card.terms.serial, len(listed.signers), card.digest


def prices_from_cards(cards: Sequence[SignedCard], group: Group, what: str) -> Prices:
    """The terms of the group's endorsed card with the highest serial; ConfigInvalid when there is none."""
    own = [list_card(signed, what, group) for signed in cards if signed.card.group == group.id]
    endorsed = [card for card in latest(own) if card.endorsed]
    if not endorsed:
        raise ConfigInvalid(
            f"{what} holds no card of the group {group.name} that {group.weak_quorum} owners signed; "
            "ask another owner to sign it (dropbeard group card --sign)"
        )
    card = endorsed[0].signed.card
    return Prices(card.terms.currency, Price(card.terms.answer, card.terms.late), card=card.digest.hex())
