"""Runs spin on the model of the voting rules; an answer that is not exhaustive is an error, not an answer."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

MODEL = Path(__file__).with_name("voting.pml")
DEPTH_MAX = 1_000
MEMORY_MAX_MIB = 2_000
BUILD_TIMEOUT_S = 120
SEARCH_TIMEOUT_S = 900

needs_spin = pytest.mark.skipif(shutil.which("spin") is None, reason="the model checker spin is not installed")


class SearchIncompleteError(Exception):
    """The checker stopped for another reason than a violation or the end of the state space."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checker found: an assertion that some reachable state breaks, or none in all of ``states``."""

    violated: str | None
    states: int


def check(
    folder: Path, *defines: str, large: bool = False, depth: int = DEPTH_MAX, memory_mib: int = MEMORY_MAX_MIB
) -> Verdict:
    """Search every reachable state of the model as the ``defines`` shape it; optimised code only pays if ``large``."""
    _run(folder, BUILD_TIMEOUT_S, "spin", "-a", *(f"-D{define}" for define in defines), str(MODEL))
    options = ["-O2" if large else "-O0", "-w", "-DSAFETY", "-DNOREDUCE", "-DNOFAIR", f"-DMEMLIM={memory_mib}"]
    _run(folder, BUILD_TIMEOUT_S, "gcc", *options, "-o", "pan", "pan.c")
    return verdict(_run(folder, SEARCH_TIMEOUT_S, "./pan", f"-m{depth}", "-n"))


def verdict(output: str) -> Verdict:
    """Read the checker's report, and trust it only if it is whole."""
    stored = re.search(r"^ *(\d+) states, stored", output, re.MULTILINE)
    errors = re.search(r"errors: (\d+)$", output, re.MULTILINE)
    broken = re.search(r"^pan:1: assertion violated +(?!- invalid)(.*) \(at depth \d+\)$", output, re.MULTILINE)
    bounded = "max search depth too small" in output or "out of memory" in output
    if stored is None or errors is None or "Full statespace search" not in output or bounded:
        raise SearchIncompleteError(output)
    if broken is None and (errors[1] != "0" or "Search not completed" in output):
        raise SearchIncompleteError(output)
    return Verdict(broken[1] if broken else None, int(stored[1]))


def _run(folder: Path, timeout_s: int, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=timeout_s)
    if done.returncode != 0:
        raise SearchIncompleteError(f"{command[0]} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr
