"""A Merkle tree over the entries of a block: single paths for certificates, one multiproof for a reply.

An odd node is carried up unchanged; the number of leaves is hashed into the root, so index and count fix the
shape of every proof and no proof of one tree checks in another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from dropbeard.types import wire
from dropbeard.types.hashing import MERKLE_LEAF, MERKLE_NODE, MERKLE_ROOT, digest
from dropbeard.types.ids import NO_DIGEST, Digest

PATH_NODES_KEPT = 4_096
"""Nodes remembered by their children: the paths of one block meet below its root."""


@dataclass(frozen=True, slots=True)
class Path:
    """Where leaf ``index`` of ``count`` stands: its siblings from the leaf up (32 bytes each)."""

    index: int
    count: int
    siblings: tuple[Digest, ...]


def leaf(data: bytes) -> Digest:
    """Digest of one leaf's bytes."""
    return digest(MERKLE_LEAF, data)


def _node(left: Digest, right: Digest) -> Digest:
    return digest(MERKLE_NODE, left, right)


@lru_cache(maxsize=PATH_NODES_KEPT)
def _path_node(left: Digest, right: Digest) -> Digest:
    return _node(left, right)


def _sealed(count: int, top: Digest) -> Digest:
    return digest(MERKLE_ROOT, wire.u32(count), top)


EMPTY_ROOT = _sealed(0, NO_DIGEST)


class Tree:
    """All levels of a tree over leaf digests; keep it as long as proofs are asked for."""

    __slots__ = ("count", "levels")

    def __init__(self, leaves: Sequence[Digest]) -> None:
        self.count = len(leaves)
        self.levels: list[list[Digest]] = [list(leaves)]
        while len(self.levels[-1]) > 1:
            below = self.levels[-1]
            row = [_node(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)]
            if len(below) % 2:
                row.append(below[-1])
            self.levels.append(row)

    @property
    def root(self) -> Digest:
        """The root that goes into the header."""
        return _sealed(self.count, self.levels[-1][0]) if self.count else EMPTY_ROOT

    def path(self, index: int) -> Path:
        """The path of one leaf."""
        siblings = []
        at = index
        for row in self.levels[:-1]:
            if at ^ 1 < len(row):
                siblings.append(row[at ^ 1])
            at >>= 1
        return Path(index, self.count, tuple(siblings))

    def multiproof(self, indices: Sequence[int]) -> tuple[Digest, ...]:
        """The digests that, with the leaves at ``indices`` (ascending, distinct), give the root."""
        known = list(indices)
        proof = []
        for row in self.levels[:-1]:
            have = set(known)
            proof += [row[i ^ 1] for i in known if i ^ 1 not in have and i ^ 1 < len(row)]
            known = sorted({i >> 1 for i in known})
        return tuple(proof)


def path_root(leaf_digest: Digest, path: Path) -> Digest | None:
    """The root that this path leads to, or None when the path has the wrong shape."""
    if not 0 <= path.index < path.count:
        return None
    at, width, current, used = path.index, path.count, leaf_digest, 0
    while width > 1:
        if at ^ 1 < width:
            if used == len(path.siblings):
                return None
            sibling = path.siblings[used]
            used += 1
            current = _path_node(sibling, current) if at & 1 else _path_node(current, sibling)
        at, width = at >> 1, (width + 1) >> 1
    return _sealed(path.count, current) if used == len(path.siblings) else None


def paths_from_multiproof(
    count: int, leaves: Sequence[tuple[int, Digest]], proof: Sequence[Digest]
) -> tuple[Digest, list[Path]] | None:
    """Root and a single path for each leaf, or None when proof and leaves do not fit.

    ``leaves``: (index, leaf digest), indices ascending and distinct.
    """
    indices = [index for index, _ in leaves]
    if not indices or indices != sorted(set(indices)) or indices[0] < 0 or indices[-1] >= count:
        return None
    row = dict(leaves)
    rows: list[dict[int, Digest]] = []
    rest = list(reversed(proof))
    width = count
    while width > 1:
        for i in sorted(row):
            if i ^ 1 not in row and i ^ 1 < width:
                if not rest:
                    return None
                row[i ^ 1] = rest.pop()
        rows.append(row)
        parents = sorted({i >> 1 for i in row})
        row = {p: _node(row[2 * p], row[2 * p + 1]) if 2 * p + 1 < width else row[2 * p] for p in parents}
        width = (width + 1) >> 1
    if rest:
        return None
    return _sealed(count, row[0]), [_path_through(rows, count, index) for index in indices]


def _path_through(rows: Sequence[dict[int, Digest]], count: int, index: int) -> Path:
    siblings = []
    at = index
    for row in rows:
        if at ^ 1 in row:
            siblings.append(row[at ^ 1])
        at >>= 1
    return Path(index, count, tuple(siblings))
