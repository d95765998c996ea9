"""A report holds what was measured, a card of the machine, and a plot of everything that can be drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perf._measure import figure, report
from perf.report import cpu_by_stage, write_report

POINT: dict[str, Any] = {"offered_per_s": 400, "certified_per_s": 400, "p50_ms": 100, "p99_ms": 200}
WIDE: dict[str, Any] = {"sites": "3 sites, 20 ms one way", "mean_ms": 130, "p50_ms": 129, "p99_ms": 180}
PROFILE: dict[str, Any] = {
    "input_bytes": 972,
    "certified_per_s": 2000,
    "cpu_us": 120,
    "stages_us": {"journal": 30, "idle": 500, "apply a block": 90},
}


def results() -> list[str]:
    found = [
        figure("P13", "certified requests/s", [400.0], curve=[POINT]),
        figure("P10", "us", [413.0], by_n=[{"n": 4, "node_us": 166}, {"n": 13, "node_us": 413}]),
        figure("P8", "ms", [130.0], [120.0], **WIDE),
    ]
    return [report(found), json.dumps(PROFILE)]


def test_every_figure_is_in_the_folder_beside_the_machine(tmp_path: Path) -> None:
    write_report(tmp_path / "report", results())
    kept = json.loads((tmp_path / "report" / "results.json").read_text())
    assert [row["figure"] for row in kept["figures"]] == ["P13", "P10", "P8"]
    card = (tmp_path / "report" / "hardware.md").read_text()
    assert "BLAKE3" in card and "fsync" in card and "Python" in card


def test_what_can_be_drawn_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_report(tmp_path, results())
    plots = {path.name for path in tmp_path.glob("*.png")}
    assert plots == {"throughput_latency.png", "cpu_by_stage.png", "scaling.png", "wan.png"}
    text = (tmp_path / "README.md").read_text()
    assert all(name in text for name in plots)


def test_stages_share_what_the_process_used_and_waiting_is_none_of_them() -> None:
    assert list(cpu_by_stage(PROFILE | {"cpu_us": 60}).items()) == [("apply a block", 45.0), ("journal", 15.0)]
    assert cpu_by_stage(PROFILE | {"stages_us": {"idle": 5}}) == {}


def test_a_figure_without_points_makes_no_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_report(tmp_path, [report([figure("P12", "us", [100.0])])])
    assert list(tmp_path.glob("*.png")) == []
