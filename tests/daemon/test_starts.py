"""A crash loop of an engine is slowed down, whoever starts it again, and can be read by its node."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from dropbeard.daemon import starts as module
from dropbeard.daemon.starts import FREE_FAILURES, WAIT_MAX_S, Starts, read_starts, record_path, wait_of


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/engine.sock"


def test_the_first_failures_are_free_and_the_wait_then_doubles_up_to_a_minute() -> None:
    assert [wait_of(failed) for failed in range(6)] == [0, 0, 0, 1, 2, 4]
    assert wait_of(50) == WAIT_MAX_S
    assert FREE_FAILURES == 2


def test_starts_that_end_in_an_error_add_up(endpoint: str) -> None:
    for number in range(5):
        start = Starts(endpoint)
        assert start.failed_in_row == number
        start.loading()
        start.failed("no such model\nin the cache")
    found = read_starts(endpoint)
    assert found is not None
    assert (found.starts, found.phase, found.last_failure) == (5, "failed", "no such model in the cache")
    assert Starts(endpoint).wait_s == wait_of(5)


def test_a_killed_engine_left_no_word_and_counts_as_failed(endpoint: str) -> None:
    Starts(endpoint).serving()
    again = Starts(endpoint)
    assert again.failed_in_row == 1
    found = read_starts(endpoint)
    assert found is not None
    assert "killed" in found.last_failure


def test_an_engine_that_was_told_to_stop_begins_anew(endpoint: str) -> None:
    for _ in range(4):
        Starts(endpoint).failed("broken")
    Starts(endpoint).ended()
    assert Starts(endpoint).failed_in_row == 0


def test_an_engine_that_served_for_a_while_is_no_part_of_a_loop(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(4):
        Starts(endpoint).failed("broken")
    monkeypatch.setattr(module, "STEADY_S", 0.0)
    steady = Starts(endpoint)
    assert steady.failed_in_row == 4
    steady.serving()
    steady.look()
    steady.failed("a device was lost after hours")
    assert Starts(endpoint).wait_s == 0


def test_an_engine_that_served_for_a_moment_is_part_of_one(endpoint: str) -> None:
    for number in range(4):
        start = Starts(endpoint)
        assert start.failed_in_row == number
        start.serving()
        start.look()
        start.failed("its device was lost")


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b'{"starts":"many"}', b"\xff" * 100, b" " * 100_000, b'{"starts":1}', b"[" * 5_000],
)
def test_a_record_that_is_none_is_not_known(endpoint: str, data: bytes) -> None:
    record_path(endpoint).write_bytes(data)
    assert read_starts(endpoint) is None
    assert Starts(endpoint).failed_in_row == 0


def test_a_record_cannot_steer_the_terminal_of_who_reads_it(endpoint: str) -> None:
    record_path(endpoint).write_bytes(
        b'{"starts":1,"failed_in_row":3,"phase":"failed","wait_s":1.0,"last_failure":"\\u001b[2Jgone\\n'
        + b"x" * 900
        + b'"}'
    )
    found = read_starts(endpoint)
    assert found is not None
    assert found.last_failure.startswith("[2Jgone x")
    assert len(found.last_failure) <= 400


def test_the_record_is_for_owner_and_group_and_no_scratch_file_stays(endpoint: str, tmp_path: Path) -> None:
    Starts(endpoint).serving()
    assert stat.S_IMODE(record_path(endpoint).stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["engine.starts"]


def test_an_engine_starts_where_no_record_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert Starts(f"ipc://{tmp_path}/file/engine.sock").wait_s == 0
