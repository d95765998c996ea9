"""``dropbeard bench``: the measurements of a checkout's perf folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import click

from dropbeard.errors import ConfigInvalid

NAMES: Final = (
    "batching",
    "client",
    "engines",
    "fanout",
    "gateway",
    "imagenet",
    "ordering",
    "peers",
    "scaling",
    "soak",
    "wan",
)
"""Each is a module of perf/ with ``bench(quick)``, which gives its figures."""


@click.command("bench")
@click.argument("name", type=click.Choice(NAMES))
@click.option("--quick", is_flag=True, help="One short run of each, under 50 seconds.")
@click.option("--json", "as_json", is_flag=True, help='One JSON object: {"figures": [...]}.')
def bench_command(name: str, quick: bool, as_json: bool) -> int:
    """Measure NAME on this machine: what the figures mean stands in perf/README.md.

    Scripts and floors are part of the repository, not of the installed package: run this with a checkout's own
    installation (`make dev`, then .venv/bin/dropbeard bench ...).
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / "perf" / "__main__.py").is_file():
        raise ConfigInvalid(
            "the measurements are not part of an installed package: clone the repository, run `make dev` in it, then "
            "its .venv/bin/dropbeard bench"
        )
    command = [sys.executable, "-m", "perf", name]
    command += ["--quick"] if quick else []
    command += ["--json"] if as_json else []
    return subprocess.run(command, cwd=root, check=False).returncode
