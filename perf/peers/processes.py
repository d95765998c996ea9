"""Servers of others as processes: each the leader of a session of its own, so that all it starts ends with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from perf._measure import ROOT, TICKS_S

READY_S: Final = 90.0
ASK_S: Final = 2.0
PAUSE_S: Final = 0.1
STOP_S: Final = 6.0
SHARED_MEMORY: Final = Path("/dev/shm")


class Server:
    """One running server; ``ready`` answers 200 once it serves."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], ready: str, log: Path) -> None:
        self.name = name
        self._process = process
        self.ready = ready
        self._log = log

    def wait_until_ready(self) -> None:
        """SystemExit with the end of its log when it does not come up."""
        until = time.monotonic() + READY_S
        while not _answers(self.ready):
            if self._process.poll() is not None or time.monotonic() > until:
                lines = self._log.read_text(errors="replace").strip().splitlines()[-5:]
                raise SystemExit(f"{self.name} does not serve: {' | '.join(lines)}")
            time.sleep(PAUSE_S)

    def cpu_seconds(self) -> float:
        """Of all its living processes."""
        return session_cpu_seconds(self._process.pid)

    def pause(self) -> None:
        """Take the cores from it: one that looks for work all the time would take its part from who is measured."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After a pause."""
        self._signal(signal.SIGCONT)

    def ask_to_end(self) -> None:
        """Several servers end sooner when all are asked before the first is waited for."""
        self.go_on()
        self._signal(signal.SIGTERM)

    def stop(self) -> None:
        """Ask it to end; what has not ended a moment later is ended, and its shared memory is removed."""
        self.ask_to_end()
        until = time.monotonic() + STOP_S
        while self._process.poll() is None or any(True for _ in _session(self._process.pid)):
            if time.monotonic() > until:
                self._signal(signal.SIGKILL)
                break
            time.sleep(PAUSE_S)
        self._process.wait()
        for left in SHARED_MEMORY.glob(f"{shared_name(self._process.pid)}*"):
            left.unlink(missing_ok=True)

    def _signal(self, number: signal.Signals) -> None:
        # Its process group has its pid: nothing else of this machine is in it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


@contextmanager
def serving(
    name: str, command: Sequence[str], variables: Mapping[str, str], ready: str, directory: Path
) -> Iterator[Server]:
    """A server that was started, perhaps not ready yet; it ends with the block. Its log is kept in ``directory``."""
    log = directory / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=dict(variables),
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    server = Server(name, process, ready, log)
    try:
        yield server
    finally:
        server.stop()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=ASK_S) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def shared_name(pid: int) -> str:
    """What a server's shared memory is called, where it can be told so."""
    return f"dropbeard-peer-{pid}-"


def session_cpu_seconds(leader: int) -> float:
    """User and system time of every living process of a session, with what its ended children used."""
    return sum(sum(map(int, fields[11:15])) for fields in _session(leader)) / TICKS_S


def _session(leader: int) -> Iterator[list[str]]:
    """What the kernel says of each process of a session that has not ended, from its state on."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (path / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == leader and fields[0] != "Z":
                    yield fields
