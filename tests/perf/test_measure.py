"""Figures: medians, ratios of each run to its own floor, and what is said beside them."""

from __future__ import annotations

import json
import os
import time

from perf._measure import CpuMeter, figure, percentile, report


def test_a_figure_is_the_median_of_its_runs_and_its_ratio_that_of_each_run_to_its_own_floor() -> None:
    made = figure("P0", "requests/s", [10.0, 30.0, 20.0], [10.0, 60.0, 80.0], in_flight=3)
    assert (made.value, made.floor, made.ratio) == (20.0, 60.0, 0.5)
    assert made.detail == {"in_flight": 3}


def test_a_figure_without_a_floor_has_no_ratio() -> None:
    made = figure("P0", "us", [4.0])
    assert (made.value, made.floor, made.ratio) == (4.0, None, None)


def test_a_report_names_machine_and_commit_with_every_figure() -> None:
    (row,) = json.loads(report([figure("P0", "us", [4.0])]))["figures"]
    assert {"figure", "value", "unit", "runs", "floor", "ratio", "machine", "commit"} <= row.keys()
    assert "Python" in row["machine"] and row["commit"]


def test_percentiles_are_values_that_were_seen() -> None:
    values = [float(number) for number in range(100)]
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([], 0.5)) == (50.0, 99.0, 0.0)
    assert percentile([7.0], 0.99) == 7.0


def test_a_meter_counts_the_cpu_time_of_a_process_and_nothing_of_one_that_is_gone() -> None:
    meter = CpuMeter({"us": os.getpid(), "gone": 2**22 + 1})
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert meter.seconds()["us"] >= 0.05
    assert meter.seconds()["gone"] == 0.0
