"""Certificates of tasks that do not classify: both verifiers say the same of each, and the client gets its value."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropbeard.client.answers import answer_of
from dropbeard.errors import CertificateInvalid
from dropbeard.types.certificates import decode_certificate
from dropbeard.types.entries import EntryKind
from dropbeard.types.genesis_file import genesis_to_toml
from dropbeard.types.outputs import Numbers
from dropbeard.verification.aggregate import Assurance
from dropbeard.verification.certificate import verify
from tests.verification.building import Plan, build
from tests.verification.other_tasks import CAT, EMBEDDING, TASKS, certified, other_world
from tests.verification.portable_file import portable

KINDS = pytest.mark.parametrize("kind", TASKS)


@KINDS
def test_both_verifiers_accept_it_and_read_the_same_answers(kind: str) -> None:
    made, data = other_world(kind), certified(kind)
    verified = verify(decode_certificate(data), made.group)
    assert [answer.output for answer in verified.answers] == [TASKS[kind][1](owner) for owner in range(4)]
    certificate, genesis = portable.read_certificate(data), portable.read_genesis(genesis_to_toml(made.group))
    portable.verify(certificate, [genesis])
    lines = portable.report(certificate, genesis)
    assert lines[2] == f"answers of kind {kind}, as their bytes in hex, not aggregated here, openings 4 of 4"
    assert [line.split()[-1] for line in lines[3:]] == [TASKS[kind][1](owner).encode().hex() for owner in range(4)]


@KINDS
def test_both_verifiers_refuse_an_answer_that_is_none_by_the_last_step(kind: str) -> None:
    made, data = other_world(kind), certified(kind, o1=TASKS[kind][1](1).encode() + b"\0")
    with pytest.raises(CertificateInvalid) as wrong:
        verify(decode_certificate(data), made.group)
    with pytest.raises(portable.Invalid) as also:
        portable.verify(portable.read_certificate(data), [portable.read_genesis(genesis_to_toml(made.group))])
    assert wrong.value.step == also.value.step == 14


@KINDS
def test_the_portable_program_prints_it(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.dbcert").write_bytes(certified(kind))
    (tmp_path / "g.toml").write_text(genesis_to_toml(other_world(kind).group))
    assert portable.main([str(tmp_path / "c.dbcert"), str(tmp_path / "g.toml")]) == 0
    assert f"answers of kind {kind}" in capsys.readouterr().out


def test_a_client_gets_the_median_and_how_far_each_owner_agrees() -> None:
    made, certificate = other_world("embedding"), decode_certificate(certified("embedding"))
    answer = answer_of(made.group, certificate, verify(certificate, made.group), 1.0)
    assert (answer.label, answer.class_id, answer.margin, answer.owners) == (None, None, 0, ())
    found = answer.measured
    assert found is not None
    assert found.value == Numbers(EMBEDDING, (16_384, 150, 0))
    assert (found.numbers[0], found.boxes, found.reach) == (1.0, (), 100 / 2**14)
    assert [owner.owner for owner in found.owners] == [f"owner {number}" for number in range(4)]
    assert all(0.9999 < owner.agreement <= 1 for owner in found.owners)


def test_a_client_gets_robust_scores_and_fused_boxes() -> None:
    for kind, expected in (("scores", Assurance.ROBUST), ("boxes", Assurance.ROBUST)):
        made, certificate = other_world(kind), decode_certificate(certified(kind))
        answer = answer_of(made.group, certificate, verify(certificate, made.group), 1.0)
        assert answer.assurance is expected
        assert answer.measured is not None
        if kind == "boxes":
            assert (answer.margin, answer.measured.boxes) == (4, (CAT._replace(score=60_001),))


def test_an_expired_request_measures_nothing() -> None:
    made = other_world("scores")
    certificate = build(made, Plan(kind=EntryKind.EXPIRED, opened=()))
    answer = answer_of(made.group, certificate, verify(certificate, made.group), 1.0)
    assert (answer.measured, answer.assurance) == (None, Assurance.NONE)
