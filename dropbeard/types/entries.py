"""Entries: what a block says was agreed, about one request (rules 4.4, 4.5)."""

from __future__ import annotations

import enum
import itertools
from dataclasses import dataclass

from dropbeard.errors import MessageInvalid
from dropbeard.types import limits, merkle, wire
from dropbeard.types.ids import ClientKey, Digest, OwnerId, RequestId, Version


class EntryKind(enum.IntEnum):
    """A request gets at most one of AGREED and EXPIRED, ever."""

    AGREED = 1
    EXPIRED = 2
    SUPPLEMENT = 3


@dataclass(frozen=True, slots=True)
class Promise:
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

    def encode(self) -> bytes:
        """The leaf's bytes."""
        rows = [wire.u16(p.owner) + wire.u32(p.version) + p.model + p.commitment for p in self.promises]
        return wire.u8(self.kind) + self.request + self.client + wire.u16(len(rows)) + b"".join(rows)

    def leaf(self) -> Digest:
        """Leaf digest in the entries tree."""
        return merkle.leaf(self.encode())


def read_entry(reader: wire.Reader) -> Entry:
    """Take an entry off ``reader``; MessageInvalid unless its kind is known and its owners ascend."""
    number = reader.u8()
    if number not in EntryKind._value2member_map_:
        raise MessageInvalid(f"an entry has unknown kind {number}")
    request, client = RequestId(reader.take(32)), ClientKey(reader.take(32))
    rows = []
    for _ in range(reader.count(limits.REPLICAS_MAX, "promises in an entry")):
        owner, version = OwnerId(reader.u16()), Version(reader.u32())
        rows.append(Promise(owner, version, Digest(reader.take(32)), Digest(reader.take(32))))
    if any(a.owner >= b.owner for a, b in itertools.pairwise(rows)):
        raise MessageInvalid("the owners of an entry do not ascend")
    return Entry(EntryKind(number), request, client, tuple(rows))


def decode_entry(data: bytes) -> Entry:
    """Read an entry; MessageInvalid on any other bytes."""
    reader = wire.Reader(data)
    entry = read_entry(reader)
    reader.end()
    return entry


def entries_tree(entries: tuple[Entry, ...]) -> merkle.Tree:
    """The tree whose root is in the header; ``entries`` already in their order."""
    return merkle.Tree([entry.leaf() for entry in entries])
