"""Figures of a comparison: ours against the best, everybody against the bare loop."""

from __future__ import annotations

import itertools

import pytest

from perf._load import Sample
from perf.peers.contenders import BARE, OURS, Contender, ports_for, take_turns
from perf.peers.serving_systems import figures_of, tail_of


def contender(name: str, *rates: float) -> Contender:
    """Rounds of one second, each with two latencies."""
    rounds = iter(rates)

    def measure(seconds: float, warm_s: float) -> Sample:
        costs = {"node a": 30.0, "engine a": 60.0, "client": 5.0}
        return Sample(1.0, round(next(rounds)), latencies_ms=[10.0, 20.0], cpu_us=costs)

    return Contender(name, measure)


def test_ours_is_held_against_the_best_and_everybody_against_the_bare_loop() -> None:
    contenders = [contender(BARE, 100, 200, 400), contender(OURS, 90, 150, 300)]
    contenders += [contender("slow", 10, 20, 30), contender("fast", 100, 100, 100)]
    take_turns(contenders, 3, 1.0, 0.0)
    whole, ours, slow, fast = figures_of("P6", "requests/s", contenders, {"in_flight": 2})
    assert (whole.figure, whole.value, whole.floor, whole.ratio) == ("P6", 150, 100, 1.5)
    assert whole.detail["best"] == "fast" and whole.detail["in_flight"] == 2
    assert whole.detail["cpu_ratio"] == 1.0
    assert (ours.figure, ours.floor, ours.ratio) == ("P6 dropbeard", 200, 0.75)
    assert (slow.value, slow.ratio) == (20, 0.1)
    assert fast.ratio == 0.5
    assert (ours.detail["servers_cpu_us"], ours.detail["client_cpu_us"]) == (90, 5)


def test_alone_ours_is_held_against_nothing() -> None:
    contenders = [contender(OURS, 90)]
    take_turns(contenders, 1, 1.0, 0.0)
    whole, ours = figures_of("P7", "requests/s", contenders, {"absent": {"mosec": "how"}})
    assert (whole.floor, whole.ratio, whole.detail["absent"]) == (None, None, {"mosec": "how"})
    assert ours.floor is None


def test_the_tail_is_the_99th_percentile_over_the_median() -> None:
    latencies_ms = [float(number) for number in range(1, 101)]
    assert tail_of(Sample(1.0, 100, latencies_ms=latencies_ms)) == pytest.approx(100 / 51)
    assert tail_of(Sample()) == 0.0


def test_ports_of_servers_leave_room_for_a_group() -> None:
    ports = ports_for(3)
    assert len(set(ports)) == 3 and all(after - before >= 3 for before, after in itertools.pairwise(ports))
