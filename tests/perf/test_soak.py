"""What a long run says about memory and disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perf.soak import directory_bytes, growth, resident_mib, thinned


def test_memory_grows_by_the_last_quarter_over_the_one_before() -> None:
    points = [(count, 100.0 if count < 75 else 110.0) for count in range(101)]
    assert growth(points) == pytest.approx(0.1)


def test_what_memory_did_in_the_first_half_does_not_count() -> None:
    assert growth([(count, min(float(count), 50.0)) for count in range(101)]) == 0.0


def test_two_points_say_nothing_of_growth() -> None:
    with pytest.raises(SystemExit, match="too short"):
        growth([(0, 1.0), (100, 2.0)])


def test_a_long_series_is_thinned_and_keeps_its_end() -> None:
    points = [(count, 1.0) for count in range(1_001)]
    kept = thinned(points, 10)
    assert len(kept) <= 12 and kept[0] == (0, 1.0) and kept[-1] == (1_000, 1.0)
    assert thinned(points[:3], 10) == points[:3]


def test_files_below_a_directory_are_added_up(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(10))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b").write_bytes(bytes(5))
    assert directory_bytes(tmp_path) == 15


def test_this_process_has_resident_memory_and_one_that_is_gone_has_none() -> None:
    assert resident_mib(os.getpid()) > 1
    assert resident_mib(2**22 + 1) == 0.0
