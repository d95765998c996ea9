"""Lines, axes and bars as geometry."""

from __future__ import annotations

import re

import msgspec
import pytest

from dropbeard.types.ids import OwnerId
from dropbeard.web.charts import BOTTOM, CHARTS, LANE_LEFT, LANE_RIGHT, RIGHT, TOP, drawn, lanes, path, top_of
from dropbeard.web.sampling import WINDOW_S, Sample, Seen
from dropbeard.web.timeline import InForce, Timeline
from tests.daemon.test_metrics import sample

BUSY = msgspec.structs.replace(sample(), requests=msgspec.structs.replace(sample().requests, per_second=37.0))


@pytest.mark.parametrize(
    ("most", "top"), [(0, 1), (1, 1), (1.1, 2), (3, 4), (37, 40), (99, 100), (100, 100), (650, 800)]
)
def test_an_axis_ends_at_a_round_number_above_everything(most: float, top: float) -> None:
    assert top_of(most, 1.0) == pytest.approx(top)


def test_a_line_ends_at_the_right_and_never_leaves_its_box() -> None:
    line = path([-WINDOW_S, -10.0, 0.0], [0.0, 5.0, 10.0], 10.0)
    points = [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", line)]
    assert points[-1] == pytest.approx((RIGHT, TOP))
    assert points[0][1] == BOTTOM
    assert all(TOP <= y <= BOTTOM for _, y in points)


def test_silence_is_a_gap_and_a_lone_moment_a_dot() -> None:
    assert path([-3.0, -2.0, -1.0], [1.0, None, 1.0], 1.0).count("M") == 2
    assert path([-1.0], [1.0], 1.0).endswith("h0")
    assert path([-WINDOW_S - 1], [1.0], 1.0) == ""


def test_every_chart_tells_its_last_values_as_text() -> None:
    seen = Seen((Sample(0.0, sample()), Sample(2.0, BUSY)), None)
    texts, paths = drawn(CHARTS[0], seen, 2.0)
    assert texts == {"rate.top": "40", "rate.half": "20", "rate.0.now": "37"}
    assert paths["rate.0.d"].startswith("M")
    assert drawn(CHARTS[1], Seen((Sample(0.0, None),), "gone"), 0.0)[0]["latency.0.now"] == "not known"


def test_an_owner_has_a_bar_for_each_version_up_to_the_last_height() -> None:
    rows = [
        InForce(OwnerId(0), "a", 1, "aa", 0),
        InForce(OwnerId(0), "a", 2, "bb", 50),
        InForce(OwnerId(1), "b", 1, "cc", 0),
    ]
    first, second = lanes(Timeline(90, tuple(rows), b""), 100)
    assert [bar.text for bar in first.bars] == ["v1", "v2"]
    assert [bar.x for bar in first.bars] == [LANE_LEFT, (LANE_LEFT + LANE_RIGHT) / 2]
    assert second.bars[0].width == pytest.approx(LANE_RIGHT - LANE_LEFT - 1)


def test_a_ledger_without_blocks_can_be_drawn() -> None:
    (lane,) = lanes(Timeline(0, (InForce(OwnerId(0), "a", 1, "aa", 0),), b""), 0)
    assert lane.bars[0].width > 0
