"""Group cards from files, directories and nodes, each checked, none trusted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dropbeard.codec.client import decode_cards, encode_to_node
from dropbeard.errors import ConfigInvalid, DropbeardError, MessageInvalid
from dropbeard.marketplace.group_cards import Listed, latest, list_card
from dropbeard.signing.curve import CurveSecret
from dropbeard.storage.files import read_text
from dropbeard.transport.card_link import ask_node
from dropbeard.types.cards import check_endpoint
from dropbeard.types.genesis_file import genesis_from_toml
from dropbeard.types.group import Group
from dropbeard.types.group_card import SignedCard, cards_from_toml
from dropbeard.types.ids import GroupId
from dropbeard.types.limits import GENESIS_BYTES_MAX, GROUP_CARDS_BYTES_MAX
from dropbeard.types.messages import FetchCards
from dropbeard.types.toml_text import read_plain

SUFFIX: Final = ".card"
"""Files of a directory that are read: those of group cards."""

FILES_MAX: Final = 1_024
TIMEOUT_S: Final = 5.0
NODE: Final = re.compile(r"(?P<endpoint>(?:tcp|ipc)://[^#]+)#(?P<key>[0-9a-f]{64})")
"""A node of which no genesis is at hand: where it serves clients, and its CURVE key in hex."""


Found = list[tuple[SignedCard, str]]
"""Cards, and where each came from."""


@dataclass(slots=True)
class Catalogue:
    """Every card that could be read, one for each group; ``refused``: a line for each source or card that could not."""

    cards: list[Listed] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def gather(
    sources: Sequence[str], groups: Sequence[Group] = (), key: CurveSecret | None = None, timeout_s: float = TIMEOUT_S
) -> Catalogue:
    """Cards of all sources, each a file, a directory, a genesis file (whose nodes are asked), or ENDPOINT#KEY.

    ``groups``: genesis at hand beside those among the sources, against which the cards of these groups are held;
    ``key``: what to ask nodes with, a fresh one if not said.
    """
    known = {group.id: group for group in groups}
    found: Found = []
    catalogue = Catalogue()
    for source in sources:
        for part in _parts(source, catalogue):
            try:
                found += _cards(part, known, key or CurveSecret.generate(), timeout_s, catalogue)
            except DropbeardError as wrong:
                catalogue.refused.append(str(wrong))
    for signed, place in found:
        try:
            catalogue.cards.append(list_card(signed, place, known.get(signed.card.group)))
        except ConfigInvalid as wrong:
            catalogue.refused.append(str(wrong))
    catalogue.cards = latest(catalogue.cards)
    return catalogue


def _parts(source: str, catalogue: Catalogue) -> Iterator[str]:
    """The files of a directory by name; anything else is itself."""
    path = Path(source)
    if NODE.fullmatch(source) or not path.is_dir():
        yield source
        return
    files = sorted(path.glob(f"*{SUFFIX}"))
    if not files:
        catalogue.refused.append(f"{source} holds no *{SUFFIX} file")
    if len(files) > FILES_MAX:
        catalogue.refused.append(f"{source} holds {len(files)} *{SUFFIX} files, the first {FILES_MAX} are read")
    yield from map(str, files[:FILES_MAX])


def _cards(source: str, known: dict[GroupId, Group], key: CurveSecret, timeout_s: float, catalogue: Catalogue) -> Found:
    node = NODE.fullmatch(source)
    if node is not None:
        check_endpoint(node["endpoint"], source)
        return ask(node["endpoint"], bytes.fromhex(node["key"]), key, timeout_s)
    text = read_text(Path(source), GENESIS_BYTES_MAX, "a file of group cards or a genesis")
    if "card" not in read_plain(text, source):
        group = genesis_from_toml(text, source)
        known[group.id] = group
        return _ask_any(group, key, timeout_s, catalogue)
    if len(text.encode()) > GROUP_CARDS_BYTES_MAX:
        raise ConfigInvalid(f"{source} is larger than group cards may be ({GROUP_CARDS_BYTES_MAX} bytes)")
    return [(signed, source) for signed in cards_from_toml(text, source)]


def _ask_any(group: Group, key: CurveSecret, timeout_s: float, catalogue: Catalogue) -> Found:
    """What the first of a group's nodes shows that answers with cards."""
    for owner in group.owners:
        try:
            found = ask(owner.endpoints.clients, owner.curve_key, key, timeout_s)
        except DropbeardError as wrong:
            catalogue.refused.append(f"{owner.name}: {wrong}")
            continue
        if found:
            return found
    return []


def ask(endpoint: str, server_key: bytes, key: CurveSecret, timeout_s: float) -> Found:
    """The cards that a node shows. TransportFailed when it does not answer, ConfigInvalid when it sends no cards."""
    question = encode_to_node(FetchCards())
    try:
        shown = ask_node(endpoint, server_key, key, question, decode_cards, timeout_s)
        text = shown.toml.decode()
    except (MessageInvalid, UnicodeDecodeError) as wrong:
        raise ConfigInvalid(f"{endpoint} sent what are no group cards: {wrong}") from wrong
    return [(signed, endpoint) for signed in cards_from_toml(text, endpoint)] if text else []
