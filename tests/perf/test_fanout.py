"""The sending side alone, towards processes that drop what they get."""

from __future__ import annotations

import pytest

from perf.fanout import cost
from perf.ordering import SMALL_SIDE

pytestmark = pytest.mark.system


def test_each_link_carries_the_input_and_little_more() -> None:
    found = cost(2, SMALL_SIDE, 0.3)
    assert 3 * SMALL_SIDE**2 < found.bytes_a_link < 1.2 * 3 * SMALL_SIDE**2
    assert found.main_us > 0 and found.link_us > 0 and found.n == 2
