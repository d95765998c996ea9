"""Schedules of the unchanged core: no violation, no stall, and the same seed is the same world."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from dropbeard.simulator.command import main
from dropbeard.simulator.options import REAL_KEYS_EVERY, options_for
from dropbeard.simulator.run import simulate
from dropbeard.simulator.world import World

CHILD_TIMEOUT_S = 100


@pytest.mark.parametrize("n", [4, 7])
@pytest.mark.parametrize("seed", range(1, 7))
def test_a_schedule_breaks_no_rule_and_owes_nothing_at_its_end(seed: int, n: int) -> None:
    report = simulate(seed, n)
    assert report.violations == ()
    assert report.stalls == ()
    assert report.agreed > 0


def test_a_schedule_with_real_keys_breaks_no_rule() -> None:
    assert options_for(REAL_KEYS_EVERY).real_keys
    report = simulate(REAL_KEYS_EVERY, 4)
    assert (report.violations, report.stalls) == ((), ())


def test_forgetting_old_blocks_breaks_nothing_and_bounds_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropbeard.agreement.finality.HISTORY_BLOCKS", 24)
    world = World(replace(options_for(20, 4), loss=0.0, slow_share=0.0, silent=0, crashes=0, partitions=0))
    world.run()
    assert world.oracle.found == []
    for replica in world.replicas:
        chain = replica.turn.state.chain
        assert chain.final.header.height > 60
        assert chain.oldest > 1
        assert len(chain.heights) <= 24 + 24 // 4 + 2
        held = sum(len(lane.batches) for lane in replica.turn.state.lanes.lanes.values())
        assert held < len(world.oracle.batches)


def test_the_seeds_of_a_hundred_schedules_turn_every_trouble_on_and_off() -> None:
    some = [options_for(seed) for seed in range(100)]
    for trouble in ("loss", "duplicates", "slow_share", "silent", "crashes", "partitions", "skew_us"):
        values = [getattr(options, trouble) for options in some]
        assert 0 < sum(value > 0 for value in values) < 100, trouble
    assert {options.n for options in some} == {4, 7}
    assert {options.through_codec for options in some} == {True, False}


def test_one_seed_is_one_trace_hash_in_every_process() -> None:
    hashes = []
    for salt in ("1", "2"):
        command = [sys.executable, "-m", "dropbeard.simulator", "--seeds", "20..21", "--replicas", "4", "--json"]
        environment = {**os.environ, "PYTHONHASHSEED": salt}
        child = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=CHILD_TIMEOUT_S, check=True
        )
        hashes.append(json.loads(child.stdout)["trace_hash"])
    assert hashes[0] == hashes[1]
    assert simulate(21, 4).trace_hash != simulate(22, 4).trace_hash


def test_the_command_prints_its_figures_and_a_schedule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "3..3", "--replicas", "4", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert set(figures) == {"schedules", "events", "violations", "stalls", "seconds", "trace_hash"}
    assert figures["schedules"] == 1
    assert main(["--seed", "3", "--replicas", "4", "--trace"]) == 0
    assert "promises Notarize 0" in capsys.readouterr().out


@pytest.mark.parametrize("seeds", ["5", "9..2", "a..b", ".."])
def test_a_wrong_range_of_seeds_is_refused(seeds: str) -> None:
    with pytest.raises(SystemExit):
        main(["--seeds", seeds])
