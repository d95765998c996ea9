"""How property tests run here: no deadline, because a busy machine is no defect, and repeatable in CI."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("dropbeard", deadline=None, print_blob=True, derandomize="CI" in os.environ)
settings.load_profile("dropbeard")
