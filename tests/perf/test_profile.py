"""Sampled stacks become stages: the innermost frame that belongs to one decides."""

from __future__ import annotations

from perf.profile import by_stage, stage_of

LOOP = "serve (dropbeard/daemon/node.py:150)"


def test_the_innermost_stage_counts() -> None:
    inside = f"{LOOP};Turn.run (turn.py:90);vote_on_proposals (ordering.py:1);apply_block (ledger.py:1);digest (h.py:1)"
    assert stage_of(inside) == "apply a block"
    assert stage_of(f"{LOOP};Turn.run (turn.py:90);vote_on_proposals (ordering.py:1)") == "proposals and votes"


def test_what_belongs_to_no_stage_is_the_rest_of_the_loop() -> None:
    assert stage_of(f"{LOOP};read_clocks (clocks.py:3)") == "rest of the loop"


def test_samples_of_a_stage_are_added_up() -> None:
    lines = [
        f"{LOOP};Journal.append (records.py:45) 3",
        f"{LOOP};Journal.append (records.py:45);x (y:1) 4",
        f"{LOOP} 1",
    ]
    assert by_stage(lines) == {"journal and fsync": 7, "rest of the loop": 1}
