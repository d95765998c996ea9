"""The second part of the portable verifier: what ended each epoch, and the group that follows it."""

from __future__ import annotations

import hashlib
import struct
from itertools import pairwise
from typing import Any, NamedTuple

from ecdsa import BadSignatureError, NIST256p, VerifyingKey

from dropbeard.verification.portable_genesis import (
    BROKEN,
    OWNERS_MAX,
    SIZES,
    Group,
    Owner,
    Unreadable,
    hashed,
    readable,
    seated,
)

SUCCESSIONS_MAGIC = b"DBEPOC\0\x01"
HEADERS_MAX, SUCCESSIONS_MAX, ORDER = 1025, 1024, int(NIST256p.order)


class Header(NamedTuple):
    """``body``: all of its bytes; ``lanes``: the owners of its cut."""

    body: bytes
    epoch: int
    height: int
    view: int
    parent: bytes
    parent_view: int
    lanes: tuple[int, ...]
    time: int
    entries_root: bytes
    state_root: bytes

    @property
    def has_height(self) -> bool:
        """One of its own: it closes no epoch."""
        return self.state_root != bytes(32)

    def digest(self, group: bytes) -> bytes:
        return hashed("header", group, self.body)


Signatures = list[tuple[int, bytes]]


class Succession(NamedTuple):
    """What ended an epoch."""

    epoch: int
    headers: list[Header]
    signatures: Signatures
    root: bytes
    whole: bytes
    configuration: bytes


class Reader:
    """Takes fields off the front of the file."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        readable(self.at + count <= len(self.data), f"the file ends within a field that begins at byte {self.at}")
        self.at += count
        return self.data[self.at - count : self.at]

    def numbers(self, layout: str) -> tuple[int, ...]:
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def number(self, letter: str) -> int:
        return self.numbers(letter)[0]

    def sized(self, letter: str) -> bytes:
        """Bytes after their length."""
        return self.take(self.number(letter))

    def rows(self, most: int) -> range:
        """A u16 count that begins a list."""
        count = self.number("H")
        readable(count <= most, f"a list has {count} items, at most {most} are allowed")
        return range(count)

    def end(self) -> None:
        readable(self.at == len(self.data), f"{len(self.data) - self.at} bytes follow the end")


def ascending(owners: list[int], what: str) -> None:
    readable(owners == sorted(set(owners)), f"the owners of {what} do not ascend")


def read_header(reader: Reader) -> Header:
    begin = reader.at
    epoch, height, view = reader.numbers("IQq")
    parent, parent_view = reader.take(32), reader.number("q")
    lanes = [(reader.number("H"), reader.take(40))[0] for _ in reader.rows(OWNERS_MAX)]
    ascending(lanes, "a cut")
    rest = tuple(lanes), reader.number("Q"), reader.take(32), reader.take(64)[:32]
    return Header(reader.data[begin : reader.at], epoch, height, view, parent, parent_view, *rest)


def read_signatures(reader: Reader) -> Signatures:
    signatures = [(reader.number("H"), reader.take(64)) for _ in reader.rows(OWNERS_MAX)]
    ascending([signer for signer, _ in signatures], "the signatures")
    return signatures


def bad_signer(group: Group, header: Header, signatures: Signatures) -> int | None:
    """The first owner whose signature over a Finalize of this header does not check."""
    place = struct.pack("<IQ", header.epoch, header.view)
    vote = b"dropbeard/1/finalize\0" + group.id + place + header.digest(group.id)
    return next((signer for signer, given in signatures if not verifies(group.keys[signer], given, vote)), None)


def verifies(key: VerifyingKey, signature: bytes, message: bytes) -> bool:
    """ECDSA P-256 with SHA-256, low s only."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    in_range = 1 <= r < ORDER and 1 <= s <= ORDER // 2
    try:
        return in_range and bool(key.verify(signature, message, hashfunc=hashlib.sha256))
    except BadSignatureError:
        return False


def read_epochs(genesis: Group, data: bytes | None) -> list[Group]:
    """The groups of all epochs that are known, from the genesis on, by a file of successions."""
    groups = [genesis]
    try:
        for given in sorted([] if data is None else _successions(genesis, data), key=lambda given: given.epoch):
            if given.epoch >= groups[-1].epoch:
                groups[-1:] = succeeded(groups[-1], given)
    except BROKEN as wrong:
        raise Unreadable(f"not a file of successions: {type(wrong).__name__}: {wrong}") from wrong
    return groups


def _successions(genesis: Group, data: bytes) -> list[Succession]:
    reader = Reader(data)
    named = reader.take(len(SUCCESSIONS_MAGIC)) == SUCCESSIONS_MAGIC and reader.take(32) == genesis.id
    readable(named, "not a file of successions of this group")
    found = [_succession(Reader(reader.sized("I"))) for _ in reader.rows(SUCCESSIONS_MAX)]
    reader.end()
    return found


def _succession(reader: Reader) -> Succession:
    epoch, headers = reader.number("I"), []
    for _ in reader.rows(HEADERS_MAX - 1):
        inner = Reader(reader.sized("I"))
        headers.append(read_header(inner))
        inner.end()
    readable(bool(headers), "a succession holds no header")
    rest = read_signatures(reader), reader.take(32), reader.take(32), reader.sized("I")
    reader.end()
    return Succession(epoch, headers, *rest)


def succeeded(before: Group, given: Succession) -> tuple[Group, Group]:
    """The group whose epoch this ended, which knows it now, and the one that follows."""
    headers, last, what = given.headers, given.headers[-1], f"what ended epoch {given.epoch} does not check:"
    own = all(header.epoch == before.epoch and header.view >= 0 for header in headers)
    readable(given.epoch == before.epoch and own, f"{what} it is not of epoch {before.epoch}")
    configured = hashed("configuration", given.configuration)
    root = hashed("state root at the end of an epoch", given.root, given.whole, configured)
    readable(last.state_root == root and last.has_height, f"{what} its last block names another configuration")
    for child, parent in pairwise(headers):
        closes = child.parent == parent.digest(before.id) and child.height == parent.height and not child.has_height
        readable(closes, f"{what} its headers are not closing blocks over the last one")
    following = followed(before, given.configuration)
    signers = [signer for signer, _ in given.signatures]
    enough = len(signers) >= before.quorum and all(signer in before.keys for signer in signers)
    final = enough and bad_signer(before, headers[0], given.signatures) is None
    readable(final, f"{what} no quorum made it final")
    return before._replace(ended=last.height), following


def followed(before: Group, configuration: bytes) -> Group:
    """The group of the next epoch, if this configuration can follow."""
    reader = Reader(configuration)
    origin, (epoch, ids_given, f, answers) = reader.take(32), reader.numbers("IHHH")
    owners = [_read_owner(reader) for _ in reader.rows(OWNERS_MAX)]
    reader.end()
    readable(origin == before.id and epoch == before.epoch + 1, "a configuration follows another epoch")
    ascending([owner.id for owner in owners], "a configuration")
    known = {owner.id: owner for owner in before.owners}
    for owner in owners:
        old = known.get(owner.id)
        kept = old and (old.name, old.model, old.model_name) == (owner.name, owner.model, owner.model_name)
        is_new = old is None and owner.id >= before.ids_given
        readable(kept or is_new, f"owner {owner.id} has a used id, or does not keep its name and first model")
    counted = max([before.ids_given, *(owner.id + 1 for owner in owners)])
    readable(ids_given == counted, "a configuration miscounts the owner ids given out")
    return seated(before._replace(epoch=epoch, f=f, answers=answers, owners=owners, ids_given=ids_given))


def _read_owner(reader: Reader) -> Owner:
    row: dict[str, Any] = {"id": reader.number("H")}
    for name in Owner._fields[1:]:
        row[name] = reader.take(SIZES[name]).hex() if name in SIZES else reader.sized("H").decode()
    return Owner(**row)
