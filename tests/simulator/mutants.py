"""How planted bugs are looked for: each must be caught by the check that is there for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from dropbeard.agreement.effects import Effect
from dropbeard.signing.guard import Guard
from dropbeard.simulator.options import options_for
from dropbeard.simulator.run import run_world

SEEDS_MAX = 60
Patch = pytest.MonkeyPatch

STALLS = ("late", "lagging", "open", "no-outcome", "unordered", "down", "unanswered", "unchanged")
"""Checks of liveness; which of them comes first is chance."""

DOUBLE_VOTES = ("double-notarize", "double-finalize", "nullify-finalize", "notarize-finalize")


def caught_by(
    checks: Sequence[str],
    byzantine: str = "auto",
    seeds: Iterable[int] = range(1, SEEDS_MAX),
    stretch: int = 1,
    **trouble: int,
) -> str:
    """The first finding over the seeds; fails when there is none or another check made it.

    ``trouble``: options of every schedule that are not left to its seed.
    """
    tried = 0
    for seed in seeds:
        tried += 1
        report = run_world(replace(options_for(seed, 4, byzantine, stretch), **trouble))  # type: ignore[arg-type]
        found = [*report.violations, *report.stalls]
        if found:
            assert found[0].split(":")[0] in checks, found
            return found[0]
    pytest.fail(f"the mutant survived {tried} seeds")


def nothing(*_: Any) -> list[Effect]:
    """No effects."""
    return []


def without_guard(patch: Patch) -> None:
    """The oracle must see what the guard would have stopped."""
    patch.setattr(Guard, "promise", lambda self, statement: None)
