"""The repository keeps its own style: tests, not memory, hold sizes, words, docstrings and the layout."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
GIT_TIMEOUT_S = 30

PACKAGE_LINKS = {"schemas": "../schemas", "engines": "../engines", "units": "../systemd"}
FOLDERS = {".ci", "docs", "dropbeard", "engines", "perf", "schemas", "systemd", "tests"}
FILES = {
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "LICENSE",
    "MANIFEST.in",
    "Makefile",
    "README.md",
    "pyproject.toml",
    "ruff.toml",
    "setup.cfg",
}
# Spelled in halves, or this file would break its own rule.
UNFINISHED = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]))
NAMED = re.compile(
    r"(?<![\w./-])(?:docs|dropbeard|engines|perf|schemas|systemd|tests)/[\w./-]*\w\.(?:md|py|pml|capnp|toml|conf|service)\b"
)
EMPTY_WORDS = {"common", "helper", "helpers", "manager", "misc", "util", "utils"}


def tracked_files() -> list[Path]:
    """Every file that a fresh clone holds."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=GIT_TIMEOUT_S
    )
    return [Path(name) for name in listed.stdout.split("\0") if name]


def python_files() -> list[Path]:
    """Every Python file that is ours, also those not yet committed."""
    folders = [ROOT / "dropbeard", ROOT / "engines", ROOT / "tests", ROOT / "perf"]
    found = [path for folder in folders for path in folder.rglob("*.py")]
    return [path.relative_to(ROOT) for path in sorted(set(found)) if "__pycache__" not in path.parts]


def too_long_functions(source: str) -> list[str]:
    """Names and lengths of the functions in ``source`` that are longer than allowed."""
    lengths = [
        (node.name, (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [f"{name} has {lines} lines" for name, lines in lengths if lines > FUNCTION_LINES_MAX]


@pytest.mark.parametrize("path", python_files(), ids=str)
def test_a_file_fits_in_the_head(path: Path) -> None:
    source = (ROOT / path).read_text(encoding="utf-8")
    assert len(source.splitlines()) <= FILE_LINES_MAX
    assert too_long_functions(source) == []


def test_a_function_over_the_limit_is_found() -> None:
    body = "    pass\n" * FUNCTION_LINES_MAX
    assert too_long_functions(f"def long():\n{body}") == [f"long has {FUNCTION_LINES_MAX + 1} lines"]


@pytest.mark.parametrize("path", [path for path in python_files() if path.parts[0] != "tests"], ids=str)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", python_files(), ids=str)
def test_a_file_is_named_for_what_it_holds(path: Path) -> None:
    assert EMPTY_WORDS.isdisjoint(path.with_suffix("").parts)


def test_nothing_is_left_half_done() -> None:
    texts = [path for path in tracked_files() if path.suffix != ".md" and (ROOT / path).is_file()]
    unfinished = [
        f"{path}:{number}"
        for path in texts
        for number, line in enumerate((ROOT / path).read_bytes().splitlines(), start=1)
        if UNFINISHED.search(line.decode("utf-8", errors="replace"))
    ]
    assert unfinished == []


def test_a_file_that_a_page_names_exists() -> None:
    pages = [path for path in tracked_files() if path.suffix == ".md"]
    missing = [
        f"{page}: {named}"
        for page in pages
        for named in NAMED.findall((ROOT / page).read_text(encoding="utf-8"))
        if not (ROOT / named).exists() and not (ROOT / page.parent / named).exists()
    ]
    assert missing == []


def test_the_top_level_holds_what_the_architecture_names() -> None:
    tracked = tracked_files()
    assert {path.parts[0] for path in tracked if len(path.parts) > 1} == FOLDERS
    assert {path.name for path in tracked if len(path.parts) == 1} == FILES


def test_the_package_reads_its_data_through_relative_links() -> None:
    links = {name: str((ROOT / "dropbeard" / name).readlink()) for name in PACKAGE_LINKS}
    assert links == PACKAGE_LINKS


def test_pyproject_only_names_the_build_system() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "[build-system]"
    assert [line.split(" = ")[0] for line in lines[1:]] == ["requires", "build-backend"]
