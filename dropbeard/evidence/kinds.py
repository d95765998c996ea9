"""Evidence files (rule 8.1). Layout: magic ``DBEVID\\0\\1`` 8, group 32, epoch u32, kind u8, then by kind:

vote pair (kinds 1 to 4): two signed votes (types.votes), the lesser bytes first;
unjustified vote (5): a signed vote, header body, justification and parent header body (each u32 length and bytes),
  pages u16 and each (u32 length and bytes), in the justification's order;
batch pair (6): owner u16, then twice version u32, lane height u64, parent 32, time u64, items 32, signature 64, the
  lesser bytes first;
commitment pair (7): twice index u16, signature 64, lane batch (u32 length and bytes), the lesser bytes first;
malformed opening (8): index u16, signature 64, lane batch (u32 length and bytes), model 32, salt 32, output (u16
  length and bytes).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import assert_never

from dropbeard.errors import MessageInvalid
from dropbeard.types import limits, wire
from dropbeard.types.blocks import Header, decode_header
from dropbeard.types.group import Group
from dropbeard.types.ids import SIGNATURE_BYTES, Digest, Epoch, OwnerId, Signature
from dropbeard.types.lanes import SignedBatch, SignedPromise, decode_batch, encode_promise, read_promise
from dropbeard.types.statements import Finalize, Notarize
from dropbeard.types.votes import SignedVote, encode_signed_vote, read_signed_vote

MAGIC = b"DBEVID\0\x01"


class Offence(enum.IntEnum):
    """What nobody honest does."""

    DOUBLE_NOTARIZE = 1
    DOUBLE_FINALIZE = 2
    NULLIFY_FINALIZE = 3
    NOTARIZE_FINALIZE = 4
    UNJUSTIFIED_VOTE = 5
    DOUBLE_BATCH = 6
    DOUBLE_COMMITMENT = 7
    MALFORMED_OPENING = 8
    ROTTEN_EVIDENCE = 9
    """Marked by the ledger when a lane carries evidence that does not check; the lane batch itself shows it."""


@dataclass(frozen=True, slots=True)
class VotePair:
    """Two votes of one replica in one view that R1, R2 or R2' forbid together."""

    first: SignedVote
    second: SignedVote

    @property
    def accused(self) -> OwnerId:
        """Who signed both."""
        return self.first.signer

    @property
    def offence(self) -> Offence:
        """By the kinds of the two votes."""
        kinds = {type(self.first.vote), type(self.second.vote)}
        if kinds == {Notarize}:
            return Offence.DOUBLE_NOTARIZE
        if kinds == {Finalize}:
            return Offence.DOUBLE_FINALIZE
        return Offence.NOTARIZE_FINALIZE if Notarize in kinds else Offence.NULLIFY_FINALIZE


@dataclass(frozen=True, slots=True)
class UnjustifiedVote:
    """A Notarize or Finalize for a header whose justification, shown with the parent's header, does not check."""

    signed: SignedVote
    header: Header
    justification: bytes
    parent: Header
    pages: tuple[bytes, ...]

    @property
    def accused(self) -> OwnerId:
        """Who voted."""
        return self.signed.signer

    @property
    def offence(self) -> Offence:
        """UNJUSTIFIED_VOTE."""
        return Offence.UNJUSTIFIED_VOTE


@dataclass(frozen=True, slots=True)
class BatchPair:
    """Two lane batches of one owner at one height."""

    first: SignedPromise
    second: SignedPromise

    @property
    def accused(self) -> OwnerId:
        """Whose lane."""
        return self.first.promise.owner

    @property
    def offence(self) -> Offence:
        """DOUBLE_BATCH."""
        return Offence.DOUBLE_BATCH


@dataclass(frozen=True, slots=True)
class CommitmentPair:
    """Two attestations of one request with different commitments under one model version."""

    first: SignedBatch
    first_at: int
    second: SignedBatch
    second_at: int

    @property
    def accused(self) -> OwnerId:
        """Whose lane."""
        return self.first.batch.owner

    @property
    def offence(self) -> Offence:
        """DOUBLE_COMMITMENT."""
        return Offence.DOUBLE_COMMITMENT


@dataclass(frozen=True, slots=True)
class MalformedOpening:
    """An opening that matches a signed commitment and is no answer of the task. ``salt`` has 32 bytes."""

    signed: SignedBatch
    at: int
    model: Digest
    salt: bytes
    output: bytes

    @property
    def accused(self) -> OwnerId:
        """Whose lane."""
        return self.signed.batch.owner

    @property
    def offence(self) -> Offence:
        """MALFORMED_OPENING."""
        return Offence.MALFORMED_OPENING


Evidence = VotePair | UnjustifiedVote | BatchPair | CommitmentPair | MalformedOpening


def encode_evidence(group: Group, evidence: Evidence) -> bytes:
    """The file's bytes."""
    head = MAGIC + group.id + wire.u32(group.epoch) + wire.u8(evidence.offence)
    match evidence:
        case VotePair(first, second):
            return head + _ascending(encode_signed_vote(first), encode_signed_vote(second))
        case UnjustifiedVote(signed, header, justification, parent, pages):
            shown = b"".join(map(wire.long_bytes, (header.body, justification, parent.body)))
            rest = b"".join(map(wire.long_bytes, pages))
            return head + encode_signed_vote(signed) + shown + wire.u16(len(pages)) + rest
        case BatchPair():
            rows = encode_promise(evidence.first), encode_promise(evidence.second)
            return head + wire.u16(evidence.accused) + _ascending(*rows)
        case CommitmentPair():
            return head + _ascending(
                _place(evidence.first, evidence.first_at), _place(evidence.second, evidence.second_at)
            )
        case MalformedOpening(signed, at, model, salt, output):
            return head + _place(signed, at) + model + salt + wire.short_bytes(output)
        case _:
            assert_never(evidence)


def epoch_in(data: bytes) -> Epoch:
    """The epoch that an evidence file is about; MessageInvalid when it is too short to say."""
    return Epoch(wire.Reader(data[len(MAGIC) + 32 :]).u32())


def decode_evidence(data: bytes, group: Group) -> Evidence:
    """Read a file about this group; MessageInvalid on any other bytes. Whether it convicts is the judge's to say."""
    if len(data) > limits.EVIDENCE_FILE_BYTES_MAX:
        raise MessageInvalid(f"{len(data)} bytes are more than an evidence file may have")
    if data[: len(MAGIC)] != MAGIC:
        raise MessageInvalid("not an evidence file of version 1: the first 8 bytes differ")
    reader = wire.Reader(data[len(MAGIC) :])
    if reader.take(32) != group.id or reader.u32() != group.epoch:
        raise MessageInvalid("the evidence is about another group or epoch")
    kind = reader.u8()
    evidence = _read(reader, kind, group)
    reader.end()
    if evidence.offence != kind or encode_evidence(group, evidence) != data:
        raise MessageInvalid("the evidence is not in its canonical form")
    return evidence


def _read(reader: wire.Reader, kind: int, group: Group) -> Evidence:
    if Offence.DOUBLE_NOTARIZE <= kind <= Offence.NOTARIZE_FINALIZE:
        first, second = (_read_vote(reader, group) for _ in range(2))
        return VotePair(first, second)
    if kind == Offence.UNJUSTIFIED_VOTE:
        signed = _read_vote(reader, group)
        header, justification = decode_header(reader.long_bytes(), group.id), reader.long_bytes()
        parent = decode_header(reader.long_bytes(), group.id)
        pages = tuple(reader.long_bytes() for _ in range(reader.count(limits.PAGES_MAX, "pages")))
        return UnjustifiedVote(signed, header, justification, parent, pages)
    if kind == Offence.DOUBLE_BATCH:
        owner = OwnerId(reader.u16())
        one, other = (read_promise(reader, group.id, group.epoch, owner) for _ in range(2))
        return BatchPair(one, other)
    if kind == Offence.DOUBLE_COMMITMENT:
        here, there = _read_place(reader, group), _read_place(reader, group)
        return CommitmentPair(*here, *there)
    if kind == Offence.MALFORMED_OPENING:
        signed_batch, at = _read_place(reader, group)
        return MalformedOpening(signed_batch, at, Digest(reader.take(32)), reader.take(32), reader.short_bytes())
    raise MessageInvalid(f"evidence of unknown kind {kind}")


def _read_vote(reader: wire.Reader, group: Group) -> SignedVote:
    signed = read_signed_vote(reader, group.id)
    if signed.vote.epoch != group.epoch:
        raise MessageInvalid(f"a vote is of epoch {signed.vote.epoch}, the evidence of epoch {group.epoch}")
    return signed


def _ascending(one: bytes, other: bytes) -> bytes:
    return min(one, other) + max(one, other)


def _place(signed: SignedBatch, at: int) -> bytes:
    return wire.u16(at) + signed.signature + wire.long_bytes(signed.batch.encode())


def _read_place(reader: wire.Reader, group: Group) -> tuple[SignedBatch, int]:
    at, signature = reader.u16(), Signature(reader.take(SIGNATURE_BYTES))
    batch = decode_batch(reader.long_bytes(), group.parameters)
    if batch.group != group.id or batch.epoch != group.epoch or at >= len(batch.attestations):
        raise MessageInvalid("the batch is of another group or epoch, or has no such attestation")
    return SignedBatch(batch, signature), at
