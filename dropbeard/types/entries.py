"""Entries: what a block says was agreed, about one request (rules 4.4, 4.5)."""

from __future__ import annotations

import enum
import operator
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from dropbeard.errors import MessageInvalid
from dropbeard.types import limits, merkle, wire
from dropbeard.types.ids import ClientKey, Digest, OwnerId, RequestId, Version

DECODED_MAX = 4_096
"""Entries remembered by their bytes: every node of a group sends a client the same ones."""

_HEAD = struct.Struct("<B32s32sH")
_PROMISE = struct.Struct("<HI32s32s")


class EntryKind(enum.IntEnum):
    """A request gets at most one of AGREED and EXPIRED, ever."""

    AGREED = 1
    EXPIRED = 2
    SUPPLEMENT = 3


_KINDS = {int(kind): kind for kind in EntryKind}


class Promise(NamedTuple):
    """An owner's commitment under the version and model in force at the entry's height."""

    owner: OwnerId
    version: Version
    model: Digest
    commitment: Digest


@dataclass(frozen=True, slots=True)
class Entry:
    """Layout: kind u8, request id 32, client 32, u16 promises and each (owner u16, version u32, model 32,
    commitment 32). Owners ascend. Entries of a block are ordered by kind, then request id.
    """

    kind: EntryKind
    request: RequestId
    client: ClientKey
    promises: tuple[Promise, ...]
    encoded: bytes = field(init=False, repr=False, compare=False)
    """The leaf's bytes."""

    def __post_init__(self) -> None:
        rows = [_PROMISE.pack(p.owner, p.version, p.model, p.commitment) for p in self.promises]
        head = _HEAD.pack(self.kind, self.request, self.client, len(rows))
        object.__setattr__(self, "encoded", b"".join((head, *rows)))

    def leaf(self) -> Digest:
        """Leaf digest in the entries tree."""
        return merkle.leaf(self.encoded)


def read_entry(reader: wire.Reader) -> Entry:
    """Take an entry off ``reader``; MessageInvalid unless its kind is known and its owners ascend."""
    number, request, client, count = _HEAD.unpack(reader.take(_HEAD.size))
    kind = _KINDS.get(number)
    if kind is None:
        raise MessageInvalid(f"an entry has unknown kind {number}")
    if count > limits.REPLICAS_MAX:
        raise MessageInvalid(f"{count} promises in an entry, at most {limits.REPLICAS_MAX} allowed")
    rows = tuple(map(Promise._make, _PROMISE.iter_unpack(reader.take(_PROMISE.size * count))))
    owners = [row.owner for row in rows]
    if any(map(operator.ge, owners, owners[1:])):
        raise MessageInvalid("the owners of an entry do not ascend")
    return Entry(kind, RequestId(request), ClientKey(client), rows)


@lru_cache(maxsize=DECODED_MAX)
def decode_entry(data: bytes) -> Entry:
    """Read an entry; MessageInvalid on any other bytes."""
    reader = wire.Reader(data)
    entry = read_entry(reader)
    reader.end()
    return entry


def first_promises(entries: Iterable[Entry]) -> dict[OwnerId, Promise]:
    """Promise of each owner over a base entry and its supplements; the first one counts."""
    found: dict[OwnerId, Promise] = {}
    for entry in entries:
        for promise in entry.promises:
            found.setdefault(promise.owner, promise)
    return found


def entries_tree(entries: tuple[Entry, ...]) -> merkle.Tree:
    """The tree whose root is in the header; ``entries`` already in their order."""
    return merkle.Tree([entry.leaf() for entry in entries])
