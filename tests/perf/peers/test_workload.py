"""A server is told its workload by its environment; Triton's repository says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from perf.peers.servers.triton_repository import write_repository
from perf.peers.workload import Workload, told

WORKLOAD = Workload("model", 4, 8, 5, 1, 32)


def test_a_workload_is_read_as_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WORKLOAD.variables().items():
        monkeypatch.setenv(name, value)
    assert told() == WORKLOAD


def test_a_worker_for_each_core_is_all_that_more_cores_change() -> None:
    assert WORKLOAD.on_cores(6) == Workload("model", 4, 8, 5, 6, 32)


def test_a_repository_of_triton_has_the_workloads_batch_wait_and_workers(tmp_path: Path) -> None:
    models = write_repository(tmp_path, WORKLOAD.on_cores(2))
    (config,) = models.glob("*/config.pbtxt")
    text = config.read_text()
    assert "max_batch_size: 8" in text and "dims: [48]" in text
    assert "count: 2 " in text and "max_queue_delay_microseconds: 5000 " in text
    assert (config.parent / "1" / "model.py").exists()
