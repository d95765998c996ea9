"""A model update from its file to the lane, and word of what came of it (rule 4.3).

``dropbeard model update`` puts the file into the node's state directory; the node takes it from there, also after a
restart, and leaves a result beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from dropbeard.agreement.events import Event
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.agreement.requests import update_fault
from dropbeard.daemon.engine_desk import EngineDesk
from dropbeard.daemon.tray import Tray
from dropbeard.errors import DropbeardError, UpdateRefused
from dropbeard.types.lanes import SignedUpdate
from dropbeard.types.update_file import UPDATE_BYTES_MAX, update_from_toml

LOOK_EVERY_US: Final = 500_000


def update_tray(directory: Path) -> Tray:
    """Where updates are put."""
    return Tray(directory, "update", UpdateRefused)


class UpdateDesk:
    """One update at a time."""

    def __init__(self, directory: Path, state: ReplicaState, desk: EngineDesk) -> None:
        self._tray = update_tray(directory)
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
        if self._tray.is_empty:
            self._signed = None
            return []
        if self._signed is None:
            return self._begin()
        self._follow(self._signed)
        return []

    def _begin(self) -> list[Event]:
        try:
            signed = update_from_toml(self._tray.take(UPDATE_BYTES_MAX), str(self._tray.wanted))
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
        if not done:
            self._desk.give_up()
        self._tray.finish(done, detail)
        self._signed = None
