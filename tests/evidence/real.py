"""The small parts of the core's tests, once more, over a group whose owners hold real P-256 keys."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any
from unittest import mock

from dropbeard.simulator.options import REAL_KEYS_EVERY, options_for

SOURCE = Path(__file__).resolve().parents[1] / "agreement" / "pieces.py"


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("tests.evidence.real_pieces", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    real = options_for(REAL_KEYS_EVERY, 4)
    with mock.patch("dropbeard.simulator.options.options_for", lambda *rest: real):
        spec.loader.exec_module(module)
    return module


pieces: Any = _load()
