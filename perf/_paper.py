"""The paper's set-up on one machine: four owners on three sites, 20 ms one way, 150 KB inputs, a model update a second.

Engines are synthetic with the times that were published for ResNet-50 on a V100 and a T4, unless a real backend is
named. What nodes say to each other and to the client passes a relay that holds it back; inputs, which would need more
than the relay carries, are held back by the client's own sender.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from dropbeard.daemon.local_group import OWNERS, LocalGroup
from dropbeard.daemon.new_group import WAN
from dropbeard.serving.catalogue import fetch_set
from dropbeard.storage.files import read_genesis
from dropbeard.types.node_config import Backend, EngineTable
from perf._load import Load, Sample, raw_inputs
from perf._measure import Figure, percentile
from perf._observed import passing_group
from perf._sites import even_sites
from perf._wide import WideGroup, wide_area
from perf.updates import take_update

NODES: Final = 4
SITES: Final = 3
ONE_WAY_MS: Final = 20.0
SIDE: Final = 224
"""150,528 bytes."""

RATE: Final = 800.0
SHARES: Final = (0.125, 0.25, 0.375, 0.5, 0.75)
"""Of the rate, offered before it for the curve."""

SECONDS: Final = 60.0
CURVE_SECONDS: Final = 8.0
WARM_S: Final = 4.0
QUICK_SHARES: Final = (0.25, 0.5)
QUICK_SECONDS: Final = 6.0
QUICK_CURVE_SECONDS: Final = 4.0
QUICK_WARM_S: Final = 2.0
DRAIN_S: Final = 24.0
QUICK_DRAIN_S: Final = 5.0
UPDATE_EVERY_S: Final = 1.0
P99_MAX_MS: Final = 1_000.0
TARGET_S: Final = 0.75
"""The client keeps no more open than comes back in this time: beyond what the group can do a queue would grow for ever,
and what waits in it comes late and is sent again. What was not sent is in the row."""

HELD_SHARE: Final = 0.97
"""A rate is held when so much of it is certified."""

V100: Final = ((1, 2_080), (2, 2_650), (4, 2_840), (8, 3_290), (16, 4_350), (32, 6_590), (64, 11_560))
"""Inputs in a batch and microseconds: ResNet-50, TensorRT 4, FP16, engine alone (gist.github.com/1duo)."""

T4: Final = ((1, 3_000), (2, 4_000), (4, 5_750), (8, 9_000), (16, 15_100), (32, 28_400), (64, 53_200))
"""The same of Triton with TensorRT FP16 seen from a client (NVIDIA/DeepLearningExamples, ConvNets/triton/resnet50)."""

EMULATED: Final = (
    "three sites: processes of one machine; what nodes send to each other and reply passes a user-space relay that "
    "holds it for 20 ms (no network namespaces, no root); TCP's slowness over long ways is not emulated",
    "inputs: held for 20 ms by the client's own sender and not by the relay, since they need 3.8 Gbit/s at 800/s and a "
    "user-space emulation carries some 0.36",
)
SYNTHETIC: Final = (
    "engines: no model; each sleeps as long as was published for a batch on its GPU: two owners V100 (TensorRT FP16, "
    "engine alone), two owners T4 (Triton, client-side), ResNet-50 at 224 x 224",
    "updates: signed, ordered and activated as ever; loading a synthetic model takes no time",
)


@dataclass(slots=True)
class Updates:
    """What became of one update a second, the owners in turn."""

    backend: Backend
    done: list[float] = field(default_factory=list)
    """Seconds that each took."""
    refused: list[str] = field(default_factory=list)

    def run(self, local: LocalGroup, place: int, stop: threading.Event) -> None:
        """One owner's share, in a thread of its own: the next one waits for the last."""
        version, due = 1, time.monotonic() + place * UPDATE_EVERY_S
        while not stop.wait(max(0.0, due - time.monotonic())):
            version += 1
            started = time.monotonic()
            said = take_update(local, self.backend, place, version)
            if said is None:
                self.done.append(time.monotonic() - started)
            else:
                self.refused.append(said)
                version -= 1
            due = max(due + NODES * UPDATE_EVERY_S, time.monotonic())


@contextmanager
def updating(local: LocalGroup, backend: Backend) -> Iterator[Updates]:
    """Updates until the end of the block."""
    updates, stop = Updates(backend), threading.Event()
    threads = [threading.Thread(target=updates.run, args=(local, place, stop)) for place in range(NODES)]
    for thread in threads:
        thread.start()
    try:
        yield updates
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def engines(backend: Backend) -> list[EngineTable]:
    """Of each owner: two V100 and two T4 that are not there, or real ones."""
    if backend != "synthetic":
        fetch_set("imagenet")
        return [EngineTable("", backend=backend, max_batch=32, queue_max=2_048)] * NODES
    table = EngineTable("", backend="synthetic", max_batch=64, queue_max=2_048, service_time_us=V100)
    slower = EngineTable("", backend="synthetic", max_batch=64, queue_max=2_048, service_time_us=T4)
    return [table, table, slower, slower]


def reproduce(backend: Backend, rate: float, seconds: float, quick: bool) -> Figure:
    """P13: rising rates for the curve, then the rate itself for so long, updates all the while.

    In an open loop, whose client sheds (TARGET_S): the rate certified of what was offered is the figure.
    """
    with (
        wide_area(even_sites(NODES, SITES, ONE_WAY_MS), "relay", direct_clients=True) as area,
        passing_group(partial(WideGroup, area=area), engines(backend), OWNERS, WAN) as local,
        Load(local, raw_inputs(SIDE), hold_s=ONE_WAY_MS / 1000) as load,
    ):
        load.open(rate * SHARES[0], QUICK_WARM_S if quick else WARM_S, 0.0)
        with updating(local, backend) as updates:
            rows = curve(load, rate, seconds, quick)
    return p13(rows, updates, [*EMULATED, *(SYNTHETIC if backend == "synthetic" else ())])


def reproduce_on(genesis: Path, rate: float, seconds: float, quick: bool) -> Figure:
    """P13 of a group that runs elsewhere, from here: nothing is emulated; updates are its owners' to make."""
    with Load(read_genesis(genesis), raw_inputs(SIDE)) as load:
        load.open(rate * SHARES[0], QUICK_WARM_S if quick else WARM_S, 0.0)
        return p13(curve(load, rate, seconds, quick), Updates("tensorrt"), [])


def curve(load: Load, rate: float, seconds: float, quick: bool) -> list[dict[str, Any]]:
    """Shares of the rate, then the rate itself for so many seconds."""
    shares, each_s = (QUICK_SHARES, QUICK_CURVE_SECONDS) if quick else (SHARES, CURVE_SECONDS)
    rows = []
    for offered, length_s in [*((rate * share, each_s) for share in shares), (rate, seconds)]:
        rows.append(row_of(offered, load.open(offered, length_s, 0.0, TARGET_S)))
        load.drain(QUICK_DRAIN_S if quick else DRAIN_S)
    return rows


def row_of(offered: float, sample: Sample) -> dict[str, Any]:
    """One point of the curve."""
    return {"offered_per_s": round(offered, 1), "certified_per_s": round(sample.rate, 1), **sample.summary()}


def p13(rows: Sequence[dict[str, Any]], updates: Updates, emulated: Sequence[str]) -> Figure:
    """The figure is the rate certified when the whole rate was offered, if p99 stayed under a second; else that of the
    highest rate offered that was held with p99 under a second, which ``detail`` says.
    """
    whole, held = rows[-1], [row for row in rows if is_held(row)]
    highest = max(held, key=lambda row: float(row["offered_per_s"]), default=None)
    soon = whole["certified_per_s"] > 0 and whole["p99_ms"] < P99_MAX_MS
    counts = whole if soon else highest
    value = 0.0 if counts is None else counts["certified_per_s"]
    detail = {
        "figure_is_of": None if counts is None else counts["offered_per_s"],
        "at_the_whole_rate": whole,
        "curve": list(rows),
        "updates": len(updates.done),
        "updates_refused": len(updates.refused),
        "update_p50_s": round(percentile(updates.done, 0.5), 2),
        "emulated": list(emulated),
    }
    unit, offered = "certified requests/s with p99 under 1 s", whole["offered_per_s"]
    return Figure("P13", value, unit, [value], offered, round(value / offered, 3), detail)


def is_held(row: dict[str, Any]) -> bool:
    """Was what was offered certified, and soon enough?"""
    enough = row["certified_per_s"] >= HELD_SHARE * row["offered_per_s"] > 0
    return bool(enough and row["p99_ms"] < P99_MAX_MS)
