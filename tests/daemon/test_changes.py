"""Votes reach the node one by one; its lane carries what a quorum wants, also after a restart (rule 8.4)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dropbeard.agreement.events import ChangeWasSigned, Now
from dropbeard.agreement.replica_state import ReplicaState, new_replica
from dropbeard.daemon.changes import CARRY_EVERY_US, LOOK_EVERY_US, VOTES_MAX, ChangeDesk, vote_tray
from dropbeard.errors import ChangeRefused
from dropbeard.types.ids import Epoch, OwnerId, TimeUs
from dropbeard.types.membership import change_fault
from dropbeard.types.vote_file import vote_to_toml
from tests.agreement.epoch_pieces import KEYS, LAST, block_over, changing_batch, close_epoch, finalized, notarize
from tests.agreement.pieces import GENESIS, GROUP, came, end_turn, feed, tell
from tests.types.test_proposals import vote

NOW = Now(0, TimeUs(0))


def replica(me: int = 0) -> ReplicaState:
    state = new_replica(GROUP, OwnerId(me), bytes(32), NOW, KEYS.checker)
    state.awake = True
    return state


class Bench:
    """A desk over a state directory, half a second apart."""

    def __init__(self, directory: Path, state: ReplicaState | None = None) -> None:
        self.state = replica() if state is None else state
        self.desk, self.tray = ChangeDesk(directory, self.state), vote_tray(directory)
        self.now_us = 0

    def look(self) -> list[ChangeWasSigned]:
        self.now_us += LOOK_EVERY_US
        events = self.desk.look(self.now_us)
        assert all(isinstance(event, ChangeWasSigned) for event in events)
        return events  # type: ignore[return-value]

    def given(self, text: str) -> tuple[str, list[ChangeWasSigned]]:
        self.tray.hand_over(text)
        events = self.look()
        return self.tray.wait_for_word(1), events


def text_of(owner: int) -> str:
    return vote_to_toml(vote(owner), "what changes")


def test_a_quorum_of_votes_makes_a_change_that_any_replica_takes(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    said, events = bench.given(text_of(3))
    assert "removes owner 0; adds owner 4" in said
    assert ": 1 of 3 votes (owner 3), 2 more needed of owner 0, owner 1, owner 2; " in said
    assert said.endswith("they count at this node alone, so hand them to it")
    assert events == []
    assert bench.given(text_of(1))[1] == []
    said, events = bench.given(text_of(2))
    assert said.endswith("3 of 3 votes (owner 1, owner 2, owner 3); the lane carries the change")
    assert change_fault(GROUP, events[0].signed, KEYS.checker) is None


def test_one_owner_that_votes_three_times_is_one_vote(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for _ in range(3):
        said, events = bench.given(text_of(1))
        assert "1 of 3 votes (owner 1), 2 more needed" in said
        assert events == []


def test_one_vote_handed_over_again_and_again_takes_no_room_from_others(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for _ in range(VOTES_MAX + 1):
        bench.given(text_of(1))
    assert "2 of 3 votes" in bench.given(text_of(2))[0]


def test_votes_outlive_a_restart_and_a_change_that_no_block_ordered_is_carried_again(tmp_path: Path) -> None:
    first = Bench(tmp_path)
    for owner in (1, 2):
        first.given(text_of(owner))
    second = Bench(tmp_path)
    assert len(second.given(text_of(3))[1]) == 1
    assert second.look() == []
    second.now_us += CARRY_EVERY_US
    assert len(second.look()) == 1
    assert len(Bench(tmp_path).look()) == 1


def test_votes_of_an_earlier_epoch_are_gone_after_a_start_in_a_later_one(tmp_path: Path) -> None:
    Bench(tmp_path).given(text_of(1))
    later = replica(2)
    close_epoch(later)
    Bench(tmp_path, later)
    assert list((tmp_path / "votes").glob("*.toml")) == []


def test_a_vote_that_does_not_count_is_refused_with_the_reason_and_not_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for text, said in (
        (vote_to_toml(replace(vote(1), owner=OwnerId(2)), "x"), "not signed with the owner key"),
        (vote_to_toml(replace(vote(1), epoch=Epoch(4)), "x"), "the latest that is known here is 0"),
        ("nonsense", "vote.toml"),
    ):
        with pytest.raises(ChangeRefused, match=said):
            bench.given(text)
    assert not (tmp_path / "votes").exists()


def test_a_node_whose_owner_is_not_in_the_group_takes_no_vote(tmp_path: Path) -> None:
    with pytest.raises(ChangeRefused, match="hand the vote to one whose owner is"):
        Bench(tmp_path, replica(9)).given(text_of(1))


def test_once_a_change_is_ordered_no_other_vote_counts_and_after_the_epoch_all_are_gone(tmp_path: Path) -> None:
    bench = Bench(tmp_path, replica(2))
    bench.given(text_of(1))
    kept = list((tmp_path / "votes").glob("*.toml"))
    assert len(kept) == 1
    last = close_epoch(bench.state)
    assert (last.height, bench.state.group.epoch) == (LAST, 1)
    bench.look()
    assert list((tmp_path / "votes").glob("*.toml")) == []
    with pytest.raises(ChangeRefused, match="the vote is for epoch 0, and the group is in epoch 1"):
        bench.given(text_of(3))


def test_an_ordered_change_is_not_carried_again_and_ends_the_voting(tmp_path: Path) -> None:
    bench = Bench(tmp_path, replica(2))
    for owner in (1, 2, 3):
        bench.given(text_of(owner))
    ordered = changing_batch()
    feed(bench.state, [came(ordered)])
    first = notarize(bench.state, block_over(bench.state, GENESIS, 0, ordered))
    bench.now_us += CARRY_EVERY_US
    assert len(bench.look()) == 1
    tell(bench.state, 3, finalized(first))
    end_turn(bench.state)
    bench.now_us += CARRY_EVERY_US
    assert bench.look() == []
    with pytest.raises(ChangeRefused, match=f"a change is ordered already; epoch 0 ends at height {LAST}"):
        bench.given(text_of(1))
