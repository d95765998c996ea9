"""The numbered steps, each with the defects that only it refuses, and every mutant of a good certificate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dropbeard.errors import CertificateInvalid, CertificateUnreadable
from dropbeard.types.certificates import decode_certificate
from dropbeard.types.entries import EntryKind
from dropbeard.types.group import Group
from dropbeard.types.ids import Height
from dropbeard.types.task import Input, InputKind
from dropbeard.verification.certificate import verify
from tests.verification.building import GOOD, IMAGE, Plan, build, request_of, world
from tests.verification.gallery import DEFECTS
from tests.verification.unreadable import NO_CERTIFICATES, UNREADABLE

WORLD = world()


def refused(data: bytes, group: Group) -> bool:
    """Does the decoder or a step refuse these bytes?"""
    try:
        verify(decode_certificate(data), group)
    except (CertificateUnreadable, CertificateInvalid):
        return True
    return False


@pytest.mark.parametrize("name", GOOD)
def test_a_good_certificate_is_valid(name: str) -> None:
    certificate = build(WORLD, GOOD[name])
    verified = verify(decode_certificate(certificate.encode()), WORLD.group, IMAGE)
    assert verified.request == request_of(WORLD).id
    assert (verified.height, verified.n, verified.f) == (Height(7), 4, 1)
    assert verified.time == certificate.headers[-1].time


def test_a_certificate_of_seven_with_two_supplements_is_valid() -> None:
    seven = world(7)
    plan = Plan(base=(0, 1, 2, 3, 4), late=((5,), (6,)), links=2)
    verified = verify(build(seven, plan), seven.group)
    assert [answer.owner for answer in verified.answers] == list(range(7))
    assert verified.tally == {3: 7}


def test_it_says_who_answered_what_with_which_model() -> None:
    verified = verify(build(WORLD, Plan(links=1, late=((3,),))), WORLD.group)
    said = [(a.owner, a.name, a.version, a.model, a.classification.choices[0]) for a in verified.answers]
    assert said == [
        (owner, f"owner {owner}", 1, WORLD.group.owners[owner].model, (3, 40_000 + owner)) for owner in range(4)
    ]


def test_an_expired_certificate_says_expiry_and_no_answer() -> None:
    verified = verify(build(WORLD, GOOD["expired"]), WORLD.group)
    assert (verified.kind, verified.answers, verified.tally) == (EntryKind.EXPIRED, (), {})


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_refused_by_its_own_step(name: str) -> None:
    step, make = DEFECTS[name]
    with pytest.raises(CertificateInvalid) as refusal:
        verify(make(WORLD), WORLD.group)
    assert refusal.value.step == step


def test_every_step_but_that_of_the_input_has_a_defect_in_the_gallery() -> None:
    assert {step for step, _ in DEFECTS.values()} == set(range(1, 15)) - {10}


@pytest.mark.parametrize(
    "other",
    [
        Input(InputKind.ENCODED_IMAGE, (0, 0, 0), IMAGE.data[:-1]),
        Input(InputKind.ENCODED_IMAGE, (0, 0, 0), IMAGE.data + b"\0"),
        Input(InputKind.RAW_RGB8, (0, 0, 0), IMAGE.data),
        Input(InputKind.ENCODED_IMAGE, (0, 0, 1), IMAGE.data),
    ],
)
def test_another_input_is_refused_by_step_10(other: Input) -> None:
    with pytest.raises(CertificateInvalid) as refusal:
        verify(build(WORLD, Plan()), WORLD.group, other)
    assert refusal.value.step == 10


def test_a_genesis_of_another_group_is_refused_by_step_2() -> None:
    with pytest.raises(CertificateInvalid) as refusal:
        verify(build(world(7), Plan(base=(0, 1, 2, 3, 4))), WORLD.group)
    assert refusal.value.step == 2


def test_a_signer_that_counts_twice_is_refused_even_if_it_was_never_a_file() -> None:
    certificate = build(WORLD, Plan())
    doubled = replace(certificate, signatures=(*certificate.signatures[:2], certificate.signatures[1]))
    with pytest.raises(CertificateInvalid) as refusal:
        verify(doubled, WORLD.group)
    assert refusal.value.step == 4


def test_every_bit_of_a_certificate_matters() -> None:
    data = build(WORLD, Plan(leaves=5)).encode()
    assert not refused(data, WORLD.group)
    accepted = [
        (at, bit)
        for at in range(len(data))
        for bit in range(8)
        if not refused(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :], WORLD.group)
    ]
    assert accepted == []


@pytest.mark.parametrize("name", ["a supplement and a link above", "expired"])
def test_every_byte_of_other_certificates_matters(name: str) -> None:
    data = build(WORLD, GOOD[name]).encode()
    accepted = [
        (at, flip)
        for at in range(len(data))
        for flip in (0x01, 0x80, 0xFF)
        if not refused(data[:at] + bytes([data[at] ^ flip]) + data[at + 1 :], WORLD.group)
    ]
    assert accepted == []


def test_every_truncation_is_unreadable() -> None:
    data = build(WORLD, Plan(links=1, late=((3,),))).encode()
    for length in range(len(data)):
        with pytest.raises(CertificateUnreadable):
            decode_certificate(data[:length])


def test_a_byte_more_is_unreadable() -> None:
    with pytest.raises(CertificateUnreadable):
        decode_certificate(build(WORLD, Plan()).encode() + b"\0")


@pytest.mark.parametrize("name", GOOD)
def test_decoding_gives_back_the_certificate_and_its_bytes(name: str) -> None:
    certificate = build(WORLD, GOOD[name])
    assert decode_certificate(certificate.encode()) == certificate
    assert decode_certificate(certificate.encode()).encode() == certificate.encode()


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_breaks_the_layout_is_unreadable(name: str) -> None:
    with pytest.raises(CertificateUnreadable):
        decode_certificate(UNREADABLE[name](build(WORLD, Plan())).encode())


@pytest.mark.parametrize("name", NO_CERTIFICATES)
def test_what_is_no_certificate_is_unreadable(name: str) -> None:
    with pytest.raises(CertificateUnreadable):
        decode_certificate(NO_CERTIFICATES[name])


@pytest.mark.parametrize(("links", "most"), [(0, 1_700), (1, 2_048)])
def test_a_certificate_of_a_full_block_keeps_its_promised_size(links: int, most: int) -> None:
    data = build(WORLD, Plan(base=(0, 1, 2, 3), links=links, leaves=1_024)).encode()
    assert not refused(data, WORLD.group)
    assert len(data) <= most
