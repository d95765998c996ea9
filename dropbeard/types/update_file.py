"""A signed model update as a file: TOML for people, made where the owner key is, carried to the node (rule 4.3)."""

from __future__ import annotations

from typing import Final

import msgspec

from dropbeard.errors import ConfigInvalid
from dropbeard.types.cards import hex_bytes, is_plain
from dropbeard.types.ids import SIGNATURE_BYTES, Digest, Epoch, GroupId, OwnerId, Signature, Version
from dropbeard.types.lanes import SignedUpdate
from dropbeard.types.limits import NAME_BYTES_MAX
from dropbeard.types.statements import ModelUpdate
from dropbeard.types.toml_text import read_toml, table

UPDATE_FORMAT: Final = 1
UPDATE_BYTES_MAX: Final = 4 << 10


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    group: str
    epoch: int
    owner: int
    version: int
    model: str
    model_name: str
    signature: str


def update_to_toml(signed: SignedUpdate, model_name: str) -> str:
    """The file's text. ``model_name`` is a label that proves nothing."""
    update = signed.update
    row = {
        "format": UPDATE_FORMAT,
        "group": update.group.hex(),
        "epoch": int(update.epoch),
        "owner": int(update.owner),
        "version": int(update.version),
        "model": update.model.hex(),
        "model_name": model_name,
        "signature": signed.signature.hex(),
    }
    return table("", row)


def update_from_toml(text: str, what: str) -> SignedUpdate:
    """Read the file; ConfigInvalid names ``what`` and the key that is wrong. The signature is checked elsewhere."""
    file = read_toml(text, _File, what, newest=("", UPDATE_FORMAT))
    if not 0 <= file.epoch < 1 << 32 or not 0 <= file.owner < 1 << 16 or not 1 < file.version < 1 << 32:
        raise ConfigInvalid(f"{what}: epoch, owner or version is out of bounds")
    if not is_plain(file.model_name, NAME_BYTES_MAX):
        raise ConfigInvalid(f"{what}: model_name must be 1 to {NAME_BYTES_MAX} printable bytes")
    update = ModelUpdate(
        GroupId(hex_bytes(file.group, 32, "group", what)),
        Epoch(file.epoch),
        OwnerId(file.owner),
        Version(file.version),
        Digest(hex_bytes(file.model, 32, "model", what)),
    )
    return SignedUpdate(update, Signature(hex_bytes(file.signature, SIGNATURE_BYTES, "signature", what)))
