"""What a replayed ledger tells (rule 8.2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from dropbeard.evidence.judge import Verdict
from dropbeard.types.ids import Digest, Height, OwnerId, Version
from dropbeard.types.succession import Succession


@dataclass(frozen=True, slots=True)
class BlockRow:
    """One final block, for people. ``time`` in microseconds since 1970."""

    height: int
    view: int
    time: int
    batches: int
    agreed: int
    expired: int
    supplements: int


@dataclass(frozen=True, slots=True)
class ModelRow:
    """From ``height`` on this version and model of an owner are in force."""

    height: int
    owner: OwnerId
    version: Version
    model: Digest


@dataclass(slots=True)
class Audit:
    """What a replay found. ``start`` is 0 for the genesis, or the height of the last snapshot that the replay stood on:
    one that the node once took, or the oldest that is left of a ledger whose lane batches are pruned (rule 7.1).

    ``headers``: blocks of which only header, justification and finalization could be checked: their lane batches are
    pruned, or the node took a snapshot above them instead.
    """

    start: Height
    headers: int = 0
    names: dict[OwnerId, str] = field(default_factory=dict)
    """Of every owner in every epoch."""
    blocks: list[BlockRow] = field(default_factory=list)
    models: list[ModelRow] = field(default_factory=list)
    marks: dict[Verdict, Height] = field(default_factory=dict)
    usage: dict[OwnerId, int] = field(default_factory=dict)
    signatures: int = 0
    successions: list[Succession] = field(default_factory=list)
    """What ended each epoch that is over, for whoever has the genesis alone; none where the ledger starts later."""
