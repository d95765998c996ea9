"""What a certificate derives from its own fields; the layout is tested with the verifiers."""

from __future__ import annotations

from dataclasses import replace

from dropbeard.types.certificates import MAGIC, decode_certificate
from dropbeard.types.entries import EntryKind
from dropbeard.types.ids import OwnerId, Version
from tests.verification.building import CLIENT, GOOD, Plan, build, opening_of, request_of, world

WORLD = world()


def test_a_file_begins_with_its_magic_and_version() -> None:
    assert build(WORLD, Plan()).encode()[:8] == MAGIC == b"DBCERT\x00\x01"


def test_kind_client_and_request_are_those_of_the_base_entry() -> None:
    certificate = decode_certificate(build(WORLD, GOOD["expired"]).encode())
    assert (certificate.kind, certificate.client) == (EntryKind.EXPIRED, CLIENT)
    assert certificate.request() == request_of(WORLD)


def test_promises_are_those_of_all_entries_and_the_base_entry_comes_first() -> None:
    plan = Plan(links=1, late=((0, 3),))
    certificate = build(WORLD, plan)
    late = certificate.supplements[0]
    changed = tuple(promise._replace(version=Version(9)) for promise in late.entry.promises)
    certificate = replace(certificate, supplements=(replace(late, entry=replace(late.entry, promises=changed)),))
    assert {owner: promise.version for owner, promise in certificate.promises().items()} == {0: 1, 1: 1, 2: 1, 3: 9}


def test_an_opening_takes_version_and_model_from_its_promise() -> None:
    certificate = build(WORLD, Plan())
    openings = [certificate.opening(answer) for answer in certificate.answers]
    assert openings == [opening_of(WORLD, Plan(), owner) for owner in range(3)]


def test_an_answer_without_a_promise_has_no_opening() -> None:
    certificate = build(WORLD, Plan())
    assert certificate.opening(replace(certificate.answers[0], owner=OwnerId(3))) is None
