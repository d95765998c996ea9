"""What changes from moment to moment, as texts by key: the pages are rendered from it, and the script polls it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from dropbeard.types.durations import time_text
from dropbeard.types.status import ChainPart, EnginePart, ModelPart, NodeStatus, PeerPart
from dropbeard.web.charts import CHARTS, drawn
from dropbeard.web.sampling import Seen

NOT_KNOWN: Final = "not known"
DASH: Final = "–"


class Live(msgspec.Struct, frozen=True):
    """``texts`` stand in elements, ``states`` colour them (good, warn, bad), ``paths`` are lines of charts.

    ``shape`` differs when the tables of the page have other rows: then the script loads the page again.
    """

    shape: str
    texts: dict[str, str]
    states: dict[str, str]
    paths: dict[str, str]


def live_of(seen: Seen, now_s: float) -> Live:
    """Everything of now."""
    texts: dict[str, str] = {}
    states: dict[str, str] = {}
    paths: dict[str, str] = {}
    for chart in CHARTS:
        said, lines = drawn(chart, seen, now_s)
        texts |= said
        paths |= lines
    status = seen.status
    _health(seen, texts, states)
    if status is None:
        return Live("silent", texts, states, paths)
    texts |= dict(_figures(status))
    texts |= dict(_node_facts(status))
    for place, model in enumerate(status.chain.models):
        peer = next((peer for peer in status.chain.peers if peer.owner == model.owner), None)
        texts |= {f"owner.{place}.{key}": text for key, text in _owner(status.chain, model, peer)}
        states[f"owner.{place}.link"] = "good" if peer is None or peer.connected else "bad"
        if any(mark.owner == model.owner for mark in status.chain.marked):
            states[f"owner.{place}.standing"] = "bad"
    for row in status.requests.stages:
        texts[f"stage.{row.stage}.recent"] = f"{row.recent:,}"
        texts[f"stage.{row.stage}.p50"] = time_text(row.p50_us)
        texts[f"stage.{row.stage}.p99"] = time_text(row.p99_us)
    names = [model.owner for model in status.chain.models] + [row.stage for row in status.requests.stages]
    return Live(" ".join(names), texts, states, paths)


def _health(seen: Seen, texts: dict[str, str], states: dict[str, str]) -> None:
    status = seen.status
    if status is None or seen.failure is not None:
        texts["health"], states["health"] = "No answer", "bad"
        kept = "" if status is None else "\nWhat is shown below is its last answer."
        texts["problems"] = (seen.failure or "The node was not asked yet.") + kept
    elif status.problems:
        texts["health"], states["health"] = "Degraded", "warn"
        texts["problems"] = "\n".join(status.problems)
    else:
        texts["health"], states["health"] = "Healthy", "good"
        texts["problems"] = ""
    if status is not None and status.draining:
        texts["health"] = "Draining"


def _figures(status: NodeStatus) -> Iterator[tuple[str, str]]:
    chain = status.chain
    yield "height", f"{chain.height:,}"
    yield "height.note", "no block yet" if chain.idle_us is None else f"last block {time_text(chain.idle_us)} ago"
    yield "view", f"{chain.view:,}"
    yield "view.note", f"led by {chain.leader}, epoch {chain.epoch}"
    yield "behind", f"{chain.lag:,}"
    yield "behind.note", "catching up" if chain.catching_up else "blocks behind the group"
    yield "uptime", time_text(status.uptime_us)
    yield "uptime.note", f"start {status.boot} of release {status.release}"


def _node_facts(status: NodeStatus) -> Iterator[tuple[str, str]]:
    outcomes = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in status.requests.outcomes.items())
    yield "outcomes", outcomes or "none yet"
    yield from _engine(status.engine)
    disk = status.disk
    share = 100 * disk.free_bytes / max(1, disk.total_bytes)
    yield "disk", f"{disk.free_bytes >> 20:,} MiB free, {share:.0f} %"
    yield "journal", f"{disk.journal_bytes >> 20:,} MiB in {disk.records:,} records"
    yield "sync", f"p50 {time_text(disk.sync.p50_us)}, p99 {time_text(disk.sync.p99_us)}"
    keys = status.keys
    kept = "; owner.key lies beside the configuration: keep it offline" if keys.owner_key_here else ""
    yield "keys", f"node {keys.node_key}, transport {keys.curve_key}{kept}"
    marked = [f"{mark.owner} for {mark.offence} since height {mark.height}" for mark in status.chain.marked]
    yield "marked", "\n".join(marked) or "nobody"
    held = [
        f"{e.owner} for {e.offence}{'' if e.in_ledger else ', not yet in the ledger'}" for e in status.chain.evidence
    ]
    yield "evidence", "\n".join(held) or "none"


def _engine(engine: EnginePart) -> Iterator[tuple[str, str]]:
    versions = ", ".join(map(str, engine.loaded)) or "none"
    yield "engine", f"{'ready' if engine.ready else 'not ready'}: {engine.model} on {engine.backend}"
    yield "versions", versions if engine.next_version is None else f"{versions}; {engine.next_version} is being loaded"
    yield "lost", f"{engine.lost:,} times since the start" if engine.lost else "never"
    failure = engine.update_failure or (engine.starts.last_failure if engine.starts is not None else "")
    yield "failure", failure or "none"


def _owner(chain: ChainPart, model: ModelPart, peer: PeerPart | None) -> Iterator[tuple[str, str]]:
    lane = next((lane for lane in chain.lanes if lane.owner == model.owner), None)
    mark = next((mark for mark in chain.marked if mark.owner == model.owner), None)
    yield "model", f"v{model.version}"
    yield "since", f"{model.since_height:,}"
    yield "lane", DASH if lane is None else f"{lane.final:,}"
    yield "waiting", DASH if lane is None else f"{lane.held - lane.final:,}"
    yield "standing", "in good standing" if mark is None else f"marked: {mark.offence}"
    if peer is None:
        yield from (("link", "this node"), ("heard", DASH), ("trip", DASH), ("height", f"{chain.height:,}"))
        return
    yield "link", "up" if peer.connected else "down"
    yield "heard", "never" if peer.heard_us_ago is None else f"{time_text(peer.heard_us_ago)} ago"
    yield "trip", NOT_KNOWN if peer.round_trip_us is None else time_text(peer.round_trip_us)
    yield "height", NOT_KNOWN if peer.height is None else f"{peer.height:,}"
