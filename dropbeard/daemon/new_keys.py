"""New keys for the node of an owner that stays: two key files and a card, all of it or nothing (rule 8.4)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from dropbeard.errors import ConfigInvalid
from dropbeard.signing.curve import CurveSecret, write_curve_secret
from dropbeard.signing.ecdsa_p256 import PrivateKey
from dropbeard.signing.keys import write_private_key
from dropbeard.storage.files import read_card

NODE: Final = "next-node.key"
CURVE: Final = "next-curve.key"


@dataclass(frozen=True, slots=True)
class NewKeys:
    """Where they were made."""

    node: Path
    curve: Path
    card: Path


def make_new_keys(card: Path, passphrase: str | None = None) -> NewKeys:
    """Beside an owner's card: the keys, and a card that names them and is otherwise the same. ConfigInvalid when one of
    the files is there already; nothing is then changed."""
    before, directory = read_card(card), card.parent
    made = NewKeys(directory / NODE, directory / CURVE, directory / f"{before.name}.next.card.toml")
    for path in (made.node, made.curve, made.card):
        if path.exists():
            raise ConfigInvalid(f"{path} exists; keys are never overwritten: move it away if it is not needed")
    node, curve = PrivateKey.generate(), CurveSecret.generate()
    after = msgspec.structs.replace(before, node_key=node.public.to_bytes().hex(), curve_key=curve.public.hex())
    try:
        write_private_key(made.node, node, passphrase)
        write_curve_secret(made.curve, curve)
        made.card.write_text(after.to_toml(), encoding="utf-8")
    except OSError as wrong:
        raise ConfigInvalid(f"cannot write {wrong.filename}: {wrong.strerror}") from wrong
    return made
