"""What every daemon process needs: an end by signal, one log handler, and no life after its parent if asked."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

DIE_WITH_PARENT: Final = "DROPBEARD_DIE_WITH_PARENT"
"""Environment variable: the pid of the parent without which this process must not go on."""

GARBAGE_THRESHOLDS: Final = (50_000, 20, 20)
"""New objects before the youngest are searched, and how many such searches go before one of each older generation."""

KEPT_BUFFER_BYTES: Final = 4 << 20
"""Larger buffers come from the kernel one by one and go back at once."""

KEPT_BYTES: Final = 256 << 20
"""Free memory at the end of the heap before it goes back."""

PRIORITIES: Final = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))
"""The journal's priority of everything from a level on."""

LINES_MAX: Final = 30
WINDOW_S: Final = 30.0
"""Lines of one event that are logged in so long."""

EVENTS_MAX: Final = 128
"""Names of events that are counted apart; a daemon has some thirty."""

OTHER_EVENTS: Final = "other-events"
LEFT_OUT: Final = "log-left-out"

STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
SIGNALS_READ: Final = 4_096

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_PR_SET_PDEATHSIG: Final = 1


class StopSignal:
    """SIGTERM or SIGINT. The C handler itself writes each signal's number to ``fd``, whichever thread it interrupts: a
    handler in Python would run only after a wait that began between the signal and it. Of one process one at a time.
    """

    def __init__(self) -> None:
        self.fd, self._told = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        """Readable when a signal came, also one that another handler is for, until ``asked`` is looked at."""
        self._asked = False
        for number in STOPPING:
            signal.signal(number, _nothing)
        signal.set_wakeup_fd(self._told, warn_on_full_buffer=False)

    @property
    def asked(self) -> bool:
        """Did one come? The loop looks once a turn."""
        with contextlib.suppress(BlockingIOError):
            while came := os.read(self.fd, SIGNALS_READ):
                self._asked = self._asked or any(number in came for number in STOPPING)
        return self._asked

    def wait(self) -> None:
        """Until one comes."""
        while not self.asked:
            select.select([self.fd], [], [])


def _nothing(number: int, frame: FrameType | None) -> None:
    """Without a handler the signal would end the process."""


class HangupSignal:
    """SIGHUP, which would otherwise end the process; it is seen once, and writing to ``fd`` wakes a poll at once."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        signal.signal(signal.SIGHUP, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        os.eventfd_write(self.fd, 1)

    def taken(self) -> bool:
        """Did it come since the last call?"""
        with contextlib.suppress(BlockingIOError):
            return os.eventfd_read(self.fd) > 0
        return False


def die_with_parent() -> None:
    """Have the kernel send SIGTERM when the parent ends, if the parent asked for that (Linux only)."""
    parent = os.environ.get(DIE_WITH_PARENT)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if str(os.getppid()) != parent:  # it ended before we asked
        sys.exit(0)


def pace_garbage() -> None:
    """Look for cycles seldom: what a daemon keeps for long has none, and a search through it stops the loop."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


def keep_memory() -> None:
    """Have glibc keep freed buffers of the size of inputs: each that is given back costs page faults anew."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, KEPT_BUFFER_BYTES)
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)


class JournalFormatter(logging.Formatter):
    """Lines for systemd's journal, which keeps the time itself: each begins with its priority (sd-daemon(3))."""

    def __init__(self) -> None:
        super().__init__("%(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Every line of an event, a traceback's too, has the event's priority."""
        priority = next(value for least, value in PRIORITIES if record.levelno >= least)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


class RateLimit(logging.Filter):
    """Lets LINES_MAX lines of an event through in a window of WINDOW_S, by the event's name, and says at the next line
    after it how many were left out. No event of a node's own work comes near that; what peers and clients cause may.
    """

    def __init__(self, handler: logging.Handler, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._handler = handler
        self._clock = clock
        self._windows: dict[str, tuple[float, int]] = {}
        """By event: when its window began, and how many lines came in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Does the line go out?"""
        event = str(record.msg).partition(" ")[0]
        if event == LEFT_OUT:
            return True
        now = self._clock()
        for name in [name for name, (began, _) in self._windows.items() if now - began >= WINDOW_S]:
            self._end(name, record.name)
        if event not in self._windows and len(self._windows) >= EVENTS_MAX:
            event = OTHER_EVENTS
        began, count = self._windows.get(event, (now, 0))
        self._windows[event] = began, count + 1
        return count < LINES_MAX

    def _end(self, name: str, logger: str) -> None:
        left_out = self._windows.pop(name)[1] - LINES_MAX
        if left_out > 0:
            text, values = LEFT_OUT + " event=%s count=%d", (name, left_out)
            self._handler.handle(logging.LogRecord(logger, logging.WARNING, "", 0, text, values, None))


def is_journal(descriptor: int, stream: str | None) -> bool:
    """Does a descriptor lead to the journal? ``stream`` is what systemd says in JOURNAL_STREAM."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return stream == f"{status.st_dev}:{status.st_ino}"


def log_to_stderr(level: str) -> None:
    """One handler: time, level, logger, event with key=value details; for the journal, priority instead of the first
    two."""
    handler = logging.StreamHandler(sys.stderr)
    journal = is_journal(2, os.environ.get("JOURNAL_STREAM"))
    plain = logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    handler.setFormatter(JournalFormatter() if journal else plain)
    handler.addFilter(RateLimit(handler))
    logger = logging.getLogger("dropbeard")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
