"""The virtual environment of the peers: made by one command, found again by a name, asked what it has."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from perf._measure import ROOT

VARIABLE: Final = "DROPBEARD_PEERS"
DEFAULT: Final = ROOT / ".venv-peers"
ASK_TIMEOUT_S: Final = 60
NAMES: Final = ("mosec", "triton", "fastapi", "litserve", "pysyncobj")
"""Four serving systems, and one that orders."""

MODULES: Final = {name: name for name in NAMES} | {"triton": "pytriton"}
"""What each is imported as; Triton's binary comes with another package."""

_ASK: Final = "import importlib.util, sys; print(*[n for n in sys.argv[1:] if importlib.util.find_spec(n)])"


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment and which peers are in it."""

    directory: Path
    present: tuple[str, ...]

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.directory / "bin" / "python"

    @property
    def packages(self) -> Path:
        """Where its packages lie."""
        paths = {"base": str(self.directory), "platbase": str(self.directory)}
        return Path(sysconfig.get_path("purelib", "venv", paths))

    def variables(self, **more: str) -> dict[str, str]:
        """What a process of a peer sees."""
        path = f"{self.directory / 'bin'}:{os.environ.get('PATH', '')}"
        return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}

    def absent(self, names: Sequence[str]) -> dict[str, str]:
        """Peers among ``names`` that are not here, each with the command that installs it."""
        return {name: how_to_prepare(self.directory) for name in names if name not in self.present}


def how_to_prepare(directory: Path) -> str:
    """The command that installs all peers."""
    return (
        f"python -m perf.peers prepare {directory.relative_to(ROOT) if directory.is_relative_to(ROOT) else directory}"
    )


def find() -> Environment:
    """The environment that DROPBEARD_PEERS names, or .venv-peers of the checkout; perhaps with no peer in it."""
    directory = Path(os.environ.get(VARIABLE, DEFAULT)).absolute()
    empty = Environment(directory, ())
    if not empty.python.exists():
        return empty
    command = [str(empty.python), "-c", _ASK, *MODULES.values()]
    asked = subprocess.run(command, check=True, capture_output=True, text=True, timeout=ASK_TIMEOUT_S)
    found = asked.stdout.split()
    return Environment(directory, tuple(name for name in NAMES if MODULES[name] in found))


def prepare(directory: Path) -> Environment:
    """Make it, with this checkout and all peers; what is there already stays. CalledProcessError when pip fails."""
    subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
    pip = [str(directory / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--editable", f"{ROOT}[imagenet,peers]"], check=True)
    os.environ[VARIABLE] = str(directory)
    return find()
