"""The paper's set-up: which rate the figure names, the hosts file, the commands for machines, the drawn line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dropbeard.errors import ConfigInvalid
from perf._machines import commands, read_hosts, show
from perf._measure import ROOT
from perf._paper import T4, V100, Updates, engines, is_held, p13
from perf.report import chart_of_rates


def row(offered: float, certified: float, p99_ms: float) -> dict[str, Any]:
    return {"offered_per_s": offered, "certified_per_s": certified, "p99_ms": p99_ms}


def test_the_figure_is_what_was_certified_of_the_whole_rate_when_that_came_within_a_second() -> None:
    found = p13([row(400, 400, 300), row(800, 650, 900)], Updates("synthetic"), [])
    assert (found.value, found.floor, found.detail["figure_is_of"]) == (650, 800, 800)


def test_otherwise_it_is_the_highest_rate_that_was_held_and_says_so() -> None:
    rows = [row(200, 199, 250), row(400, 396, 800), row(600, 590, 1_200), row(800, 410, 5_000)]
    found = p13(rows, Updates("synthetic"), [])
    assert (found.value, found.detail["figure_is_of"]) == (396, 400)
    assert found.detail["at_the_whole_rate"] == rows[-1]


def test_a_rate_at_which_nothing_was_certified_is_no_figure() -> None:
    found = p13([row(800, 0, 0)], Updates("synthetic"), [])
    assert (found.value, found.detail["figure_is_of"]) == (0, None)
    assert not is_held(row(800, 0, 0))


def test_two_owners_have_the_times_of_one_gpu_and_two_of_the_other() -> None:
    assert [engine.service_time_us for engine in engines("synthetic")] == [V100, V100, T4, T4]


def test_the_line_of_the_rate_is_drawn_through_every_bar() -> None:
    lines = chart_of_rates([row(400, 400, 300), row(800, 500, 900)], 800.0).splitlines()
    assert len({line.rindex("|") for line in lines[1:]}) == 1
    assert lines[0].index("|") == lines[1].rindex("|") and "800/s" in lines[0]
    assert lines[1].count("#") < lines[2].count("#")


def hosts(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_hosts_file_names_each_owner_its_address_and_how_ssh_gets_there(tmp_path: Path) -> None:
    lines = [f"owner{number} 10.0.0.{number} admin@vm{number}" for number in range(1, 5)]
    machines = read_hosts(hosts(tmp_path / "hosts", "# four GPUs\n" + "\n".join(lines)))
    rows = commands(machines, "tensorrt", Path("here"))
    text = show(rows)
    assert text.count("dropbeard init") == 4 and text.count("scp") == 4
    assert "systemctl start dropbeard-engine@owner2.service dropbeard-node@owner2.service" in text
    assert text.index("group create") < text.index("scp") < text.index("engine build") < text.index("systemctl")


@pytest.mark.parametrize(("text", "what"), [("alice 10.0.0.1\n", "NAME ADDRESS SSH"), ("a b c\n", "needs four")])
def test_a_hosts_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(ConfigInvalid, match=what):
        read_hosts(hosts(tmp_path / "hosts", text))


def test_an_ssh_destination_cannot_be_an_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="NAME ADDRESS SSH"):
        read_hosts(hosts(tmp_path / "hosts", "alice 10.0.0.1 -oProxyCommand=x\n"))


@pytest.mark.system
@pytest.mark.slow
def test_the_script_measures_one_machine_and_says_what_was_emulated() -> None:
    command = [
        sys.executable,
        "perf/reproduce_800.py",
        "--local",
        "--quick",
        "--json",
        "--rate",
        "40",
        "--seconds",
        "3",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=True)
    (found,) = json.loads(done.stdout)["figures"]
    assert found["figure"] == "P13" and found["value"] > 0
    assert found["detail"]["updates"] > 0 and found["detail"]["updates_refused"] == 0
    assert "no root" in found["detail"]["emulated"][0]
