"""``dropbeard verify``: what it prints, which exit code it gives, and that it never says more than it knows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dropbeard.cli.main import run
from dropbeard.serving.manifest import manifests, model_digest
from dropbeard.types.certificates import Certificate
from dropbeard.types.genesis_file import genesis_to_toml
from dropbeard.types.task import Input, InputKind
from dropbeard.verification.browser.page import portable_verifier, verifier_page
from tests.verification.building import GOOD, IMAGE, Plan, World, build, output, world
from tests.verification.gallery import DEFECTS

WORLD = world()
Shown = tuple[int, str, str]


@pytest.fixture(name="folder")
def fixture_folder(tmp_path: Path) -> Path:
    """A folder with the genesis in it."""
    (tmp_path / "g.toml").write_text(genesis_to_toml(WORLD.group))
    return tmp_path


def check(folder: Path, capsys: pytest.CaptureFixture[str], certificate: Certificate, *more: str) -> Shown:
    """Exit code, standard output and standard error for a certificate."""
    (folder / "c.dbcert").write_bytes(certificate.encode())
    code = run(["verify", str(folder / "c.dbcert"), "--group", str(folder / "g.toml"), *more])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_valid_certificate_shows_what_was_agreed_and_by_whom(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = check(folder, capsys, build(WORLD, Plan()))
    assert (code, err) == (0, "")
    assert "agreed: class 3   margin 2   assurance honest-plurality" in out
    rows = [line.split() for line in out.splitlines() if line.startswith("  owner ")]
    assert [row[:2] + row[3:] for row in rows] == [
        ["owner", str(owner), "v1", "class", "3", "(61%)"] for owner in range(3)
    ]
    assert [row[2] for row in rows] == [WORLD.group.owners[owner].model.hex()[:12] for owner in range(3)]
    assert "model-" not in out
    assert "correct" not in out


def test_json_has_exactly_these_keys(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = check(folder, capsys, build(WORLD, Plan(base=(0, 1, 2, 3))), "--json")
    assert code == 0
    assert json.loads(out) == {
        "valid": True,
        "failed_step": None,
        "label": "class 3",
        "margin": 4,
        "assurance": "robust",
        "openings": 4,
        "height": 7,
    }


def test_an_invalid_certificate_names_its_step_and_exits_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = check(folder, capsys, DEFECTS["a salt is another"][1](WORLD), "--json")
    assert (code, err.count("\n")) == (1, 1)
    assert "step 11 (openings)" in err
    said = json.loads(out)
    assert (said["valid"], said["failed_step"]) == (False, 11)
    assert {said[key] for key in ("label", "margin", "assurance", "openings", "height")} == {None}


@pytest.mark.parametrize(
    ("owners", "required", "code"),
    [
        ((0, 1, 2), "honest-plurality", 0),
        ((0, 1, 2), "robust", 3),
        ((0, 1, 2, 3), "robust", 0),
    ],
)
def test_a_margin_below_what_is_required_exits_3(
    folder: Path, capsys: pytest.CaptureFixture[str], owners: tuple[int, ...], required: str, code: int
) -> None:
    said = check(folder, capsys, build(WORLD, Plan(base=owners)), "--require", required)
    assert said[0] == code


def test_a_tie_is_undecided_and_never_called_agreed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    votes = {0: output(3), 1: output(4), 2: output(5)}
    code, out, _ = check(folder, capsys, build(WORLD, Plan(votes=votes)))
    assert code == 0
    assert "undecided   margin -1   assurance none" in out
    assert "agreed:" not in out


def test_an_expired_certificate_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = check(folder, capsys, build(WORLD, GOOD["expired"]))
    assert code == 0
    assert "EXPIRED" in out


def test_the_input_is_compared_byte_by_byte(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = folder / "image"
    image.write_bytes(IMAGE.data)
    assert check(folder, capsys, build(WORLD, Plan()), "--input", str(image))[0] == 0
    image.write_bytes(IMAGE.data + b"\0")
    code, _, err = check(folder, capsys, build(WORLD, Plan()), "--input", str(image))
    assert (code, "step 10 (input)" in err) == (1, True)


def test_an_array_file_is_compared_as_a_raw_input(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.save(folder / "pixels.npy", pixels)
    certificate = build(WORLD, Plan(image=Input(InputKind.RAW_RGB8, (2, 4, 3), pixels.tobytes())))
    assert check(folder, capsys, certificate, "--input", str(folder / "pixels.npy"))[0] == 0
    np.save(folder / "pixels.npy", pixels.reshape(4, 2, 3))
    code, _, err = check(folder, capsys, certificate, "--input", str(folder / "pixels.npy"))
    assert (code, "step 10 (input)" in err) == (1, True)


def with_owner(**changes: Any) -> World:
    """The world, but its first owner is another."""
    group = WORLD.group
    return World(replace(group, owners=(replace(group.owners[0], **changes), *group.owners[1:])), WORLD.keys)


def test_a_name_is_shown_only_where_a_local_manifest_has_the_digest(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = manifests()[0]
    known = with_owner(model=model_digest(manifest))
    (folder / "g.toml").write_text(genesis_to_toml(known.group))
    code, out, _ = check(folder, capsys, build(known, Plan()))
    rows = [line.split()[2] for line in out.splitlines() if line.startswith("  owner ")]
    assert (code, rows) == (0, [manifest.name, "41" * 6, "42" * 6])


def test_a_wrong_group_is_step_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "g.toml").write_text(genesis_to_toml(world(7).group))
    code, _, err = check(folder, capsys, build(WORLD, Plan()))
    assert (code, "step 2 (group)" in err, err.count("\n")) == (1, True, 1)


@pytest.mark.parametrize("text", [None, "", "[package]\n", "\0\1", "[[["])
def test_a_genesis_that_is_none_is_one_line_and_exits_2(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    (folder / "g.toml").unlink()
    if text is not None:
        (folder / "g.toml").write_text(text)
    code, out, err = check(folder, capsys, build(WORLD, Plan()))
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_a_genesis_whose_key_is_no_point_exits_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = with_owner(node_key=b"\x02" + b"\xff" * 32)
    (folder / "g.toml").write_text(genesis_to_toml(broken.group))
    code, out, err = check(folder, capsys, build(broken, Plan()))
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_a_missing_input_is_one_line_and_exits_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = check(folder, capsys, build(WORLD, Plan()), "--input", str(folder / "none"))
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_a_missing_or_truncated_certificate_exits_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    genesis = str(folder / "g.toml")
    (folder / "cut").write_bytes(build(WORLD, Plan()).encode()[:700])
    codes = [run(["verify", str(folder / name), "--group", genesis]) for name in ("none", "cut")]
    assert codes == [2, 2]
    assert capsys.readouterr().err.count("\n") == 2


def test_the_page_and_the_portable_verifier_are_written_without_any_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--html"]) == 0
    assert capsys.readouterr() == (verifier_page(), "")
    assert run(["verify", "--portable"]) == 0
    assert capsys.readouterr() == (portable_verifier(), "")
