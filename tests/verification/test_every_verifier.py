"""The command, the portable verifier and the JavaScript one give the same verdict of every exhibit of the gallery."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dropbeard.cli.main import run
from dropbeard.errors import CertificateInvalid, CertificateUnreadable, ConfigInvalid
from dropbeard.types.certificates import decode_certificate
from dropbeard.types.genesis_file import genesis_from_toml
from dropbeard.types.group import Group
from dropbeard.types.outputs import Boxes, Numbers
from dropbeard.types.task import PROBABILITY_ONE, Classification, Output
from dropbeard.verification.certificate import verify
from tests.verification.building import Plan, build
from tests.verification.exhibits import EXHIBITS, WORLD, Exhibit, Verdict
from tests.verification.portable_file import portable
from tests.verification.task_geneses import BOXES, CLASSES, CLIENTS, SCORES, TENSOR, VECTOR, genesis_of

NODE = shutil.which("node")
HERE = Path(__file__).resolve().parent
SCRIPT = HERE.parents[1] / "dropbeard" / "verification" / "browser" / "verify.js"
NODE_TIMEOUT_S = 100
OTHERS = {"embedding": VECTOR, "scores": SCORES, "boxes": BOXES, "tensor": TENSOR}
STEP = re.compile(r"step (\d+) \((\w+)\)")

needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed here: no JavaScript verifier to compare")


def command_says(exhibit: Exhibit, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Verdict, Any]:
    """Verdict of ``dropbeard verify``, and its JSON object."""
    files = {
        "certificate": exhibit.certificate,
        "genesis": exhibit.genesis,
        "input": exhibit.image,
        "successions": exhibit.successions,
    }
    for name, data in files.items():
        (folder / name).write_bytes(data or b"")
    more = [f"--{name}={folder / name}" for name in ("input", "successions") if files[name] is not None]
    code = run(["verify", str(folder / "certificate"), "--group", str(folder / "genesis"), *more, "--json"])
    said = capsys.readouterr()
    found = STEP.search(said.err)
    step = None if found is None else int(found[1])
    return (("valid", "invalid", "unreadable")[code], step), json.loads(said.out) if said.out else None


def portable_says(exhibit: Exhibit) -> Verdict:
    """Verdict of the portable verifier, which takes no input."""
    try:
        groups = portable.read_epochs(portable.read_genesis(exhibit.genesis.decode()), exhibit.successions)
        portable.verify(portable.read_certificate(exhibit.certificate), groups)
    except (portable.Unreadable, UnicodeDecodeError):
        return "unreadable", None
    except portable.Invalid as wrong:
        return "invalid", wrong.step
    return "valid", None


def script_says(exhibits: list[Exhibit], folder: Path) -> list[dict[str, Any]]:
    """What the JavaScript verifier says of each."""

    def text(data: bytes | None) -> str | None:
        return None if data is None else base64.b64encode(data).decode()

    cases = [
        {
            "certificate": text(exhibit.certificate),
            "genesis": text(exhibit.genesis),
            "input": text(exhibit.image),
            "successions": text(exhibit.successions),
        }
        for exhibit in exhibits
    ]
    (folder / "cases.json").write_text(json.dumps(cases))
    command = [str(NODE), str(HERE / "browser" / "node_verifier.js"), str(SCRIPT), str(folder / "cases.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=NODE_TIMEOUT_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    said: list[dict[str, Any]] = json.loads(done.stdout)
    return said


def test_the_gallery_fails_every_step_and_has_names_of_its_own() -> None:
    assert {exhibit.verdict[1] for exhibit in EXHIBITS} == {None, *range(1, 15)}
    assert len({exhibit.name for exhibit in EXHIBITS}) == len(EXHIBITS)


def test_the_command_gives_the_verdict_of_every_exhibit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = {exhibit.name: command_says(exhibit, tmp_path, capsys)[0] for exhibit in EXHIBITS}
    assert said == {exhibit.name: exhibit.verdict for exhibit in EXHIBITS}


def test_the_portable_verifier_gives_the_verdict_of_every_exhibit_that_it_covers() -> None:
    covered = [exhibit for exhibit in EXHIBITS if exhibit.image is None]
    said = {exhibit.name: portable_says(exhibit) for exhibit in covered}
    assert said == {exhibit.name: exhibit.verdict for exhibit in covered}


@needs_node
def test_the_javascript_verifier_gives_the_verdict_of_every_exhibit(tmp_path: Path) -> None:
    said = script_says(EXHIBITS, tmp_path)
    verdicts = [(row["verdict"], row["step"]) for row in said]
    names = [exhibit.name for exhibit in EXHIBITS]
    assert dict(zip(names, verdicts, strict=True)) == {exhibit.name: exhibit.verdict for exhibit in EXHIBITS}


@needs_node
def test_the_javascript_verifier_says_of_a_valid_certificate_what_the_command_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    valid = [exhibit for exhibit in EXHIBITS if exhibit.verdict[0] == "valid"]
    for exhibit, said in zip(valid, script_says(valid, tmp_path), strict=True):
        _, figures = command_says(exhibit, tmp_path, capsys)
        decision = said["decision"]
        kind = said["task"]["kind"]
        assert kind == figures.pop("kind", "classification")
        assert (decision is None) == (kind != "classification")
        # What such answers come to together is worked out by the command alone.
        figures.pop("value", None)
        decision = decision or {"label": None, "margin": figures["margin"], "assurance": figures["assurance"]}
        assert figures == {
            "valid": True,
            "failed_step": None,
            "label": decision["label"],
            "margin": decision["margin"],
            "assurance": decision["assurance"],
            "openings": len(said["answers"]),
            "height": int(said["height"]),
        }


@needs_node
def test_the_javascript_verifier_reads_the_same_answers_as_the_product(tmp_path: Path) -> None:
    valid = [exhibit for exhibit in EXHIBITS if exhibit.verdict[0] == "valid" and exhibit.successions is None]
    for exhibit, said in zip(valid, script_says(valid, tmp_path), strict=True):
        group = genesis_from_toml(exhibit.genesis.decode())
        answers = verify(decode_certificate(exhibit.certificate), group).answers
        assert [row["owner"] for row in said["answers"]] == [answer.owner for answer in answers]
        assert [read_by_script(row) for row in said["answers"]] == [read(answer.output, group) for answer in answers]


def read(output: Output, group: Group) -> list[Any]:
    """What people are shown of an answer."""
    labels = group.task.labels
    match output:
        case Classification():
            return [[labels[class_id], units / PROBABILITY_ONE] for class_id, units in output.choices]
        case Boxes():
            return [[labels[box.class_id], *(units / PROBABILITY_ONE for units in box[1:])] for box in output.boxes]
        case Numbers():
            return list(output.reals())


def read_by_script(row: dict[str, Any]) -> list[Any]:
    """The same, as the JavaScript verifier gives it."""
    if "choices" in row:
        return [[choice["label"], choice["probability"]] for choice in row["choices"]]
    if "boxes" in row:
        return [[box[key] for key in ("label", "x0", "y0", "x1", "y1", "score")] for box in row["boxes"]]
    return list(map(float, row["values"]))


@needs_node
@pytest.mark.parametrize(("name", "stride"), [("direct", 3), ("a supplement and a link above", 7)])
def test_the_javascript_verifier_says_of_mutants_what_the_product_says(tmp_path: Path, name: str, stride: int) -> None:
    good = next(exhibit for exhibit in EXHIBITS if exhibit.name == name)
    data = good.certificate
    mutants = [
        replace(good, certificate=data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        for at in range(0, len(data), stride)
    ]
    group = genesis_from_toml(good.genesis.decode())
    said = [(row["verdict"], row["step"]) for row in script_says(mutants, tmp_path)]
    assert said == [product_says(mutant.certificate, group) for mutant in mutants]
    assert {verdict for verdict, _ in said} == {"invalid", "unreadable"}


@needs_node
@pytest.mark.parametrize("kind", ["clients", "embedding", "scores", "boxes", "tensor"])
def test_all_verifiers_say_the_same_of_a_genesis_with_a_character_changed(tmp_path: Path, kind: str) -> None:
    text = genesis_of(CLASSES, f"[clients]\n{CLIENTS['all of it']}") if kind == "clients" else genesis_of(OTHERS[kind])
    certificate, changes = build(WORLD, Plan()).encode(), itertools.cycle('0-"[x=2_,')
    begin = text.index("[clients]" if kind == "clients" else "[task]")
    mutants = [
        Exhibit("", certificate, ("invalid", 2), (text[:at] + change + text[at + 1 :]).encode())
        for at, change in zip(range(begin, len(text)), changes, strict=False)
    ]
    product = [product_reads(mutant) for mutant in mutants]
    assert [portable_says(mutant) for mutant in mutants] == product
    assert [(row["verdict"], row["step"]) for row in script_says(mutants, tmp_path)] == product
    assert {verdict for verdict, _ in product} == {"invalid", "unreadable"}


def product_reads(exhibit: Exhibit) -> Verdict:
    """The verdict of the product, which reads the genesis first."""
    try:
        group = genesis_from_toml(exhibit.genesis.decode())
    except ConfigInvalid:
        return "unreadable", None
    return product_says(exhibit.certificate, group)


def product_says(data: bytes, group: Group) -> Verdict:
    """The verdict of the product, without the command around it."""
    try:
        verify(decode_certificate(data), group)
    except CertificateUnreadable:
        return "unreadable", None
    except CertificateInvalid as wrong:
        return "invalid", wrong.step
    return "valid", None
