"""The load generator and the echo floor against real daemons, for a moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from dropbeard.daemon.local_group import LocalGroup
from perf._echo import EchoGroup, EchoLoad
from perf._load import WINDOW_MIN, Load, Window, raw_inputs
from perf._observed import LABELS
from perf.ordering import ENGINE

pytestmark = pytest.mark.system


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.txt"
    path.write_text(LABELS)
    return path


def test_both_loops_certify_what_they_send_and_count_cpu_time_of_every_daemon(tmp_path: Path, labels: Path) -> None:
    with LocalGroup(tmp_path / "g", engine=ENGINE, labels=labels) as local, Load(local, raw_inputs(4)) as load:
        closed = load.closed(16, 1.0, 0.2)
        load.drain(10.0)
        opened = load.open(40.0, 2.0, 0.0)
    assert closed.certified > 16 and closed.failed == 0
    assert len(closed.latencies_ms) == closed.certified
    assert opened.certified + 40 >= 40 and opened.certified <= 90
    assert opened.failed == 0
    kinds = [name.split()[0] for name in closed.cpu_us]
    assert (kinds.count("node"), kinds.count("engine"), kinds.count("client")) == (4, 4, 1)


def test_an_echo_answers_every_request_at_every_node(tmp_path: Path, labels: Path) -> None:
    with EchoGroup(tmp_path / "g", engine=ENGINE, labels=labels) as local, EchoLoad(local, 48) as echo:
        assert echo.closed(16, 1.0, 0.2) > 16


def test_inputs_are_all_different_and_of_the_size_asked_for() -> None:
    make = raw_inputs(4)
    made = [make() for _ in range(50)]
    assert len({given.data for given in made}) == 50
    assert {len(given.data) for given in made} == {48}


def test_a_window_grows_while_everything_comes_soon_and_shrinks_when_something_is_late() -> None:
    window = Window(0.5, 0.0)
    sizes = [window.most]
    for number, slowest_s in enumerate((0.2, 0.3, 0.6, 0.2), start=1):
        window.note(number - 0.9, slowest_s)
        window.note(float(number), 0.1)
        sizes.append(window.most)
    assert sizes[0] < sizes[1] < sizes[2] > sizes[3] < sizes[4]


def test_a_window_is_never_closed() -> None:
    window = Window(0.5, 0.0)
    for number in range(100):
        window.note(float(number), 9.0)
    assert window.most == WINDOW_MIN
