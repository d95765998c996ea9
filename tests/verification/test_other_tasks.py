"""Certificates of tasks that do not classify: both verifiers say the same of each, and the client gets its value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from dropbeard.client.answers import answer_of
from dropbeard.errors import CertificateInvalid
from dropbeard.types.certificates import decode_certificate
from dropbeard.types.entries import EntryKind
from dropbeard.types.genesis_file import genesis_to_toml
from dropbeard.types.outputs import Box, Boxes, Element, Numbers, OutputForm, OutputKind
from dropbeard.types.task import Output, TaskSchema
from dropbeard.verification import portable
from dropbeard.verification.aggregate import Assurance
from dropbeard.verification.certificate import verify
from tests.verification.building import Plan, World, build, world

EMBEDDING = OutputForm(OutputKind.EMBEDDING, (3,), Element.I16, 14)
SCORES = OutputForm(OutputKind.SCORES, (2,), Element.I16, 4, scale=16, unit="kg")
CAT = Box(0, 0, 0, 30_000, 30_000, 60_000)

TASKS: dict[str, tuple[TaskSchema, Callable[[int], Output]]] = {
    "embedding": (
        TaskSchema("vectors", (), 0, 1 << 20, 1_000_000, EMBEDDING),
        lambda owner: Numbers(EMBEDDING, (16_384, 100 * owner, 0)),
    ),
    "scores": (
        TaskSchema("weights", ("left", "right"), 0, 1 << 20, 1_000_000, SCORES),
        lambda owner: Numbers(SCORES, (16 + owner, -8)),
    ),
    "boxes": (
        TaskSchema("pets", ("cat", "dog"), 0, 1 << 20, 1_000_000, OutputForm(OutputKind.BOXES, (2,), Element.U16)),
        lambda owner: Boxes((CAT._replace(score=60_000 + owner),)),
    ),
    "tensor": (
        TaskSchema("maps", (), 0, 1 << 20, 1_000_000, OutputForm(OutputKind.TENSOR, (2, 1), Element.U8)),
        lambda owner: Numbers(OutputForm(OutputKind.TENSOR, (2, 1), Element.U8), (owner, 7)),
    ),
}
KINDS = pytest.mark.parametrize("kind", TASKS)


@cache
def other_world(kind: str) -> World:
    """The usual group with another task."""
    made = world()
    return World(replace(made.group, task=TASKS[kind][0]), made.keys)


def certified(kind: str, **changes: bytes) -> bytes:
    """A certificate in which four owners answered; ``changes`` take the place of an owner's bytes ("o1")."""
    votes = {owner: TASKS[kind][1](owner).encode() for owner in range(4)}
    votes |= {int(name[1:]): output for name, output in changes.items()}
    return build(other_world(kind), Plan(base=(0, 1, 2, 3), votes=votes)).encode()


@KINDS
def test_both_verifiers_accept_it_and_read_the_same_answers(kind: str) -> None:
    made, data = other_world(kind), certified(kind)
    verified = verify(decode_certificate(data), made.group)
    assert [answer.output for answer in verified.answers] == [TASKS[kind][1](owner) for owner in range(4)]
    certificate, genesis = portable.read_certificate(data), portable.read_genesis(genesis_to_toml(made.group))
    portable.verify(certificate, genesis)
    lines = portable.report(certificate, genesis)
    assert lines[2] == f"answers of kind {kind}, as their bytes in hex, not aggregated here, openings 4 of 4"
    assert [line.split()[-1] for line in lines[3:]] == [TASKS[kind][1](owner).encode().hex() for owner in range(4)]


@KINDS
def test_both_verifiers_refuse_an_answer_that_is_none_by_the_last_step(kind: str) -> None:
    made, data = other_world(kind), certified(kind, o1=TASKS[kind][1](1).encode() + b"\0")
    with pytest.raises(CertificateInvalid) as wrong:
        verify(decode_certificate(data), made.group)
    with pytest.raises(portable.Invalid) as also:
        portable.verify(portable.read_certificate(data), portable.read_genesis(genesis_to_toml(made.group)))
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
