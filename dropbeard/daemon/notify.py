"""Tell systemd what a daemon is doing, by the datagrams of sd_notify(3); without systemd nothing is said."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

EXTEND_EVERY_S: Final = 5.0
EXTEND_BY_S: Final = 30.0
"""What each message asks for: six of them may be lost before systemd gives the start up."""

EXTEND_MAX_S: Final = 1_800.0
"""A start that takes longer than this is left to systemd's own limit."""

STATUS_CHARACTERS_MAX: Final = 200


class Notifier:
    """Speaks to the socket that systemd named in the environment, if there is one."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        given = os.environ if environment is None else environment
        self._address = _address(given.get("NOTIFY_SOCKET", ""))
        self.watchdog_s = _watchdog_s(given) if self._address else None
        """How often systemd wants to hear that all is well; None: it does not ask."""

    def ready(self, status: str) -> None:
        """The start is over; what the daemon is, in a line."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def status(self, status: str) -> None:
        """A line for ``systemctl status``."""
        self._send(f"STATUS={_line(status)}")

    def alive(self) -> None:
        """A check of the daemon's own work succeeded."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1\nSTATUS=finishing what is under way")

    def extend(self, seconds: float) -> None:
        """The start, or the end, takes at most this much longer."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    @contextmanager
    def patience(self, status: str) -> Iterator[None]:
        """Ask for more time until the block ends: loading a model or replaying a journal takes what it takes."""
        if self._address is None:
            yield
            return
        over = threading.Event()
        thread = threading.Thread(target=self._extend_until, args=(over,), name="patience", daemon=True)
        self.status(status)
        self.extend(EXTEND_BY_S)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _extend_until(self, over: threading.Event) -> None:
        for _ in range(int(EXTEND_MAX_S / EXTEND_EVERY_S)):
            if over.wait(EXTEND_EVERY_S):
                return
            self.extend(EXTEND_BY_S)

    def _send(self, text: str) -> None:
        if self._address is None:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            try:
                out.setblocking(False)
                out.sendto(text.encode(), self._address)
            except OSError:  # systemd is being restarted, or reads slowly: a later message says the same
                return


def _address(name: str) -> str | None:
    """A path, or @ and an abstract name."""
    if name.startswith("/"):
        return name
    return "\0" + name[1:] if name.startswith("@") and len(name) > 1 else None


def _watchdog_s(given: Mapping[str, str]) -> float | None:
    """The interval, if it is asked of this process."""
    text, pid = given.get("WATCHDOG_USEC", ""), given.get("WATCHDOG_PID", "")
    if not text.isdecimal() or int(text) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(text) / 1e6


def _line(text: str) -> str:
    return " ".join(text.split())[:STATUS_CHARACTERS_MAX]
