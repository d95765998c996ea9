"""The portable verifier agrees with the product's, certificate by certificate, and is a program of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dropbeard.errors import CertificateInvalid, CertificateUnreadable
from dropbeard.types.certificates import decode_certificate
from dropbeard.types.genesis_file import genesis_from_toml, genesis_to_toml
from dropbeard.verification.aggregate import plurality
from dropbeard.verification.browser.page import portable_verifier
from dropbeard.verification.certificate import verify
from tests.verification.building import GOOD, Plan, build, output, world
from tests.verification.exhibits import broken_geneses
from tests.verification.gallery import DEFECTS
from tests.verification.later_epochs import SECOND, USUAL
from tests.verification.portable_file import portable
from tests.verification.unreadable import UNREADABLE

WORLD = world()
TOML = genesis_to_toml(WORLD.group)
GENESIS = portable.read_genesis(TOML)
RUN_TIMEOUT_S = 60


def product_says(data: bytes) -> int | None:
    """The failed step, 0 for unreadable, None for valid."""
    try:
        verify(decode_certificate(data), WORLD.group)
    except CertificateUnreadable:
        return 0
    except CertificateInvalid as wrong:
        return wrong.step
    return None


def portable_says(data: bytes) -> int | None:
    """The same by the portable verifier."""
    try:
        portable.verify(portable.read_certificate(data), [GENESIS])
    except portable.Unreadable:
        return 0
    except portable.Invalid as wrong:
        return int(wrong.step)
    return None


def test_both_compute_the_same_group_id() -> None:
    assert GENESIS.id == WORLD.group.id
    assert portable.read_genesis(genesis_to_toml(world(7).group)).id == world(7).group.id


@pytest.mark.parametrize("name", GOOD)
def test_both_accept_a_good_certificate(name: str) -> None:
    data = build(WORLD, GOOD[name]).encode()
    assert (product_says(data), portable_says(data)) == (None, None)


@pytest.mark.parametrize("name", DEFECTS)
def test_both_refuse_a_defect_by_the_same_step(name: str) -> None:
    step, make = DEFECTS[name]
    data = make(WORLD).encode()
    assert (product_says(data), portable_says(data)) == (step, step)


@pytest.mark.parametrize("name", UNREADABLE)
def test_both_find_a_broken_layout_unreadable(name: str) -> None:
    data = UNREADABLE[name](build(WORLD, Plan())).encode()
    assert (product_says(data), portable_says(data)) == (0, 0)


@pytest.mark.parametrize(
    ("plan", "stride"),
    # Pure-Python signatures are slow: the longer file is sampled.
    [(Plan(leaves=5), 1), (Plan(links=1, late=((3,),), leaves=5), 5)],
    ids=["direct", "linked"],
)
def test_both_say_the_same_of_mutants(plan: Plan, stride: int) -> None:
    data = build(WORLD, plan).encode()
    differing = []
    for at in range(0, len(data), stride):
        mutant = data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
        said = product_says(mutant), portable_says(mutant)
        if said[0] is None or said[0] != said[1]:
            differing.append((at, said))
    assert differing == []


@pytest.mark.parametrize("length", range(0, 1_200, 97))
def test_both_find_a_truncated_file_unreadable(length: int) -> None:
    data = build(WORLD, Plan()).encode()[:length]
    assert (product_says(data), portable_says(data)) == (0, 0)


@pytest.mark.parametrize(
    "votes",
    [(3, 3, 3), (3, 3, 4), (3, 4, 5), (3, 3, 4, 4), (3, 3, 3, 4), (9, 9, 9, 9)],
    ids=str,
)
def test_both_aggregate_alike(votes: tuple[int, ...]) -> None:
    owners = tuple(range(len(votes)))
    answers = {owner: output(vote, 30_000 + 7 * owner * vote) for owner, vote in enumerate(votes)}
    certificate = build(WORLD, Plan(base=owners, votes=answers))
    decision = plurality(verify(certificate, WORLD.group))
    said = portable.plurality([answer.output for answer in certificate.answers], GENESIS)
    assert said == (decision.shown, decision.margin)


BROKEN_GENESES = broken_geneses(WORLD.group)


@pytest.mark.parametrize("name", BROKEN_GENESES)
def test_a_broken_genesis_is_unreadable(name: str) -> None:
    assert BROKEN_GENESES[name] != TOML
    with pytest.raises(portable.Unreadable):
        portable.read_genesis(BROKEN_GENESES[name])


def test_the_genesis_file_is_that_of_the_product() -> None:
    assert genesis_from_toml(TOML) == WORLD.group


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The portable verifier as a program."""
    command = [sys.executable, "-m", "dropbeard.verification.portable", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)


def saved(folder: Path, data: bytes) -> list[str]:
    """Paths of a certificate and the genesis."""
    (folder / "c.dbcert").write_bytes(data)
    (folder / "g.toml").write_text(TOML)
    return [str(folder / "c.dbcert"), str(folder / "g.toml")]


def test_the_program_prints_class_ids_margin_and_digests_only(tmp_path: Path) -> None:
    done = run(*saved(tmp_path, build(WORLD, Plan()).encode()))
    assert (done.returncode, done.stderr) == (0, "")
    assert "agreed class 3, margin 2, assurance honest-plurality, openings 3 of 4" in done.stdout
    assert f"owner 0 version 1 model {WORLD.group.owners[0].model.hex()} class 3" in done.stdout
    assert "model-0" not in done.stdout


def test_the_program_takes_what_ended_earlier_epochs(tmp_path: Path) -> None:
    files = saved(tmp_path, SECOND)
    (tmp_path / "epochs").write_bytes(USUAL)
    done = [run(*files, str(tmp_path / "epochs")), run(*files)]
    assert [row.returncode for row in done] == [0, 1]
    assert "epoch 1, height 7\nagreed class 3, margin 3" in done[0].stdout
    assert done[1].stderr.startswith("invalid: step 3:")


def test_the_program_explains_itself_when_it_is_asked() -> None:
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "dropbeard-verify CERT GENESIS [SUCCESSIONS]" in done.stdout


def test_the_program_says_that_a_request_expired(tmp_path: Path) -> None:
    done = run(*saved(tmp_path, build(WORLD, GOOD["expired"]).encode()))
    assert done.returncode == 0
    assert "expired" in done.stdout


def test_the_program_names_the_failed_step_and_exits_1(tmp_path: Path) -> None:
    done = run(*saved(tmp_path, DEFECTS["a salt is another"][1](WORLD).encode()))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("invalid: step 11:")


def test_the_program_exits_2_when_a_file_is_not_what_it_should_be(tmp_path: Path) -> None:
    good = saved(tmp_path, build(WORLD, Plan()).encode())
    calls = [[], good[:1], [good[0], str(tmp_path / "none")], [good[1], good[1]], [good[0], good[0]]]
    done = [run(*arguments) for arguments in calls]
    assert [(row.returncode, row.stdout, row.stderr.count("\n")) for row in done] == [(2, "", 1)] * len(calls)


def test_the_one_file_imports_nothing_of_the_package(tmp_path: Path) -> None:
    alone = tmp_path / "alone.py"
    alone.write_text(portable_verifier())
    code = (
        "import runpy, sys; runpy.run_path(sys.argv[1]); print([m for m in sys.modules if m.startswith('dropbeard')])"
    )
    command = [sys.executable, "-I", "-c", code, str(alone)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=True)
    assert done.stdout == "[]\n"
