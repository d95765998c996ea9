"""The portable verifier as its users have it: the one file that ``dropbeard verify --portable`` writes, as a module."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from dropbeard.verification.browser.page import portable_verifier


def _loaded() -> Any:
    module = ModuleType("verifier")
    exec(compile(portable_verifier(), "verifier.py", "exec"), module.__dict__)
    return module


portable: Any = _loaded()
