"""How a command hands a file to the running node of its machine: through the state directory, with word of the outcome.

The node takes the file from there, also after a restart, and leaves a result beside it.
"""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import Final

from dropbeard.errors import DropbeardError
from dropbeard.storage.files import read_text

log = logging.getLogger("dropbeard.node")

WORD_EVERY_S: Final = 0.05


class Tray:
    """One file at a time. ``what`` it is: "update", for ``update.toml`` and the result ``update.json``."""

    def __init__(self, directory: Path, what: str, refused: type[DropbeardError]) -> None:
        self.what = what
        self.wanted = directory / f"{what}.toml"
        self._result = directory / f"{what}.json"
        self._refused = refused

    # --- the command's side -------------------------------------------------------------------------------------------

    def hand_over(self, text: str) -> None:
        """Put a file there, whole or not at all; the error that refuses when one is there already."""
        self._result.unlink(missing_ok=True)
        scratch = self.wanted.with_name(f"{self.wanted.name}.{os.getpid()}")
        scratch.write_text(text)
        try:
            os.link(scratch, self.wanted)
        except FileExistsError:
            raise self._refused(
                f"{self.wanted} is there: another {self.what} is under way; wait for it, or remove it"
            ) from None
        finally:
            scratch.unlink()

    def wait_for_word(self, timeout_s: float) -> str:
        """What the node says of what was handed over; the error that refuses when it does, or says nothing."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            if self._result.exists() and not self.wanted.exists():
                told = json.loads(self._result.read_text())
                if not told["done"]:
                    raise self._refused(f"the node refuses the {self.what}: {told['detail']}")
                return str(told["detail"])
            time.sleep(WORD_EVERY_S)
        raise self._refused(
            f"no word from the node within {timeout_s:g} s; it takes the {self.what} when it runs, see its log"
        )

    # --- the node's side ----------------------------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Was nothing handed over?"""
        return not self.wanted.exists()

    def take(self, bytes_max: int) -> str:
        """What was handed over; ConfigInvalid when it cannot be read. It stays until ``finish``."""
        return read_text(self.wanted, bytes_max, f"the {self.what}")

    def finish(self, done: bool, detail: str) -> None:
        """The result stands before the file goes: whoever waits finds one of the two."""
        log.info("request-decided what=%s done=%s detail=%s", self.what, done, detail)
        scratch = self._result.with_suffix(".new")
        scratch.write_text(json.dumps({"done": done, "detail": detail}) + "\n")
        scratch.replace(self._result)
        self.wanted.unlink(missing_ok=True)
