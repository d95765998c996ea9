"""Find culprits among the signed statements that somebody holds (rules 6.2, 8.1)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from dropbeard.evidence.judge import Judge, Verdict
from dropbeard.evidence.justification import AnyCertificate
from dropbeard.evidence.kinds import BatchPair, CommitmentPair, Evidence, UnjustifiedVote, VotePair
from dropbeard.types.blocks import Header, Page
from dropbeard.types.ids import Digest, LaneHeight, OwnerId, RequestId, Version, View
from dropbeard.types.lanes import SignedBatch
from dropbeard.types.messages import Proposal
from dropbeard.types.statements import Nullify, Vote
from dropbeard.types.votes import SignedVote


class Pool:
    """Statements from wherever: certificates, journals, evidence. Nothing in it needs to be true; the judge decides."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._votes: dict[tuple[OwnerId, View], dict[Vote, SignedVote]] = {}
        self._proposals: dict[Digest, Proposal] = {}
        self._headers: dict[Digest, Header] = {judge.root.digest: judge.root}
        self._pages: dict[Digest, Page] = {}
        self._batches: dict[tuple[OwnerId, LaneHeight], dict[Digest, SignedBatch]] = {}

    def add_vote(self, signed: SignedVote) -> None:
        """One signed vote; other epochs have other judges (rule 8.4)."""
        if signed.vote.epoch != self._judge.group.epoch:
            return
        self._votes.setdefault((signed.signer, signed.vote.view), {}).setdefault(signed.vote, signed)

    def add_certificate(self, certificate: AnyCertificate) -> None:
        """Every vote of a quorum certificate."""
        for signer, signature in certificate.signatures:
            self.add_vote(SignedVote(signer, certificate.vote, signature))

    def add_header(self, header: Header) -> None:
        """A header, to stand as somebody's parent."""
        self._headers[header.digest] = header

    def add_page(self, page: Page) -> None:
        """A page of nullifications and the votes in it."""
        self._pages[page.digest] = page
        for nullification in page.nullifications:
            self.add_certificate(nullification)

    def add_proposal(self, proposal: Proposal) -> None:
        """A header with its justification and every certificate in it."""
        self.add_header(proposal.header)
        if proposal.header.epoch != self._judge.group.epoch:
            return
        self._proposals[proposal.header.digest] = proposal
        if proposal.justification.notarization is not None:
            self.add_certificate(proposal.justification.notarization)
        for page in proposal.pages:
            self.add_page(page)

    def add_batch(self, signed: SignedBatch) -> None:
        """A signed lane batch."""
        if signed.batch.epoch != self._judge.group.epoch:
            return
        place = signed.batch.owner, signed.batch.lane_height
        self._batches.setdefault(place, {}).setdefault(signed.batch.digest, signed)

    def convictions(self) -> dict[Verdict, Evidence]:
        """The first piece that convicts, for each culprit and offence, in the order of their names."""
        found: dict[Verdict, Evidence] = {}
        for evidence in itertools.chain(self._vote_pairs(), self._unjustified(), self._batch_pairs(), self._answers()):
            name = evidence.accused, evidence.offence
            if name not in found and self._judge.fault(evidence) is None:
                found[name] = evidence
        return dict(sorted(found.items()))

    def _vote_pairs(self) -> Iterator[Evidence]:
        for votes in self._votes.values():
            for one, other in itertools.combinations(votes.values(), 2):
                yield VotePair(one, other)

    def _unjustified(self) -> Iterator[Evidence]:
        for votes in self._votes.values():
            for signed in votes.values():
                shown = None if isinstance(signed.vote, Nullify) else self._shown(signed, signed.vote.header)
                if shown is not None:
                    yield shown

    def _shown(self, signed: SignedVote, header: Digest) -> UnjustifiedVote | None:
        proposal = self._proposals.get(header)
        parent = None if proposal is None else self._headers.get(proposal.header.parent)
        if proposal is None or parent is None:
            return None
        pages = [self._pages.get(page) for page in proposal.justification.pages]
        held = tuple(page.encoded for page in pages if page is not None)
        return UnjustifiedVote(signed, proposal.header, proposal.justification.encoded, parent, held)

    def _batch_pairs(self) -> Iterator[Evidence]:
        for rows in self._batches.values():
            for one, other in itertools.combinations(rows.values(), 2):
                yield BatchPair(one.statement, other.statement)

    def _answers(self) -> Iterator[Evidence]:
        first: dict[tuple[OwnerId, Version, RequestId], tuple[SignedBatch, int]] = {}
        for signed in self._every_batch():
            for at, request in enumerate(signed.batch.request_ids):
                held, there = first.setdefault((signed.batch.owner, signed.batch.version, request), (signed, at))
                if held.batch.attestations[there].commitment != signed.batch.attestations[at].commitment:
                    yield CommitmentPair(held, there, signed, at)

    def _every_batch(self) -> Iterable[SignedBatch]:
        return itertools.chain.from_iterable(rows.values() for rows in self._batches.values())
