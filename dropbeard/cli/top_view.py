"""The group on one screen, from what one or more of its nodes say of themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dropbeard.cli.status_view import lane_texts
from dropbeard.types.durations import time_text
from dropbeard.types.status import NodeStatus, PeerPart, StagePart

BARS: Final = "▁▂▃▄▅▆▇█"
HISTORY_MAX: Final = 60
"""Moments of the rate that are drawn."""

COLUMNS: Final = ("owner", "state", "height", "lane", "trip", "req/s", "p50", "p99", "queue", "model")
"""They fit into 80 characters."""


@dataclass(slots=True)
class Seen:
    """What the nodes said last, by owner; why one that was asked says nothing; the first one's rate so far."""

    nodes: dict[str, NodeStatus] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)

    def note_rate(self, rate: float) -> None:
        """One more moment."""
        self.rates.append(rate)
        del self.rates[:-HISTORY_MAX]


def screen(seen: Seen) -> RenderableType:
    """One frame."""
    first = next(iter(seen.nodes.values()), None)
    silent = [Text(f"{name}: {why}", style="red") for name, why in seen.silent.items()]
    if first is None:
        return Group(*silent)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in COLUMNS:
        table.add_column(column, no_wrap=True)
    for row in _rows(seen.nodes, first):
        table.add_row(*row)
    return Group(*_head(first, seen.rates), table, *_troubles(seen.nodes), *silent)


def _head(first: NodeStatus, rates: Sequence[float]) -> Iterator[Text]:
    chain = first.chain
    yield Text.assemble((first.group, "bold"), f"  epoch {chain.epoch}  view {chain.view} led by {chain.leader}")
    yield Text(f"{first.requests.per_second:g} requests/s at {first.owner}  {drawn(rates)}")


def drawn(rates: Sequence[float]) -> str:
    """A bar for each moment, the highest as high as can be."""
    most = max(rates, default=0.0)
    return "".join(BARS[round(rate / most * (len(BARS) - 1))] if most else BARS[0] for rate in rates)


def _rows(nodes: Mapping[str, NodeStatus], first: NodeStatus) -> Iterator[tuple[Text | str, ...]]:
    peers = {peer.owner: peer for peer in first.chain.peers}
    lanes = lane_texts(first.chain)
    marked = {mark.owner for mark in first.chain.marked}
    for model in first.chain.models:
        owner, own, peer = model.owner, nodes.get(model.owner), peers.get(model.owner)
        state = Text("marked", style="red") if owner in marked else _state(own, peer)
        trip = "-" if peer is None else time_text(peer.round_trip_us)
        yield (owner, state, _height(own, peer), lanes.get(owner, "-"), trip, *_work(own), f"v{model.version}")


def _state(own: NodeStatus | None, peer: PeerPart | None) -> Text:
    if own is not None:
        return Text("degraded", style="yellow") if own.problems else Text("healthy", style="green")
    if peer is None:
        return Text("-")
    return Text("linked", style="green") if peer.connected else Text("no link", style="red")


def _height(own: NodeStatus | None, peer: PeerPart | None) -> str:
    height = own.chain.height if own is not None else None if peer is None else peer.height
    return "-" if height is None else str(height)


def _work(own: NodeStatus | None) -> tuple[str, str, str, str]:
    """Rate, latency and queue, which only a node itself knows."""
    if own is None:
        return "", "", "", ""
    total: StagePart | None = next((row for row in own.requests.stages if row.stage == "total"), None)
    latency = ("-", "-") if total is None else (time_text(total.p50_us), time_text(total.p99_us))
    return f"{own.requests.per_second:g}", *latency, str(own.requests.at_engine)


def _troubles(nodes: Mapping[str, NodeStatus]) -> Iterator[Text]:
    for owner, status in nodes.items():
        for problem in status.problems:
            yield Text(f"{owner}: {problem}", style="yellow")
    for mark in next(iter(nodes.values())).chain.marked:
        yield Text(f"{mark.owner} is marked for {mark.offence} since height {mark.height}", style="red")
