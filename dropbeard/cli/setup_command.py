"""The step of building a wheel that makes manual pages and completion scripts; setuptools alone imports it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Final

from setuptools.command.build import build

ROOT: Final = Path(__file__).resolve().parents[2]
TIMEOUT_S: Final = 60


class BuildWithManual(build):  # type: ignore[misc]
    """Builds, and adds what belongs below ``share`` to the files that an installation brings along."""

    def run(self) -> None:
        """The usual steps, then ours."""
        super().run()
        share = Path(self.build_temp).resolve() / "share"
        # Another process: here dropbeard may be the one that is installed, not the one that is built.
        path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
        subprocess.run(
            [sys.executable, "-m", "dropbeard.cli.manual", str(share)],
            env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            check=True,
            timeout=TIMEOUT_S,
        )
        found: dict[str, list[str]] = defaultdict(list)
        for file in sorted(share.rglob("*")):
            if file.is_file():
                found[str("share" / file.parent.relative_to(share))].append(str(file))
        self.distribution.data_files = [*(self.distribution.data_files or []), *sorted(found.items())]
