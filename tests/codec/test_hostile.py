"""Hostile bytes never end the process: each group runs in a child, so that an abort is seen and its case named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).parent / "decode_in_child.py"
TIMEOUT_S = 60


def run_child(what: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CHILD), what], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


@pytest.mark.parametrize("what", ["corpus", "cuts", "mutants"])
def test_no_malformed_message_is_taken_or_ends_the_process(what: str) -> None:
    child = run_child(what)
    lines = child.stdout.splitlines() or ["nothing"]
    assert child.returncode == 0, f"died with {child.returncode} at: {lines[-1]}\n{child.stderr[-2000:]}"
    assert lines[-1] == "end"


def test_an_abort_of_the_child_is_noticed() -> None:
    assert run_child("abort").returncode < 0


@pytest.mark.parametrize("what", ["packed", "repr"])
def test_without_the_guard_the_same_bytes_do_harm(what: str) -> None:
    """The positive control: reading packed bytes, or showing a reader, ends the process or fails."""
    assert run_child(what).returncode != 0
