"""Certificates are put together from untrusted parts: what is wrong is ignored, what is enough is verified."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from dropbeard.client.assembly import BLOCKS_KEPT, PROOFS_KEPT, Assembler
from dropbeard.simulator.keys import make_keys
from dropbeard.types.certificates import decode_certificate
from dropbeard.types.ids import ClientKey, Digest, OwnerId, RequestId, Signature, TimeUs
from dropbeard.types.messages import Reply
from dropbeard.types.statements import Finalize
from dropbeard.verification.certificate import verify
from tests.client.recorded import CALM, Recorded, recorded


@pytest.fixture(scope="module")
def told() -> Recorded:
    found: Recorded = recorded()
    assert len(found.agreed) >= 8
    return found


def gathering(told: Recorded, request: RequestId) -> Assembler:
    assembler = Assembler(told.group, told.client)
    assembler.start(told.requests[request][0])
    return assembler


def give_openings(assembler: Assembler, told: Recorded, request: RequestId, owners: range = range(4)) -> None:
    for owner, openings in told.openings:
        for opening in openings.openings:
            if opening.request == request and owner in owners:
                assembler.on_opening(owner, opening)


def replies_for(told: Recorded, request: RequestId) -> list[Reply]:
    return [reply for reply in told.replies if any(entry.request == request for _, entry in reply.entries)]


def test_every_agreed_request_becomes_a_certificate_that_verifies(told: Recorded) -> None:
    for request in told.agreed:
        assembler = gathering(told, request)
        give_openings(assembler, told, request)
        for reply in replies_for(told, request):
            assembler.on_reply(reply)
        certificate = assembler.certificate(request, all_owners=False)
        assert certificate is not None
        again = decode_certificate(certificate.encode())
        assert verify(again, told.group, told.requests[request][1]).request == request


def test_a_quorum_of_signatures_is_needed(told: Recorded) -> None:
    request = told.agreed[0]
    assembler = gathering(told, request)
    give_openings(assembler, told, request)
    lone = [reply for reply in replies_for(told, request) if len(reply.signatures) == 1]
    seen = set()
    for reply in lone:
        assembler.on_reply(reply)
        seen.add((reply.headers[0].digest, reply.signatures[0][0]))
        enough = any(sum(top == t for t, _ in seen) >= told.group.quorum for top, _ in seen)
        assert (assembler.certificate(request, all_owners=False) is not None) == enough


def test_a_forged_signature_is_not_counted(told: Recorded) -> None:
    request = told.agreed[0]
    assembler = gathering(told, request)
    give_openings(assembler, told, request)
    for reply in replies_for(told, request):
        forged = tuple((OwnerId(owner), Signature(bytes(64))) for owner in range(4))
        assert assembler.on_reply(replace(reply, signatures=forged)) == []
    assert assembler.certificate(request, all_owners=False) is None


def test_a_signature_under_anothers_name_is_not_counted(told: Recorded) -> None:
    request = told.agreed[0]
    assembler = gathering(told, request)
    for reply in replies_for(told, request):
        owner, signature = reply.signatures[0]
        moved = ((OwnerId((owner + 1) % 4), signature),)
        assert assembler.on_reply(replace(reply, signatures=moved)) == []


def test_an_entry_outside_the_tree_is_ignored(told: Recorded) -> None:
    request = told.agreed[0]
    assembler = gathering(told, request)
    for reply in replies_for(told, request):
        wrong = tuple((i, replace(entry, promises=())) for i, entry in reply.entries)
        assert assembler.on_reply(replace(reply, entries=wrong)) == []
        assert assembler.on_reply(replace(reply, count=reply.count + 1)) == []
        assert assembler.on_reply(replace(reply, proof=(*reply.proof, Digest(bytes(32))))) == []


def test_headers_that_are_no_chain_are_ignored(told: Recorded) -> None:
    request = told.agreed[0]
    assembler = gathering(told, request)
    reply = replies_for(told, request)[0]
    assert assembler.on_reply(replace(reply, headers=(reply.headers[0], reply.headers[0]))) == []


def test_anothers_request_is_not_moved_on(told: Recorded) -> None:
    request = told.agreed[0]
    assembler = Assembler(told.group, ClientKey(bytes(32)))
    assembler.start(told.requests[request][0])
    for reply in replies_for(told, request):
        assert assembler.on_reply(reply) == []


def test_an_opening_counts_only_from_its_own_owner_and_if_it_matches(told: Recorded) -> None:
    request = told.agreed[0]
    assembler = gathering(told, request)
    for owner, openings in told.openings:
        for opening in openings.openings:
            if opening.request == request:
                assert assembler.on_opening(OwnerId((owner + 1) % 4), opening) is None
                unreadable = opening._replace(output=bytes(len(opening.output)))
                assert assembler.on_opening(owner, unreadable) is None
                assert assembler.on_opening(owner, opening._replace(salt=bytes(32))) == request
    for reply in replies_for(told, request):
        assembler.on_reply(reply)
    assert assembler.certificate(request, all_owners=False) is None
    give_openings(assembler, told, request)
    assert assembler.certificate(request, all_owners=False) is not None


def test_all_owners_waits_for_each_opening_that_the_entry_promises(told: Recorded) -> None:
    everyone = [e.request for r in told.replies for _, e in r.entries if len(e.promises) == told.group.n]
    request = next(name for name in told.agreed if name in everyone)
    assembler = gathering(told, request)
    give_openings(assembler, told, request, range(3))
    for reply in replies_for(told, request):
        assembler.on_reply(reply)
    assert assembler.certificate(request, all_owners=False) is not None
    assert assembler.certificate(request, all_owners=True) is None
    give_openings(assembler, told, request)
    assert assembler.certificate(request, all_owners=True) is not None


def test_a_request_that_was_stopped_is_forgotten(told: Recorded) -> None:
    request = told.agreed[0]
    assembler = gathering(told, request)
    assembler.stop(request)
    assert all(assembler.on_reply(reply) == [] for reply in replies_for(told, request))


def headers_of_a_liar(told: Recorded, reply: Reply, count: int) -> Iterator[Reply]:
    """The same block under so many headers that only owner 3 signed, each with our entry in it."""
    key = make_keys(CALM).keys[3]
    for number in range(count):
        header = replace(reply.headers[-1], time=TimeUs(number))
        vote = Finalize(told.group.id, told.group.epoch, header.view, header.digest)
        yield replace(reply, headers=(header,), signatures=((OwnerId(3), Signature(key.sign(vote.encode()))),))


def test_a_liar_that_signs_thousands_of_headers_drives_out_no_block_and_fills_no_memory(told: Recorded) -> None:
    request = told.agreed[0]
    assembler = gathering(told, request)
    give_openings(assembler, told, request)
    lone = [reply for reply in replies_for(told, request) if len(reply.signatures) == 1 and len(reply.headers) == 1]
    top = lone[0].headers[0]
    honest = {r.signatures[0][0]: r for r in lone if r.headers[0] == top and r.signatures[0][0] != 3}
    assert len(honest) == told.group.quorum
    first, *others = honest.values()
    assembler.on_reply(first)
    for bogus in headers_of_a_liar(told, first, BLOCKS_KEPT):
        assert assembler.on_reply(bogus) == [request]
    assert len(assembler.open[request].bases) <= PROOFS_KEPT
    for reply in others:
        assembler.on_reply(reply)
    assert assembler.certificate(request, all_owners=False) is not None
