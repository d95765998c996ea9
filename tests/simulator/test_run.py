"""Schedules of the unchanged core: no violation, no stall, and the same seed is the same world."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from dropbeard.agreement.chain import Chain
from dropbeard.simulator.command import main
from dropbeard.simulator.culprits import convicted, unpunished_fork
from dropbeard.simulator.options import CAST, REAL_KEYS_EVERY, SIMULATED, options_for
from dropbeard.simulator.plan import START_US
from dropbeard.simulator.run import run_world, simulate, simulate_all
from dropbeard.simulator.settling import is_settled, stalls
from dropbeard.simulator.shrinking import check_of, command_for, shrink
from dropbeard.simulator.world import World
from dropbeard.types.ids import Height
from dropbeard.types.parameters import SECOND

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
    monkeypatch.setattr("dropbeard.agreement.finality.FORGOTTEN_BLOCKS", 6)
    forgotten: list[int] = []
    forget = Chain.forget

    def noted(chain: Chain, before: Height) -> None:
        forgotten.append(before + 1 - chain.oldest)
        forget(chain, before)

    monkeypatch.setattr(Chain, "forget", noted)
    calm = replace(options_for(20, 4, "none", 8), loss=0.0, slow_share=0.0, crashes=0, partitions=0, one_way_cuts=0)
    world = World(replace(calm, retention_us=SECOND))
    world.run()
    assert world.oracle.found == []
    assert min(forgotten) > 6  # each time all that is held is searched
    for replica in world.replicas:
        chain = replica.turn.state.chain
        assert chain.final.header.height > 60
        assert chain.oldest > 1
        old = chain.final.header.time - SECOND
        recent = sum(1 for height in chain.heights if chain.at(height).header.time >= old)
        assert len(chain.heights) <= max(24, recent) + 24 // 4 + 24 // 4
        held = sum(len(lane.batches) for lane in replica.turn.state.lanes.lanes.values())
        assert held < len(world.oracle.batches)


@pytest.mark.parametrize("seed", [3, 7, 12])
def test_batches_held_as_bytes_serve_whoever_is_behind(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr("dropbeard.agreement.finality.APPLIED_BLOCKS", 1)
    world = World(replace(options_for(seed, 4, "none", 2), crashes=8))
    world.run()
    assert world.oracle.found == []
    assert any(lane.packed for replica in world.replicas for lane in replica.turn.state.lanes.lanes.values())


def test_the_seeds_of_a_hundred_schedules_turn_every_trouble_on_and_off() -> None:
    some = [options_for(seed) for seed in range(200)]
    troubles = "loss duplicates slow_share crashes partitions one_way_cuts engine_losses full_disks floods skew_us"
    for trouble in troubles.split():
        values = [getattr(options, trouble) for options in some]
        assert 0 < sum(value > 0 for value in values) < 200, trouble
    assert {options.n for options in some} == {4, 7}
    assert {options.through_codec for options in some} == {True, False}
    kinds = {kind for seed in range(1_000) for kind in options_for(seed).byzantine}
    assert kinds == set(CAST)
    for options in some:
        assert options.requests >= 20
        assert options.updates == 2
        assert options.byzantine or options.crashes or options.partitions or options.one_way_cuts or options.loss


@pytest.mark.parametrize("kind", CAST)
def test_a_liar_of_each_kind_breaks_no_rule_and_stops_nobody(kind: str) -> None:
    for seed in range(1, 5):
        report = simulate(seed, 4, byzantine=kind)
        assert report.byzantine[0].endswith(kind)
        assert (report.violations, report.stalls) == ((), ())


def test_two_liars_of_seven_break_no_rule() -> None:
    for seed in (3, 5):
        report = simulate(seed, 7, byzantine="vote-flipper")
        assert (report.violations, report.stalls) == ((), ())


def test_a_lagging_replica_takes_a_snapshot_and_stands_at_the_tip() -> None:
    options = replace(options_for(3, 4, "none", 6), loss=0.0, crashes=0, partitions=0, one_way_cuts=0, changes=0)
    world = World(options)
    victim = world.replicas[2]

    def down() -> None:
        victim.up = False

    world.at(START_US + 50_000, down)
    world.run(is_settled)
    assert (world.oracle.found, stalls(world)) == ([], [])
    assert victim.turn.state.chain.oldest >= SIMULATED.snapshot_interval
    assert any(data[:1] == b"\x07" for data in victim.stored())


def test_several_processes_give_the_same_figures() -> None:
    alone, together = simulate_all(range(1, 20), 4, "auto", 1), simulate_all(range(1, 20), 4, "auto", 2)
    assert (alone.trace_hash, alone.events) == (together.trace_hash, together.events)


def test_a_failing_schedule_is_made_smaller_and_its_command_runs_it_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dropbeard.agreement.replica.send_fetches", lambda state: state.wanted.clear() or [])
    seed = next(seed for seed in range(1, 60) if simulate(seed, 4).stalls)
    whole = options_for(seed, 4)
    smaller = shrink(whole)
    assert smaller.options.without
    assert check_of(run_world(smaller.options)) == check_of(run_world(whole))
    assert main(command_for(smaller).split()[2:]) == 1
    again = capsys.readouterr().out
    assert check_of(run_world(smaller.options)) is not None
    assert str(check_of(run_world(smaller.options))) in again


FORKING = (("fork-maker", "fork-maker"),)


@pytest.mark.parametrize("liars", FORKING)
def test_more_liars_than_f_fork_the_chain_and_every_fork_convicts_more_than_f(liars: tuple[str, ...]) -> None:
    forks = 0
    for seed in range(1, 40):
        world = World(replace(options_for(seed, 4, "none"), byzantine=liars, loss=0.0, crashes=0, partitions=0))
        world.run(is_settled)
        if any(found.startswith("fork") for found in world.oracle.found):
            forks += 1
            assert unpunished_fork(world) == []
            assert convicted(world) == set(world.oracle.liars)
    assert forks > 0


def test_one_seed_is_one_trace_hash_in_every_process() -> None:
    hashes = []
    for salt in ("1", "2"):
        command = [sys.executable, "-m", "dropbeard.simulator", "--seeds", "20..22", "--replicas", "4", "--json"]
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
