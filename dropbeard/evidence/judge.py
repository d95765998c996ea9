"""Does a piece of evidence convict? Asked with the genesis alone (rules 6.2, 8.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, assert_never

from dropbeard.errors import MessageInvalid
from dropbeard.evidence.justification import certificate_checks, cover_fault, page_checks, static_fault
from dropbeard.evidence.kinds import (
    BatchPair,
    CommitmentPair,
    Evidence,
    MalformedOpening,
    Offence,
    UnjustifiedVote,
    VotePair,
    decode_evidence,
)
from dropbeard.types import hashing
from dropbeard.types.blocks import Header, Page, decode_justification, decode_page
from dropbeard.types.checking import SignatureChecker
from dropbeard.types.group import Group
from dropbeard.types.ids import Digest, OwnerId
from dropbeard.types.lanes import SignedBatch
from dropbeard.types.limits import EVIDENCE_BYTES_MAX
from dropbeard.types.requests import Opening
from dropbeard.types.statements import Finalize, Notarize, Nullify
from dropbeard.types.votes import SignedVote

JUDGED_MAX: Final = 1_024
"""Verdicts remembered: the same piece comes in lane after lane."""

Verdict = tuple[OwnerId, Offence]


@dataclass(slots=True)
class Judge:
    """Judges evidence about one epoch of a group. ``root`` is the header that the epoch starts from."""

    group: Group
    root: Header
    checker: SignatureChecker
    _known: dict[Digest, Verdict | None] = field(default_factory=dict)

    def verdict(self, data: bytes) -> Verdict | None:
        """Whom a lane's piece of evidence convicts and of what; None when it does not check (rule 8.1)."""
        if len(data) > EVIDENCE_BYTES_MAX:
            return None
        name = hashing.digest(hashing.EVIDENCE, data)
        if name not in self._known:
            if len(self._known) >= JUDGED_MAX:
                del self._known[next(iter(self._known))]
            self._known[name] = self._judge(data)
        return self._known[name]

    def verdict_of_file(self, data: bytes) -> Verdict | None:
        """The same for a piece of any size, which no lane carries."""
        return self._judge(data)

    def _judge(self, data: bytes) -> Verdict | None:
        try:
            evidence = decode_evidence(data, self.group)
        except MessageInvalid:
            return None
        return None if self.fault(evidence) is not None else (evidence.accused, evidence.offence)

    def fault(self, evidence: Evidence) -> str | None:
        """Why it does not convict, in words for people; None when it does."""
        if self.group.owner(evidence.accused) is None:
            return f"owner {evidence.accused} is no member of the group"
        match evidence:
            case VotePair():
                return self._votes_fault(evidence)
            case UnjustifiedVote():
                return self._unjustified_fault(evidence)
            case BatchPair():
                return self._batches_fault(evidence)
            case CommitmentPair():
                return self._commitments_fault(evidence)
            case MalformedOpening():
                return self._opening_fault(evidence)
            case _:
                assert_never(evidence)

    def _is_signed(self, signed: SignedVote) -> bool:
        return self.checker.check(signed.signer, signed.vote.encode(), signed.signature)

    def _is_promised(self, signed: SignedBatch) -> bool:
        return self.checker.check(signed.batch.owner, signed.batch.promise.encode(), signed.signature)

    def _votes_fault(self, pair: VotePair) -> str | None:
        one, other = pair.first.vote, pair.second.vote
        if pair.first.signer != pair.second.signer or one.view != other.view:
            return "the votes are of two replicas or two views"
        if not one.epoch == other.epoch == self.group.epoch or not _conflict(one, other):
            return "the rules allow both votes"
        if not (self._is_signed(pair.first) and self._is_signed(pair.second)):
            return "a signature is not the accused's"
        return None

    def _batches_fault(self, pair: BatchPair) -> str | None:
        one, other = pair.first.promise, pair.second.promise
        if not one.epoch == other.epoch == self.group.epoch or one.lane_height != other.lane_height or one == other:
            return "the batches stand at two heights or in two epochs, or are one batch"
        rows = (pair.first, pair.second)
        if not all(self.checker.check(pair.accused, row.promise.encode(), row.signature) for row in rows):
            return "a signature is not the accused's"
        return None

    def _commitments_fault(self, pair: CommitmentPair) -> str | None:
        one, other = pair.first.batch, pair.second.batch
        here, there = one.attestations[pair.first_at], other.attestations[pair.second_at]
        if one.owner != other.owner or one.version != other.version or not one.epoch == other.epoch == self.group.epoch:
            return "the attestations are of two owners, two epochs or two model versions"
        if here.request_id() != there.request_id() or here.commitment == there.commitment:
            return "the attestations are of two requests, or say the same"
        if not (self._is_promised(pair.first) and self._is_promised(pair.second)):
            return "a signature is not the accused's"
        return None

    def _opening_fault(self, shown: MalformedOpening) -> str | None:
        batch = shown.signed.batch
        item = batch.attestations[shown.at]
        opening = Opening(item.request_id(), batch.owner, batch.version, shown.model, shown.output, shown.salt)
        if opening.commitment() != item.commitment:
            return "the opening does not match the commitment, so it is nobody's statement"
        if not self._is_promised(shown.signed):
            return "a signature is not the accused's"
        try:
            self.group.task.read_output(shown.output)
        except MessageInvalid:
            return None
        return "the opening is a well-formed answer"

    def _unjustified_fault(self, shown: UnjustifiedVote) -> str | None:
        vote, header = shown.signed.vote, shown.header
        if isinstance(vote, Nullify) or vote.header != header.digest:
            return "the vote is not for this header"
        if not self._is_signed(shown.signed):
            return "a signature is not the accused's"
        if hashing.digest(hashing.JUSTIFICATION, shown.justification) != header.justification:
            return "this is not the justification that the header commits to"
        if shown.parent.digest != header.parent:
            return "this is not the parent that the header names"
        return self._justified(shown)

    def _justified(self, shown: UnjustifiedVote) -> str | None:
        """A text when the vote was in order after all, or when it is not shown that it was not."""
        vote, header = shown.signed.vote, shown.header
        if vote.view != header.view:
            return None
        try:
            justification = decode_justification(shown.justification, self.group.id, self.group.epoch)
        except MessageInvalid:
            return None
        if static_fault(self.group, self.root, header, justification) is not None:
            return None
        notarization = justification.notarization
        if notarization is not None and not certificate_checks(self.group, notarization, self.checker):
            return None
        if tuple(hashing.digest(hashing.PAGE, page) for page in shown.pages) != justification.pages:
            return "these are not the pages that the justification commits to"
        pages: dict[Digest, Page] = {}
        for data in shown.pages:
            try:
                page = decode_page(data, self.group.id, self.group.epoch)
            except MessageInvalid:
                return None
            if not page_checks(self.group, page, self.checker):
                return None
            pages[page.digest] = page
        if cover_fault(header, justification, shown.parent, pages) is not None:
            return None
        return "the justification checks, so the vote was in order"


def _conflict(one: Notarize | Finalize | Nullify, other: Notarize | Finalize | Nullify) -> bool:
    """Do R1, R2 or R2' forbid both in one view?"""
    if isinstance(one, Nullify) or isinstance(other, Nullify):
        return isinstance(one, Finalize) or isinstance(other, Finalize)
    return one.header != other.header


VerdictOf = Callable[[bytes], Verdict | None]
"""What the ledger asks of a judge."""
