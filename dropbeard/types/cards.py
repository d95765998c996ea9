"""Owners' public cards, and the group that a set of them makes (rule 1.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from dropbeard.errors import ConfigInvalid
from dropbeard.types import limits
from dropbeard.types.group import Endpoints, Group, Owner
from dropbeard.types.ids import DIGEST_BYTES, KEY_BYTES, PUBLIC_KEY_BYTES, Digest, OwnerId
from dropbeard.types.parameters import Parameters
from dropbeard.types.quorum import most_faults
from dropbeard.types.task import TaskSchema
from dropbeard.types.toml_text import read_toml, table

CARD_FORMAT = 1
_TCP = re.compile(r"tcp://(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):(?P<port>[0-9]{1,5})")

_ANYWHERE = ("tcp://0.0.0.0:", "tcp://[::]:")
_SOCKET_PATH_BYTES_MAX = 107
"""The system's limit for the path of a local socket."""


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an owner tells the others: public keys as hex, endpoints, the first model's digest and label."""

    format: int
    name: str
    owner_key: str
    node_key: str
    curve_key: str
    votes: str
    lanes: str
    clients: str
    catchup: str
    model: str
    model_name: str

    def to_toml(self) -> str:
        """The card file."""
        return table("", msgspec.structs.asdict(self))


def card_from_toml(text: str, what: str) -> Card:
    """Read a card; ConfigInvalid names ``what`` and the key that is wrong."""
    card = read_toml(text, Card, what, newest=("", CARD_FORMAT))
    owner_from_card(card, OwnerId(0), what)
    return card


def owner_from_card(card: Card, owner: OwnerId, what: str) -> Owner:
    """The owner of a genesis that a card describes; ConfigInvalid when a value cannot be one."""
    check_name(card.name, what)
    for endpoint in (card.votes, card.lanes, card.clients, card.catchup):
        check_endpoint(endpoint, what)
        if endpoint.startswith(_ANYWHERE):
            raise ConfigInvalid(f"{what}: nobody can reach {endpoint}; write the address that the others use")
    if not is_plain(card.model_name, limits.NAME_BYTES_MAX):
        raise ConfigInvalid(f"{what}: model_name must be 1 to {limits.NAME_BYTES_MAX} printable bytes")
    # Whoever steals the running node's key would hold the owner's, too (rule 1.3).
    if card.owner_key == card.node_key:
        raise ConfigInvalid(
            f"{what}: owner_key and node_key are the same key; the owner key is kept apart from the node"
        )
    return Owner(
        id=owner,
        name=card.name,
        owner_key=hex_bytes(card.owner_key, PUBLIC_KEY_BYTES, "owner_key", what),
        node_key=hex_bytes(card.node_key, PUBLIC_KEY_BYTES, "node_key", what),
        curve_key=hex_bytes(card.curve_key, KEY_BYTES, "curve_key", what),
        endpoints=Endpoints(card.votes, card.lanes, card.clients, card.catchup),
        model=Digest(hex_bytes(card.model, DIGEST_BYTES, "model", what)),
        model_name=card.model_name,
    )


def hex_bytes(text: str, count: int, key: str, what: str) -> bytes:
    """``count`` bytes of lower-case hex; ConfigInvalid names ``what`` and the key."""
    if len(text) != 2 * count or any(letter not in "0123456789abcdef" for letter in text):
        raise ConfigInvalid(f"{what}: {key} must be {2 * count} lower-case hex digits")
    return bytes.fromhex(text)


def is_plain(text: str, bytes_max: int) -> bool:
    """Whether text is there, fits, and holds nothing that could trick a terminal."""
    # What cannot be printed is asked first: a lone surrogate has no bytes to count.
    return text.isprintable() and 1 <= len(text.encode()) <= bytes_max and text == text.strip()


def check_name(name: str, what: str) -> None:
    """Names are 1 to 64 bytes, printable, without spaces around."""
    if not is_plain(name, limits.NAME_BYTES_MAX):
        raise ConfigInvalid(f"{what}: the name {name!r} must be 1 to {limits.NAME_BYTES_MAX} printable bytes")


def check_endpoint(endpoint: str, what: str) -> None:
    """``tcp://host:port`` or ``ipc://path``."""
    found = _TCP.fullmatch(endpoint)
    good_tcp = found is not None and 1 <= int(found["port"]) <= 65_535
    good_ipc = endpoint.startswith("ipc:///") and is_plain(endpoint, len("ipc://") + _SOCKET_PATH_BYTES_MAX)
    if not (good_tcp or good_ipc) or not is_plain(endpoint, limits.ENDPOINT_BYTES_MAX):
        raise ConfigInvalid(f"{what}: endpoint {endpoint!r} must be tcp://HOST:PORT (port 1 to 65535) or ipc:///PATH")


def tcp_parts(endpoint: str) -> tuple[str, int] | None:
    """Host, without brackets, and port of a checked endpoint; None when it is no tcp endpoint."""
    found = _TCP.fullmatch(endpoint)
    return None if found is None else (found["host"].strip("[]"), int(found["port"]))


def group_from_cards(
    cards: Sequence[tuple[str, Card]],
    name: str,
    task: TaskSchema,
    parameters: Parameters,
    f: int | None = None,
    answers: int | None = None,
) -> Group:
    """The genesis of (file name, card) pairs in their order; f is the largest possible one unless given."""
    check_name(name, "the group")
    _refuse_twins(cards)
    owners = tuple(owner_from_card(card, OwnerId(i), what) for i, (what, card) in enumerate(cards))
    faults = most_faults(len(owners)) if f is None else f
    enough = len(owners) - faults if answers is None else answers
    return Group(name, faults, enough, owners, task, parameters)


def _refuse_twins(cards: Sequence[tuple[str, Card]]) -> None:
    keys = ("name", "owner_key", "node_key", "curve_key", "votes", "lanes", "clients", "catchup")
    seen: dict[tuple[str, str], tuple[int, str]] = {}
    for place, (what, card) in enumerate(cards):
        values: Mapping[str, str] = msgspec.structs.asdict(card)
        for key in keys:
            kind = "endpoint" if key in ("votes", "lanes", "clients", "catchup") else key
            first, other = seen.setdefault((kind, values[key]), (place, what))
            if first != place:
                raise ConfigInvalid(f"{other} and {what} have the same {kind} {values[key]}; each owner needs its own")
