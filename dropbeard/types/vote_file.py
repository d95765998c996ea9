"""An owner's vote for a change of the membership as a file: made where the owner key is, handed to a node (8.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from dropbeard.errors import ConfigInvalid
from dropbeard.types.cards import hex_bytes, is_plain
from dropbeard.types.ids import SIGNATURE_BYTES, Epoch, GroupId, OwnerId, Signature
from dropbeard.types.limits import CONFIGURATION_BYTES_MAX
from dropbeard.types.toml_text import read_toml, table

VOTE_FORMAT: Final = 1
VOTE_BYTES_MAX: Final = 2 * CONFIGURATION_BYTES_MAX + (4 << 10)
CHANGE_TEXT_BYTES_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class ChangeVote:
    """``owner`` of ``epoch`` wants this configuration next. ``configuration`` as in types.membership."""

    group: GroupId
    epoch: Epoch
    owner: OwnerId
    configuration: bytes
    signature: Signature


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    change: str
    group: str
    epoch: int
    owner: int
    configuration: str
    signature: str


def vote_to_toml(vote: ChangeVote, change: str) -> str:
    """The file's text. ``change`` says in words what follows from the configuration, and proves nothing."""
    row = {
        "format": VOTE_FORMAT,
        "change": change,
        "group": vote.group.hex(),
        "epoch": int(vote.epoch),
        "owner": int(vote.owner),
        "configuration": vote.configuration.hex(),
        "signature": vote.signature.hex(),
    }
    return table("", row)


def vote_from_toml(text: str, what: str) -> ChangeVote:
    """Read the file; ConfigInvalid names ``what`` and the key that is wrong. The signature is checked elsewhere."""
    file = read_toml(text, _File, what, newest=("", VOTE_FORMAT))
    if not 0 <= file.epoch < 1 << 32 or not 0 <= file.owner < 1 << 16:
        raise ConfigInvalid(f"{what}: epoch or owner is out of bounds")
    if not is_plain(file.change, CHANGE_TEXT_BYTES_MAX):
        raise ConfigInvalid(f"{what}: change must be 1 to {CHANGE_TEXT_BYTES_MAX} printable bytes")
    return ChangeVote(
        GroupId(hex_bytes(file.group, 32, "group", what)),
        Epoch(file.epoch),
        OwnerId(file.owner),
        hex_bytes(file.configuration, len(file.configuration) // 2, "configuration", what),
        Signature(hex_bytes(file.signature, SIGNATURE_BYTES, "signature", what)),
    )
