"""Certificates put together: order, gaps, versions, how owners did, and what cannot be true of them together."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from dropbeard.audit.certificates import BadFile, Promised, Seen, files_among, read_certificate_file
from dropbeard.audit.findings import BlockRow
from dropbeard.audit.history import Gap, History, LedgerView, gaps_of, history_of
from dropbeard.errors import CertificateUnreadable
from dropbeard.evidence.kinds import MAGIC
from dropbeard.types.certificates import Certificate
from dropbeard.types.entries import EntryKind
from dropbeard.types.ids import Digest, Height, OwnerId, RequestId, TimeUs, Version, View
from dropbeard.types.outputs import Numbers
from dropbeard.verification.lineage import lineage_of
from tests.audit.test_blame import conflicting
from tests.verification.building import GOOD, Plan, build, filled, output, world
from tests.verification.gallery import DEFECTS
from tests.verification.other_tasks import SCORES, other_world

WORLD = world()
LINEAGE = lineage_of(WORLD.group, ())


def read(folder: Path, *certificates: Certificate) -> list[Seen | BadFile]:
    """What an audit keeps of these, saved as 0, 1, ..."""
    for number, certificate in enumerate(certificates):
        (folder / f"{number}.dbcert").write_bytes(certificate.encode())
    return [read_certificate_file(path, LINEAGE) for path in files_among([folder])[0]]


def one(folder: Path, plan: Plan) -> Seen:
    (seen,) = read(folder, build(WORLD, plan))
    assert isinstance(seen, Seen)
    return seen


def at(seen: Seen, height: int, name: str, **changes: object) -> Seen:
    """The same certificate elsewhere, of another request."""
    block = replace(seen.block, height=Height(height), digest=filled(height), view=View(height), time=TimeUs(height))
    promises = tuple(replace(promise, height=Height(height)) for promise in seen.promises)
    moved = replace(
        seen,
        path=Path(name),
        request=RequestId(filled(height)),
        blocks=(block,),
        leaves=((Height(height), seen.index, seen.leaves[0][2]),),
        promises=promises,
    )
    return replace(moved, **changes)  # type: ignore[arg-type]


def found(history: History) -> list[tuple[str, int]]:
    return [(row.what, row.height) for row in history.contradictions]


def test_directories_and_files_are_read_once_each_in_one_order(tmp_path: Path) -> None:
    for name in ("b.dbcert", "a.dbcert", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    for name in ("c.dbevid", "d"):
        (tmp_path / name).write_bytes(MAGIC)
    wanted = [tmp_path / "a.dbcert", tmp_path / "b.dbcert"], [tmp_path / "c.dbevid"]
    assert files_among([tmp_path / "b.dbcert", tmp_path]) == wanted
    assert files_among([tmp_path, tmp_path / "a.dbcert"]) == wanted
    assert files_among([tmp_path / "d", tmp_path / "none"]) == ([tmp_path / "none"], [tmp_path / "d"])


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropbeard.audit.certificates.FILES_MAX", 1)
    with pytest.raises(CertificateUnreadable, match="in parts"):
        files_among([tmp_path / "a", tmp_path / "b"])


def test_a_bad_file_is_listed_with_the_step_that_it_fails(tmp_path: Path) -> None:
    (tmp_path / "1.dbcert").write_bytes(b"no certificate")
    rows = read(tmp_path, DEFECTS["a salt is another"][1](WORLD))
    history = history_of(LINEAGE, [*rows, read_certificate_file(tmp_path / "none", LINEAGE)])
    assert [(bad.path.name, bad.step, bad.name) for bad in history.bad] == [
        ("0.dbcert", 11, "openings"),
        ("1.dbcert", None, None),
        ("none", None, None),
    ]
    assert (history.valid, history.order) == (0, [])


def test_owners_that_do_not_classify_disagree_by_how_far_they_are_apart(tmp_path: Path) -> None:
    apart = {owner: Numbers(SCORES, (100 + by, -8)).encode() for owner, by in enumerate((0, 0, 4, 200))}
    made = other_world("scores")
    certificate = build(made, Plan(base=(0, 1, 2, 3), votes=apart))
    (tmp_path / "a.dbcert").write_bytes(certificate.encode())
    lineage = lineage_of(made.group, ())
    history = history_of(lineage, [read_certificate_file(tmp_path / "a.dbcert", lineage)])
    assert [(row.opened, row.decided, row.disagreed) for row in history.owners] == [(1, 1, 0)] * 3 + [(1, 1, 1)]
    # The group's score is 102 and the scale 16: 2 is an eighth of it, and 16 or more is not to agree at all.
    assert [row.disagreement for row in history.owners] == [8_191 / 65_535] * 3 + [1.0]


def test_requests_stand_in_the_order_of_the_group_whichever_way_they_are_read(tmp_path: Path) -> None:
    seen = one(tmp_path, Plan())
    rows = [at(seen, 5, "c"), at(seen, 3, "b"), replace(at(seen, 3, "a", index=0), request=RequestId(filled(99)))]
    first = history_of(LINEAGE, rows)
    assert [(row.block.height, row.index) for row in first.order] == [(3, 0), (3, 2), (5, 2)]
    random.Random(1).shuffle(rows)
    assert history_of(LINEAGE, rows).order == first.order


def test_the_fullest_of_several_certificates_of_one_request_counts(tmp_path: Path) -> None:
    late = Plan(links=1, late=((3,),))
    seen = read(tmp_path, build(WORLD, replace(late, opened=(0, 1, 2))), build(WORLD, late))
    history = history_of(LINEAGE, seen)
    assert [[path.name for path in files] for _, files in history.duplicates] == [["0.dbcert", "1.dbcert"]]
    assert [(row.path.name, len(row.opened)) for row in history.order] == [("1.dbcert", 4)]
    assert (history.valid, [record.opened for record in history.owners]) == (2, [1, 1, 1, 1])


def test_an_owner_is_in_time_late_or_absent_and_disagrees_or_not(tmp_path: Path) -> None:
    votes = {2: output(4)}
    late = one(tmp_path, Plan(links=2, late=((3,),), votes=votes))
    absent = at(one(tmp_path, Plan(votes={1: output(9)})), 20, "another")
    expired = at(one(tmp_path, GOOD["expired"]), 21, "expired")
    rows = history_of(LINEAGE, [late, absent, expired]).owners
    assert [(row.in_time, row.late, row.absent) for row in rows] == [(2, 0, 0), (2, 0, 0), (2, 0, 0), (0, 1, 1)]
    # With margin 0 the second request is undecided, and nobody disagrees with it.
    assert [(row.opened, row.decided, row.disagreed) for row in rows] == [(2, 1, 0), (2, 1, 0), (2, 1, 1), (1, 1, 0)]
    assert [row.late_blocks_max for row in rows] == [0, 0, 0, 1]
    assert [row.disagreement for row in rows] == [0.0, 0.0, 1.0, 0.0]
    assert [row.disagreement for row in history_of(LINEAGE, [expired]).owners] == [None] * 4


def test_versions_are_spans_of_heights(tmp_path: Path) -> None:
    seen = one(tmp_path, Plan())
    updated = tuple(
        Promised(OwnerId(0), Version(2), filled(9), Height(30), False) if promise.owner == 0 else promise
        for promise in at(seen, 30, "x").promises
    )
    rows = [at(seen, 10, "a"), at(seen, 20, "b"), at(seen, 30, "c", promises=updated)]
    history = history_of(LINEAGE, rows)
    spans = [(span.owner, span.version, span.first, span.last) for span in history.versions]
    assert spans == [(0, 1, 10, 20), (0, 2, 30, 30), (1, 1, 10, 30), (2, 1, 10, 30)]
    assert found(history) == []


def test_gaps_are_entries_without_certificate_and_heights_that_nothing_is_known_of(tmp_path: Path) -> None:
    seen = one(tmp_path, Plan(leaves=3))
    alone = replace(seen, leaves=((Height(4), 0, 1),))
    rows = [at(seen, 2, "a"), at(seen, 3, "b"), alone, at(seen, 9, "c")]
    assert gaps_of(rows) == [Gap(2, 3, 6, 4), Gap(5, 8, None, None), Gap(9, 9, 3, 2)]


def test_a_ledger_tells_which_heights_are_empty(tmp_path: Path) -> None:
    seen = one(tmp_path, Plan(leaves=3))
    counts = {2: (3, 0, 0), 3: (0, 0, 0), 4: (1, 1, 1), 5: (2, 0, 0), 6: (0, 0, 0)}
    ledger = [BlockRow(height, height, height, 1, *row) for height, row in counts.items()]
    rows = [at(seen, 2, "a")]
    assert gaps_of(rows, ledger) == [Gap(2, 2, 3, 2), Gap(4, 5, 5, 5)]
    view = LedgerView(ledger, frozenset([rows[0].block.digest]))
    assert history_of(LINEAGE, rows, view).uncertified == 6


def test_honest_certificates_contradict_nothing(tmp_path: Path) -> None:
    plans = [Plan(links=1, late=((3,),)), Plan(links=1, late=((3,),), opened=(0, 1, 2))]
    assert found(history_of(LINEAGE, read(tmp_path, *(build(WORLD, plan) for plan in plans)))) == []


def test_two_blocks_of_one_height_and_view_contradict_each_other(tmp_path: Path) -> None:
    history = history_of(LINEAGE, read(tmp_path, *conflicting()))
    assert found(history) == [
        ("two final blocks at one height", 7),
        ("two final blocks of one view", 7),
        ("two outcomes of one request", 7),
    ]
    assert [path.name for path in history.contradictions[0].files] == ["0.dbcert", "1.dbcert"]


def test_an_agreed_and_an_expired_entry_of_one_request_contradict_each_other(tmp_path: Path) -> None:
    seen = one(tmp_path, Plan())
    expired = replace(at(seen, 30, "b"), request=seen.request, kind=EntryKind.EXPIRED)
    assert ("two outcomes of one request", 30) in found(history_of(LINEAGE, [seen, expired]))


def test_time_and_versions_that_go_back_and_a_version_of_two_models_contradict(tmp_path: Path) -> None:
    seen = one(tmp_path, Plan(base=(0, 1, 2)))
    early = at(seen, 10, "a")
    late_block = replace(at(seen, 20, "b").block, time=TimeUs(3))
    assert found(history_of(LINEAGE, [early, at(seen, 20, "b", blocks=(late_block,))])) == [
        ("block time goes back", 20)
    ]

    def promised(version: int, model: Digest, height: int) -> tuple[Promised, ...]:
        return (Promised(OwnerId(0), Version(version), model, Height(height), False),)

    back = [
        at(seen, 10, "a", promises=promised(2, filled(2), 10)),
        at(seen, 20, "b", promises=promised(1, filled(1), 20)),
    ]
    assert found(history_of(LINEAGE, back)) == [("a version goes back", 20)]
    two = [
        at(seen, 10, "a", promises=promised(1, filled(1), 10)),
        at(seen, 20, "b", promises=promised(1, filled(2), 20)),
    ]
    assert found(history_of(LINEAGE, two)) == [("two models under one version", 20)]


def test_a_ledger_with_another_block_contradicts(tmp_path: Path) -> None:
    seen = one(tmp_path, Plan(leaves=1))
    row = BlockRow(7, 14, 0, 1, 1, 0, 0)
    other = LedgerView([row], frozenset([filled(1)]))
    assert found(history_of(LINEAGE, [seen], other)) == [("the ledger has another block", 7)]
    assert found(history_of(LINEAGE, [seen], LedgerView([row], frozenset([seen.block.digest])))) == []
    above = LedgerView([replace(row, height=6)], frozenset([filled(1)]))
    assert found(history_of(LINEAGE, [seen], above)) == []
