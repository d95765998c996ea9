"""What calls came to: for the protocol's statistics extension, and for Prometheus.

The extension's stages mean here: ``compute_input`` from the call to its pictures, ``compute_infer`` the group's answer,
``compute_output`` the tensors of it; there is no queue in a gateway.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PREFIX: Final = "dropbeard_gateway_"


@dataclass(slots=True)
class Duration:
    """So many times, so long together."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        """Once more."""
        self.count += 1
        self.ns += ns

    def shown(self) -> dict[str, int]:
        """As the extension has it."""
        return {"count": self.count, "ns": self.ns}


@dataclass(slots=True)
class Tally:
    """Calls since the start, as the statistics extension counts them."""

    rows: int = 0
    last_ms: int = 0
    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    compute_input: Duration = field(default_factory=Duration)
    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)

    def shown(self, model: str, version: str) -> dict[str, Any]:
        """One model's entry."""
        nothing = Duration()
        stages = {
            "success": self.success,
            "fail": self.fail,
            "queue": Duration(self.success.count, 0),
            "compute_input": self.compute_input,
            "compute_infer": self.compute_infer,
            "compute_output": self.compute_output,
            "cache_hit": nothing,
            "cache_miss": nothing,
        }
        return {
            "name": model,
            "version": version,
            "last_inference": self.last_ms,
            "inference_count": self.rows,
            "execution_count": self.success.count,
            "inference_stats": {name: stage.shown() for name, stage in stages.items()},
            "batch_stats": [],
        }


class Statistics:
    """Both counts of the same calls. Clients and their pictures appear in none."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._calls = self._counter("calls", "Inference calls by how they ended.", "outcome")
        self._rows = self._counter("pictures", "Pictures answered, by the assurance of the answer.", "assurance")
        self._undecided = self._counter("undecided", "Pictures on which the group was undecided.")
        text = "From a call to its response, of calls that were answered."
        self._seconds = Histogram(f"{PREFIX}call_seconds", text, buckets=SECONDS, registry=self.registry)
        self.in_flight = self._gauge("in_flight", "Pictures under way.")
        self.buffered = self._gauge("buffered_bytes", "Bytes of calls that are read or under way.")
        self.ready = self._gauge("ready", "1 if the group is reached and calls are taken.")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}{name}_total", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"{PREFIX}{name}", text, registry=self.registry)

    def answered(self, times_ns: tuple[int, int, int, int], assurances: list[str], undecided: int) -> None:
        """A call was answered: when it began, had its pictures, had the group's answers, and had its tensors."""
        began, had_rows, had_answers, ended = times_ns
        tally = self.tally
        tally.rows += len(assurances)
        tally.last_ms = time.time_ns() // 1_000_000
        tally.success.add(ended - began)
        tally.compute_input.add(had_rows - began)
        tally.compute_infer.add(had_answers - had_rows)
        tally.compute_output.add(ended - had_answers)
        self._calls.labels("answered").inc()
        self._seconds.observe((ended - began) / 1e9)
        self._undecided.inc(undecided)
        for assurance in assurances:
            self._rows.labels(assurance).inc()

    def failed(self, ns: int, outcome: str) -> None:
        """A call came to nothing."""
        self.tally.fail.add(ns)
        self._calls.labels(outcome).inc()

    def refused(self, outcome: str) -> None:
        """A call that could not even be read."""
        self._calls.labels(outcome).inc()
