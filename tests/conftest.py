"""How property tests run here: no deadline, because a busy machine is no defect, and repeatable in CI. A daemon that a
test ran in its own process logs to a stream that is gone after it: its handler goes with it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("dropbeard", deadline=None, print_blob=True, derandomize="CI" in os.environ)
settings.load_profile("dropbeard")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    logger = logging.getLogger("dropbeard")
    handlers, level = logger.handlers, logger.level
    yield
    logger.handlers = handlers
    logger.setLevel(level)
