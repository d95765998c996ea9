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
    artefact,
    artefact_bytes,
    artefact_path,
    fetch,
    fetch_set,
    is_ready,
    models_of,
)
from dropbeard.serving.manifest import Manifest, load_manifest
from tests.serving.colours import mean_colour_model

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
