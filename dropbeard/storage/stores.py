"""What a journal needs of a medium, and what one commit does to it (rule 3.8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol

PEEK_BYTES: Final = 128
"""What is read of a row to tell whether it stays."""


class Change(NamedTuple):
    """One commit, in this order. ``parts``: (generation, number from 0, row) of checkpoints. ``pruned``: a row's number
    and the stub that takes its place, None for nothing. ``dropped``: (generation, number) of parts."""

    rows: Sequence[bytes] = ()
    parts: Sequence[tuple[int, int, bytes]] = ()
    pruned: Sequence[tuple[int, bytes | None]] = ()
    dropped: Sequence[tuple[int, int]] = ()


class Store(Protocol):
    """Rows of bytes, numbered from 1 and appended in commits; beside them the parts of checkpoints."""

    def append(self, rows: Sequence[bytes]) -> None:
        """Make all rows durable in one commit, or raise StorageFailed and none is promised."""

    def commit(self, change: Change) -> None:
        """The same for a whole change."""

    def rows(self, first: int = 1) -> Iterator[tuple[int, bytes]]:
        """Every row from number ``first`` on, with its number, ascending."""

    def peek(self, first: int, last: int, most: int) -> Sequence[tuple[int, bytes]]:
        """The first PEEK_BYTES of at most ``most`` rows from number ``first`` to ``last``."""

    def generations(self) -> Sequence[tuple[int, int]]:
        """Every checkpoint, ascending, with its last part's number."""

    def parts(self, generation: int, first: int = 0) -> Iterator[bytes]:
        """A checkpoint's parts from number ``first`` on."""

    def cut(self, keep: int) -> bool:
        """Drop every row after number ``keep``; False on a store that never tears, where a short row is damage."""
