"""Blocks: a header with a cut over the lanes, and the justification that makes a fork convict (rules 3.1, 3.2)."""

from __future__ import annotations

import operator
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from dropbeard.errors import MessageInvalid
from dropbeard.types import limits, wire
from dropbeard.types.hashing import HEADER, JUSTIFICATION, PAGE, digest
from dropbeard.types.ids import (
    NO_DIGEST,
    Digest,
    Epoch,
    GroupId,
    Height,
    LaneHeight,
    OwnerId,
    Signature,
    TimeUs,
    View,
)
from dropbeard.types.statements import Finalize, Notarize, Nullify, Vote

_PLACE = struct.Struct("<IQq32sqH")
_TIP = struct.Struct("<HQ32s")
_ROOTS = struct.Struct("<Q32s32s32s")
_SIGNED = struct.Struct("<H64s")


@dataclass(frozen=True, slots=True)
class LaneTip:
    """The highest batch of a lane that a block orders; (owner, 0, zeros) before the first one."""

    owner: OwnerId
    height: LaneHeight
    digest: Digest


Cut = tuple[LaneTip, ...]


@dataclass(frozen=True)
class Header:
    """A block, named by its digest. The genesis header has height 0 and view -1.

    Body layout (certificates leave the group out, since they state it once): epoch u32, height u64, view i64,
    parent 32, parent view i64, lanes u16 and each (owner u16, lane height u64, digest 32) by ascending owner,
    time u64, entries root 32, state root 32, justification 32. Digest: BLAKE3 of group 32 and the body.
    """

    group: GroupId
    epoch: Epoch
    height: Height
    view: View
    parent: Digest
    parent_view: View
    cut: Cut
    time: TimeUs
    entries_root: Digest
    state_root: Digest
    justification: Digest

    @cached_property
    def body(self) -> bytes:
        """The layout above."""
        place = self.epoch, self.height, self.view, self.parent, self.parent_view
        cut = b"".join([_TIP.pack(tip.owner, tip.height, tip.digest) for tip in self.cut])
        roots = _ROOTS.pack(self.time, self.entries_root, self.state_root, self.justification)
        return _PLACE.pack(*place, len(self.cut)) + cut + roots

    @cached_property
    def digest(self) -> Digest:
        """The block's name."""
        return digest(HEADER, self.group, self.body)

    @property
    def is_closing(self) -> bool:
        """Does it only help the last block of an epoch to become final? Such a block has no state root (rule 8.4)."""
        return self.state_root == NO_DIGEST


def read_header(reader: wire.Reader, group: GroupId) -> Header:
    """Take one header body off ``reader``; MessageInvalid unless owners in its cut ascend."""
    epoch, height, view, parent, parent_view, lanes = reader.fields(_PLACE)
    if lanes > limits.REPLICAS_MAX:
        raise MessageInvalid(f"{lanes} lanes in a cut, at most {limits.REPLICAS_MAX} allowed")
    cut = tuple(LaneTip(*row) for row in _TIP.iter_unpack(reader.take(lanes * _TIP.size)))
    _must_ascend(tuple(tip.owner for tip in cut), "the owners of a cut")
    return Header(group, epoch, height, view, parent, parent_view, cut, *reader.fields(_ROOTS))


def _must_ascend(owners: tuple[OwnerId, ...], what: str) -> None:
    if any(map(operator.ge, owners, owners[1:])):
        raise MessageInvalid(f"{what} do not ascend")


def decode_header(data: bytes, group: GroupId) -> Header:
    """Read a header body; MessageInvalid on any other bytes."""
    reader = wire.Reader(data)
    header = read_header(reader, group)
    reader.end()
    return header


Signatures = tuple[tuple[OwnerId, Signature], ...]


def encode_signatures(signatures: Signatures) -> bytes:
    """u16 count, then each (owner u16, signature 64), owners ascending."""
    return wire.u16(len(signatures)) + b"".join([_SIGNED.pack(*signed) for signed in signatures])


def read_signatures(reader: wire.Reader) -> Signatures:
    """Take signatures off ``reader``; MessageInvalid unless their owners ascend."""
    number = reader.count(limits.REPLICAS_MAX, "signatures")
    rows: Signatures = tuple(_SIGNED.iter_unpack(reader.take(number * _SIGNED.size)))
    _must_ascend(tuple(owner for owner, _ in rows), "the signers")
    return rows


V = TypeVar("V", bound=Vote, covariant=True)


@dataclass(frozen=True, slots=True)
class QuorumCertificate(Generic[V]):
    """At least q signatures over one vote: a notarization, nullification or finalization (rule 3.4)."""

    vote: V
    signatures: Signatures


Notarization = QuorumCertificate[Notarize]
Nullification = QuorumCertificate[Nullify]
Finalization = QuorumCertificate[Finalize]


@dataclass(frozen=True)
class Page:
    """Nullifications of consecutive views within one aligned page of 64 (rule 3.2).

    Layout: u16 count, then each (view u64, signatures).
    """

    nullifications: tuple[QuorumCertificate[Nullify], ...]

    @cached_property
    def encoded(self) -> bytes:
        """Canonical bytes."""
        rows = [wire.u64(cert.vote.view) + encode_signatures(cert.signatures) for cert in self.nullifications]
        return wire.u16(len(rows)) + b"".join(rows)

    @cached_property
    def digest(self) -> Digest:
        """The page's name in a justification."""
        return digest(PAGE, self.encoded)


@dataclass(frozen=True)
class Justification:
    """Why a block may extend its parent: the parent's notarization (None for the genesis) and the page digests."""

    notarization: QuorumCertificate[Notarize] | None
    pages: tuple[Digest, ...]

    @cached_property
    def encoded(self) -> bytes:
        """Layout: u8 1 and (view u64, header 32, signatures), or u8 0; then u16 pages, each 32."""
        if self.notarization is None:
            parent = wire.u8(0)
        else:
            vote = self.notarization.vote
            parent = wire.u8(1) + wire.u64(vote.view) + vote.header + encode_signatures(self.notarization.signatures)
        return parent + wire.u16(len(self.pages)) + b"".join(self.pages)

    @cached_property
    def digest(self) -> Digest:
        """What the header commits to."""
        return digest(JUSTIFICATION, self.encoded)


def decode_page(data: bytes, group: GroupId, epoch: Epoch) -> Page:
    """Read a page; MessageInvalid on any other bytes. Signatures are checked elsewhere."""
    reader = wire.Reader(data)
    number = reader.count(limits.PAGE_VIEWS, "nullifications in a page")
    rows = []
    for _ in range(number):
        vote = Nullify(group, epoch, View(reader.u64()))
        rows.append(QuorumCertificate(vote, read_signatures(reader)))
    reader.end()
    return Page(tuple(rows))


def decode_justification(data: bytes, group: GroupId, epoch: Epoch) -> Justification:
    """Read a justification; MessageInvalid on any other bytes. Signatures are checked elsewhere."""
    reader = wire.Reader(data)
    present = reader.u8()
    if present > 1:
        raise MessageInvalid(f"a justification's first byte is {present}, expected 0 or 1")
    notarization = None
    if present:
        vote = Notarize(group, epoch, View(reader.u64()), Digest(reader.take(32)))
        notarization = QuorumCertificate(vote, read_signatures(reader))
    number = reader.count(limits.PAGES_MAX, "pages")
    pages = tuple(Digest(reader.take(32)) for _ in range(number))
    reader.end()
    return Justification(notarization, pages)


def page_ranges(parent_view: View, view: View) -> list[tuple[View, View]]:
    """The aligned pages that cover the views strictly between ``parent_view`` and ``view``: (first, last) of each."""
    ranges = []
    first = parent_view + 1
    while first < view:
        last = min((first // limits.PAGE_VIEWS + 1) * limits.PAGE_VIEWS, view) - 1
        ranges.append((View(first), View(last)))
        first = last + 1
    return ranges
