"""Planted bugs of rule 8.4, each caught by the check that is there for it."""

from __future__ import annotations

from typing import Any

from dropbeard.agreement import epochs, finality, holding, inspection, ledger, replica, snapshots
from dropbeard.agreement.effects import Effect
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.types.messages import SnapshotNotice
from dropbeard.types.succession import Succession
from tests.agreement.epoch_pieces import hasty_succession
from tests.simulator.mutants import STALLS, Patch, caught_by


def test_a_mutant_that_steps_on_a_block_that_is_only_notarized_is_caught(monkeypatch: Patch) -> None:
    plain = finality.finalize_ready

    def hasty(state: ReplicaState) -> list[Effect]:
        given = hasty_succession(state)
        if given is not None:
            epochs.jump(state, given)
            state.chain.hollow = None
        return plain(state)

    monkeypatch.setattr(replica, "finalize_ready", hasty)
    caught_by(["believed-final", "epoch", "fork"], changes=2)


def test_a_mutant_that_counts_votes_of_another_epoch_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(replica, "other_epoch", lambda state, message: None)
    monkeypatch.setattr(inspection, "other_epoch", lambda state, message: None)
    caught_by([*STALLS, "halted", "accused"], changes=2)


def test_a_mutant_that_keeps_the_attestations_of_who_left_is_caught(monkeypatch: Patch) -> None:
    plain = ledger._Application.hand_over

    def keeps(self: Any, following: Any) -> None:
        open_before = self.view.all_open()
        plain(self, following)
        for request in open_before:
            if request in self.delta.open:
                self.delta.open[request] = open_before[request]

    monkeypatch.setattr(ledger._Application, "hand_over", keeps)
    caught_by(["entries"], changes=2, seeds=range(1, 200))


def test_a_mutant_that_goes_on_after_the_last_block_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(holding, "ends_epoch", lambda state, after, block: False)
    monkeypatch.setattr("dropbeard.agreement.proposing.ends_epoch", lambda state, after, block: False)
    caught_by([*STALLS, "believed-final", "entries"], changes=2)


def test_a_mutant_that_takes_any_state_for_that_of_an_epochs_root_is_caught(monkeypatch: Patch) -> None:
    def believes(state: ReplicaState, notice: SnapshotNotice) -> list[Effect]:
        transfer = state.transfer
        if transfer is not None and transfer.outline is None and notice.height == transfer.header.height:
            transfer.outline = notice
        return []

    monkeypatch.setattr(replica, "on_snapshot", believes)
    monkeypatch.setattr(snapshots, "LAG_INTERVALS", 0)
    caught_by(["whole-state", *STALLS, "entries"], "snapshot-liar", changes=2, seeds=range(1, 200))


def test_a_mutant_that_lets_the_last_epochs_lane_go_on_is_caught(monkeypatch: Patch) -> None:
    plain = epochs._step

    def goes_on(state: ReplicaState, given: Succession) -> None:
        tip = state.own_tip
        plain(state, given)
        state.own_tip = tip

    monkeypatch.setattr(epochs, "_step", goes_on)
    caught_by([*STALLS, "guard"], changes=2)


def test_a_mutant_that_lets_who_left_vote_is_caught(monkeypatch: Patch) -> None:
    monkeypatch.setattr(ReplicaState, "may_speak", property(lambda self: self.awake))
    caught_by(["no-member", "accused", *STALLS], changes=2)
