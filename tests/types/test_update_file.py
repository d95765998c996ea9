"""A signed model update as a file (rule 4.3)."""

from __future__ import annotations

import pytest

from dropbeard.errors import ConfigInvalid
from dropbeard.types.ids import Digest, OwnerId, Signature, Version
from dropbeard.types.lanes import SignedUpdate
from dropbeard.types.statements import ModelUpdate
from dropbeard.types.update_file import update_from_toml, update_to_toml
from tests.agreement.pieces import GROUP

SIGNED = SignedUpdate(
    ModelUpdate(GROUP.id, GROUP.epoch, OwnerId(2), Version(2), Digest(b"m" * 32)), Signature(b"s" * 64)
)
TEXT = update_to_toml(SIGNED, "efficientnet-lite1")


def test_an_update_comes_back_from_its_file() -> None:
    assert update_from_toml(TEXT, "update.toml") == SIGNED


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("format = 1", "format = 2", "format 2 is unknown"),
        ("version = 2", "version = 1", "out of bounds"),
        ("version = 2", "version = 4294967296", "out of bounds"),
        ("owner = 2", "owner = -1", "out of bounds"),
        ("efficientnet-lite1", "", "model_name must be"),
        ("73" * 64, "73" * 63, "signature must be 128 lower-case hex digits"),
        ("6d" * 32, "6D" * 32, "model must be 64 lower-case hex digits"),
        ("epoch = 0", "epok = 0", "epok"),
    ],
)
def test_any_other_file_is_refused_with_the_key_that_is_wrong(old: str, new: str, wrong: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigInvalid, match=wrong) as refused:
        update_from_toml(TEXT.replace(old, new), "update.toml")
    assert str(refused.value).startswith("update.toml")
