"""What the oracle learns from the wire, and messages through the real codec and back."""

from __future__ import annotations

from dropbeard.codec.catchup import decode_catchup, encode_catchup
from dropbeard.codec.peer import decode_lanes, decode_votes, encode_lanes, encode_votes
from dropbeard.errors import MessageInvalid
from dropbeard.simulator.keys import Keys
from dropbeard.simulator.oracle import Oracle
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.types.blocks import Header
from dropbeard.types.checking import SignatureChecker
from dropbeard.types.group import Group
from dropbeard.types.ids import OwnerId, Signature
from dropbeard.types.messages import (
    BatchNotice,
    BucketNotice,
    CertificateNotice,
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
        if isinstance(message, SignedVote):
            self._vote(message.signer, message.vote, message.signature)
        elif isinstance(message, CertificateNotice):
            for signer, signature in message.certificate.signatures:
                self._vote(signer, message.certificate.vote, signature)
        elif isinstance(message, Proposal) and message.header.view >= 0:
            header = message.header
            vote = Notarize(header.group, header.epoch, header.view, header.digest)
            group = self._oracle.groups.get(int(header.epoch))
            if group is not None:
                self._vote(group.leader(header.view), vote, message.signature)
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
