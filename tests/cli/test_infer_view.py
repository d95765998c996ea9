"""What ``dropbeard infer`` shows of an answer of each kind of task, for people and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from dropbeard.cli.infer_view import figures, lines
from dropbeard.client.answers import answer_of
from dropbeard.errors import RequestExpired
from dropbeard.types.certificates import decode_certificate
from dropbeard.verification.certificate import verify
from tests.verification.building import Plan, build, world
from tests.verification.other_tasks import certified, other_world
from tests.verification.test_other_tasks import KINDS

PICTURE, SAVED = Path("a.png"), Path("out/a.dbcert")


def test_a_classification_shows_label_margin_assurance_and_owners() -> None:
    group, certificate = world().group, build(world(), Plan())
    answer = answer_of(group, certificate, verify(certificate, group), 12.3)
    first, *owners, last = lines(PICTURE, answer, SAVED, group)
    assert f"margin {answer.margin}   assurance {answer.assurance.value}   12 ms" in first
    assert len(owners) == len(answer.owners)
    assert last == "  certificate out/a.dbcert"
    shown = json.loads(json.dumps(figures(PICTURE, answer, None, SAVED, group)))
    assert (shown["label"], shown["certificate"], shown["error"]) == (answer.label, "out/a.dbcert", None)
    assert [owner["label"] for owner in shown["owners"]] == [owner.label for owner in answer.owners]


@KINDS
def test_any_other_task_shows_the_groups_value_and_how_far_each_owner_agrees(kind: str) -> None:
    group, certificate = other_world(kind).group, decode_certificate(certified(kind))
    answer = answer_of(group, certificate, verify(certificate, group), 12.3)
    first, *owners = lines(PICTURE, answer, None, group)
    assert first.startswith("a.png: ") and first.endswith("12 ms")
    assert "undecided" not in first
    assert [("agrees" in owner) for owner in owners] == [True] * 4
    shown = json.loads(json.dumps(figures(PICTURE, answer, None, None, group)))
    assert (shown["kind"], shown["label"], shown["certificate"]) == (kind, None, None)
    assert answer.measured is not None
    assert shown["owners"][3]["agreement"] == answer.measured.owners[3].agreement
    if kind == "boxes":
        assert [row[0] for row in shown["value"]] == ["cat"]
    else:
        assert shown["value"] == list(answer.measured.numbers)
        assert [len(owner["value"]) for owner in shown["owners"]] == [len(shown["value"])] * 4


def test_a_request_without_an_answer_shows_why() -> None:
    wrong = RequestExpired("no outcome by the deadline")
    assert list(lines(PICTURE, None, None, world().group)) == ["a.png: no answer"]
    assert figures(PICTURE, None, wrong, None, world().group) == {
        "input": "a.png",
        "error": "no outcome by the deadline",
    }
