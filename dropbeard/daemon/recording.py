"""What a node's core was told, kept so that ``dropbeard replay`` can run it again (configuration ``record``).

Two files take turns, so that the last ``record`` to twice ``record`` turns are there and never more. A file starts
with the replica's whole state; after it each turn stands with its clocks, events, signatures and journal records. They
hold inputs and the secret that salts commitments: readable by the node's user alone.

Layout: magic ``DBRECD\\0\\1`` 8, then pieces of u32 length and bytes, pickled, for an unpickler with an allow-list.
"""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from dropbeard.agreement.events import Event, Now
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.agreement.turn import RecordWriter, StatementSigner
from dropbeard.types.ids import Epoch, Signature, View
from dropbeard.types.journal import Piece
from dropbeard.types.statements import Statement

MAGIC: Final = b"DBRECD\0\x01"
FILES: Final = ("recording-0", "recording-1")
CHECKER: Final = "checker"
"""Stands for the signature checker, which is made anew."""


@dataclass(frozen=True, slots=True)
class RecordedTurn:
    """One turn: what came, what was signed for it, what went to the journal."""

    number: int
    now: Now
    events: tuple[Event, ...]
    signatures: tuple[Signature, ...]
    records: tuple[bytes, ...]


class _Pickler(pickle.Pickler):
    def __init__(self, file: BinaryIO, checker: object) -> None:
        super().__init__(file, protocol=5)
        self._kind = type(checker)

    def persistent_id(self, obj: Any) -> str | None:
        return CHECKER if isinstance(obj, self._kind) else None


class Recorder:
    """Stands between a turn and its signer and journal, and notes what passes."""

    def __init__(self, directory: Path, state: ReplicaState, turns_max: int) -> None:
        self._directory = directory
        self._state = state
        self._turns_max = turns_max
        self._number = 0
        self._file: BinaryIO | None = None
        self._signatures: list[Signature] = []
        self._records: list[bytes] = []

    def signer(self, signer: StatementSigner) -> StatementSigner:
        """The signer, overheard."""
        return _HeardSigner(signer, self._signatures)

    def writer(self, writer: RecordWriter) -> RecordWriter:
        """The journal, overheard."""
        return _HeardWriter(writer, self._records)

    def note(self, events: Sequence[Event], now: Now) -> None:
        """A turn is over."""
        turn = RecordedTurn(self._number, now, tuple(events), tuple(self._signatures), tuple(self._records))
        if self._file is not None:
            self._write(self._file, turn)
        self._number += 1
        self._signatures.clear()
        self._records.clear()
        if self._file is None or self._number % self._turns_max == 0:
            self._file = self._next_file()

    def _next_file(self) -> BinaryIO:
        self.close()
        path = self._directory / FILES[self._number // self._turns_max % len(FILES)]
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        file = os.fdopen(handle, "wb")
        file.write(MAGIC)
        self._write(file, self._state)
        return file

    def _write(self, file: BinaryIO, piece: object) -> None:
        held = io.BytesIO()
        _Pickler(held, self._state.judge.checker).dump(piece)
        file.write(held.tell().to_bytes(4, "little") + held.getvalue())
        file.flush()

    def close(self) -> None:
        """Close the file under way."""
        if self._file is not None:
            self._file.close()
            self._file = None


class _HeardSigner:
    def __init__(self, signer: StatementSigner, heard: list[Signature]) -> None:
        self._signer, self._heard = signer, heard

    def sign(self, statement: Statement) -> Signature:
        signature = self._signer.sign(statement)
        self._heard.append(signature)
        return signature

    def promised(self, epoch: Epoch, before: View) -> bytes:
        return self._signer.promised(epoch, before)


class _HeardWriter:
    def __init__(self, writer: RecordWriter, heard: list[bytes]) -> None:
        self._writer, self._heard = writer, heard

    def append(self, records: Sequence[bytes], piece: Piece | None = None) -> None:
        self._writer.append(records, piece)
        self._heard += records
