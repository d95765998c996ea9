"""Every reachable state of the model, with the rules as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model.checker import SEARCH_TIMEOUT_S, check, needs_spin

pytestmark = [needs_spin, pytest.mark.system]

RULES_6_1 = ("CHECK_FORK", "CHECK_NULLIFIED", "CHECK_SECOND_NOTARIZATION", "CHECK_EXTENSIBLE")
TWO_OF_SEVEN_LIE = ("N=7", "F=2", "LIARS=2")


@pytest.mark.slow
@pytest.mark.timeout(SEARCH_TIMEOUT_S)
def test_with_one_liar_of_four_three_views_never_fork_and_no_honest_replica_is_convicted(tmp_path: Path) -> None:
    found = check(tmp_path, "VIEWS=3", *RULES_6_1, "CHECK_HONEST", large=True)
    assert found.violated is None
    assert found.states > 10_000_000


@pytest.mark.slow
@pytest.mark.timeout(SEARCH_TIMEOUT_S)
def test_with_two_liars_of_seven_two_views_never_fork_and_no_honest_replica_is_convicted(tmp_path: Path) -> None:
    found = check(tmp_path, "VIEWS=2", *TWO_OF_SEVEN_LIE, *RULES_6_1, "CHECK_HONEST", large=True)
    assert found.violated is None
    assert found.states > 4_000_000


@pytest.mark.parametrize("promise", RULES_6_1[:3])
def test_with_two_liars_of_four_rule_6_1_breaks(tmp_path: Path, promise: str) -> None:
    assert check(tmp_path, "VIEWS=2", "LIARS=2", promise).violated is not None


def test_with_two_liars_of_four_a_final_block_is_still_notarized(tmp_path: Path) -> None:
    found = check(tmp_path, "VIEWS=2", "LIARS=2", "CHECK_EXTENSIBLE")
    assert found.violated is None
    assert found.states > 1_000
