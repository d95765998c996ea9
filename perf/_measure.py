"""What every measurement says beside its number: the machine, the commit, the runs; and CPU time of processes."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
TICKS_S: Final = os.sysconf("SC_CLK_TCK")


class Length(NamedTuple):
    """Of a measurement: how many runs, and of each the seconds that count and those before them that do not."""

    runs: int
    seconds: float
    warm_s: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a report. ``value`` is the median of ``runs``; ``floor`` the median of what it is held against in
    the same run, ``ratio`` the median of the ratios of each run to its own floor; both None where nothing is.
    """

    figure: str
    value: float
    unit: str
    runs: Sequence[float]
    floor: float | None = None
    ratio: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def figure(name: str, unit: str, runs: Sequence[float], floors: Sequence[float] = (), **detail: Any) -> Figure:
    """Medians of runs that alternated with their floors."""
    ratios = [run / floor for run, floor in zip(runs, floors, strict=True)] if floors else []
    return Figure(
        name,
        round(statistics.median(runs), 3),
        unit,
        [round(run, 3) for run in runs],
        round(statistics.median(floors), 3) if floors else None,
        round(statistics.median(ratios), 3) if ratios else None,
        detail,
    )


def report(figures: Sequence[Figure]) -> str:
    """One JSON object, each figure with machine and commit."""
    where = {"machine": machine(), "commit": commit()}
    return json.dumps({"figures": [asdict(one) | where for one in figures]})


def machine() -> str:
    """Processor, cores, memory, system and Python, in one line."""
    cpu = next((line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "")
    memory = next((line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0")
    system = next((line.split("=", 1)[1].strip('"') for line in _lines("/etc/os-release") if "PRETTY" in line), "")
    cores = len(os.sched_getaffinity(0))
    return f"{cores} x {cpu}, {int(memory) >> 20} GiB, {system}, Python {platform.python_version()}"


def commit() -> str:
    """The commit that is checked out, marked when files differ from it."""
    try:
        name = _git("rev-parse", "--short", "HEAD")
        return name + ("-changed" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*command: str) -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), *command], check=True, capture_output=True, text=True, timeout=10
    ).stdout.strip()


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_S


class CpuMeter:
    """CPU time that processes, by name, used since it was made."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._before = {name: cpu_seconds(pid) for name, pid in pids.items()}

    def seconds(self) -> dict[str, float]:
        """Of each process."""
        return {name: cpu_seconds(pid) - self._before[name] for name, pid in self._pids.items()}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of them do not pass; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
