"""An engine's own record of its starts beside its socket: a crash loop is slowed down, and its node can say so.

Whatever starts the engine again (systemd, the demo's supervisor, a shell loop), the back-off is here, since a service
manager counts the starts of a process and does not know whether one ever served.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

import msgspec

from dropbeard.transport.engine_link import SCHEME
from dropbeard.types.status import StartsPart

FREE_FAILURES: Final = 2
"""Starts may fail this often in a row before the next one waits."""

WAIT_FIRST_S: Final = 1.0
WAIT_MAX_S: Final = 60.0
STEADY_S: Final = 10.0
"""An engine that served this long is no part of a crash loop."""

RECORD_BYTES_MAX: Final = 8_192
FAILURE_CHARACTERS_MAX: Final = 400
MODE: Final = 0o640
NEVER: Final = StartsPart(0, 0, "ended", 0.0, "")


def record_path(endpoint: str) -> Path:
    """Where the engine behind an ipc endpoint keeps its record."""
    return Path(endpoint.removeprefix(SCHEME)).with_suffix(".starts")


def read_starts(endpoint: str) -> StartsPart | None:
    """The record; None when there is none that can be read: the engine may be anybody's."""
    try:
        with record_path(endpoint).open("rb") as file:
            found = msgspec.json.decode(file.read(RECORD_BYTES_MAX), type=StartsPart, strict=True)
    except (OSError, msgspec.MsgspecError):
        return None
    return msgspec.structs.replace(found, last_failure=plain(found.last_failure))


def plain(text: str) -> str:
    """On one line, and short."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(shown.split())[:FAILURE_CHARACTERS_MAX]


def wait_of(failed_in_row: int) -> float:
    """Seconds that a start waits after so many that failed."""
    doubled = failed_in_row - FREE_FAILURES - 1
    return 0.0 if doubled < 0 else min(WAIT_MAX_S, WAIT_FIRST_S * 2.0 ** min(doubled, 16))


class Starts:
    """The record of the engine that runs now. What cannot be written is left out: an engine serves without it."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        before = read_starts(endpoint) or NEVER
        failed = 0 if before.phase in ("ended", "steady") else before.failed_in_row + 1
        last = before.last_failure or "it ended without a word: killed, or out of memory"
        self._now = StartsPart(before.starts + 1, failed, "waiting", wait_of(failed), last if failed else "")
        self._steady_at: float | None = None
        self._write()

    @property
    def wait_s(self) -> float:
        """How long this start has to wait."""
        return self._now.wait_s

    @property
    def failed_in_row(self) -> int:
        """Starts before this one that came to nothing."""
        return self._now.failed_in_row

    def loading(self) -> None:
        """The wait is over."""
        self._change(phase="loading", wait_s=0.0)

    def serving(self) -> None:
        """The model is loaded and warm."""
        self._steady_at = time.monotonic() + STEADY_S
        self._change(phase="serving")

    def look(self) -> None:
        """Now and then: has it served long enough?"""
        if self._steady_at is not None and time.monotonic() >= self._steady_at:
            self._steady_at = None
            self._change(phase="steady", failed_in_row=0, last_failure="")

    def failed(self, why: str) -> None:
        """This start, or this life, ends in an error."""
        # A life that was steady and then failed begins a new row: the next start does not wait.
        phase = "steady" if self._now.phase == "steady" else "failed"
        self._change(phase=phase, last_failure=plain(why))

    def ended(self) -> None:
        """It was told to stop."""
        self._change(phase="ended", failed_in_row=0, wait_s=0.0)

    def _change(self, **values: object) -> None:
        self._now = msgspec.structs.replace(self._now, **values)
        self._write()

    def _write(self) -> None:
        path = record_path(self._endpoint)
        scratch = path.with_name(f"{path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_bytes(msgspec.json.encode(self._now))
            scratch.chmod(MODE)
            scratch.replace(path)
