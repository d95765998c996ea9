"""The checker really looks: what should be reachable is reached, and a search cut short is no answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model.checker import SearchIncompleteError, Verdict, check, needs_spin, verdict

pytestmark = pytest.mark.system

WHOLE = """Full statespace search for:
State-vector 40 byte, depth reached 49, errors: 0
    19983 states, stored
"""


@needs_spin
@pytest.mark.parametrize(
    "denied", ["NEVER_FINAL", "NEVER_SKIPPED", "NEVER_NOTARIZED_AND_NULLIFIED", "NEVER_ONE_AFTER_THE_OTHER"]
)
def test_a_run_without_faults_reaches_what_the_model_is_about(tmp_path: Path, denied: str) -> None:
    assert check(tmp_path, "VIEWS=2", "LIARS=0", denied).violated is not None


@needs_spin
def test_a_search_that_meets_its_depth_is_incomplete(tmp_path: Path) -> None:
    with pytest.raises(SearchIncompleteError, match="max search depth too small"):
        check(tmp_path, "VIEWS=2", depth=20)


@needs_spin
def test_a_search_that_meets_its_memory_is_incomplete(tmp_path: Path) -> None:
    with pytest.raises(SearchIncompleteError, match="memory"):
        check(tmp_path, "VIEWS=2", memory_mib=1)


def test_a_whole_report_is_read() -> None:
    assert verdict(WHOLE) == Verdict(None, 19_983)


def test_a_violation_is_read_with_the_assertion_it_breaks() -> None:
    output = "pan:1: assertion violated  !(forked) (at depth 30)\n" + WHOLE.replace("errors: 0", "errors: 1")
    assert verdict(output) == Verdict("!(forked)", 19_983)


@pytest.mark.parametrize(
    "output",
    [
        "",
        "pan:1: assertion violated - invalid array index (at depth 6)\n" + WHOLE.replace("errors: 0", "errors: 1"),
        "pan:1: invalid end state (at depth 28)\n" + WHOLE.replace("errors: 0", "errors: 1"),
        WHOLE + "Warning: Search not completed\n",
        WHOLE.replace("Full statespace", "Bit statespace"),
    ],
)
def test_a_fault_of_the_model_or_a_partial_search_is_never_an_answer(output: str) -> None:
    with pytest.raises(SearchIncompleteError):
        verdict(output)
