"""TensorRT says why only in its log; its calls return None or False."""

from __future__ import annotations

import functools
import logging
from typing import Any, Final

from dropbeard.serving.image_engine import one_line

log = logging.getLogger("dropbeard.tensorrt")

TEXT_MAX: Final = 400
"""Characters of TensorRT's that go into one of our errors."""


@functools.cache
def logger_of(trt: Any) -> Any:
    """The one logger of a process, which TensorRT keeps for ever.

    ``clear`` before a call, ``last_error`` after one that failed. TensorRT logs from threads of its own, so two calls
    that fail at once may be given each other's reason.
    """
    levels = {
        trt.ILogger.Severity.INTERNAL_ERROR: logging.ERROR,
        trt.ILogger.Severity.ERROR: logging.ERROR,
        trt.ILogger.Severity.WARNING: logging.WARNING,
    }

    class Log(trt.ILogger):  # type: ignore[misc]
        """To our log, the last error kept."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._error = ""

        def log(self, severity: Any, text: str) -> None:
            level = levels.get(severity, logging.DEBUG)
            if level == logging.ERROR:
                self._error = one_line(text)[:TEXT_MAX]
            log.log(level, "%s", text)

        def clear(self) -> None:
            """Forget what was said before the next call."""
            self._error = ""

        def last_error(self) -> str:
            """What TensorRT said last, or that it said nothing."""
            return self._error or "TensorRT gave no reason"

    return Log()
