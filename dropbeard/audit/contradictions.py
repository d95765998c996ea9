"""What cannot be true of certificates together, each of them valid: more than f owners lied, or this program errs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from dropbeard.audit.certificates import Block, Seen
from dropbeard.audit.findings import BlockRow
from dropbeard.types.ids import Digest, OwnerId, Version


@dataclass(frozen=True, slots=True)
class Contradiction:
    """``what`` is wrong at ``height``, and the files that say so (one, against a ledger)."""

    what: str
    height: int
    files: tuple[Path, ...]


class _Firsts:
    """The first thing said of each key, and who says something else later."""

    def __init__(self) -> None:
        self._said: dict[object, tuple[object, Path]] = {}
        self.found: dict[tuple[str, int], Contradiction] = {}

    def say(self, what: str, key: object, value: object, block: Block, path: Path) -> None:
        known, first = self._said.setdefault((what, key), (value, path))
        if known != value:
            self.found.setdefault((what, block.height), Contradiction(what, block.height, (first, path)))


def contradictions(seen: Sequence[Seen]) -> list[Contradiction]:
    """Each kind once a height, by height; ``seen`` in the order of its heights."""
    firsts = _Firsts()
    for row in seen:
        outcome = row.block.digest, row.index, row.leaf
        firsts.say("two outcomes of one request", row.request, outcome, row.block, row.path)
        for block in row.blocks:
            firsts.say("two final blocks of one view", (block.epoch, block.view), block.digest, block, row.path)
            if not block.closing:
                firsts.say("two final blocks at one height", block.height, block.digest, block, row.path)
        for promise in row.promises:
            key = promise.owner, promise.version
            firsts.say("two models under one version", key, promise.model, row.block, row.path)
    found = [*firsts.found.values(), *_backwards(seen)]
    return sorted(found, key=lambda row: (row.height, row.what, row.files))


def _backwards(seen: Sequence[Seen]) -> Iterable[Contradiction]:
    """Block time and versions never go back (rules 3.1, 4.3)."""
    versions: dict[OwnerId, tuple[Version, Path]] = {}
    for before, row in pairwise(seen):
        if row.block.time < before.block.time:
            yield Contradiction("block time goes back", row.block.height, (before.path, row.path))
    for height, promise, path in sorted(
        ((promise.height, promise, row.path) for row in seen for promise in row.promises),
        key=lambda found: (found[0], found[1].owner, found[2]),
    ):
        version, earlier = versions.setdefault(promise.owner, (promise.version, path))
        if promise.version < version:
            yield Contradiction("a version goes back", height, (earlier, path))
        else:
            versions[promise.owner] = promise.version, path


def against_ledger(seen: Sequence[Seen], rows: Sequence[BlockRow], digests: frozenset[Digest]) -> list[Contradiction]:
    """Final blocks of certificates that a replayed ledger has otherwise; ``digests``: of all blocks that it holds."""
    heights = {row.height for row in rows}
    found: dict[int, Contradiction] = {}
    for row in seen:
        for block in row.blocks:
            if not block.closing and block.height in heights and block.digest not in digests:
                wrong = Contradiction("the ledger has another block", block.height, (row.path,))
                found.setdefault(block.height, wrong)
    return [found[height] for height in sorted(found)]
