"""A model update from its file to the lane, and word of what came of it (rule 4.3).

``dropbeard model update`` puts the file into the node's state directory; the node takes it from there, also after a
restart, and leaves a result beside it.
"""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import Final

from dropbeard.agreement.events import Event
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.agreement.requests import update_fault
from dropbeard.daemon.engine_desk import EngineDesk
from dropbeard.errors import DropbeardError, UpdateRefused
from dropbeard.storage.files import read_text
from dropbeard.types.lanes import SignedUpdate
from dropbeard.types.update_file import UPDATE_BYTES_MAX, update_from_toml

log = logging.getLogger("dropbeard.node")

WANTED: Final = "update.toml"
RESULT: Final = "update.json"
LOOK_EVERY_US: Final = 500_000
WORD_EVERY_S: Final = 0.05


def hand_over(directory: Path, text: str) -> None:
    """Put an update into a node's state directory, whole or not at all; UpdateRefused when one is there already."""
    (directory / RESULT).unlink(missing_ok=True)
    wanted = directory / WANTED
    scratch = wanted.with_name(f"{WANTED}.{os.getpid()}")
    scratch.write_text(text)
    try:
        os.link(scratch, wanted)
    except FileExistsError:
        raise UpdateRefused(f"{wanted} is there: another update is under way; wait for it, or remove it") from None
    finally:
        scratch.unlink()


def wait_for_word(directory: Path, timeout_s: float) -> str:
    """What the node says of the update that was handed over; UpdateRefused when it refuses it, or says nothing."""
    result, until = directory / RESULT, time.monotonic() + timeout_s
    while time.monotonic() < until:
        if result.exists() and not (directory / WANTED).exists():
            told = json.loads(result.read_text())
            if not told["done"]:
                raise UpdateRefused(f"the node refuses the update: {told['detail']}")
            return str(told["detail"])
        time.sleep(WORD_EVERY_S)
    raise UpdateRefused(f"no word from the node within {timeout_s:g} s; it takes the update when it runs, see its log")


class UpdateDesk:
    """One update at a time."""

    def __init__(self, directory: Path, state: ReplicaState, desk: EngineDesk) -> None:
        self._wanted = directory / WANTED
        self._result = directory / RESULT
        self._state = state
        self._desk = desk
        self._next_us = 0
        self._signed: SignedUpdate | None = None

    def look(self, now_us: int) -> list[Event]:
        """Every half second: is there an update, and how far is it?"""
        if now_us < self._next_us:
            return []
        self._next_us = now_us + LOOK_EVERY_US
        self._desk.let_go()
        if not self._wanted.exists():
            self._signed = None
            return []
        if self._signed is None:
            return self._begin()
        self._follow(self._signed)
        return []

    def _begin(self) -> list[Event]:
        try:
            signed = update_from_toml(read_text(self._wanted, UPDATE_BYTES_MAX, "the update"), str(self._wanted))
        except DropbeardError as wrong:
            self._finish(False, str(wrong))
            return []
        if self._is_done(signed):
            self._finish(True, f"version {signed.update.version} is in the lane")
            return []
        fault = update_fault(self._state, signed)
        if fault is not None:
            self._finish(False, fault)
            return []
        self._signed = signed
        return self._desk.load(signed)

    def _is_done(self, signed: SignedUpdate) -> bool:
        own = self._state.own_model
        return (own.version, own.model) == (signed.update.version, signed.update.model)

    def _follow(self, signed: SignedUpdate) -> None:
        fault = update_fault(self._state, signed)
        if self._is_done(signed):
            height = self._state.own_model.lane_height
            self._finish(True, f"version {signed.update.version} is in the lane since its batch {height}")
        elif self._desk.failed is not None:
            self._finish(False, f"the engine did not load it, and goes on with what it has: {self._desk.failed}")
        elif fault is not None:
            self._finish(False, fault)
        else:
            self._desk.ask_again()

    def _finish(self, done: bool, detail: str) -> None:
        """The result stands before the file goes: whoever waits finds one of the two."""
        if not done:
            self._desk.give_up()
        log.info("model-update done=%s detail=%s", done, detail)
        scratch = self._result.with_suffix(".new")
        scratch.write_text(json.dumps({"done": done, "detail": detail}) + "\n")
        scratch.replace(self._result)
        self._wanted.unlink(missing_ok=True)
        self._signed = None
