"""What ends an epoch and starts the next: a self-contained proof, and the header that the next epoch starts from (8.4).

Layout of a succession: epoch u32, headers u16 and each (u32 length, body) from the finalized one down to the last block
of the epoch, the finalization's signatures, state root before the state is mixed in 32, digest of the whole state 32,
u32 length and configuration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from dropbeard.errors import MessageInvalid
from dropbeard.types import limits, wire
from dropbeard.types.blocks import (
    Cut,
    Header,
    LaneTip,
    QuorumCertificate,
    Signatures,
    decode_header,
    encode_signatures,
    read_signatures,
)
from dropbeard.types.group import Group
from dropbeard.types.hashing import STATE_EPOCH, digest
from dropbeard.types.ids import GENESIS_VIEW, NO_DIGEST, Digest, Epoch, GroupId, Height, LaneHeight, TimeUs
from dropbeard.types.membership import configuration_digest, following_group
from dropbeard.types.merkle import EMPTY_ROOT
from dropbeard.types.statements import Finalize

MAGIC: Final = b"DBEPOC\0\x01"
"""The last byte is the version of the file's format."""


@dataclass(frozen=True)
class Succession:
    """``headers``: closing blocks above the last block of the epoch, the finalized one first; that block is the last.

    ``root`` and ``whole``: what its state root is made of, together with the configuration.
    """

    epoch: Epoch
    headers: tuple[Header, ...]
    signatures: Signatures
    root: Digest
    whole: Digest
    configuration: bytes

    @property
    def last(self) -> Header:
        """The last block of the epoch."""
        return self.headers[-1]

    @property
    def finalization(self) -> QuorumCertificate[Finalize]:
        """What made that block final."""
        top = self.headers[0]
        return QuorumCertificate(Finalize(top.group, top.epoch, top.view, top.digest), self.signatures)

    def encode(self) -> bytes:
        """Canonical bytes."""
        headers = b"".join(wire.long_bytes(header.body) for header in self.headers)
        head = wire.u32(self.epoch) + wire.u16(len(self.headers)) + headers
        return head + encode_signatures(self.signatures) + self.root + self.whole + wire.long_bytes(self.configuration)


def decode_succession(data: bytes, group: GroupId) -> Succession:
    """Read a succession of this group; MessageInvalid on any other bytes. Nothing in it is proved yet."""
    reader = wire.Reader(data)
    epoch = Epoch(reader.u32())
    number = reader.count(limits.LINKS_MAX, "headers in a succession")
    headers = tuple(decode_header(reader.long_bytes(), group) for _ in range(number))
    signatures = read_signatures(reader)
    root, whole = Digest(reader.take(32)), Digest(reader.take(32))
    configuration = reader.long_bytes()
    reader.end()
    if not headers:
        raise MessageInvalid("a succession holds no header")
    return Succession(epoch, headers, signatures, root, whole, configuration)


def encode_successions(group: GroupId, successions: Sequence[Succession]) -> bytes:
    """A file of what ended the epochs of a group, in order: magic, group, u16 how many, each with its length (u32)."""
    rows = b"".join(wire.long_bytes(given.encode()) for given in successions)
    return MAGIC + group + wire.u16(len(successions)) + rows


def decode_successions(data: bytes, group: GroupId) -> list[Succession]:
    """Read such a file; MessageInvalid unless it is one of this group. Nothing in it is proved yet."""
    reader = wire.Reader(data)
    if reader.take(len(MAGIC)) != MAGIC:
        raise MessageInvalid("it is no file of successions")
    if reader.take(len(group)) != group:
        raise MessageInvalid("it is of another group")
    number = reader.count(limits.SUCCESSIONS_MAX, "successions")
    found = [decode_succession(reader.long_bytes(), group) for _ in range(number)]
    reader.end()
    return found


def last_state_root(root: Digest, whole: Digest, configuration: bytes) -> Digest:
    """State root of the last block of an epoch: it covers the whole state and who comes next (rules 4.1, 8.4)."""
    return digest(STATE_EPOCH, root, whole, configuration_digest(configuration))


def empty_cut(group: Group) -> Cut:
    """Nothing of any lane: where an epoch starts."""
    return tuple(LaneTip(owner, LaneHeight(0), NO_DIGEST) for owner in group.members)


def starting_header(
    group: Group, height: Height, parent: Digest, time: TimeUs, state_root: Digest, justification: Digest
) -> Header:
    """What ``group``'s epoch starts from: view -1, nothing ordered, no entries (rules 3.1, 8.4)."""
    return Header(
        group=group.id,
        epoch=group.epoch,
        height=height,
        view=GENESIS_VIEW,
        parent=parent,
        parent_view=GENESIS_VIEW,
        cut=empty_cut(group),
        time=time,
        entries_root=EMPTY_ROOT,
        state_root=state_root,
        justification=justification,
    )


def root_header(group: Group, last: Header, configuration: bytes) -> Header:
    """The header that ``group``'s epoch starts from: at the height of the last block before it, with new lanes.

    Nobody signs it: it follows from that block and the configuration.
    """
    named = configuration_digest(configuration)
    return starting_header(group, last.height, last.digest, last.time, last.state_root, named)


def succession_form_fault(group: Group, given: Succession) -> str | None:
    """What is wrong with a succession of ``group``'s epoch but for its signatures; None when nothing is."""
    last = given.last
    if given.epoch != group.epoch or any(h.epoch != group.epoch or h.view < 0 for h in given.headers):
        return f"it is not of epoch {group.epoch}"
    if last.is_closing or last_state_root(given.root, given.whole, given.configuration) != last.state_root:
        return "its last block does not name this configuration"
    for child, parent in pairwise(given.headers):
        if child.parent != parent.digest or not child.is_closing or child.height != parent.height:
            return "its headers are not closing blocks over the last one"
    try:
        following_group(group, given.configuration)
    except MessageInvalid as wrong:
        return str(wrong)
    return None
