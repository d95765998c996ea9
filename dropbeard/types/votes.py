"""Votes as fixed-layout bytes, for journals and evidence: the varying fields alone, then with signer and signature."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import assert_never

from dropbeard.errors import MessageInvalid
from dropbeard.types import wire
from dropbeard.types.ids import SIGNATURE_BYTES, Digest, GroupId, OwnerId, Signature
from dropbeard.types.statements import Finalize, Notarize, Nullify, Vote

NOTARIZE, FINALIZE, NULLIFY = 1, 2, 3

_VOTE = struct.Struct("<BIQ")


@dataclass(frozen=True, slots=True)
class SignedVote:
    """One replica's vote (rule 3.4)."""

    signer: OwnerId
    vote: Vote
    signature: Signature


def encode_vote(vote: Vote) -> bytes:
    """kind u8, epoch u32, view u64, and the header 32 unless it is a Nullify."""
    match vote:
        case Notarize():
            return _VOTE.pack(NOTARIZE, vote.epoch, vote.view) + vote.header
        case Finalize():
            return _VOTE.pack(FINALIZE, vote.epoch, vote.view) + vote.header
        case Nullify():
            return _VOTE.pack(NULLIFY, vote.epoch, vote.view)
        case _:
            assert_never(vote)


def read_vote(reader: wire.Reader, group: GroupId) -> Vote:
    """Take one vote of this group, of any epoch, off ``reader``; MessageInvalid on any other."""
    kind, epoch, view = reader.fields(_VOTE)
    if kind not in (NOTARIZE, FINALIZE, NULLIFY):
        raise MessageInvalid(f"a vote has kind {kind}")
    if kind == NULLIFY:
        return Nullify(group, epoch, view)
    header = Digest(reader.take(32))
    return Notarize(group, epoch, view, header) if kind == NOTARIZE else Finalize(group, epoch, view, header)


def encode_signed_vote(signed: SignedVote) -> bytes:
    """signer u16, the vote, signature 64."""
    return wire.u16(signed.signer) + encode_vote(signed.vote) + signed.signature


def read_signed_vote(reader: wire.Reader, group: GroupId) -> SignedVote:
    """Take one signed vote off ``reader``; its signature is checked elsewhere."""
    signer = OwnerId(reader.u16())
    vote = read_vote(reader, group)
    return SignedVote(signer, vote, Signature(reader.take(SIGNATURE_BYTES)))
