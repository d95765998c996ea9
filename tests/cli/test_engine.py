"""``dropbeard engine`` and ``dropbeard models``: what they print, and one line when they cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dropbeard.cli.main import run
from dropbeard.serving.packages import package_directory

needs_no_gpu = pytest.mark.skipif(package_directory("pycuda") is not None, reason="pycuda is installed")


@needs_no_gpu
@pytest.mark.parametrize("verb", ["build", "check"])
def test_without_tensorrt_there_is_one_line_and_exit_code_1(verb: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["engine", verb, "efficientnet-lite0", "--backend", "tensorrt"]) == 1
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("dropbeard: the tensorrt backend needs the package pycuda: pip install")


@pytest.mark.parametrize("verb", ["build", "check"])
def test_a_model_that_is_not_known_lists_those_there_are(verb: str, capfd: pytest.CaptureFixture[str]) -> None:
    backend = "tensorrt" if verb == "build" else "onnx"
    assert run(["engine", verb, "no-such-model", "--backend", backend]) == 1
    assert "the models are efficientnet-lite0, " in capfd.readouterr().err


def test_the_list_has_the_backends_of_each_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["models"]
    assert [set(row) for row in rows] == [{"name", "version", "digest", "backends", "ready"}] * len(rows)
    assert all(row["backends"] == ["onnx", "openvino", "tensorrt"] for row in rows)


def test_a_model_that_cannot_be_added_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "manifest.toml").write_text("name = 1")
    assert run(["models", "add", str(tmp_path / "manifest.toml"), str(tmp_path / "model.onnx")]) == 1
    assert "manifest.toml is not a manifest" in capfd.readouterr().err
