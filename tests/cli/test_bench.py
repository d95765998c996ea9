"""``dropbeard bench``: what it offers is what the checkout can measure."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest

import perf
from dropbeard.cli import bench
from dropbeard.cli.main import run


def test_every_name_that_is_offered_is_a_measurement_and_the_other_way_round() -> None:
    modules = [module.name for module in pkgutil.iter_modules(perf.__path__) if not module.name.startswith("_")]
    measured = [name for name in modules if hasattr(importlib.import_module(f"perf.{name}"), "bench")]
    assert sorted(measured) == sorted(bench.NAMES)


def test_outside_a_checkout_it_says_where_the_measurements_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "__file__", str(tmp_path / "site-packages" / "dropbeard" / "cli" / "bench.py"))
    assert run(["bench", "ordering"]) == 1
    assert "clone the repository" in capsys.readouterr().err


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "weather"]) == 2
    assert "weather" in capsys.readouterr().err
