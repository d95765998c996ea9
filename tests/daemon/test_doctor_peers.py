"""How many peers may be down before a doctor calls the group's state a failure."""

from __future__ import annotations

import pytest

from dropbeard.daemon.doctor_peers import Answer, reach
from tests.types.test_group import group


@pytest.mark.parametrize(("answers", "down", "level"), [(8, 1, "warn"), (8, 2, "fail"), (6, 3, "warn"), (6, 4, "fail")])
def test_peers_may_be_down_while_a_quorum_and_the_answers_of_a_request_are_left(
    answers: int, down: int, level: str
) -> None:
    made = group(9, 1, answers)
    peers = [Answer(owner, ("tcp://192.0.2.1:1",) if owner.id <= down else ()) for owner in made.owners[1:]]
    assert reach(made, peers).level == level
