"""A group card: what a group offers and on what terms, signed by its owners; TOML for people (rule 1.5).

What is signed is the digest of the card's canonical bytes. Several cards may stand in one file, one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import ClassVar, Final

import msgspec

from dropbeard.errors import ConfigInvalid
from dropbeard.types import limits, wire
from dropbeard.types.blocks import Signatures
from dropbeard.types.cards import check_endpoint, check_name, hex_bytes, is_plain
from dropbeard.types.group import Group, Owner
from dropbeard.types.hashing import GROUP_CARD, digest
from dropbeard.types.ids import (
    DIGEST_BYTES,
    KEY_BYTES,
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    Digest,
    Epoch,
    GroupId,
    OwnerId,
    Signature,
)
from dropbeard.types.toml_text import read_toml, table

CARD_FORMAT: Final = 1
SLO_MS_MAX: Final = 86_400_000
_DAY: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")


@dataclass(frozen=True, slots=True)
class CardEndorsement:
    """My group offers what this card says. Signed with the owner key."""

    domain: ClassVar[bytes] = b"dropbeard/1/group card\0"
    group: GroupId
    epoch: Epoch
    card: Digest

    def encode(self) -> bytes:
        """domain, group, epoch u32, card digest 32."""
        return self.domain + self.group + wire.u32(self.epoch) + self.card


@dataclass(frozen=True, slots=True)
class CardOwner:
    """An owner as the genesis has it: keys, where clients connect, and its first model."""

    id: OwnerId
    name: str
    owner_key: bytes
    curve_key: bytes
    clients: str
    model: Digest
    model_name: str

    def encode(self) -> bytes:
        """id u16, name, owner key 33, CURVE key 32, clients, model 32, model name; texts as short bytes."""
        keys = wire.short_bytes(self.name.encode()) + self.owner_key + self.curve_key
        model = wire.short_bytes(self.clients.encode()) + self.model + wire.short_bytes(self.model_name.encode())
        return wire.u16(self.id) + keys + model


@dataclass(frozen=True, slots=True)
class Terms:
    """``answer`` and ``late``: micro-units of ``currency`` for an answer in an agreed entry or in a supplement.
    ``slo_p99_ms``: 99 of 100 certificates come within so many milliseconds. A card with a higher ``serial`` replaces
    one with a lower; ``valid_until``: the last UTC day of the offer, as YYYY-MM-DD. Raises ConfigInvalid.
    """

    currency: str
    answer: int
    late: int
    slo_p99_ms: int
    serial: int
    valid_until: str

    def __post_init__(self) -> None:
        if not is_plain(self.currency, limits.CURRENCY_BYTES_MAX):
            raise ConfigInvalid(f"currency must be 1 to {limits.CURRENCY_BYTES_MAX} printable bytes")
        for name, least, most in (
            ("answer", 0, limits.PRICE_MAX),
            ("late", 0, limits.PRICE_MAX),
            ("slo_p99_ms", 1, SLO_MS_MAX),
            ("serial", 1, (1 << 32) - 1),
        ):
            if not least <= getattr(self, name) <= most:
                raise ConfigInvalid(f"{name} is {getattr(self, name)}, must be between {least} and {most}")
        if not _DAY.fullmatch(self.valid_until):
            raise ConfigInvalid(f"valid_until is {self.valid_until!r}, write a day as 2027-01-31")

    def encode(self) -> bytes:
        """currency short, answer u64, late u64, slo_p99_ms u32, serial u32, valid_until (10 ASCII characters)."""
        prices = wire.short_bytes(self.currency.encode()) + wire.u64(self.answer) + wire.u64(self.late)
        return prices + wire.u32(self.slo_p99_ms) + wire.u32(self.serial) + self.valid_until.encode()


@dataclass(frozen=True)
class GroupCard:
    """``owners`` ascend by id."""

    group: GroupId
    epoch: Epoch
    name: str
    task: str
    f: int
    answers: int
    terms: Terms
    owners: tuple[CardOwner, ...]

    def encode(self) -> bytes:
        """group 32, epoch u32, name short, task short, f u16, answers u16, terms, owners u16 and each."""
        head = self.group + wire.u32(self.epoch) + wire.short_bytes(self.name.encode())
        sizes = wire.short_bytes(self.task.encode()) + wire.u16(self.f) + wire.u16(self.answers)
        owners = b"".join(owner.encode() for owner in self.owners)
        return head + sizes + self.terms.encode() + wire.u16(len(self.owners)) + owners

    @cached_property
    def digest(self) -> Digest:
        """The card's name."""
        return digest(GROUP_CARD, self.encode())

    @property
    def endorsement(self) -> CardEndorsement:
        """What its owners sign."""
        return CardEndorsement(self.group, self.epoch, self.digest)


@dataclass(frozen=True, slots=True)
class SignedCard:
    """A card with owners' signatures, ascending by owner; whether they check is another question."""

    card: GroupCard
    signatures: Signatures

    def with_signature(self, owner: OwnerId, signature: Signature) -> SignedCard:
        """The same with one more, which takes the place of an earlier one of this owner."""
        return replace(self, signatures=tuple(sorted({**dict(self.signatures), owner: signature}.items())))


def card_of(group: Group, terms: Terms) -> GroupCard:
    """The card of a group on these terms, not signed yet."""
    owners = tuple(card_owner(owner) for owner in group.owners)
    return GroupCard(group.id, group.epoch, group.name, group.task.name, group.f, group.answers, terms, owners)


def card_owner(owner: Owner) -> CardOwner:
    """What a card says of an owner."""
    keys = owner.owner_key, owner.curve_key
    return CardOwner(owner.id, owner.name, *keys, owner.endpoints.clients, owner.model, owner.model_name)


class _OwnerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: int
    name: str
    owner_key: str
    curve_key: str
    clients: str
    model: str
    model_name: str


class _SignatureTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    owner: int
    signature: str


class _CardTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    group: str
    epoch: int
    name: str
    task: str
    f: int
    answers: int
    currency: str
    answer: int
    late: int
    slo_p99_ms: int
    serial: int
    valid_until: str
    owner: list[_OwnerTable]
    signature: list[_SignatureTable] = []


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    card: list[_CardTable]


def cards_to_toml(cards: Sequence[SignedCard]) -> str:
    """A file of cards."""
    return "\n".join(part for signed in cards for part in _card_parts(signed))


def _card_parts(signed: SignedCard) -> list[str]:
    card = signed.card
    head = {"format": CARD_FORMAT, "group": card.group.hex(), "epoch": int(card.epoch), "name": card.name}
    sizes = {"task": card.task, "f": card.f, "answers": card.answers}
    terms = {name: getattr(card.terms, name) for name in Terms.__slots__}
    rows = [(int(owner), signature.hex()) for owner, signature in signed.signatures]
    return [
        table("[[card]]", head | sizes | terms),
        *(table("[[card.owner]]", _owner_values(owner)) for owner in card.owners),
        *(table("[[card.signature]]", {"owner": owner, "signature": text}) for owner, text in rows),
    ]


def _owner_values(owner: CardOwner) -> dict[str, str | int]:
    keys = {"owner_key": owner.owner_key.hex(), "curve_key": owner.curve_key.hex(), "clients": owner.clients}
    model = {"model": owner.model.hex(), "model_name": owner.model_name}
    return {"id": int(owner.id), "name": owner.name, **keys, **model}


def cards_from_toml(text: str, what: str) -> tuple[SignedCard, ...]:
    """Read a file of cards; ConfigInvalid names ``what`` and what is wrong. Signatures are checked elsewhere."""
    file = read_toml(text, _File, what)
    if len(file.card) > limits.GROUP_CARDS_MAX:
        raise ConfigInvalid(f"{what} has {len(file.card)} cards, at most {limits.GROUP_CARDS_MAX} are read")
    return tuple(_signed(row, what) for row in file.card)


def _signed(row: _CardTable, what: str) -> SignedCard:
    if row.format != CARD_FORMAT:
        raise ConfigInvalid(f"{what}: format {row.format} is unknown, this release reads {CARD_FORMAT}")
    check_name(row.name, what)
    check_name(row.task, what)
    try:
        terms = Terms(row.currency, row.answer, row.late, row.slo_p99_ms, row.serial, row.valid_until)
    except ConfigInvalid as wrong:
        raise ConfigInvalid(f"{what}: {wrong}") from wrong
    owners = tuple(_owner(owner, what) for owner in row.owner)
    n = len(owners)
    good = row.f >= 0 and 3 * row.f + 1 <= n <= limits.REPLICAS_MAX and 2 * row.f + 1 <= row.answers <= n - row.f
    if not good or not 0 <= row.epoch < 1 << 32:
        raise ConfigInvalid(f"{what}: n = {n}, f = {row.f}, answers = {row.answers} and epoch {row.epoch} do not fit")
    _check_ids([owner.id for owner in owners], "owners", what)
    group = GroupId(hex_bytes(row.group, 32, "group", what))
    card = GroupCard(group, Epoch(row.epoch), row.name, row.task, row.f, row.answers, terms, owners)
    _check_ids([given.owner for given in row.signature], "signatures", what)
    return SignedCard(card, tuple(_signature(given, what) for given in row.signature))


def _check_ids(ids: Sequence[int], of: str, what: str) -> None:
    if any(not 0 <= number < 1 << 16 for number in ids) or any(a >= b for a, b in pairwise(ids)):
        raise ConfigInvalid(f"{what}: the owner ids of its {of} do not ascend, or are out of bounds")
    if len(ids) > limits.REPLICAS_MAX:
        raise ConfigInvalid(f"{what}: {len(ids)} {of}, at most {limits.REPLICAS_MAX} are possible")


def _signature(row: _SignatureTable, what: str) -> tuple[OwnerId, Signature]:
    return OwnerId(row.owner), Signature(hex_bytes(row.signature, SIGNATURE_BYTES, "signature", what))


def _owner(row: _OwnerTable, what: str) -> CardOwner:
    check_name(row.name, what)
    check_endpoint(row.clients, what)
    if not is_plain(row.model_name, limits.NAME_BYTES_MAX):
        raise ConfigInvalid(f"{what}: model_name must be 1 to {limits.NAME_BYTES_MAX} printable bytes")
    return CardOwner(
        OwnerId(row.id),
        row.name,
        hex_bytes(row.owner_key, PUBLIC_KEY_BYTES, "owner_key", what),
        hex_bytes(row.curve_key, KEY_BYTES, "curve_key", what),
        row.clients,
        Digest(hex_bytes(row.model, DIGEST_BYTES, "model", what)),
        row.model_name,
    )
