"""Geometry of the charts: numbers in, SVG path data and tick texts out; templates and script only place them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from dropbeard.types.status import NodeStatus, StagePart
from dropbeard.web.sampling import WINDOW_S, Seen
from dropbeard.web.timeline import InForce, Timeline

WIDTH: Final = 560
HEIGHT: Final = 150
LEFT: Final = 58
RIGHT: Final = 552
TOP: Final = 10
BOTTOM: Final = 126
STEPS: Final = (1.0, 2.0, 4.0, 6.0, 8.0, 10.0)
TOTAL: Final = "total"

LANE_LEFT: Final = 140
LANE_RIGHT: Final = 936
LANE_HEIGHT: Final = 30

Value = Callable[[NodeStatus], float | None]
Text = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Line:
    """A series with its name, how to read it from a status, and whether it is the first or second of its chart."""

    name: str
    value: Value
    second: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart shows; ``least`` is the smallest number that its axis reaches to."""

    key: str
    title: str
    lines: tuple[Line, ...]
    text: Text
    least: float


def _total(status: NodeStatus) -> StagePart | None:
    return next((row for row in status.requests.stages if row.stage == TOTAL), None)


def _p50(status: NodeStatus) -> float | None:
    row = _total(status)
    return None if row is None else row.p50_us


def _p99(status: NodeStatus) -> float | None:
    row = _total(status)
    return None if row is None else row.p99_us


def milliseconds(us: float) -> str:
    """A latency."""
    return f"{us / 1e6:.3g} s" if us >= 1e6 else f"{us / 1e3:.3g} ms"


def number(value: float) -> str:
    """A count or a rate."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


CHARTS: Final = (
    Chart("rate", "Requests per second", (Line("agreed", lambda s: s.requests.per_second),), number, 1.0),
    Chart("latency", "Time to a certificate", (Line("p50", _p50), Line("p99", _p99, True)), milliseconds, 1_000.0),
    Chart(
        "hand",
        "Requests in hand",
        (Line("open", lambda s: s.requests.open), Line("at the engine", lambda s: s.requests.at_engine, True)),
        number,
        4.0,
    ),
    Chart("lag", "Blocks behind the group", (Line("behind", lambda s: s.chain.lag),), number, 4.0),
)


def top_of(most: float, least: float) -> float:
    """A round number that is not below ``most``."""
    wanted = max(most, least)
    scale = 10.0 ** math.floor(math.log10(wanted))
    return scale * next(step for step in STEPS if scale * step >= wanted * (1 - 1e-9))


def drawn(chart: Chart, seen: Seen, now_s: float) -> tuple[dict[str, str], dict[str, str]]:
    """(texts, path data) of a chart by key: ``rate.0.d``, ``rate.0.now``, ``rate.half``, ``rate.top``."""
    series = [[None if s.status is None else line.value(s.status) for s in seen.samples] for line in chart.lines]
    most = max((value for row in series for value in row if value is not None), default=0.0)
    top = top_of(most, chart.least)
    times = [one.at_s - now_s for one in seen.samples]
    texts = {f"{chart.key}.top": chart.text(top), f"{chart.key}.half": chart.text(top / 2)}
    paths = {}
    for place, row in enumerate(series):
        last = row[-1] if row else None
        texts[f"{chart.key}.{place}.now"] = "not known" if last is None else chart.text(last)
        paths[f"{chart.key}.{place}.d"] = path(times, row, top)
    return texts, paths


def path(times: Sequence[float], values: Sequence[float | None], top: float) -> str:
    """Path data of a line with a gap wherever there is no value; ``times`` are seconds before now, negative."""
    parts, pen_down = [], False
    for at, value in zip(times, values, strict=True):
        if value is None or at < -WINDOW_S:
            pen_down = False
            continue
        x = RIGHT + at / WINDOW_S * (RIGHT - LEFT)
        y = BOTTOM - value / top * (BOTTOM - TOP)
        # A lone moment is a dot: a line of no length with round ends.
        parts.append(f"L{x:.1f} {y:.1f}" if pen_down else f"M{x:.1f} {y:.1f}h0")
        pen_down = True
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Bar:
    """One version in an owner's row: where it is drawn, and its text. ``other``: it has the second shade."""

    x: float
    width: float
    text: str
    title: str
    other: bool


@dataclass(frozen=True, slots=True)
class Lane:
    """An owner's row of bars."""

    name: str
    y: int
    bars: tuple[Bar, ...]


def lanes(timeline: Timeline, height: int) -> tuple[Lane, ...]:
    """Every owner's versions over the heights from the genesis to ``height``."""
    owners = list(dict.fromkeys(row.owner for row in timeline.rows))
    found = []
    for place, owner in enumerate(owners):
        rows = [row for row in timeline.rows if row.owner == owner]
        found.append(Lane(rows[-1].name, place * LANE_HEIGHT, tuple(_bars(rows, height))))
    return tuple(found)


def _bars(rows: Sequence[InForce], height: int) -> list[Bar]:
    ends = [row.since for row in rows[1:]] + [max(height, rows[-1].since)]
    scale = (LANE_RIGHT - LANE_LEFT) / max(1, height)
    found = []
    for place, (row, end) in enumerate(zip(rows, ends, strict=True)):
        width = max(2.0, (end - row.since) * scale - 1)
        text = f"v{row.version}" if width > 28 else ""
        title = f"{row.name}: version {row.version}, {row.model[:12]}, from height {row.since}"
        found.append(Bar(LANE_LEFT + row.since * scale, width, text, title, place % 2 == 1))
    return found
