"""A task of four classes, its model, and an empty cache for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropbeard.serving.cache import store
from dropbeard.serving.catalogue import artefact_path
from dropbeard.serving.manifest import Manifest
from dropbeard.types.task import TaskSchema
from tests.serving.colours import manifest_of, mean_colour_model


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("DROPBEARD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def schema() -> TaskSchema:
    """Four classes, two of which make an answer."""
    return TaskSchema("colours", ("red", "green", "blue", "dark"), 2, 100_000, 10_000)


@pytest.fixture
def manifest(cache: Path) -> Manifest:
    """The mean-colour model, in the cache."""
    model = mean_colour_model()
    found = manifest_of(model)
    store(artefact_path(found), model)
    return found
