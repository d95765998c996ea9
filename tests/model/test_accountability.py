"""Rules 6.2 and 8.1 in the model: what a fork proves, and against whom nothing is ever proved."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model.checker import check, needs_spin

pytestmark = [needs_spin, pytest.mark.system]

FORK_CONVICTS = ("VIEWS=2", "LIARS=2", "CHECK_CONVICTED")
FOUR_OF_SEVEN_LIE = ("VIEWS=2", "N=7", "F=2", "LIARS=4", "CHECK_HONEST")


def test_a_fork_by_two_liars_of_four_convicts_both_by_pairs_that_hold_a_finalize(tmp_path: Path) -> None:
    found = check(tmp_path, *FORK_CONVICTS)
    assert found.violated is None
    assert found.states > 50_000


def test_a_fork_is_among_the_states_in_which_liars_sign_only_what_they_must(tmp_path: Path) -> None:
    found = check(tmp_path, *FORK_CONVICTS, "CHECK_FORK")
    assert found.violated is not None
    assert "forked" in found.violated


@pytest.mark.parametrize("missing", ["WITHOUT_NOTARIZE_FINALIZE", "WITHOUT_NULLIFY_FINALIZE"])
def test_this_kind_of_pair_is_the_only_evidence_with_a_finalize_of_some_fork(tmp_path: Path, missing: str) -> None:
    found = check(tmp_path, *FORK_CONVICTS, missing)
    assert found.violated is not None
    assert "guilty" in found.violated


@pytest.mark.parametrize("liars", [0, 1, 2, 3])
def test_however_many_of_four_lie_no_honest_replica_is_convicted(tmp_path: Path, liars: int) -> None:
    found = check(tmp_path, "VIEWS=2", f"LIARS={liars}", "CHECK_HONEST")
    assert found.violated is None
    assert found.states > 50


def test_with_four_liars_of_seven_no_honest_replica_is_convicted(tmp_path: Path) -> None:
    found = check(tmp_path, *FOUR_OF_SEVEN_LIE)
    assert found.violated is None
    assert found.states > 200_000


def test_a_mutant_that_may_finalize_twice_in_a_view_is_convicted_by_fewer_liars_than_a_quorum(tmp_path: Path) -> None:
    assert check(tmp_path, *FOUR_OF_SEVEN_LIE, "WITHOUT_R1_FINALIZE").violated is not None
