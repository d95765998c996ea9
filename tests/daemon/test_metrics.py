"""Names and units of the metrics, and that dashboard and alerts ask for nothing that is not there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client.core import Metric

from dropbeard.daemon.metrics import PREFIX, families, unreachable
from dropbeard.daemon.stages import Durations
from dropbeard.types import status as parts
from dropbeard.types.status import NodeStatus

MONITORING = Path(__file__).resolve().parents[2] / "systemd" / "monitoring"
UNITS = ("_seconds", "_bytes")
PLAIN = re.compile(r"dropbeard_[a-z0-9_]+")
LABELS = {
    "owner": "bounded by the group",
    "outcome": "",
    "stage": "",
    "kind": "",
    "reason": "",
    "to": "",
    "version": "",
    "digest": "",
    "offence": "",
    "release": "",
    "group": "",
    "group_id": "",
    "le": "",
}


def durations(name: str) -> parts.StagePart:
    took = Durations()
    for value in (1_500, 20_000, 400_000):
        took.note(value, 1_000_000)
    return took.part(name, 1_000_000)


def sample_chain() -> parts.ChainPart:
    return parts.ChainPart(
        epoch=0,
        view=120,
        height=100,
        lag=2,
        failures=1,
        awake=True,
        member=True,
        catching_up=False,
        leader="bob",
        idle_us=5,
        peers=[
            parts.PeerPart("bob", True, 500_000, 4_000, 120, 102),
            parts.PeerPart("carol", False, None, None, None, None),
        ],
        lanes=[parts.LanePart("alice", 14, 12), parts.LanePart("bob", 9, 9)],
        models=[parts.ModelPart("alice", 2, "ab" * 32, 7)],
        marked=[parts.MarkPart("carol", "double_notarize", 50)],
        evidence=[parts.EvidencePart("carol", "double_notarize", True)],
    )


def sample_engine() -> parts.EnginePart:
    return parts.EnginePart(
        model="m",
        backend="onnx",
        ready=True,
        lost=1,
        loaded=[1, 2],
        next_version=None,
        update_failure=None,
        starts=parts.StartsPart(3, 1, "serving", 0.0, "killed"),
        figures=[parts.FiguresPart(2, 1, 10, 40, 2_000_000, 500_000, 1, 2, 3, 4, {1: 2, 3: 4, 300: 4})],
    )


def sample() -> NodeStatus:
    """A node with something in every table."""
    requests = parts.RequestsPart(
        3, 1, 256, 9, 12.5, {"agreed": 40, "rejected_busy": 2}, [durations("infer"), durations("total")]
    )
    return NodeStatus(
        format=1,
        release="0.1.0",
        owner="alice",
        group="pictures",
        group_id="cd" * 32,
        pid=1,
        boot=4,
        uptime_us=90_000_000,
        draining=False,
        problems=[],
        chain=sample_chain(),
        requests=requests,
        engine=sample_engine(),
        disk=parts.DiskPart(10_000, 20_000, 300, 40, durations("sync")),
        keys=parts.KeysPart("aa", "bb", False, None),
        votes={"notarize": 100, "finalize": 99},
        dropped={"frames": 1},
        not_sent={"to carol": 2},
    )


METRICS: list[Metric] = list(families(sample()))


def names() -> Iterator[str]:
    for metric in METRICS:
        yield from (one.name for one in metric.samples)


def value(name: str, **labels: str) -> float:
    found = [s.value for metric in METRICS for s in metric.samples if s.name == name and s.labels == labels]
    assert len(found) == 1, (name, labels)
    return float(found[0])


def test_every_metric_has_the_prefix_a_text_and_a_sample() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.startswith(PREFIX)
        assert metric.documentation.endswith(".")
        assert metric.samples, metric.name


def test_names_follow_the_conventions() -> None:
    for metric in METRICS:
        counter = metric.type == "counter"
        assert all(one.name.endswith("_total") == counter for one in metric.samples), metric.name
        assert not re.search(r"_(ms|us|ns|milliseconds|micros|kb|mb|percent)\b", metric.name)
        if any(word in metric.name for word in ("duration", "uptime", "silence", "round_trip", "busy", "backoff")):
            assert "_seconds" in metric.name
        if metric.name.endswith(("free", "size")) and "batch" not in metric.name:
            assert metric.name.endswith(UNITS)


def test_owners_are_labels_and_clients_and_requests_never() -> None:
    assert {label for metric in METRICS for one in metric.samples for label in one.labels} <= set(LABELS)


def test_figures_come_in_base_units() -> None:
    assert value("dropbeard_uptime_seconds") == 90
    assert value("dropbeard_peer_round_trip_seconds", owner="bob") == 0.004
    assert value("dropbeard_engine_busy_seconds_total", version="2") == 2
    assert value("dropbeard_engine_copy_seconds_total", version="2") == 0.5
    assert value("dropbeard_request_duration_seconds_sum", stage="total") == pytest.approx(0.4215)
    assert value("dropbeard_request_duration_seconds_count", stage="total") == 3
    assert value("dropbeard_journal_size_bytes") == 300
    assert value("dropbeard_healthy") == 1


def test_histograms_are_cumulative_and_end_in_all() -> None:
    sizes = [
        value("dropbeard_engine_batch_size_bucket", version="2", le=le) for le in ("1.0", "2.0", "4.0", "256.0", "+Inf")
    ]
    assert sizes == [2, 2, 6, 6, 10]
    assert value("dropbeard_engine_batch_size_sum", version="2") == 1 * 2 + 3 * 4 + 300 * 4
    assert value("dropbeard_engine_batch_size_count", version="2") == 10


def test_what_is_not_known_has_no_sample() -> None:
    quiet = msgspec.structs.replace(sample(), engine=msgspec.structs.replace(sample().engine, starts=None, figures=[]))
    found = {one.name: one for metric in families(quiet) for one in metric.samples}
    assert "dropbeard_engine_failed_starts" not in found
    assert "dropbeard_engine_queue_depth" not in found
    assert "dropbeard_engine_ready" in found
    carol = [s for m in METRICS for s in m.samples if m.name == "dropbeard_peer_silence_seconds"]
    assert [one.labels["owner"] for one in carol] == ["bob"]


def test_a_silent_node_is_down_and_nothing_else() -> None:
    assert [(one.name, one.value) for metric in unreachable() for one in metric.samples] == [("dropbeard_up", 0.0)]


def asked_for(path: Path) -> set[str]:
    if path.suffix == ".json":
        panels = json.loads(path.read_text())["panels"]
        text = "\n".join(target["expr"] for panel in panels for target in panel["targets"])
    else:
        text = "\n".join(line for line in path.read_text().splitlines() if line.strip().startswith("expr:"))
    return set(PLAIN.findall(text))


@pytest.mark.parametrize("name", ["grafana.json", "alerts.yml"])
def test_dashboard_and_alerts_ask_only_for_what_the_code_makes(name: str) -> None:
    found = asked_for(MONITORING / name)
    assert len(found) >= 10
    assert found <= set(names())


def test_every_alert_has_a_severity_and_says_what_to_look_at() -> None:
    text = (MONITORING / "alerts.yml").read_text()
    alerts = text.split("- alert: ")[1:]
    assert len(alerts) >= 12
    for alert in alerts:
        assert "severity: page" in alert or "severity: warn" in alert
        assert len(re.findall(r'summary: ".{20,}"', alert)) == 1


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads((MONITORING / "grafana.json").read_text())["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert taken.isdisjoint(cells), panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
