"""Make a failing schedule smaller: leave out planned events, calm the rest, as long as it fails the same check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from dropbeard.simulator.options import CALMED, Options
from dropbeard.simulator.plan import plan_for
from dropbeard.simulator.run import Report, run_world

TRIES_MAX = 200


def check_of(report: Report) -> str | None:
    """The name of the check that a schedule failed first; None when it failed none."""
    found = (*report.violations, *report.stalls)
    return found[0].split(":")[0] if found else None


@dataclass(slots=True)
class Shrunk:
    """The smallest schedule found, and what was left out of it."""

    options: Options
    calmed: list[str]
    tries: int


def shrink(options: Options, run: Callable[[Options], Report] = run_world) -> Shrunk:
    """Greedy: first whole kinds of trouble, then planned events by halves, then one by one."""
    wanted = check_of(run(options))
    best = Shrunk(options, [], 0)

    def still_fails(candidate: Options) -> bool:
        best.tries += 1
        return wanted is not None and check_of(run(candidate)) == wanted

    for what in CALMED:
        calmer = best.options.calm(what)
        if calmer != best.options and best.tries < TRIES_MAX and still_fails(calmer):
            best.options, best.calmed = calmer, [*best.calmed, what]
    numbers = len(plan_for(best.options))
    size = max(1, numbers // 2)
    while size and best.tries < TRIES_MAX:
        for first in range(0, numbers, size):
            gone = best.options.without | frozenset(range(first, min(first + size, numbers)))
            candidate = replace(best.options, without=gone)
            if gone != best.options.without and best.tries < TRIES_MAX and still_fails(candidate):
                best.options = candidate
        size //= 2
    return best


def command_for(shrunk: Shrunk, byzantine: str = "auto", stretch: int = 1) -> str:
    """The command that runs it again."""
    options = shrunk.options
    text = f"dropbeard simulate --seed {options.seed} --replicas {options.n} --trace"
    if byzantine != "auto":
        text += f" --byzantine {byzantine}"
    if stretch != 1:
        text += f" --stretch {stretch}"
    if shrunk.calmed:
        text += " --calm " + ",".join(shrunk.calmed)
    if options.without:
        text += " --without " + ",".join(str(number) for number in sorted(options.without))
    return text
