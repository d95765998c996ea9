"""Where an installed package lies, found without running any of its code."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from dropbeard.errors import ExtraMissing

INSTALL = "pip install 'dropbeard[imagenet]'"


def package_directory(package: str) -> Path | None:
    """Folder of a top-level package, or None when it is not installed."""
    spec = find_spec(package)  # a top-level name is looked up, never imported
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def package_file(package: str, relative: str) -> Path:
    """A data file of an installed package; ``ExtraMissing`` when the package or the file is not there."""
    directory = package_directory(package)
    if directory is None:
        raise ExtraMissing(f"the package {package} is not installed: {INSTALL}")
    path = directory / relative
    if not path.is_file():
        raise ExtraMissing(f"the package {package} has no file {relative}: {INSTALL} --force-reinstall")
    return path
