"""The simulator's command line, without anything that only the full one needs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from dropbeard.simulator.run import Report, simulate, simulate_all

FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """0 without violation and stall, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="dropbeard simulate", description="Run the protocol in a simulated world.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--seeds", metavar="A..B", help="seeds A to B")
    which.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--replicas", type=int, choices=(4, 7), help="4 or 7; by the seed if omitted")
    parser.add_argument("--trace", action="store_true", help="with --seed: print what happened")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    chosen = parser.parse_args(arguments)
    if chosen.seed is not None and chosen.trace:
        report = simulate(chosen.seed, chosen.replicas, print)
        _explain(report)
        return FAILED if report.violations or report.stalls else 0
    summary = simulate_all(_seeds(parser, chosen.seeds or f"{chosen.seed}..{chosen.seed}"), chosen.replicas)
    for report in summary.failed:
        _explain(report)
    figures = summary.as_dict()
    print(json.dumps(figures) if chosen.json else "  ".join(f"{name} {value}" for name, value in figures.items()))
    return FAILED if summary.violations or summary.stalls else 0


def _seeds(parser: argparse.ArgumentParser, text: str) -> range:
    first, dots, last = text.partition("..")
    if not dots or not first.isdigit() or not last.isdigit() or int(first) > int(last):
        parser.error(f"--seeds {text}: write A..B with A <= B, for example 1..200")
    return range(int(first), int(last) + 1)


def _explain(report: Report) -> None:
    print(
        f"seed {report.seed}: {report.events} events, {report.heights} blocks, {report.requests} requests, "
        f"{report.agreed} agreed, {report.expired} expired"
    )
    for what in (*report.violations, *report.stalls):
        print(f"  {what}")
    if report.violations or report.stalls:
        print(f"  again: python -m dropbeard.simulator --seed {report.seed} --trace")
