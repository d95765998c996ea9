"""Faults for one node at a time: each is done, lasts a while, and is undone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from dropbeard.daemon.local_group import LocalGroup
from tests.chaos.relay import Relay

STATE_DISK_BYTES = 64 << 20
GROWTH_BYTES_PER_S = 512 << 10
"""What a journal may grow under this load, and some."""

GROWTH_S_MAX = 1_800
"""By then retention has passed, and what is pruned makes room for what comes."""

MOUNT_TIMEOUT_S = 10
CLOCK_JUMP_US = 400_000

Undo = Callable[[], None]


class Faults:
    """``make`` harms one node and gives back how to mend it. ``kinds`` are those that can be made here."""

    def __init__(self, local: LocalGroup, relays: list[Relay], disks: bool) -> None:
        self._local = local
        self._relays = relays
        self.kinds = ["kill node", "kill engine", "stop node", "cut links", "slow links", "clock jump"]
        if disks:
            self.kinds.append("full disk")

    def make(self, kind: str, victim: int, rng: random.Random) -> Undo:
        """Do it now."""
        config = self._local.configs[victim]
        match kind:
            case "kill node":
                return self._signal(f"node {config.stem}", signal.SIGKILL)
            case "kill engine":
                return self._signal(f"engine {config.stem}", signal.SIGKILL)
            case "stop node":
                self._signal(f"node {config.stem}", signal.SIGSTOP)
                return lambda: self._wake(f"node {config.stem}")
            case "cut links":
                self._relays[victim].set_cut(True)
                return lambda: self._relays[victim].set_cut(False)
            case "slow links":
                self._relays[victim].delay_s = rng.uniform(0.05, 0.3)
                return lambda: setattr(self._relays[victim], "delay_s", 0.0)
            case "clock jump":
                clock = config.parent / "clock"
                clock.write_text(str(rng.choice((-CLOCK_JUMP_US, CLOCK_JUMP_US))))
                return clock.unlink
            case _:
                return fill(config.parent / "state")

    def _wake(self, name: str) -> None:
        self._signal(name, signal.SIGCONT)

    def _signal(self, name: str, number: signal.Signals) -> Undo:
        pid = self._local.supervisor.pid(name)
        if pid is not None:
            os.kill(pid, number)
        return lambda: None


def fill(state: Path) -> Undo:
    """No byte left on the disk of a state directory."""
    ballast = state / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            pass
    return ballast.unlink


def mount_small_disk(state: Path, seconds: float) -> bool:
    """A file system of its own for a state directory; False where this user may not mount one."""
    state.mkdir(mode=0o700, exist_ok=True)
    size = STATE_DISK_BYTES + int(min(seconds, GROWTH_S_MAX) * GROWTH_BYTES_PER_S)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(state)]
    try:
        return subprocess.run(command, capture_output=True, timeout=MOUNT_TIMEOUT_S, check=False).returncode == 0
    except OSError:
        return False


def unmount(state: Path) -> None:
    """Take it away again."""
    subprocess.run(["umount", "-l", str(state)], capture_output=True, timeout=MOUNT_TIMEOUT_S, check=False)
