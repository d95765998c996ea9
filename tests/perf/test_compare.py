"""Two results side by side: only runs that do not overlap say anything."""

from __future__ import annotations

from typing import Any

from perf.compare import compare


def row(runs: list[float], unit: str = "certified requests/s") -> dict[str, Any]:
    return {"figure": "P1", "value": sorted(runs)[len(runs) // 2], "unit": unit, "runs": runs}


def test_runs_that_overlap_say_nothing() -> None:
    assert compare([row([10, 12, 14])], [row([13, 15, 16])]) == [("P1", 1.25, "within the noise")]


def test_a_higher_rate_is_better_and_a_higher_cost_is_worse() -> None:
    assert compare([row([10, 11, 12])], [row([20, 22, 24])]) == [("P1", 2.0, "better")]
    assert compare([row([10, 11, 12], "us of CPU")], [row([20, 22, 24], "us of CPU")]) == [("P1", 2.0, "worse")]


def test_a_figure_that_one_file_lacks_is_left_out() -> None:
    assert compare([], [row([1.0])]) == []


def test_latencies_and_bytes_are_costs_too() -> None:
    for unit in ("ms, mean latency of a certificate", "bytes of a state directory for a request", "us, the same"):
        assert compare([row([10, 11, 12], unit)], [row([20, 22, 24], unit)]) == [("P1", 2.0, "worse")]
