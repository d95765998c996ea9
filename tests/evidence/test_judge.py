"""A gallery of evidence: each kind convicts; each way it can be wrong is refused with its own reason (6.2, 8.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dropbeard.errors import MessageInvalid
from dropbeard.evidence.kinds import (
    BatchPair,
    CommitmentPair,
    Evidence,
    MalformedOpening,
    Offence,
    UnjustifiedVote,
    VotePair,
    decode_evidence,
    encode_evidence,
)
from dropbeard.evidence.pairs import Pool
from dropbeard.signing.signer import NodeKeyChecker
from dropbeard.types.ids import NO_DIGEST, Digest, OwnerId, Signature, Version, View
from dropbeard.types.limits import EVIDENCE_BYTES_MAX
from dropbeard.types.requests import Opening
from dropbeard.types.statements import Finalize, Notarize, Nullify
from tests.evidence.real import pieces

GENESIS = pieces.GENESIS
GROUP = pieces.GROUP
JUDGE = pieces.JUDGE
attestation = pieces.attestation
batch = pieces.batch
first_block = pieces.first_block
notarize = pieces.notarize
nullify = pieces.nullify
replica = pieces.replica
signed_batch = pieces.signed_batch
signed_vote = pieces.signed_vote

VIEW = View(4)
ONE, OTHER = Digest(bytes([1]) * 32), Digest(bytes([2]) * 32)
NOTARIZE_ONE = signed_vote(3, Notarize(GROUP.id, GROUP.epoch, VIEW, ONE))
NOTARIZE_OTHER = signed_vote(3, Notarize(GROUP.id, GROUP.epoch, VIEW, OTHER))
FINALIZE_ONE = signed_vote(3, Finalize(GROUP.id, GROUP.epoch, VIEW, ONE))
FINALIZE_OTHER = signed_vote(3, Finalize(GROUP.id, GROUP.epoch, VIEW, OTHER))
NULLIFY = signed_vote(3, nullify(VIEW))
ROTTEN = first_block(replica(1), 3)
FIRST, TWIN = signed_batch(batch(3, [attestation(1)])), signed_batch(batch(3, [attestation(1, by=9)]))


def malformed() -> MalformedOpening:
    """Owner 3 committed to bytes that are no answer of the task."""
    plain = attestation(1)
    opening = Opening(plain.request_id(), OwnerId(3), Version(1), ONE, b"no answer", bytes(32))
    made = signed_batch(batch(3, [plain._replace(commitment=opening.commitment())]))
    return MalformedOpening(made, 0, ONE, bytes(32), b"no answer")


def unjustified() -> UnjustifiedVote:
    leader = signed_vote(3, notarize(ROTTEN.header))
    return UnjustifiedVote(leader, ROTTEN.header, ROTTEN.justification.encoded, GENESIS, ())


GOOD: dict[Offence, Evidence] = {
    Offence.DOUBLE_NOTARIZE: VotePair(NOTARIZE_ONE, NOTARIZE_OTHER),
    Offence.DOUBLE_FINALIZE: VotePair(FINALIZE_ONE, FINALIZE_OTHER),
    Offence.NULLIFY_FINALIZE: VotePair(NULLIFY, FINALIZE_ONE),
    Offence.NOTARIZE_FINALIZE: VotePair(NOTARIZE_ONE, FINALIZE_OTHER),
    Offence.UNJUSTIFIED_VOTE: unjustified(),
    Offence.DOUBLE_BATCH: BatchPair(FIRST.statement, TWIN.statement),
    Offence.DOUBLE_COMMITMENT: CommitmentPair(FIRST, 0, TWIN, 0),
    Offence.MALFORMED_OPENING: malformed(),
}


@pytest.mark.parametrize("offence", GOOD)
def test_each_kind_convicts_its_signer_and_comes_back_from_its_bytes(offence: Offence) -> None:
    evidence = GOOD[offence]
    assert (evidence.accused, evidence.offence) == (3, offence)
    assert JUDGE.fault(evidence) is None
    data = encode_evidence(GROUP, evidence)
    again = decode_evidence(data, GROUP)
    assert encode_evidence(GROUP, again) == data
    assert JUDGE.verdict(data) == (3, offence)


def test_the_keys_are_real() -> None:
    assert isinstance(pieces.KEYS.checker, NodeKeyChecker)


@pytest.mark.parametrize("offence", GOOD)
def test_no_changed_byte_convicts_anybody_else_or_of_anything_else(offence: Offence) -> None:
    data = encode_evidence(GROUP, GOOD[offence])
    for at in range(0, len(data), 3):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert JUDGE.verdict(changed) in (None, (3, offence)), at
    for cut in range(0, len(data), 7):
        assert JUDGE.verdict(data[:cut]) is None


def forged(signer: int) -> Signature:
    return Signature(signed_vote(signer, nullify(9)).signature)


BAD: dict[str, tuple[Callable[[], Evidence], str]] = {
    "the same vote twice": (lambda: VotePair(NULLIFY, NULLIFY), "the rules allow both"),
    "a notarize and a nullify": (lambda: VotePair(NOTARIZE_ONE, NULLIFY), "the rules allow both"),
    "a notarize and its finalize": (lambda: VotePair(NOTARIZE_ONE, FINALIZE_ONE), "the rules allow both"),
    "two views": (
        lambda: VotePair(FINALIZE_ONE, signed_vote(3, Finalize(GROUP.id, GROUP.epoch, View(5), OTHER))),
        "two replicas or two views",
    ),
    "two signers": (
        lambda: VotePair(FINALIZE_ONE, signed_vote(2, Finalize(GROUP.id, GROUP.epoch, VIEW, OTHER))),
        "two replicas or two views",
    ),
    "a forged vote": (lambda: VotePair(FINALIZE_ONE, replace(FINALIZE_OTHER, signature=forged(3))), "not the accused"),
    "a stranger": (lambda: VotePair(replace(NULLIFY, signer=OwnerId(9)), FINALIZE_ONE), "no member"),
    "one batch twice": (lambda: BatchPair(FIRST.statement, FIRST.statement), "one batch"),
    "two heights": (
        lambda: BatchPair(FIRST.statement, signed_batch(batch(3, (), FIRST.batch)).statement),
        "two heights",
    ),
    "a forged batch": (
        lambda: BatchPair(FIRST.statement, replace(TWIN.statement, signature=forged(3))),
        "not the accused",
    ),
    "the same commitment": (lambda: CommitmentPair(FIRST, 0, FIRST, 0), "say the same"),
    "two requests": (
        lambda: CommitmentPair(FIRST, 0, signed_batch(batch(3, [attestation(2, by=9)])), 0),
        "two requests",
    ),
    "two owners' answers": (
        lambda: CommitmentPair(FIRST, 0, signed_batch(batch(2, [attestation(1, by=9)])), 0),
        "two owners",
    ),
    "answers of two versions": (
        lambda: CommitmentPair(FIRST, 0, signed_batch(replace(TWIN.batch, version=Version(2))), 0),
        "two model versions",
    ),
    "an opening of nothing": (lambda: replace(malformed(), salt=bytes([1]) * 32), "nobody's statement"),
    "a header that is in order": (
        lambda: _shown(first_block(replica(1), 0)),
        "the vote was in order",
    ),
    "another header": (lambda: replace(unjustified(), header=GENESIS), "not for this header"),
    "another parent": (lambda: replace(unjustified(), parent=ROTTEN.header), "not the parent"),
    "another justification": (lambda: replace(unjustified(), justification=b"\0\0\0\0"), "not the justification"),
}


def _shown(proposal: object) -> UnjustifiedVote:
    made = first_block(replica(1), 0)
    return UnjustifiedVote(signed_vote(0, notarize(made.header)), made.header, made.justification.encoded, GENESIS, ())


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_check_is_refused_with_its_own_reason(name: str) -> None:
    make, reason = BAD[name]
    fault = JUDGE.fault(make())
    assert fault is not None
    assert reason in fault


def test_a_well_formed_answer_convicts_nobody() -> None:
    task = GROUP.task
    output = b"".join(number.to_bytes(4, "little") + (9 - number).to_bytes(2, "little") for number in range(task.top_k))
    plain = attestation(1)
    opening = Opening(plain.request_id(), OwnerId(3), Version(1), ONE, output, bytes(32))
    made = signed_batch(batch(3, [plain._replace(commitment=opening.commitment())]))
    assert JUDGE.fault(MalformedOpening(made, 0, ONE, bytes(32), output)) == "the opening is a well-formed answer"


def test_evidence_about_another_group_or_too_large_for_a_lane_is_refused() -> None:
    data = encode_evidence(GROUP, GOOD[Offence.DOUBLE_BATCH])
    with pytest.raises(MessageInvalid, match="another group"):
        decode_evidence(data[:8] + bytes(32) + data[40:], GROUP)
    assert JUDGE.verdict(data + bytes(EVIDENCE_BYTES_MAX)) is None


def test_a_pool_finds_every_culprit_and_nobody_honest() -> None:
    pool = Pool(JUDGE)
    for vote in (NOTARIZE_ONE, NOTARIZE_OTHER, FINALIZE_ONE, FINALIZE_OTHER, NULLIFY):
        pool.add_vote(vote)
    for signer in (0, 1, 2):
        pool.add_vote(signed_vote(signer, Notarize(GROUP.id, GROUP.epoch, VIEW, ONE)))
        pool.add_vote(signed_vote(signer, Finalize(GROUP.id, GROUP.epoch, VIEW, ONE)))
        pool.add_vote(signed_vote(signer, Nullify(GROUP.id, GROUP.epoch, View(5))))
    pool.add_proposal(ROTTEN)
    pool.add_vote(signed_vote(3, notarize(ROTTEN.header)))
    pool.add_batch(FIRST)
    pool.add_batch(TWIN)
    assert {owner for owner, _ in pool.convictions()} == {3}
    assert {offence for _, offence in pool.convictions()} == set(GOOD) - {Offence.MALFORMED_OPENING}
    assert NO_DIGEST not in {ONE, OTHER}
