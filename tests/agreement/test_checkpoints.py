"""When a checkpoint is taken (rules 7.1, 7.3)."""

from __future__ import annotations

from dataclasses import replace

from dropbeard.agreement.checkpoints import Checkpointing, is_due, snapshot_block
from dropbeard.simulator.options import options_for
from dropbeard.simulator.world import World
from dropbeard.types.ids import Height


def test_none_is_taken_after_a_start_before_a_quorum_said_where_it_stands() -> None:
    world = World(replace(options_for(1, 4, "none"), crashes=0, partitions=0, one_way_cuts=0, snapshot_interval=2))
    world.run()
    started = world.replicas[0]
    started.restart()
    state, under_way = started.turn.state, Checkpointing(1)
    state.checkpoint = Height(0)
    assert snapshot_block(state) is not None
    assert not is_due(state, under_way)
    height = state.chain.final.header.height
    state.peer_heights.update(dict.fromkeys(state.peers[: state.group.quorum - 1], height))
    assert is_due(state, under_way)
