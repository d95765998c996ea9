"""Offences that this replica can show: kept, reported, put into its lane (rule 8.1)."""

from __future__ import annotations

from dropbeard.agreement.chain import Block
from dropbeard.agreement.effects import Effect, Persist, Report
from dropbeard.agreement.records import EvidenceRecord
from dropbeard.agreement.replica_state import ReplicaState, Round
from dropbeard.evidence.kinds import BatchPair, Evidence, UnjustifiedVote, VotePair, encode_evidence
from dropbeard.types.ids import Digest, OwnerId, Signature, View
from dropbeard.types.lanes import SignedBatch
from dropbeard.types.limits import EVIDENCE_KEPT_MAX
from dropbeard.types.statements import Finalize, Notarize, Nullify
from dropbeard.types.votes import SignedVote


def accuse(state: ReplicaState, evidence: Evidence) -> list[Effect]:
    """Keep the first piece for each accused and offence; the lane carries it from here."""
    name = evidence.accused, evidence.offence
    if name in state.evidence or evidence.accused == state.me or len(state.evidence) >= EVIDENCE_KEPT_MAX:
        return []
    if state.judge.fault(evidence) is not None:
        return []
    data = encode_evidence(state.group, evidence)
    state.evidence[name] = data
    return [Persist(EvidenceRecord(data)), Report(evidence.accused, evidence.offence.name)]


def accuse_by_vote(state: ReplicaState, round_: Round, signed: SignedVote) -> list[Effect]:
    """Everything that a signer's new vote contradicts among its votes of that view (R1, R2, R2')."""
    vote = signed.vote
    effects: list[Effect] = []
    others: list[dict[OwnerId, Signature]] = []
    if isinstance(vote, Nullify):
        others += round_.finalizes.values()
    else:
        tallies = (*round_.notarizes.items(), *round_.finalizes.items())
        others += [voters for header, voters in tallies if header != vote.header]
        others += [round_.nullifies] if isinstance(vote, Finalize) else []
    if any(signed.signer in voters for voters in others):
        for other in votes_of(state, round_, vote.view, signed.signer):
            if not _compatible(signed, other):
                effects += accuse(state, VotePair(other, signed))
    return effects


def _compatible(one: SignedVote, other: SignedVote) -> bool:
    votes = {type(one.vote), type(other.vote)}
    if Nullify in votes:
        return Finalize not in votes
    headers = [vote.header for vote in (one.vote, other.vote) if not isinstance(vote, Nullify)]
    return len(set(headers)) == 1


def votes_of(state: ReplicaState, round_: Round, view: View, signer: OwnerId) -> list[SignedVote]:
    """Everything that one replica signed in a view, as far as it is here."""
    group = state.group
    found: list[SignedVote] = []
    if signer in round_.nullifies:
        found.append(SignedVote(signer, Nullify(group.id, group.epoch, view), round_.nullifies[signer]))
    for kind, tallies in ((Notarize, round_.notarizes), (Finalize, round_.finalizes)):
        found += [
            SignedVote(signer, kind(group.id, group.epoch, view, header), signature)
            for header, signature in _signatures_of(tallies, signer)
        ]
    return found


def _signatures_of(tallies: dict[Digest, dict[OwnerId, Signature]], signer: OwnerId) -> list[tuple[Digest, Signature]]:
    return [(header, voters[signer]) for header, voters in tallies.items() if signer in voters]


def accuse_of_batches(state: ReplicaState, signed: SignedBatch) -> list[Effect]:
    """Two batches at one height of a lane."""
    batch = signed.batch
    for digest in state.lanes.twins(batch.owner, batch.lane_height):
        other = state.lanes.get(batch.owner, digest)
        if other is not None and digest != batch.digest:
            return accuse(state, BatchPair(other.statement, signed.statement))
    return []


def accuse_of_unjustified(state: ReplicaState, block: Block) -> list[Effect]:
    """The leader of a block whose justification does not check, once the parent's header shows it."""
    proposal = block.proposal
    parent = state.chain.block(block.header.parent)
    if proposal is None or parent is None:
        return []
    header = block.header
    vote = Notarize(state.group.id, state.group.epoch, header.view, header.digest)
    leader = SignedVote(state.group.leader(header.view), vote, proposal.signature)
    held = [state.chain.pages.get(page) for page in proposal.justification.pages]
    pages = tuple(page.encoded for page in held if page is not None)
    shown = UnjustifiedVote(leader, header, proposal.justification.encoded, parent.header, pages)
    return accuse(state, shown)
