"""What a turn hands to the journal beside its records (rule 7.1)."""

from __future__ import annotations

from typing import NamedTuple


class Piece(NamedTuple):
    """A bounded part of a checkpoint under way, written in the commit of a turn.

    The checkpoint is of ``height`` and stands for every record up to its first piece, that turn's included; it counts
    once its last piece is there. ``kept``: it stays when a newer one is whole. ``forget``: the height of a kept
    checkpoint; records before it are needed for the audit chain alone.
    """

    height: int
    parts: tuple[bytes, ...] = ()
    first: bool = False
    last: bool = False
    kept: bool = False
    forget: int | None = None
