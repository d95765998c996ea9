"""What the oracle learns from the wire, and messages through the real codec and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache

from dropbeard.codec.catchup import decode_catchup, encode_catchup
from dropbeard.codec.peer import decode_lanes, decode_votes, encode_lanes, encode_votes
from dropbeard.errors import MessageInvalid
from dropbeard.simulator.keys import Keys
from dropbeard.simulator.oracle import Oracle
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.types.blocks import Header, QuorumCertificate
from dropbeard.types.checking import SignatureChecker
from dropbeard.types.group import Group
from dropbeard.types.ids import OwnerId, Signature
from dropbeard.types.messages import (
    BatchNotice,
    BucketNotice,
    FetchBatches,
    FetchBucket,
    FetchInput,
    FetchSnapshot,
    InputNotice,
    PeerMessage,
    Proposal,
    SnapshotNotice,
)
from dropbeard.types.statements import Notarize, Vote
from dropbeard.types.succession import Succession
from dropbeard.types.votes import SignedVote


class Wiretap:
    """Shows the oracle what is sent; an honest replica's own statement must be on disk by then (rule 3.8)."""

    def __init__(self, keys: Keys, oracle: Oracle) -> None:
        self._keys = keys
        self._oracle = oracle
        self._checkers: dict[int, SignatureChecker] = {}
        self._stored: dict[tuple[int, bytes], None] = {}

    def heard(self, replica: SimulatedReplica, message: PeerMessage, lies: bool) -> None:
        """One message on its way."""
        if isinstance(message, Proposal):
            self._oracle.proposed(message.header)
        if lies:
            self._from_a_liar(message)
            return
        signature = self._own_signature(replica.owner, message)
        if signature and (replica.owner, signature) not in self._stored:
            if not replica.has_stored(signature):
                self._oracle.flag(f"sent-before-stored: owner {replica.owner} {type(message).__name__}")
            self._stored[replica.owner, signature] = None

    def _own_signature(self, owner: OwnerId, message: PeerMessage) -> bytes:
        if isinstance(message, Proposal):
            leader = self._oracle.groups[int(message.header.epoch)].leader(message.header.view)
            return message.signature if leader == owner else b""
        if isinstance(message, BatchNotice):
            return message.signed.signature if message.signed.batch.owner == owner else b""
        return message.signature if isinstance(message, SignedVote) else b""

    def _from_a_liar(self, message: PeerMessage) -> None:
        """Whatever liars really signed counts: alone, in certificates, as leaders; and their batches may be ordered."""
        for signer, vote, signature in votes_in(message):
            self._vote(signer, vote, signature)
        if isinstance(message, Proposal) and message.header.view >= 0:
            header = message.header
            led = Notarize(header.group, header.epoch, header.view, header.digest)
            group = self._oracle.groups.get(int(header.epoch))
            if group is not None:
                self._vote(group.leader(header.view), led, message.signature)
        elif isinstance(message, BatchNotice):
            signed = message.signed
            checker = self._checker(int(signed.batch.epoch))
            if checker is not None and checker.check(
                signed.batch.owner, signed.batch.promise.encode(), signed.signature
            ):
                self._oracle.promised(signed.batch)

    def through_codec(self, replica: SimulatedReplica, message: PeerMessage) -> PeerMessage | None:
        """What a receiver decodes; None for what no decoder takes, which only liars send."""
        try:
            return round_trip(replica.turn.state.group, message)
        except MessageInvalid as wrong:
            if replica.owner not in self._oracle.liars:
                self._oracle.flag(f"codec: owner {replica.owner} sent what nobody can read: {wrong}")
            return None

    def _vote(self, signer: OwnerId, vote: Vote, signature: Signature) -> None:
        checker = self._checker(int(vote.epoch)) if int(signer) in self._oracle.liars else None
        if checker is not None and checker.check(signer, vote.encode(), signature):
            self._oracle.lied(int(signer), vote)

    def _checker(self, epoch: int) -> SignatureChecker | None:
        """Who checks that epoch's signatures; None when nobody serves it yet."""
        if epoch not in self._checkers and epoch in self._oracle.groups:
            self._checkers[epoch] = self._keys.checker.following(self._oracle.groups[epoch])
        return self._checkers.get(epoch)


def votes_in(message: object) -> Iterator[tuple[OwnerId, Vote, Signature]]:
    """Every signed vote that a message carries, however deep: in a status, a justification, a succession, an echo."""
    if isinstance(message, Succession):
        message = message.finalization
    if isinstance(message, SignedVote):
        yield message.signer, message.vote, message.signature
    elif isinstance(message, QuorumCertificate):
        for signer, signature in message.signatures:
            yield signer, message.vote, signature
    elif isinstance(message, tuple):
        for part in message:
            yield from votes_in(part)
    else:
        for name in _parts(type(message)):  # type: ignore[arg-type]
            yield from votes_in(getattr(message, name))


@cache
def _parts(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind)) if is_dataclass(kind) else ()


def round_trip(group: Group, message: PeerMessage) -> PeerMessage:
    """Encoded and decoded by the code that daemons use."""
    match message:
        case BatchNotice() | FetchBatches():
            return decode_lanes(encode_lanes(message), group)
        case FetchInput() | InputNotice() | FetchSnapshot() | SnapshotNotice() | FetchBucket() | BucketNotice():
            frames = encode_catchup(message)
            return decode_catchup(frames[0], frames[1] if len(frames) > 1 else None)
        case _:
            return decode_votes(encode_votes(message), group)


def without_signatures(header: Header) -> bytes:
    """A header less all digests that cover signatures: of parent, justification and lane batches."""
    cut = ",".join(str(tip.height) for tip in header.cut).encode()
    roots = header.entries_root + header.state_root
    return f"{header.height} {header.view} {header.parent_view} {header.time} ".encode() + cut + roots
