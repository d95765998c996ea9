"""Run child processes, restart what crashes, leave nothing behind: for laptops and the demo, where systemd is not."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from dropbeard.daemon.process import DIE_WITH_PARENT
from dropbeard.errors import DropbeardError

STOP_S: Final = 8.0
"""From SIGTERM to SIGKILL."""

BACKOFF_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0
STEADY_S: Final = 10.0
"""A child that lived this long starts again without the back-off it had."""

LOG_TAIL_BYTES: Final = 2_000


@dataclass(frozen=True, slots=True)
class Child:
    """One process: its name, its command, and the file that gets its output."""

    name: str
    argv: tuple[str, ...]
    log: Path


@dataclass(slots=True)
class _Running:
    process: subprocess.Popen[bytes] | None
    started: float
    backoff: float = BACKOFF_S
    restart_at: float = 0.0


class Supervisor:
    """Use as a context manager: leaving it ends every child. Children also end when this process is killed.

    Call ``start`` and ``poll`` from a thread that lives as long as the children should: Linux ends a child with the
    thread that started it.
    """

    def __init__(self, children: Sequence[Child]) -> None:
        self._children = {child.name: child for child in children}
        self._running: dict[str, _Running] = {}
        self.restarts = 0

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start every child."""
        for child in self._children.values():
            self._running[child.name] = _Running(_spawn(child), time.monotonic())

    def poll(self) -> list[str]:
        """Restart children that ended, each after its back-off; the names of those that ended just now."""
        ended = []
        for name, running in self._running.items():
            now = time.monotonic()
            if running.process is not None and running.process.poll() is not None:
                ended.append(name)
                running.process = None
                if now - running.started > STEADY_S:
                    running.backoff = BACKOFF_S
                running.restart_at = now + running.backoff
                running.backoff = min(2 * running.backoff, BACKOFF_MAX_S)
            if running.process is None and now >= running.restart_at:
                running.process, running.started = _spawn(self._children[name]), now
                self.restarts += 1
        return ended

    def pid(self, name: str) -> int | None:
        """Process id of a child, None while it is down."""
        process = self._running[name].process
        return None if process is None else process.pid

    def last_line(self, name: str) -> str:
        """The last line that a child wrote."""
        try:
            with self._children[name].log.open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - LOG_TAIL_BYTES))
                lines = log.read().decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""

    def stop(self) -> None:
        """SIGTERM to all, SIGKILL to those that do not end in time; afterwards none is left."""
        processes = [running.process for running in self._running.values() if running.process is not None]
        for process in processes:
            process.terminate()
        until = time.monotonic() + STOP_S
        for process in processes:
            try:
                process.wait(max(0.01, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()


def _spawn(child: Child) -> subprocess.Popen[bytes]:
    environment = {**os.environ, DIE_WITH_PARENT: str(os.getpid())}
    try:
        with child.log.open("ab") as log:
            return subprocess.Popen(
                child.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
    except OSError as wrong:
        raise DropbeardError(f"cannot start {child.name}: {wrong.strerror}") from wrong
