"""Each rule taken out in turn: what the checker then finds says what the rule is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model.checker import check, needs_spin

pytestmark = [needs_spin, pytest.mark.system]


@pytest.mark.parametrize("mutant", ["WITHOUT_R2", "WITHOUT_NULLIFICATIONS", "WITHOUT_PARENT_NOTARIZATION", "QUORUM=2"])
def test_a_mutant_without_this_rule_forks(tmp_path: Path, mutant: str) -> None:
    assert check(tmp_path, "VIEWS=2", mutant, "CHECK_FORK").violated is not None


def test_a_mutant_without_r3_forks(tmp_path: Path) -> None:
    without = ("WITHOUT_R3_NOTARIZATION", "WITHOUT_R3_CHECK")
    assert check(tmp_path, "VIEWS=2", *without, "CHECK_FORK").violated is not None


def test_a_mutant_without_the_notarization_of_r3_finalizes_what_nobody_can_build_on(tmp_path: Path) -> None:
    assert check(tmp_path, "VIEWS=2", "WITHOUT_R3_NOTARIZATION", "CHECK_EXTENSIBLE").violated is not None


def test_a_mutant_without_the_check_of_r3_signs_an_unjustified_block_that_a_quorum_of_liars_notarized(
    tmp_path: Path,
) -> None:
    found = check(tmp_path, "VIEWS=2", "LIARS=3", "WITHOUT_R3_CHECK", "CHECK_HONEST")
    assert found.violated is not None
    assert "unjustified" in found.violated


@pytest.mark.parametrize("mutant", ["WITHOUT_R1", "WITHOUT_R2", "WITHOUT_R2_PRIME"])
def test_an_honest_mutant_without_this_rule_is_convicted(tmp_path: Path, mutant: str) -> None:
    assert check(tmp_path, "VIEWS=2", mutant, "CHECK_HONEST").violated is not None


def test_a_fork_of_mutants_without_r2_prime_convicts_too_few(tmp_path: Path) -> None:
    found = check(tmp_path, "VIEWS=2", "LIARS=2", "WITHOUT_R2_PRIME", "CHECK_CONVICTED")
    assert found.violated is not None
    assert "guilty" in found.violated


@pytest.mark.parametrize("spare", ["WITHOUT_R1", "WITHOUT_R2_PRIME", "WITHOUT_R3_NOTARIZATION"])
def test_a_mutant_without_this_rule_alone_does_not_fork(tmp_path: Path, spare: str) -> None:
    found = check(tmp_path, "VIEWS=2", spare, "CHECK_FORK")
    assert found.violated is None
    assert found.states > 20_000


def test_a_mutant_without_r1_and_r2_prime_forks(tmp_path: Path) -> None:
    assert check(tmp_path, "VIEWS=2", "WITHOUT_R1", "WITHOUT_R2_PRIME", "CHECK_FORK").violated is not None
