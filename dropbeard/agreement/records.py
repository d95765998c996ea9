"""What a replica writes to its journal, as fixed-layout bytes: kind u8, then the fields (rule 3.8).

Replayed in the order of writing, the records bring back the same promises, votes and lane (rule 7.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from dropbeard.errors import MessageInvalid
from dropbeard.types import limits, wire
from dropbeard.types.blocks import (
    Header,
    QuorumCertificate,
    decode_header,
    decode_justification,
    decode_page,
    encode_signatures,
    read_signatures,
)
from dropbeard.types.group import Group
from dropbeard.types.ids import OwnerId, Signature
from dropbeard.types.lanes import SignedBatch, decode_batch
from dropbeard.types.messages import AnyCertificate, Proposal
from dropbeard.types.requests import Opening, decode_openings, encode_openings
from dropbeard.types.succession import Succession, decode_succession
from dropbeard.types.votes import SignedVote, encode_signed_vote, encode_vote, read_signed_vote, read_vote


@dataclass(frozen=True, slots=True)
class VoteRecord:
    """A vote of this replica: the promise itself."""

    signed: SignedVote


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """A header with its leader's signature, its justification and the pages sent with it."""

    proposal: Proposal


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A lane batch, ours or another's."""

    signed: SignedBatch


@dataclass(frozen=True, slots=True)
class OpeningsRecord:
    """What this replica's own batch commits to."""

    openings: tuple[Opening, ...]


@dataclass(frozen=True, slots=True)
class CertificateRecord:
    """A quorum certificate that a vote of ours depends on."""

    certificate: AnyCertificate


@dataclass(frozen=True, slots=True)
class EvidenceRecord:
    """An evidence file that this replica can show (rule 8.1)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """A snapshot that this replica stands on: the header it is of, rows of the small tables, rows of every bucket."""

    header: Header
    small: bytes
    rows: bytes


@dataclass(frozen=True, slots=True)
class SuccessionRecord:
    """What ended an epoch whose last blocks this replica does not hold (rule 8.4)."""

    succession: Succession


Record = (
    VoteRecord
    | BlockRecord
    | BatchRecord
    | OpeningsRecord
    | CertificateRecord
    | EvidenceRecord
    | SnapshotRecord
    | SuccessionRecord
)


BATCH_OWNER_AT = 1 + 64 + 32 + 4
"""Where a batch record names its lane: after its kind, signature, group and epoch."""


def encode_record(record: Record) -> bytes:
    """The record's bytes."""
    match record:
        case VoteRecord(signed):
            return wire.u8(1) + encode_signed_vote(signed)
        case BlockRecord(proposal):
            return wire.u8(2) + _encode_proposal(proposal)
        case BatchRecord(signed_batch):
            return wire.u8(3) + signed_batch.signature + signed_batch.batch.encode()
        case OpeningsRecord(openings):
            return wire.u8(4) + encode_openings(openings)
        case CertificateRecord(certificate):
            return wire.u8(5) + encode_vote(certificate.vote) + encode_signatures(certificate.signatures)
        case EvidenceRecord(data):
            return wire.u8(6) + data
        case SnapshotRecord(header, small, rows):
            return wire.u8(7) + wire.long_bytes(header.body) + wire.long_bytes(small) + rows
        case SuccessionRecord(succession):
            return wire.u8(8) + succession.encode()
        case _:
            assert_never(record)


def may_promise(data: bytes, owner: OwnerId) -> bool:
    """Could these bytes be a vote, or a lane batch of this owner? A look at fixed places, without decoding."""
    if data[:1] == b"\x03":
        return int.from_bytes(data[BATCH_OWNER_AT : BATCH_OWNER_AT + 2], "little") == owner
    return data[:1] == b"\x01"


def decode_record(data: bytes, group: Group) -> Record:
    """Read a record of this group; MessageInvalid on any other bytes."""
    reader = wire.Reader(data)
    kind = reader.u8()
    record: Record
    if kind == 1:
        record = VoteRecord(read_signed_vote(reader, group.id))
    elif kind == 2:
        record = BlockRecord(_read_proposal(reader, group))
    elif kind == 3:
        signature = Signature(reader.take(64))
        batch = decode_batch(reader.take(reader.remaining), group.parameters)
        record = BatchRecord(SignedBatch(batch, signature))
    elif kind == 4:
        record = OpeningsRecord(decode_openings(reader.take(reader.remaining), limits.ENTRIES_MAX))
    elif kind == 5:
        vote = read_vote(reader, group.id)
        record = CertificateRecord(QuorumCertificate(vote, read_signatures(reader)))  # type: ignore[arg-type]
    elif kind == 6:
        record = EvidenceRecord(reader.take(reader.remaining))
    elif kind == 7:
        header = decode_header(reader.long_bytes(), group.id)
        record = SnapshotRecord(header, reader.long_bytes(), reader.take(reader.remaining))
    elif kind == 8:
        record = SuccessionRecord(decode_succession(reader.take(reader.remaining), group.id))
    else:
        raise MessageInvalid(f"a journal record has unknown kind {kind}")
    reader.end()
    return record


def _encode_proposal(proposal: Proposal) -> bytes:
    pages = b"".join(wire.long_bytes(page.encoded) for page in proposal.pages)
    parts = wire.long_bytes(proposal.header.body) + proposal.signature + wire.long_bytes(proposal.justification.encoded)
    return parts + wire.u16(len(proposal.pages)) + pages


def _read_proposal(reader: wire.Reader, group: Group) -> Proposal:
    header = decode_header(reader.long_bytes(), group.id)
    signature = Signature(reader.take(64))
    justification = decode_justification(reader.long_bytes(), group.id, header.epoch)
    number = reader.count(limits.PAGES_MAX, "pages")
    pages = tuple(decode_page(reader.long_bytes(), group.id, header.epoch) for _ in range(number))
    return Proposal(header, signature, justification, pages)
