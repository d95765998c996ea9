"""Attack 1: a change of the membership at blocks that are merely notarized (rule 8.4)."""

from __future__ import annotations

import pytest

from dropbeard.agreement import finality
from dropbeard.agreement.effects import Effect
from dropbeard.agreement.epochs import jump
from dropbeard.agreement.replica_state import ReplicaState
from tests.agreement.epoch_pieces import block_over, grown, hasty_succession, notarize
from tests.agreement.pieces import end_turn, replica


def stepped_on_a_notarized_last_block(state: ReplicaState) -> bool:
    last = grown(state)
    notarize(state, block_over(state, last, last.view + 1, closing=True))
    end_turn(state)
    return state.group.epoch != 0


def test_1_blocks_that_are_not_final_end_no_epoch() -> None:
    assert not stepped_on_a_notarized_last_block(replica(1))


def test_1_a_mutant_that_counts_blocks_and_not_final_ones_steps_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = finality.finalize_ready

    def hasty(state: ReplicaState) -> list[Effect]:
        given = hasty_succession(state)
        if given is not None:
            jump(state, given)
        return plain(state)

    monkeypatch.setattr("dropbeard.agreement.replica.finalize_ready", hasty)
    assert stepped_on_a_notarized_last_block(replica(1))
