"""A short storm in every test run; ``make chaos`` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.storm import storm

pytestmark = [pytest.mark.system, pytest.mark.slow]


def test_nothing_promised_is_lost_while_one_node_at_a_time_is_harmed(tmp_path: Path) -> None:
    report = storm(tmp_path, seconds=12, seed=3, say=lambda what: None)
    assert report.violations == []
    assert report.faults.total() >= 3
    assert report.certificates > 50
    assert report.verified == report.certificates
    assert report.refetched > 20
