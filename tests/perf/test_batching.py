"""The design that takes turns, which only measurements use, and the rate read off at one p99."""

from __future__ import annotations

from typing import Any, cast

import pytest

from dropbeard.transport.engine_link import EngineLink
from dropbeard.types.engine_messages import EngineAnswers, InferTickets
from perf._coupled import CoupledGroup, TurnsDesk
from perf._load import Load, raw_inputs
from perf._observed import passing_group
from perf.batching import most_within
from perf.ordering import ENGINE
from tests.daemon.test_engine_desk import OLD, Bench, order, ready


class Turns(Bench):
    """A desk that takes turns, whose lane the test moves."""

    def __init__(self) -> None:
        super().__init__()
        self.promised = self.ordered = 7
        self.desk = TurnsDesk(
            cast(EngineLink, self.wire),
            lambda: self.force,
            lambda: self.promised,
            lambda: self.ordered,
            2,
            lambda output: None,
        )
        self.says(ready(1, OLD))

    def tickets(self) -> list[int]:
        return [ticket.ticket for told in self.wire.told if isinstance(told, InferTickets) for ticket in told.tickets]


def test_the_next_batch_goes_to_the_engine_only_when_the_last_is_ordered() -> None:
    turns = Turns()
    turns.desk.hand_over([order(1, bytes([name])) for name in range(5)])
    assert len(turns.tickets()) == 2
    turns.desk.hand_over([])
    assert len(turns.tickets()) == 2
    turns.says(EngineAnswers(tuple((ticket, b"x") for ticket in turns.tickets())))
    turns.promised = 8
    turns.desk.hand_over([])
    assert len(turns.tickets()) == 2
    turns.promised = 9  # a later batch of the lane is not waited for
    turns.ordered = 8
    turns.desk.hand_over([])
    assert len(turns.tickets()) == 4


def point(p99_ms: float, rate: float) -> dict[str, Any]:
    return {"p99_ms": p99_ms, "certified_per_s": rate}


def test_the_rate_at_a_bound_lies_on_the_line_between_the_points_on_either_side() -> None:
    assert most_within([point(100, 200), point(300, 600)], 200) == pytest.approx(400)


def test_a_rate_within_the_bound_counts_whole_and_one_beyond_it_in_proportion() -> None:
    assert most_within([point(100, 200), point(150, 600)], 500) == 600
    assert most_within([point(1_000, 600)], 500) == pytest.approx(300)


@pytest.mark.system
def test_a_group_that_takes_turns_certifies_too() -> None:
    with passing_group(CoupledGroup, ENGINE) as local, Load(local, raw_inputs(4)) as load:
        sample = load.closed(16, 1.5, 0.2)
    assert sample.certified > 16 and sample.failed == 0
