"""What clients are told: entries, one multiproof that leads to the header's root, and who finalized it (rule 5.2)."""

from __future__ import annotations

import pytest

from dropbeard.agreement.effects import CastVote, Effect, SendClient
from dropbeard.agreement.events import EngineIsReady, RequestCame
from dropbeard.agreement.ledger import apply_block
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.agreement.replies import answer_retry
from dropbeard.types.blocks import Header, Justification
from dropbeard.types.entries import EntryKind
from dropbeard.types.ids import NO_DIGEST, ClientKey, Height, Nonce, TimeUs, Version, View
from dropbeard.types.lanes import Attestation, LaneBatch
from dropbeard.types.merkle import paths_from_multiproof
from dropbeard.types.messages import Openings, Proposal, Rejected, Reply
from dropbeard.types.parameters import SECOND
from dropbeard.types.requests import Request
from dropbeard.types.task import Input, InputKind
from tests.agreement.pieces import (
    CLIENT,
    GROUP,
    JUDGE,
    START,
    attestation,
    batch,
    came,
    certificate_of,
    cut_with,
    end_turn,
    feed,
    finalize,
    first_block,
    later,
    notarization_of,
    notarize,
    owner,
    replica,
    sign,
    signed_vote,
    tell,
)

OTHER = ClientKey(b"o" * 32)
GIVEN = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), b"picture")


def of(client: ClientKey, number: int, by: int) -> Attestation:
    plain = attestation(number, by=by)
    return Attestation(client, plain.deadline, plain.patience_us, plain.body, plain.commitment)


def answered(*clients: ClientKey) -> list[LaneBatch]:
    """Lanes 0, 2 and 3 answer one request of each client."""
    return [batch(i, [of(client, n, i) for n, client in enumerate(clients)]) for i in (0, 2, 3)]


def replies(effects: list[Effect]) -> list[tuple[ClientKey, Reply]]:
    sent = [(e.client, e.message) for e in effects if isinstance(e, SendClient)]
    return [(client, message) for client, message in sent if isinstance(message, Reply)]


def votes(effects: list[Effect]) -> list[object]:
    return [effect.vote for effect in effects if isinstance(effect, CastVote)]


def notarized(state: ReplicaState, made: list[LaneBatch]) -> Proposal:
    proposal = first_block(state, 0, *made)
    feed(state, [came(each) for each in made])
    tell(state, 0, proposal)
    end_turn(state)
    tell(state, 0, certificate_of(notarize(proposal.header)))
    return proposal


def child_of(state: ReplicaState, parent: Proposal, view: int, *tips: LaneBatch) -> Proposal:
    """A block over a notarized one: empty, or with the first batches of lanes."""
    block = state.chain.block(parent.header.digest)
    assert block is not None
    before = state.chain.state_after(block)
    assert before is not None
    applied = apply_block(GROUP, before, parent.header, {made.owner: [made] for made in tips}, JUDGE.verdict)
    why = Justification(notarization_of(parent.header), ())
    at, roots = parent.header, (applied.tree.root, applied.state_root, why.digest)
    height = Height(at.height + 1)
    header = Header(
        GROUP.id,
        GROUP.epoch,
        height,
        View(view),
        at.digest,
        at.view,
        cut_with(*tips, over=at.cut),
        applied.time,
        *roots,
    )
    return Proposal(header, sign(GROUP.leader(header.view), notarize(header)), why, ())


def proves(reply: Reply, root_of: Header) -> bool:
    leaves = [(index, entry.leaf()) for index, entry in reply.entries]
    found = paths_from_multiproof(reply.count, leaves, reply.proof)
    return found is not None and found[0] == root_of.entries_root


def test_each_client_gets_its_own_entries_under_the_replicas_own_signature() -> None:
    state = replica(1)
    proposal = notarized(state, answered(CLIENT, OTHER, CLIENT, OTHER, CLIENT))
    assert votes(end_turn(state)) == [finalize(proposal.header)]
    own = signed_vote(1, finalize(proposal.header))
    sent = dict(replies(tell(state, 1, own)))
    assert sorted(sent) == [CLIENT, OTHER]
    for client, number in ((CLIENT, 3), (OTHER, 2)):
        reply = sent[client]
        assert [entry.client for _, entry in reply.entries] == [client] * number
        assert (reply.headers, reply.signatures) == ((proposal.header,), ((owner(1), own.signature),))
        assert reply.count == 5
        assert proves(reply, proposal.header)


def test_another_replicas_finalize_sends_clients_nothing() -> None:
    state = replica(1)
    proposal = notarized(state, answered(CLIENT))
    end_turn(state)
    assert replies(tell(state, 2, signed_vote(2, finalize(proposal.header)))) == []


def test_a_block_without_entries_is_no_news_for_clients() -> None:
    state = replica(1)
    proposal = notarized(state, [batch(2)])
    end_turn(state)
    assert replies(tell(state, 1, signed_vote(1, finalize(proposal.header)))) == []
    tell(state, 0, certificate_of(finalize(proposal.header)))
    assert replies(end_turn(state)) == []


def test_who_finalized_and_replied_does_not_send_the_whole_finalization_too() -> None:
    state = replica(1)
    proposal = notarized(state, answered(CLIENT))
    end_turn(state)
    tell(state, 1, signed_vote(1, finalize(proposal.header)))
    tell(state, 0, certificate_of(finalize(proposal.header)))
    assert replies(end_turn(state)) == []


def test_a_finalized_descendant_makes_its_ancestors_final_and_proves_them_with_links() -> None:
    state = replica(2)
    state.round(View(0)).nullified = True
    below = notarized(state, answered(CLIENT))
    end_turn(state)
    above = child_of(state, below, 1)
    tell(state, 1, above)
    tell(state, 1, certificate_of(finalize(above.header), (0, 1, 3)))
    sent = replies(end_turn(state))
    assert state.chain.final.header == above.header
    assert [client for client, _ in sent] == [CLIENT]
    reply = sent[0][1]
    assert reply.headers == (above.header, below.header)
    assert [signer for signer, _ in reply.signatures] == [0, 1, 3]
    assert [entry.kind for _, entry in reply.entries] == [EntryKind.AGREED]
    assert proves(reply, below.header)


def test_an_empty_block_over_an_unfinalized_one_is_notarized() -> None:
    state = replica(2)
    above = child_of(state, notarized(state, answered(CLIENT)), 1)
    tell(state, 1, above)
    assert notarize(above.header) in votes(end_turn(state))


def test_a_retry_of_an_ended_request_gets_its_entry_under_a_whole_finalization() -> None:
    state = replica(1)
    feed(state, [EngineIsReady(Version(1), GROUP.owners[1].model, 8)])
    request = Request(CLIENT, GROUP.id, Nonce(7), TimeUs(START.wall_us + SECOND), 0, b"", GIVEN.digest())
    feed(state, [RequestCame(request, GIVEN)])
    commitments = [(i, attestation(1, by=i).commitment) for i in (0, 2, 3)]
    made = [batch(i, [Attestation(CLIENT, request.deadline, 0, request.body, said)]) for i, said in commitments]
    proposal = notarized(state, made)
    end_turn(state)
    tell(state, 0, certificate_of(finalize(proposal.header)))
    end_turn(state)
    sent = replies(feed(state, [RequestCame(request, GIVEN)]))
    assert [(client, reply.headers) for client, reply in sent] == [(CLIENT, (proposal.header,))]
    assert [entry.request for _, entry in sent[0][1].entries] == [request.id]
    assert proves(sent[0][1], proposal.header)
    assert state.open_mine == {}


@pytest.mark.parametrize(("links_max", "proved"), [(2, [2, 1]), (1, [1])])
def test_a_supplement_too_far_above_its_request_does_not_hide_what_was_agreed(
    links_max: int, proved: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dropbeard.agreement.replies.LINKS_MAX", links_max)
    state = replica(2)
    base = notarized(state, [batch(i, [attestation(1, by=i)]) for i in (0, 2, 3)])
    end_turn(state)
    tell(state, 0, certificate_of(finalize(base.header)))
    end_turn(state)
    late = batch(1, [attestation(1, by=1)])
    feed(state, [came(late)])
    above = child_of(state, base, 1, late)
    tell(state, 1, above)
    tell(state, 1, certificate_of(finalize(above.header), (0, 1, 3)))
    end_turn(state)
    request = attestation(1).request_id()
    assert state.placed[request] == [base.header.digest, above.header.digest]
    told = [reply for _, reply in replies(answer_retry(state, CLIENT, request))]
    assert [len(reply.headers) for reply in told] == proved
    assert [reply.headers[-1].height for reply in told] == [1, 2][: len(told)]


def test_an_agreed_request_is_run_by_who_is_not_among_its_owners_also_past_the_deadline() -> None:
    state = replica(1)
    feed(state, [EngineIsReady(Version(1), GROUP.owners[1].model, 8)])
    known = attestation(1)
    proposal = notarized(state, [batch(i, [attestation(1, by=i)]) for i in (0, 2, 3)])
    end_turn(state)
    tell(state, 0, certificate_of(finalize(proposal.header)))
    end_turn(state)
    again = Request(CLIENT, GROUP.id, Nonce(1), known.deadline, 0, b"", NO_DIGEST)
    assert again.id == known.request_id()
    sent = feed(state, [RequestCame(again, GIVEN)], later(known.deadline - START.wall_us + 1))
    assert not any(isinstance(e, SendClient) and isinstance(e.message, Rejected | Openings) for e in sent)
    assert list(state.mine) == [again.id]


def test_views_below_the_final_one_leave_no_rounds_behind() -> None:
    state = replica(1)
    above = child_of(state, notarized(state, answered(CLIENT)), 1)
    tell(state, 1, above)
    tell(state, 1, certificate_of(finalize(above.header)))
    end_turn(state)
    assert View(0) not in state.rounds
