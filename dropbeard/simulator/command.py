"""The simulator's command line, without anything that only the full one needs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace

from dropbeard.simulator.options import CALMED, CAST, STRETCH_MAX, Options, options_for
from dropbeard.simulator.plan import plan_for
from dropbeard.simulator.run import JOBS_MAX, Report, run_world, simulate_all, usable_cores
from dropbeard.simulator.shrinking import command_for, shrink

FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """0 without violation and stall, 1 otherwise."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if not 0 <= chosen.jobs <= JOBS_MAX:
        parser.error(f"--jobs {chosen.jobs}: choose 0 to {JOBS_MAX}")
    if not 1 <= chosen.stretch <= STRETCH_MAX:
        parser.error(f"--stretch {chosen.stretch}: choose 1 to {STRETCH_MAX}")
    if chosen.seed is not None:
        return _one(parser, chosen)
    seeds = _seeds(parser, chosen.seeds)
    summary = simulate_all(seeds, chosen.replicas, chosen.byzantine, chosen.jobs or usable_cores(), chosen.stretch)
    for report in summary.failed:
        _explain(report)
    for report in summary.failed[:1]:
        smaller = shrink(options_for(report.seed, chosen.replicas, chosen.byzantine, chosen.stretch))
        again = command_for(smaller, chosen.byzantine, chosen.stretch)
        print(f"  smallest found, after {smaller.tries} tries: {again}")
    figures = summary.as_dict()
    print(json.dumps(figures) if chosen.json else "  ".join(f"{name} {value}" for name, value in figures.items()))
    return FAILED if summary.violations or summary.stalls else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dropbeard simulate", description="Run the protocol in a simulated world.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--seeds", metavar="A..B", help="seeds A to B")
    which.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--replicas", type=int, choices=(4, 7), help="4 or 7; by the seed if omitted")
    parser.add_argument(
        "--byzantine",
        metavar="KIND",
        choices=("auto", "none", *CAST),
        default="auto",
        help=f"who lies: auto (by the seed), none, or {', '.join(CAST)}",
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side (0: one for each core)")
    parser.add_argument("--stretch", type=int, default=1, help="make each schedule as many times longer")
    parser.add_argument("--trace", action="store_true", help="with --seed: print what happened")
    parser.add_argument("--calm", default="", help=f"with --seed: without {', '.join(CALMED)}")
    parser.add_argument("--without", default="", help="with --seed: leave out planned events, by number")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser


def _one(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> int:
    options = _options(parser, chosen)
    report = run_world(options, print if chosen.trace else None)
    if chosen.trace:
        for number, planned in enumerate(plan_for(options)):
            if number not in options.without:
                print(f"{number:4} {planned.time_us / 1000:10.3f} ms  {planned.what} {planned.whom}")
    _explain(report)
    return FAILED if report.violations or report.stalls else 0


def _options(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> Options:
    options = options_for(chosen.seed, chosen.replicas, chosen.byzantine, chosen.stretch)
    try:
        for what in filter(None, chosen.calm.split(",")):
            options = options.calm(what)
        gone = frozenset(int(number) for number in filter(None, chosen.without.split(",")))
    except ValueError as wrong:
        parser.error(f"--calm or --without: {wrong}")
    return replace(options, without=gone)


def _seeds(parser: argparse.ArgumentParser, text: str) -> range:
    first, dots, last = text.partition("..")
    if not dots or not first.isdigit() or not last.isdigit() or int(first) > int(last):
        parser.error(f"--seeds {text}: write A..B with A <= B, for example 1..200")
    return range(int(first), int(last) + 1)


def _explain(report: Report) -> None:
    liars = ", ".join(report.byzantine) or "nobody"
    print(
        f"seed {report.seed}: {report.events} events, {report.heights} blocks, {report.requests} requests, "
        f"{report.agreed} agreed, {report.expired} expired; lying: {liars}"
    )
    for what in (*report.violations, *report.stalls):
        print(f"  {what}")
    if report.violations or report.stalls:
        print(f"  again: dropbeard simulate --seed {report.seed} --trace")
