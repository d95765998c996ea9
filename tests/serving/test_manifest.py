"""Manifests are read strictly, and name a model by everything that changes its answers."""

from __future__ import annotations

import struct

import pytest
from blake3 import blake3

from dropbeard.errors import ConfigInvalid
from dropbeard.serving.manifest import (
    MANIFEST_BYTES_MAX,
    Manifest,
    load_manifest,
    manifests,
    model_digest,
    parse_manifest,
)
from tests.serving.colours import TEXT, manifest_of

GOOD = TEXT.format(bytes=1, blake3="00" * 32, classes=4)


def test_four_models_answer_imagenet() -> None:
    assert [found.name for found in manifests()] == [
        "efficientnet-lite0",
        "efficientnet-lite1",
        "efficientnet-lite2",
        "squeezenet1.1",
    ]
    assert {found.task for found in manifests()} == {"imagenet"}


def test_the_models_have_different_digests() -> None:
    assert len({model_digest(found) for found in manifests()}) == 4


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("label =", "lable =", "lable"),
        ("crop = 0.5", "crop = 0.5\nsharpen = 1", "sharpen"),
        ("crop = 0.5", "crop = 1.5", "input.crop"),
        ("crop = 0.5\n", "", "crop"),
        ("size = 8", 'size = "8"', "input.size"),
        ("size = 8", "size = 100000", "input.size"),
        ('"rgb"', '"grb"', "channel_order"),
        ("0.0625, 0.0625, 0.0625", "0.0625", "input.scale"),
        ("00" * 32, "zz" * 32, "artefact.blake3"),
        ('"weights.pkl"', '"../weights.pkl"', "recipe.file"),
        ('"weights.pkl"', '"/etc/weights"', "recipe.file"),
        ('"mean-colour.onnx"', '"a/b.onnx"', "artefact.file"),
        ('name = "mean-colour"', 'name = "../up"', "name"),
        ('builder = "squeezenet"', 'builder = "anything"', "recipe.builder"),
        ("[input]", "[input", "test"),
    ],
)
def test_a_wrong_key_is_named(old: str, new: str, says: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigInvalid, match=says):
        parse_manifest(GOOD.replace(old, new, 1).encode(), "test")


@pytest.mark.parametrize("data", [b"\xff\xfe", b"\0", b"#" * (MANIFEST_BYTES_MAX + 1)])
def test_bytes_that_are_no_text_are_refused(data: bytes) -> None:
    with pytest.raises(ConfigInvalid):
        parse_manifest(data, "test")


@pytest.mark.parametrize("name", ["vgg", "..", "../engines/squeezenet1.1", "squeezenet1.1/", "", "README.md"])
def test_an_unknown_model_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigInvalid, match="efficientnet-lite0, efficientnet-lite1"):
        load_manifest(name)


def test_the_model_digest_covers_length_manifest_and_artefact() -> None:
    found = parse_manifest(GOOD.encode(), "test")
    covered = struct.pack("<I", len(GOOD)) + GOOD.encode() + bytes(32)
    expected = blake3(covered, derive_key_context="dropbeard 1 model digest").digest()
    assert model_digest(found) == expected


def test_a_changed_preprocessing_is_a_new_model() -> None:
    changed = parse_manifest(GOOD.replace("0.0625, 0.0625, 0.0625", "0.0625, 0.0625, 0.125").encode(), "test")
    assert model_digest(changed) != model_digest(parse_manifest(GOOD.encode(), "test"))


def test_a_changed_artefact_is_a_new_model() -> None:
    assert model_digest(manifest_of(b"one")) != model_digest(manifest_of(b"two"))


def test_a_manifest_keeps_the_bytes_of_its_file(manifest: Manifest) -> None:
    assert parse_manifest(manifest.file_bytes, "again") == manifest
