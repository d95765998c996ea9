"""What docs/examples and ``dropbeard infer`` do against a real group."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dropbeard.cli.main import run
from dropbeard.storage.files import read_genesis
from dropbeard.types.certificates import decode_certificate
from dropbeard.verification.certificate import verify
from tests.client.groups import picture, running_group

pytestmark = pytest.mark.system

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "docs" / "examples"
LIMIT_S = 60


@dataclass(frozen=True)
class Local:
    """A running group's genesis and two pictures."""

    genesis: str
    pictures: tuple[str, str]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    directory = tmp_path_factory.mktemp("examples")
    for name, seed in (("cat", 1), ("dog", 2)):
        Image.fromarray(np.kron(picture(seed), np.ones((4, 4, 1), np.uint8))).save(directory / f"{name}.png")
    with running_group(directory) as group:
        yield Local(str(group.genesis), (str(directory / "cat.png"), str(directory / "dog.png")))


def printed(name: str, *arguments: str) -> list[str]:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent.parent)}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False, env=environment)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


def test_the_first_example_shows_each_owner_and_saves_certificates(local: Local) -> None:
    lines = printed("ask.py", local.genesis, *local.pictures)
    assert len(lines) == 2 * (1 + 4 + 1)
    group = read_genesis(Path(local.genesis))
    for path in local.pictures:
        assert verify(decode_certificate(Path(path + ".dbcert").read_bytes()), group).n == 4


def test_the_asynchronous_example_asks_about_all_at_once(local: Local) -> None:
    *lines, last = printed("ask_async.py", local.genesis, *local.pictures)
    assert [line.partition(": ")[0] for line in lines] == list(local.pictures)
    assert last in ("without patience: 3 owners", "without patience: 4 owners")


def test_the_streaming_example_gets_every_picture(local: Local) -> None:
    lines = printed("stream.py", local.genesis, *local.pictures)
    assert sorted(line.partition(": ")[0] for line in lines) == sorted(local.pictures)
    assert not any("failed" in line for line in lines)


def test_the_provisional_example_ends_with_the_final_answer(local: Local) -> None:
    *before, last = printed("provisional.py", local.genesis, local.pictures[0])
    assert len(before) == 4
    assert all(line.startswith("provisional after") for line in before)
    assert last.startswith("final after")


def test_the_example_of_an_earlier_answer_gets_it_again(local: Local, tmp_path: Path) -> None:
    (line,) = printed("earlier.py", local.genesis, local.pictures[1], str(tmp_path / "client.key"))
    assert "was agreed at height" in line


def test_infer_answers_each_picture_and_keeps_certificates_that_verify(
    local: Local, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, key, missing = tmp_path / "out", tmp_path / "client.key", str(tmp_path / "none.png")
    cat, dog = local.pictures
    options = ["--group", local.genesis, "--out", str(out), "--key", str(key), "--timeout", "30"]
    assert run(["infer", cat, missing, dog, cat, "--json", *options]) == 1
    found = json.loads(capsys.readouterr().out)["answers"]
    assert [row["input"] for row in found] == [cat, missing, dog, cat]
    assert [row["error"] is None for row in found] == [True, False, True, True]
    assert "cannot read" in found[1]["error"]
    certificates = [row["certificate"] for row in found if row["error"] is None]
    assert [Path(path).name for path in certificates] == ["cat.dbcert", "dog.dbcert", "cat-2.dbcert"]
    for path, given in zip(certificates, (cat, dog, cat), strict=True):
        assert run(["verify", path, "--group", local.genesis, "--input", given]) == 0
    assert {owner["owner"] for owner in found[0]["owners"]} == {"alice", "bob", "carol", "dave"}
    assert key.stat().st_mode & 0o777 == 0o600


def test_what_is_disclosed_is_kept_by_the_nodes_that_get_it_and_counts_in_their_status(
    local: Local, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--group", local.genesis, "--json"]
    assert run(["infer", *local.pictures, "--out", str(tmp_path), "--timeout", "30", *options]) == 0
    files = [row["certificate"] for row in json.loads(capsys.readouterr().out)["answers"]]
    assert run(["disclose", *files, "--to", "alice", "--to", "bob", *options]) == 0
    assert run(["disclose", files[0], "--to", "alice", *options]) == 0
    first, again = [json.loads(line)["disclosed"] for line in capsys.readouterr().out.splitlines()]
    assert [(row["owner"], row["kept"]) for row in first] == [("alice", True), ("bob", True)] * 2
    assert "already" in again[0]["detail"]
    group = Path(local.genesis).parent
    kept = sorted(path.read_bytes() for path in (group / "alice" / "state" / "disclosed").glob("*.dbcert"))
    assert kept == sorted(Path(name).read_bytes() for name in files)
    assert not (group / "carol" / "state" / "disclosed").exists()
    assert run(["status", str(group / "alice" / "alice.toml"), "--json"]) in (0, 1)
    assert json.loads(capsys.readouterr().out)["agreement"]["certificates"] == 2
    Path(files[0]).write_bytes(Path(files[0]).read_bytes()[:-1] + b"x")
    assert run(["disclose", files[0], "--group", local.genesis]) in (1, 2)
    assert run(["disclose", files[1], "--to", "erin", "--group", local.genesis]) == 2
    assert "no owner 'erin'" in capsys.readouterr().err


def test_infer_says_for_people_what_was_agreed_and_ends_with_3_below_what_is_required(
    local: Local, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["infer", local.pictures[0], "--group", local.genesis, "--timeout", "30"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{local.pictures[0]}: ")
    assert "margin" in shown and len(shown.splitlines()) == 1 + 4
    # Four synthetic owners that answer as they like are robust about nothing here.
    assert run(["infer", local.pictures[0], "--group", local.genesis, "--require", "robust", "--timeout", "30"]) == 3
    assert "required is robust" in capsys.readouterr().err
