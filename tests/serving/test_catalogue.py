"""Models are made once, pinned by digest, and refused when they differ."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dropbeard.errors import ConfigInvalid, ModelMissing
from dropbeard.serving.cache import has_digest
from dropbeard.serving.catalogue import (
    Progress,
    Stage,
    add,
    artefact,
    artefact_bytes,
    artefact_path,
    fetch,
    fetch_set,
    is_ready,
    models_of,
)
from dropbeard.serving.manifest import Manifest, load_manifest, manifests, manifests_by_digest, model_digest
from tests.serving.colours import manifest_of, mean_colour_model

CHILD_TIMEOUT_S = 60

WITHOUT_ONNX = """
import sys
sys.modules["onnx"] = None
from dropbeard.errors import ExtraMissing
from dropbeard.serving.catalogue import fetch
try:
    fetch("squeezenet1.1", lambda progress: print(progress.stage.name))
except ExtraMissing as error:
    print(error)
"""


def without_onnx(cache: Path) -> list[str]:
    """Fetch SqueezeNet where the package onnx is not installed; the lines it prints."""
    environment = os.environ | {"DROPBEARD_CACHE": str(cache)}
    command = [sys.executable, "-c", WITHOUT_ONNX]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=CHILD_TIMEOUT_S, check=True)
    return done.stdout.splitlines()


def test_a_model_that_was_never_fetched_names_the_command() -> None:
    with pytest.raises(ModelMissing, match="dropbeard models fetch imagenet"):
        artefact("squeezenet1.1")


def test_an_artefact_with_its_digest_is_ready(manifest: Manifest) -> None:
    assert is_ready(manifest)
    assert artefact_bytes(manifest) == mean_colour_model()


def test_an_artefact_with_another_digest_is_refused(manifest: Manifest) -> None:
    damaged = bytearray(mean_colour_model())
    damaged[-1] ^= 1
    artefact_path(manifest).write_bytes(damaged)
    assert not is_ready(manifest)
    with pytest.raises(ModelMissing, match="not the file that its manifest names"):
        artefact_bytes(manifest)


def test_an_unknown_set_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigInvalid, match="imagenet"):
        models_of("speech")


def test_without_the_converter_the_extra_is_named(cache: Path) -> None:
    lines = without_onnx(cache)
    assert lines[0] == "MAKING"
    assert "pip install 'dropbeard[imagenet]'" in lines[1]


@pytest.mark.system
def test_the_set_is_made_once_with_the_pinned_digests(cache: Path) -> None:
    seen: list[Progress] = []
    paths = fetch_set("imagenet", seen.append)
    assert [step.stage for step in seen] == [Stage.MAKING, Stage.READY] * 4
    assert [(step.done, step.total) for step in seen[::2]] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for path, found in zip(paths, models_of("imagenet"), strict=True):
        assert has_digest(path.read_bytes(), found.artefact.blake3)
        assert path.stat().st_size == found.artefact.bytes
        assert artefact(found.name) == path
    seen.clear()
    assert fetch_set("imagenet", seen.append) == paths
    assert [step.stage for step in seen] == [Stage.CACHED] * 4


@pytest.mark.system
def test_a_cached_model_needs_no_converter(cache: Path) -> None:
    fetch("squeezenet1.1")
    assert without_onnx(cache) == ["CACHED"]


@pytest.mark.system
def test_a_damaged_artefact_is_made_again() -> None:
    path = fetch("squeezenet1.1")
    path.write_bytes(b"damaged")
    seen: list[Progress] = []
    assert fetch("squeezenet1.1", seen.append) == path
    assert [step.stage for step in seen] == [Stage.MAKING, Stage.READY]
    assert is_ready(load_manifest("squeezenet1.1"))


def own_model(folder: Path, old: str = "", new: str = "") -> tuple[Path, Path]:
    """The files of an owner's own model, which has no recipe; one piece of its manifest may be another."""
    text = manifest_of(mean_colour_model()).file_bytes.decode()
    start, end = text.index("[recipe]"), text.index("[artefact]")
    manifest, model = folder / "manifest.toml", folder / "model.onnx"
    manifest.write_text((text[:start] + text[end:]).replace(old, new))
    model.write_bytes(mean_colour_model())
    return manifest, model


def test_a_model_of_ones_own_is_known_by_name_and_digest(tmp_path: Path) -> None:
    added = add(*own_model(tmp_path))
    assert load_manifest("mean-colour") == added
    assert manifests_by_digest()[model_digest(added)] == added
    assert artefact("mean-colour").read_bytes() == mean_colour_model()
    assert len(manifests()) == 5


def test_a_model_is_added_twice_without_harm(tmp_path: Path) -> None:
    assert add(*own_model(tmp_path)) == add(*own_model(tmp_path))


def test_another_model_of_the_same_name_is_refused(tmp_path: Path) -> None:
    add(*own_model(tmp_path))
    with pytest.raises(ConfigInvalid, match="there is another model 'mean-colour' already"):
        add(*own_model(tmp_path, "crop = 0.5", "crop = 0.6"))


def test_a_packaged_models_name_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"there is another model 'squeezenet1.1' already"):
        add(*own_model(tmp_path, '"mean-colour"', '"squeezenet1.1"'))


def test_an_artefact_that_the_manifest_does_not_name_is_refused_with_what_to_write(tmp_path: Path) -> None:
    manifest, model = own_model(tmp_path)
    model.write_bytes(b"another model")
    with pytest.raises(ConfigInvalid, match=r"write bytes = 13 and blake3 = \"[0-9a-f]{64}\" under \[artefact\]"):
        add(manifest, model)
    assert len(manifests()) == 4


def test_files_that_are_not_there_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="cannot read .*nothing"):
        add(tmp_path / "nothing", tmp_path / "nothing")


def test_an_added_model_is_not_fetched_with_the_others(tmp_path: Path) -> None:
    add(*own_model(tmp_path, 'task = "colours"', 'task = "imagenet"'))
    assert len(fetch_set("imagenet")) == 4


def test_an_added_model_whose_artefact_is_gone_names_the_command(tmp_path: Path) -> None:
    artefact_path(add(*own_model(tmp_path))).unlink()
    with pytest.raises(ModelMissing, match="run: dropbeard models add MANIFEST ARTEFACT"):
        fetch("mean-colour")
