"""Run a recorded core again: the same turns must sign and store the same (``dropbeard replay``)."""

from __future__ import annotations

import importlib
import io
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.agreement.turn import Turn
from dropbeard.daemon.recording import CHECKER, MAGIC, RecordedTurn
from dropbeard.errors import DropbeardError
from dropbeard.signing.signer import NodeKeyChecker
from dropbeard.types.group import Group
from dropbeard.types.ids import Epoch, OwnerId, Signature, View
from dropbeard.types.journal import Piece
from dropbeard.types.statements import Statement

ALLOWED: Final = ("dropbeard.types.", "dropbeard.agreement.", "dropbeard.evidence.")
"""Packages of plain data: nothing else is made when a recording is read."""

PIECE_BYTES_MAX: Final = 1 << 31


class ReplayDiverged(DropbeardError):
    """The core did something else than it did when it was recorded."""


@dataclass(slots=True)
class _LateChecker:
    """The recording holds the group, so the checker of its signatures can be made only once that is read."""

    real: NodeKeyChecker | None = None

    def of(self, group: Group) -> None:
        self.real = NodeKeyChecker(group)

    def check(self, signer: OwnerId, statement: bytes, signature: Signature) -> bool:
        return self.real is not None and self.real.check(signer, statement, signature)

    def check_owner(self, signer: OwnerId, statement: bytes, signature: Signature) -> bool:
        return self.real is not None and self.real.check_owner(signer, statement, signature)

    def following(self, group: Group) -> NodeKeyChecker:
        return NodeKeyChecker(group)


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, checker: _LateChecker) -> None:
        super().__init__(io.BytesIO(data))
        self._checker = checker

    def find_class(self, module: str, name: str) -> Any:
        known = module.startswith(ALLOWED) or (module, name) == (RecordedTurn.__module__, RecordedTurn.__name__)
        found = getattr(importlib.import_module(module), name, None) if known else None
        if not isinstance(found, type) or found.__module__ != module:
            raise pickle.UnpicklingError(f"a recording holds no {module}.{name}")
        return found

    def persistent_load(self, pid: Any) -> Any:
        if pid != CHECKER:
            raise pickle.UnpicklingError("a recording names only the checker")
        return self._checker


class _Again:
    """Gives out the recorded signatures and compares what goes to the journal."""

    def __init__(self) -> None:
        self.signatures: list[Signature] = []
        self.signed: list[Statement] = []
        self.records: list[bytes] = []

    def sign(self, statement: Statement) -> Signature:
        if not self.signatures:
            raise ReplayDiverged(f"it signs a {type(statement).__name__} that was not signed then")
        self.signed.append(statement)
        return self.signatures.pop(0)

    def promised(self, epoch: Epoch, before: View) -> bytes:
        """Checkpoints are no part of a turn's outcome: where they begin depends on the process."""
        return b""

    def append(self, records: Sequence[bytes], piece: Piece | None = None) -> None:
        self.records += records


@dataclass(frozen=True, slots=True)
class Replayed:
    """One turn that went the same way again: its events and what was signed in it, by kind."""

    number: int
    wall_us: int
    events: tuple[str, ...]
    signed: tuple[str, ...]
    view: int
    height: int


def replay(path: Path, until: int | None = None) -> Iterator[Replayed]:
    """Each recorded turn, run again; ReplayDiverged where it differs, DropbeardError when the file is no recording."""
    checker = _LateChecker()
    pieces = _pieces(path, checker)
    state = next(pieces, None)
    if not isinstance(state, ReplicaState):
        raise DropbeardError(f"{path} does not start with a replica's state; it is no recording of a node")
    checker.of(state.group)
    again = _Again()
    turn = Turn(state, again, again)
    for piece in pieces:
        if not isinstance(piece, RecordedTurn):
            raise DropbeardError(f"{path} holds something else than turns")
        if until is not None and piece.number > until:
            return
        yield _run(turn, again, piece)


def _run(turn: Turn, again: _Again, recorded: RecordedTurn) -> Replayed:
    again.signatures, again.signed, again.records = list(recorded.signatures), [], []
    try:
        turn.run(recorded.events, recorded.now)
    except ReplayDiverged as wrong:
        raise ReplayDiverged(f"turn {recorded.number}: {wrong}") from wrong
    if again.signatures or again.records != list(recorded.records):
        raise ReplayDiverged(f"turn {recorded.number}: it signs or stores other things than it did then")
    state = turn.state
    return Replayed(
        number=recorded.number,
        wall_us=recorded.now.wall_us,
        events=tuple(type(event).__name__ for event in recorded.events),
        signed=tuple(type(statement).__name__ for statement in again.signed),
        view=state.view,
        height=state.chain.final.header.height,
    )


def _pieces(path: Path, checker: _LateChecker) -> Iterator[object]:
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise DropbeardError(f"{path} is no recording of a node of this release")
            while head := file.read(4):
                length = int.from_bytes(head, "little")
                data = file.read(length) if length <= PIECE_BYTES_MAX else b""
                if len(head) < 4 or len(data) < length or length > PIECE_BYTES_MAX:
                    return  # the node went down while it wrote this piece
                yield _Unpickler(data, checker).load()
    except OSError as wrong:
        raise DropbeardError(f"cannot read {path}: {wrong.strerror}") from wrong
    except (pickle.UnpicklingError, ImportError, AttributeError, EOFError, TypeError, ValueError, IndexError) as wrong:
        raise DropbeardError(f"{path} is damaged or of another release: {wrong}") from wrong
