"""Read the text files that people give: bounded, with one line for every way it can fail."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dropbeard.errors import ConfigInvalid, MessageInvalid
from dropbeard.types.cards import Card, card_from_toml
from dropbeard.types.genesis_file import genesis_from_toml
from dropbeard.types.group import Group
from dropbeard.types.ids import GroupId
from dropbeard.types.limits import CARD_BYTES_MAX, CERTIFICATE_BYTES_MAX, GENESIS_BYTES_MAX, SUCCESSIONS_BYTES_MAX
from dropbeard.types.succession import Succession, decode_successions

DISCLOSED: Final = "disclosed"
"""The folder, in a node's state directory, of certificates that their holders disclosed to it (rule 8.2)."""


def read_text(path: Path, bytes_max: int, what: str) -> str:
    """The file's text; ConfigInvalid when it cannot be read, is too large or is not UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
        if len(data) > bytes_max:
            raise ConfigInvalid(f"{path} is larger than {what} may be ({bytes_max} bytes)")
        return data.decode()
    except OSError as wrong:
        raise ConfigInvalid(f"cannot read {what} {path}: {wrong.strerror}") from wrong
    except UnicodeDecodeError as wrong:
        raise ConfigInvalid(f"{path} is not {what}: it is not text") from wrong


def read_certificate(path: Path, bytes_max: int = CERTIFICATE_BYTES_MAX) -> bytes:
    """A certificate file's bytes, one more than ``bytes_max`` at most: whoever decodes them refuses more. OSError when
    it cannot be read."""
    with path.open("rb") as file:
        return file.read(bytes_max + 1)


def read_genesis(path: Path) -> Group:
    """The group of a genesis file."""
    return genesis_from_toml(read_text(path, GENESIS_BYTES_MAX, "the genesis file"), str(path))


def read_card(path: Path) -> Card:
    """An owner's public card."""
    return card_from_toml(read_text(path, CARD_BYTES_MAX, "the card"), str(path))


def read_successions(path: Path, group: GroupId) -> list[Succession]:
    """A file of what ended the epochs of a group (rule 8.4). Nothing in it is proved yet."""
    try:
        with path.open("rb") as file:
            data = file.read(SUCCESSIONS_BYTES_MAX)
        return decode_successions(data, group)
    except OSError as wrong:
        raise ConfigInvalid(f"cannot read {path}: {wrong.strerror}") from wrong
    except MessageInvalid as wrong:
        raise ConfigInvalid(f"{path}: {wrong}") from wrong
