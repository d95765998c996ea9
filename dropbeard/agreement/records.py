"""What a replica writes to its journal, as fixed-layout bytes: kind u8, then the fields (rule 3.8).

Replayed in the order of writing, the records bring back the same promises, votes and lane (rule 7.3).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import assert_never

from dropbeard.agreement.standing import (
    BucketRecord,
    GuardRecord,
    HeldSnapshotRecord,
    OwnRecord,
    StandingRecord,
    encode_bucket,
    encode_own,
    encode_standing,
    read_bucket,
    read_own,
    read_standing,
)
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
from dropbeard.types.ids import Digest, Height, LaneHeight, OwnerId, Signature
from dropbeard.types.lanes import LaneBatch, SignedBatch, decode_batch
from dropbeard.types.messages import AnyCertificate, Proposal
from dropbeard.types.requests import Opening, salt_of
from dropbeard.types.succession import Succession, decode_succession
from dropbeard.types.votes import FINALIZE, SignedVote, encode_signed_vote, encode_vote, read_signed_vote, read_vote


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
    """What this replica's own batch, the next one in the journal, commits to: model and output of each attestation.
    The rest of an opening stands in the batch or follows from the replica's secret (rule 2.6)."""

    answers: tuple[tuple[Digest, bytes], ...]

    def openings(self, batch: LaneBatch, secret: bytes) -> list[Opening]:
        """The openings of ``batch`` in its order; none when it is another one's."""
        if len(self.answers) != len(batch.attestations):
            return []
        owner, version = batch.owner, batch.version
        return [
            Opening(request, owner, version, model, output, salt_of(secret, request, version))
            for request, (model, output) in zip(batch.request_ids, self.answers, strict=True)
        ]


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


@dataclass(frozen=True, slots=True)
class EntriesRecord:
    """A final block's entries as ``shelving.pack_entries`` lays them out: shown to clients until retention has passed,
    without applying the block again."""

    header: Digest
    packed: bytes


Checkpointed = StandingRecord | HeldSnapshotRecord | BucketRecord | OwnRecord | GuardRecord
"""What stands in a checkpoint and nowhere else."""

Record = (
    VoteRecord
    | BlockRecord
    | BatchRecord
    | OpeningsRecord
    | CertificateRecord
    | EvidenceRecord
    | SnapshotRecord
    | SuccessionRecord
    | EntriesRecord
    | Checkpointed
)


_ANSWER = struct.Struct("<BH")

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
        case OpeningsRecord(answers):
            return wire.u8(4) + _encode_answers(answers)
        case CertificateRecord(certificate):
            return wire.u8(5) + encode_vote(certificate.vote) + encode_signatures(certificate.signatures)
        case EvidenceRecord(data):
            return wire.u8(6) + data
        case SnapshotRecord(header, small, rows):
            return wire.u8(7) + wire.long_bytes(header.body) + wire.long_bytes(small) + rows
        case SuccessionRecord(succession):
            return wire.u8(8) + succession.encode()
        case EntriesRecord(digest, packed):
            return wire.u8(9) + digest + packed
        case _:
            return _encode_checkpointed(record)


def _encode_checkpointed(record: Checkpointed) -> bytes:
    match record:
        case StandingRecord():
            return wire.u8(10) + encode_standing(record)
        case HeldSnapshotRecord(height, small):
            return wire.u8(11) + wire.u64(height) + small
        case BucketRecord():
            return wire.u8(12) + encode_bucket(record)
        case OwnRecord():
            return wire.u8(13) + encode_own(record)
        case GuardRecord(data):
            return wire.u8(14) + data
        case _:
            assert_never(record)


def may_promise(data: bytes, owner: OwnerId) -> bool:
    """Could these bytes be a vote, or a lane batch of this owner? A look at fixed places, without decoding."""
    place = lane_place(data)
    return data[:1] == b"\x01" if place is None else place[0] == owner


def is_audit(data: bytes) -> bool:
    """Is this record, by its first bytes, of the audit chain, which is never pruned (rule 7.1)? Headers with their
    justifications, finalizations, evidence, and what ended epochs."""
    return data[:1] in (b"\x02", b"\x06", b"\x08") or data[:2] == b"\x05" + wire.u8(FINALIZE)


def lane_place(data: bytes) -> tuple[OwnerId, LaneHeight] | None:
    """Lane and height of a batch record, without decoding; None of another record."""
    if data[:1] != b"\x03":
        return None
    at = BATCH_OWNER_AT
    owner, height = data[at : at + 2], data[at + 6 : at + 14]
    return OwnerId(int.from_bytes(owner, "little")), LaneHeight(int.from_bytes(height, "little"))


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
        record = OpeningsRecord(_read_answers(reader))
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
    elif kind == 9:
        record = EntriesRecord(Digest(reader.take(32)), reader.take(reader.remaining))
    else:
        record = _read_checkpointed(reader, kind, group)
    reader.end()
    return record


def _read_checkpointed(reader: wire.Reader, kind: int, group: Group) -> Checkpointed:
    if kind == 10:
        return read_standing(reader, group.id)
    if kind == 11:
        return HeldSnapshotRecord(Height(reader.u64()), reader.take(reader.remaining))
    if kind == 12:
        return read_bucket(reader)
    if kind == 13:
        return read_own(reader)
    if kind == 14:
        return GuardRecord(reader.take(reader.remaining))
    raise MessageInvalid(f"a journal record has unknown kind {kind}")


def _encode_answers(answers: tuple[tuple[Digest, bytes], ...]) -> bytes:
    """Models u8 and each 32; each answer's model by its place u8, output short bytes."""
    models: dict[Digest, int] = {}
    rows = [_ANSWER.pack(models.setdefault(model, len(models)), len(output)) + output for model, output in answers]
    return wire.u8(len(models)) + b"".join(models) + b"".join(rows)


def _read_answers(reader: wire.Reader) -> tuple[tuple[Digest, bytes], ...]:
    models = [Digest(reader.take(32)) for _ in range(reader.u8())]
    rows = wire.tailed_rows(_ANSWER, reader.take(reader.remaining), limits.ENTRIES_MAX, limits.OUTPUT_BYTES_MAX)
    answers = [(place, output) for (place,), output in rows]
    used = list(dict.fromkeys(place for place, _ in answers))
    if used != list(range(len(models))) or len(set(models)) != len(models):
        raise MessageInvalid("answers do not name the models of their record, each once, in the order of first use")
    return tuple((models[place], output) for place, output in answers)


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
