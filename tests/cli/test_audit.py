"""``dropbeard audit``: what it prints, which exit code it gives, and that the same files give the same bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dropbeard.cli.main import run
from dropbeard.types.genesis_file import genesis_to_toml
from dropbeard.types.succession import encode_successions
from tests.audit.recorded_ledgers import write_disk, write_genesis
from tests.audit.test_blame import conflicting
from tests.verification.building import Plan, build, world
from tests.verification.epochs import CERTIFICATES, SUCCESSIONS, WORLD
from tests.verification.gallery import DEFECTS
from tests.verification.other_tasks import certified, other_world

SMALL = world()
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "auditor-guide.md"


@pytest.fixture(name="folder")
def fixture_folder(tmp_path: Path) -> Path:
    """A folder with the genesis of the small group in it."""
    (tmp_path / "g.toml").write_text(genesis_to_toml(SMALL.group))
    return tmp_path


def audit(folder: Path, *more: str) -> int:
    return run(["audit", str(folder), "--group", str(folder / "g.toml"), *more])


def figures(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = audit(folder, *more, "--json")
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, said


@pytest.fixture(name="recorded", scope="module")
def fixture_recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of three epochs, what ended each, and the state directory of a node."""
    folder = tmp_path_factory.mktemp("recorded")
    write_genesis(WORLD, folder).rename(folder / "g.toml")
    (folder / "successions").write_bytes(encode_successions(WORLD.keys.group.id, SUCCESSIONS))
    write_disk(max(WORLD.honest, key=lambda replica: replica.turn.state.group.epoch), folder / "state")
    for number, certificate in enumerate(CERTIFICATES):
        (folder / f"{number:03}.dbcert").write_bytes(certificate.encode())
    return folder


def test_certificates_of_three_epochs_and_a_ledger_are_one_history(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = "--successions", str(recorded / "successions"), "--ledger", str(recorded / "state")
    code, said = figures(recorded, capsys, *more)
    assert (code, said["bad"], said["contradictions"], said["convicted"]) == (0, [], [], [])
    assert said["files"] == {"valid": len(CERTIFICATES), "invalid": 0, "unreadable": 0}
    places = [(row["height"], row["index"]) for row in said["order"]]
    assert places == sorted(places)
    assert {row["epoch"] for row in said["order"]} == {0, 1, 2}
    assert said["ledger"]["agreed"] + said["ledger"]["expired"] == len(said["order"])
    assert said["ledger"]["requests_without_certificate"] == 0
    assert len([row for row in said["versions"] if row["version"] > 1]) > 0
    assert all(row["requests"] == row["in_time"] + row["late"] + row["absent"] for row in said["owners"])
    assert sum(row["late"] for row in said["owners"]) > 0


def test_a_certificate_fewer_is_a_gap_that_the_ledger_tells(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = sorted(map(str, recorded.glob("*.dbcert")))[1:]
    more = ["--group", str(recorded / "g.toml"), "--ledger", str(recorded / "state"), "--json"]
    assert run(["audit", *sources, *more, "--successions", str(recorded / "successions")]) == 0
    assert json.loads(capsys.readouterr().out)["ledger"]["requests_without_certificate"] == 1


def test_later_epochs_without_successions_fail_step_3(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = figures(recorded, capsys)
    assert (code, {row["step_name"] for row in said["bad"]}) == (1, {"epoch"})


def test_the_order_of_the_arguments_changes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(folder / f"{number}.dbcert") for number in range(3)]
    for file, name in zip(files, (None, "a salt is another", None), strict=True):
        made = build(SMALL, Plan()) if name is None else DEFECTS[name][1](SMALL)
        Path(file).write_bytes(made.encode())
    shown = []
    for sources in (files, files[::-1], [str(folder)]):
        for form in ([], ["--json"]):
            assert run(["audit", *sources, "--group", str(folder / "g.toml"), *form]) == 1
            shown.append(capsys.readouterr().out)
    assert shown[:2] == shown[2:4] == shown[4:]


def test_lines_name_bad_files_duplicates_gaps_and_owners(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (folder / f"{name}.dbcert").write_bytes(build(SMALL, Plan()).encode())
    (folder / "c.dbcert").write_bytes(DEFECTS["nobody signs"][1](SMALL).encode())
    (folder / "d.dbcert").write_bytes(b"")
    assert audit(folder) == 1
    out = capsys.readouterr().out
    for line in (
        "files: 2 valid, 1 invalid, 1 unreadable",
        "requests: 1 agreed (0 robust, 1 honest-plurality, 0 without assurance, of these 0 undecided), 0 expired",
        f"INVALID  {folder / 'c.dbcert'}: step 4 (signers): 0 signers, need 3",
        f"UNREADABLE  {folder / 'd.dbcert'}: not an inference certificate",
        "2 files of request",
        "gap: 7 of 8 entries at height 7 (supplements, too)",
        "class 3, margin 2, honest-plurality",
        "owner 3: 0 in time, 0 late (by 0 blocks at most), 1 absent of 1; disagreed in 0 of 0 (unknown)",
    ):
        assert line in out


def test_conflicting_certificates_convict_who_signed_both(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, certificate in zip("ab", conflicting(), strict=True):
        (folder / f"{name}.dbcert").write_bytes(certificate.encode())
    code, said = figures(folder, capsys)
    assert code == 1
    assert [(row["owner"], row["offence"]) for row in said["convicted"]] == [
        (owner, "double finalize") for owner in range(3)
    ]
    assert said["contradictions"][0]["files"] == [str(folder / "a.dbcert"), str(folder / "b.dbcert")]
    assert audit(folder) == 1
    assert "CONVICTED  owner 0 of double finalize" in capsys.readouterr().out


def test_evidence_among_the_files_is_judged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, certificate in zip("ab", conflicting(), strict=True):
        (folder / name).write_bytes(certificate.encode())
    genesis, evidence = str(folder / "g.toml"), str(folder / "evidence.dbevid")
    assert run(["blame", str(folder / "a"), str(folder / "b"), "--group", genesis, "-o", evidence]) == 0
    code, said = figures(folder, capsys)
    assert (code, said["files"]["valid"], said["bad"], said["contradictions"]) == (1, 0, [], [])
    assert [(row["owner"], row["offence"]) for row in said["convicted"]] == [(0, "double finalize")]


def test_unreadable_files_alone_exit_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.dbcert").write_bytes(build(SMALL, Plan()).encode())
    assert audit(folder) == 0
    (folder / "b.dbcert").write_bytes(b"DBCERT")
    assert audit(folder) == 2
    capsys.readouterr()
    assert run(["audit", str(folder), "--group", str(folder / "none")]) == 2
    assert audit(folder, "--ledger", str(folder / "none")) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_a_directory_without_certificates_is_an_empty_history(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = figures(folder, capsys)
    assert (code, said["order"], said["gaps"]) == (0, [], [])


@pytest.mark.parametrize(
    ("kind", "order", "line"),
    [
        ("embedding", (None, "none"), "embedding, none"),
        ("scores", (None, "robust"), "scores, robust"),
        ("boxes", (4, "robust"), "boxes, margin 4, robust"),
        ("tensor", (None, "none"), "tensor, none"),
    ],
)
def test_a_task_that_does_not_classify_is_audited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, order: tuple[int | None, str], line: str
) -> None:
    (tmp_path / "g.toml").write_text(genesis_to_toml(other_world(kind).group))
    (tmp_path / "a.dbcert").write_bytes(certified(kind))
    code, said = figures(tmp_path, capsys)
    assert (code, said["bad"], said["group"]["kind"]) == (0, [], kind)
    assert [(row["label"], row["margin"], row["assurance"]) for row in said["order"]] == [(None, *order)]
    assert (said["requests"]["agreed"], said["requests"]["undecided"]) == (1, 0)
    assert all((row["decided"], row["disagreed"]) == (1, 0) for row in said["owners"])
    assert audit(tmp_path) == 0
    out = capsys.readouterr().out
    assert line in out
    assert f", {kind}, epochs 0 to 0" in out


def test_the_guide_describes_every_part_of_the_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.dbcert").write_bytes(build(SMALL, Plan()).encode())
    _, said = figures(folder, capsys)
    described = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert {"group", *described} == set(said)
    for part in ("order", "owners", "versions", "gaps"):
        mentioned = set(re.findall(r"`([\w-]+)`", described[part]))
        assert set(said[part][0]) - {"name", "owner"} <= mentioned
