"""A turn: promises on disk before anything is sent; and a replica that comes back from its journal (3.8, 7.3)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dropbeard.agreement.effects import Broadcast, Infer, SendClient
from dropbeard.agreement.events import AnswersCame, EngineIsReady, Event, PeerSpoke, RequestCame
from dropbeard.agreement.records import (
    BatchRecord,
    BlockRecord,
    CertificateRecord,
    OpeningsRecord,
    Record,
    VoteRecord,
    decode_record,
    encode_record,
)
from dropbeard.agreement.restoring import restore
from dropbeard.agreement.turn import Outcome, Turn
from dropbeard.errors import MessageInvalid, PromiseConflict, StorageFailed
from dropbeard.signing.guard import Guard
from dropbeard.simulator.keys import GuardedSigner
from dropbeard.types.blocks import Justification, Page
from dropbeard.types.group import FIRST_VERSION
from dropbeard.types.ids import Nonce, TimeUs, Version
from dropbeard.types.journal import Piece
from dropbeard.types.messages import BatchNotice, Openings, Proposal
from dropbeard.types.requests import Request
from dropbeard.types.statements import Notarize
from dropbeard.types.task import Input, InputKind
from dropbeard.types.votes import SignedVote
from tests.agreement.pieces import (
    CLIENT,
    GROUP,
    KEYS,
    START,
    attestation,
    batch,
    came,
    certificate_of,
    finalize,
    first_block,
    notarize,
    nullification_of,
    nullify,
    owner,
    replica,
    signed_batch,
    signed_vote,
)

GIVEN = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), b"picture")
REQUEST = Request(CLIENT, GROUP.id, Nonce(1), TimeUs(START.wall_us + 5_000_000), 0, b"", GIVEN.digest())


class Memory:
    """A journal in a list, that fails when told to."""

    def __init__(self) -> None:
        self.commits: list[list[bytes]] = []
        self.fails = False

    def append(self, records: Sequence[bytes], piece: Piece | None = None) -> None:
        if self.fails:
            raise StorageFailed("the disk is full")
        self.commits.append(list(records))

    def records(self) -> list[Record]:
        return [decode_record(data, GROUP) for commit in self.commits for data in commit]


def turn_of(me: int, journal: Memory, guard: Guard | None = None) -> Turn:
    return Turn(replica(me), GuardedSigner(lambda: KEYS.keys[me], guard or Guard()), journal)


def run(turn: Turn, *events: Event) -> Outcome:
    return turn.run(events, START)


def answered(me: int, journal: Memory) -> tuple[Turn, Outcome]:
    """A replica that admitted, answered and promised one request."""
    turn = turn_of(me, journal)
    run(turn, EngineIsReady(Version(1), GROUP.owners[me].model, 8))
    out = run(turn, RequestCame(REQUEST, GIVEN))
    assert [e.request for e in out.outgoing if isinstance(e, Infer)] == [REQUEST.id]
    return turn, run(turn, AnswersCame(FIRST_VERSION, ((REQUEST.id, bytes(12)),)))


def test_one_commit_for_each_turn_with_openings_batch_block_and_vote_before_anything_is_sent() -> None:
    journal = Memory()
    _, out = answered(0, journal)
    assert len(journal.commits) == 1
    assert [type(record) for record in journal.records()] == [OpeningsRecord, BatchRecord, BlockRecord, VoteRecord]
    sent = [type(e.message) for e in out.outgoing if isinstance(e, Broadcast)]
    assert sent[:2] == [BatchNotice, Proposal]
    assert [type(e.message) for e in out.outgoing if isinstance(e, SendClient)] == [Openings]


def test_a_turn_whose_promises_cannot_be_stored_sends_nothing() -> None:
    journal = Memory()
    turn = turn_of(0, journal)
    run(turn, EngineIsReady(Version(1), GROUP.owners[0].model, 8), RequestCame(REQUEST, GIVEN))
    journal.fails = True
    with pytest.raises(StorageFailed):
        run(turn, AnswersCame(FIRST_VERSION, ((REQUEST.id, bytes(12)),)))


def test_a_turn_without_a_promise_writes_nothing() -> None:
    journal = Memory()
    run(turn_of(1, journal))
    assert journal.commits == []


def test_own_votes_come_back_through_the_inbox_and_count() -> None:
    journal = Memory()
    turn = turn_of(1, journal)
    made = batch(2, [attestation(1)])
    proposal = first_block(turn.state, 0, made)
    run(turn, came(made), PeerSpoke(owner(0), proposal))
    votes = [signed_vote(i, notarize(proposal.header)) for i in (0, 2)]
    run(turn, *(PeerSpoke(owner(vote.signer), vote) for vote in votes))
    assert turn.state.view == 1
    kinds = [type(record.signed.vote).__name__ for record in journal.records() if isinstance(record, VoteRecord)]
    assert kinds == ["Notarize", "Finalize"]


def restored(me: int, journal: Memory) -> tuple[Turn, Guard]:
    guard = Guard()
    turn = turn_of(me, Memory(), guard)
    records = journal.records()
    for record in records:
        if isinstance(record, VoteRecord):
            guard.promise(record.signed.vote)
        elif isinstance(record, BatchRecord) and record.signed.batch.owner == me:
            guard.promise(record.signed.batch.promise)
    turn.send_again(restore(turn.state, records, START))
    return turn, guard


def test_a_restored_leader_sends_the_same_proposal_again_and_makes_no_other() -> None:
    journal = Memory()
    _, before = answered(0, journal)
    turn, _ = restored(0, journal)
    out = run(turn)
    first = [e.message for e in before.outgoing if isinstance(e, Broadcast) and isinstance(e.message, Proposal)]
    again = [e.message for e in out.outgoing if isinstance(e, Broadcast) and isinstance(e.message, Proposal)]
    assert again == first
    assert len(again) == 1


def test_a_restored_replica_has_its_lane_its_votes_and_its_answers() -> None:
    journal = Memory()
    before, _ = answered(0, journal)
    turn, guard = restored(0, journal)
    assert turn.state.own_tip == before.state.own_tip
    assert turn.state.round(turn.state.view).notarized == before.state.round(before.state.view).notarized
    out = run(turn, RequestCame(REQUEST, GIVEN))
    opened = [e.message for e in out.outgoing if isinstance(e, SendClient)]
    assert [type(message) for message in opened] == [Openings]
    assert [e for e in out.outgoing if isinstance(e, Infer)] == []
    with pytest.raises(PromiseConflict):
        guard.promise(Notarize(GROUP.id, GROUP.epoch, before.state.view, type(GROUP.id)(bytes(32))))  # type: ignore[arg-type]


def test_a_restored_replica_comes_back_to_view_and_final_block() -> None:
    journal = Memory()
    turn = turn_of(1, journal)
    made = batch(2, [attestation(1)])
    proposal = first_block(turn.state, 0, made)
    run(turn, came(made), PeerSpoke(owner(0), proposal))
    run(turn, PeerSpoke(owner(0), certificate_of(notarize(proposal.header))))
    again, _ = restored(1, journal)
    assert again.state.view == 1
    assert again.state.best == (proposal.header.view, proposal.header.digest)
    run(again, PeerSpoke(owner(0), certificate_of(finalize(proposal.header), (0, 2, 3))))
    assert again.state.chain.final.header == proposal.header


@pytest.mark.parametrize("kind", ["vote", "nullify", "block", "batch", "openings", "certificate"])
def test_every_record_comes_back_from_its_bytes_and_no_other_bytes_do(kind: str) -> None:
    made = batch(2, [attestation(i) for i in range(3)])
    proposal = first_block(replica(1), 0, made)
    page = Page((nullification_of(0),))
    with_page = Proposal(proposal.header, proposal.signature, Justification(None, (page.digest,)), (page,))
    records: dict[str, Record] = {
        "vote": VoteRecord(signed_vote(1, notarize(proposal.header))),
        "nullify": VoteRecord(SignedVote(owner(2), nullify(4), proposal.signature)),
        "block": BlockRecord(with_page),
        "batch": BatchRecord(signed_batch(made)),
        "openings": OpeningsRecord(((GROUP.owners[1].model, b"answer"), (GROUP.owners[2].model, b""))),
        "certificate": CertificateRecord(certificate_of(nullify(7)).certificate),
    }
    data = encode_record(records[kind])
    assert decode_record(data, GROUP) == records[kind]
    for wrong in (data + b"\0", data[:-1], b"\x0f" + data[1:], b""):
        with pytest.raises(MessageInvalid):
            decode_record(wrong, GROUP)


def test_openings_have_one_form_of_bytes() -> None:
    first, second = GROUP.owners[0].model, GROUP.owners[1].model
    data = encode_record(OpeningsRecord(((first, b"a"), (second, b"b"))))
    a, b = data[66:70], data[70:]
    assert data == bytes((4, 2)) + first + second + a + b
    twice, unused = bytes((4, 2)) + first + first + a + b, bytes((4, 3)) + first + second + bytes(32) + a + b
    for wrong in (twice, unused, bytes((4, 2)) + second + first + b + a, bytes((4, 1)) + first + a + b):
        with pytest.raises(MessageInvalid):
            decode_record(wrong, GROUP)
