"""A node's status as Prometheus metrics: base units, ``_total`` for what only grows, owners as labels, clients never.

Every scrape asks the loop on its status socket, as ``dropbeard status`` does; between scrapes metrics cost nothing. An
engine has no network of its own: its figures are among its node's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from dropbeard.types.status import ChainPart, DiskPart, EnginePart, FiguresPart, NodeStatus, RequestsPart, StagePart

PREFIX: Final = "dropbeard_"
SIZE_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
INFINITY: Final = "+Inf"

Rows = Iterable[tuple[Sequence[str], float]]


def unreachable() -> Iterator[Metric]:
    """What there is to say of a node whose loop does not answer."""
    yield _gauge("up", "1 if the node's loop answered within a second.", 0)


def families(status: NodeStatus) -> Iterator[Metric]:
    """Every metric of a node."""
    labels = (status.release, status.owner, status.group, status.group_id)
    yield _gauge("up", "1 if the node's loop answered within a second.", 1)
    yield _gauges("build_info", "Always 1.", ("release", "owner", "group", "group_id"), [(labels, 1)])
    yield _gauge("healthy", "1 if the node has no problem that dropbeard status would name.", not status.problems)
    yield _gauge("draining", "1 while the node takes no new requests.", status.draining)
    yield _gauge("uptime_seconds", "Since the node's start.", status.uptime_us / 1e6)
    yield _gauge("boot", "Starts on this state directory.", status.boot)
    yield from _chain(status.chain)
    yield from _peers(status.chain)
    yield _counters("votes_total", "Statements that this node made.", "kind", status.votes)
    yield from _requests(status.requests)
    yield from _engine(status.engine)
    yield from _disk(status.disk)
    yield _counters("messages_dropped_total", "Messages that were not taken.", "reason", status.dropped)
    yield _counters("messages_not_sent_total", "Messages that did not leave.", "to", status.not_sent)


def _chain(chain: ChainPart) -> Iterator[Metric]:
    yield _gauge("epoch", "Epoch of the group.", chain.epoch)
    yield _gauge("view", "View that the replica is in.", chain.view)
    yield _gauge("height", "Height of the last final block.", chain.height)
    yield _gauge("lag_blocks", "Final blocks behind the height that f+1 peers claim.", chain.lag)
    yield _gauge("failed_views", "Views in a row that ended without a block.", chain.failures)
    yield _gauge("awake", "1 if the replica may make statements.", chain.awake)
    yield _gauge("catching_up", "1 while a snapshot or a known final block is on its way.", chain.catching_up)
    owner = ("owner",)
    held = [((lane.owner,), lane.held) for lane in chain.lanes]
    final = [((lane.owner,), lane.final) for lane in chain.lanes]
    yield _gauges("lane_height", "Highest batch held of an owner's lane.", owner, held)
    yield _gauges("lane_final_height", "How far the final cut has come in a lane.", owner, final)
    versions = [((row.owner,), row.version) for row in chain.models]
    digests = [((row.owner, str(row.version), row.digest), 1) for row in chain.models]
    yield _gauges("model_version", "Version of an owner's model in force.", owner, versions)
    yield _gauges("model_info", "Always 1: the model in force.", ("owner", "version", "digest"), digests)
    marks = [((row.owner, row.offence), 1) for row in chain.marked]
    pieces = [((row.owner, row.offence), 1) for row in chain.evidence]
    offence = ("owner", "offence")
    yield _gauges("owner_marked", "1 for each owner that the ledger convicts.", offence, marks)
    yield _gauges("evidence_held", "1 for each piece of evidence that this node holds.", offence, pieces)


def _peers(chain: ChainPart) -> Iterator[Metric]:
    owner = ("owner",)
    up = [((row.owner,), float(row.connected)) for row in chain.peers]
    yield _gauges("peer_up", "1 if all connections to the peer stand.", owner, up)
    heard = [((row.owner,), row.heard_us_ago / 1e6) for row in chain.peers if row.heard_us_ago is not None]
    yield _gauges("peer_silence_seconds", "Since the peer was last heard of.", owner, heard)
    trips = [((row.owner,), row.round_trip_us / 1e6) for row in chain.peers if row.round_trip_us is not None]
    yield _gauges("peer_round_trip_seconds", "To the peer and back, smoothed.", owner, trips)
    heights = [((row.owner,), row.height) for row in chain.peers if row.height is not None]
    yield _gauges("peer_height", "Final height that the peer claims.", owner, heights)


def _requests(requests: RequestsPart) -> Iterator[Metric]:
    what = "Requests that clients sent to this node, by what became of them."
    yield _counters("requests_total", what, "outcome", requests.outcomes)
    yield _gauge("requests_open", "Admitted here and without a final outcome.", requests.open)
    yield _gauge("ledger_open_records", "Open in the ledger, whoever was asked.", requests.records)
    yield _histogram("request_duration_seconds", "Time of a request by stage.", "stage", requests.stages)


def _engine(engine: EnginePart) -> Iterator[Metric]:
    yield _gauge("engine_ready", "1 if the engine runs the model that the lane is at.", engine.ready)
    yield _counter("engine_lost_total", "Times that the engine went away.", engine.lost)
    if engine.starts is not None:
        yield _counter("engine_starts_total", "Starts of the engine.", engine.starts.starts)
        yield _gauge("engine_failed_starts", "Starts in a row that came to nothing.", engine.starts.failed_in_row)
        yield _gauge("engine_backoff_seconds", "What the start under way waits.", engine.starts.wait_s)
    version = ("version",)
    rows = engine.figures
    yield _gauges("engine_queue_depth", "Inputs that wait.", version, [(_of(row), row.queued) for row in rows])
    counted = {
        "engine_batches_total": ("Batches that were run.", "batches", 1.0),
        "engine_inputs_total": ("Inputs that were run.", "inputs", 1.0),
        "engine_busy_seconds_total": ("Time inside the model.", "busy_us", 1e6),
        "engine_copy_seconds_total": ("Of that, time for copies to and from it.", "copied_us", 1e6),
        "engine_shed_total": ("Inputs that were too late to be run.", "shed", 1.0),
        "engine_refused_total": ("Inputs that found the queue full.", "refused", 1.0),
        "engine_bad_inputs_total": ("Inputs that were no picture.", "bad_input", 1.0),
        "engine_failed_total": ("Inputs of batches that failed.", "failed", 1.0),
    }
    for name, (what, key, unit) in counted.items():
        family = CounterMetricFamily(PREFIX + name, what, labels=version)
        for row in rows:
            family.add_metric(_of(row), getattr(row, key) / unit)
        yield family
    yield _batch_sizes(rows)


def _of(row: FiguresPart) -> list[str]:
    return [str(row.version)]


def _batch_sizes(rows: Sequence[FiguresPart]) -> Metric:
    family = HistogramMetricFamily(PREFIX + "engine_batch_size", "Inputs of a batch.", labels=("version",))
    for row in rows:
        upto = [sum(count for size, count in row.sizes.items() if size <= bound) for bound in SIZE_BOUNDS]
        total = sum(row.sizes.values())
        buckets = [*zip(map(str, map(float, SIZE_BOUNDS)), upto, strict=True), (INFINITY, total)]
        family.add_metric(_of(row), buckets, sum(size * count for size, count in row.sizes.items()))
    return family


def _disk(disk: DiskPart) -> Iterator[Metric]:
    yield _gauge("disk_free_bytes", "Free on the disk of the state directory.", disk.free_bytes)
    yield _gauge("disk_size_bytes", "Size of that disk.", disk.total_bytes)
    yield _gauge("journal_size_bytes", "Size of the journal.", disk.journal_bytes)
    yield _gauge("journal_records", "Records in the journal.", disk.records)
    what = "Commit of a turn's promises, sync included."
    yield _histogram("journal_commit_duration_seconds", what, None, [disk.sync])


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(PREFIX + name, what, value=float(value))


def _counter(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(PREFIX + name, what, value=float(value))


def _gauges(name: str, what: str, labels: Sequence[str], rows: Rows) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, what, labels=labels)
    for values, value in rows:
        family.add_metric(values, float(value))
    return family


def _counters(name: str, what: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, what, labels=(label,))
    for value, count in counts.items():
        family.add_metric([value], float(count))
    return family


def _histogram(name: str, what: str, label: str | None, stages: Sequence[StagePart]) -> Metric:
    family = HistogramMetricFamily(PREFIX + name, what, labels=() if label is None else (label,))
    for stage in stages:
        buckets = [(str(bound / 1e6), float(count)) for bound, count in stage.buckets]
        values = [] if label is None else [stage.stage]
        family.add_metric(values, [*buckets, (INFINITY, float(stage.count))], stage.sum_us / 1e6)
    return family
