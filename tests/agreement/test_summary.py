"""A replica in figures."""

from __future__ import annotations

import pytest

from dropbeard.agreement.summary import chain_part, is_catching_up, lag
from dropbeard.evidence.kinds import Offence
from dropbeard.types.ids import Digest, Height
from dropbeard.types.status import EvidencePart, MarkPart
from tests.agreement.pieces import GROUP, owner, replica


@pytest.mark.parametrize(
    ("claims", "behind"),
    [({}, 0), ({1: 900}, 0), ({1: 900, 2: 7}, 7), ({1: 900, 2: 7, 3: 5}, 7), ({1: 9, 2: 9, 3: 9}, 9)],
)
def test_one_liar_of_four_cannot_make_a_replica_look_behind(claims: dict[int, int], behind: int) -> None:
    assert lag(replica(), {owner(peer): Height(height) for peer, height in claims.items()}) == behind


def test_a_claim_of_somebody_who_is_no_peer_does_not_count() -> None:
    assert lag(replica(0), {owner(0): Height(50), owner(1): Height(50)}) == 0


def test_every_owner_has_a_lane_and_a_model() -> None:
    part = chain_part(replica(), [], {})
    names = [member.name for member in GROUP.owners]
    assert [lane.owner for lane in part.lanes] == names
    assert [(model.owner, model.version, model.since_height) for model in part.models] == [(n, 1, 0) for n in names]
    assert (part.height, part.idle_us, part.marked, part.evidence) == (0, None, [], [])


def test_marked_owners_and_evidence_are_named() -> None:
    state = replica()
    state.chain.base.marks[owner(2), Offence.DOUBLE_NOTARIZE] = Height(12)
    state.evidence[owner(2), Offence.DOUBLE_NOTARIZE] = b"one"
    state.evidence[owner(3), Offence.DOUBLE_BATCH] = b"two"
    part = chain_part(state, [], {})
    second, third = GROUP.member(owner(2)).name, GROUP.member(owner(3)).name
    assert part.marked == [MarkPart(second, "double_notarize", 12)]
    held = [EvidencePart(second, "double_notarize", True), EvidencePart(third, "double_batch", False)]
    assert part.evidence == held


def test_an_owner_who_left_the_group_keeps_a_name_in_the_tables() -> None:
    state = replica()
    state.chain.base.marks[owner(9), Offence.DOUBLE_BATCH] = Height(1)
    assert chain_part(state, [], {}).marked == [MarkPart("owner 9", "double_batch", 1)]


def test_a_final_block_without_its_path_means_catching_up() -> None:
    state = replica()
    assert not is_catching_up(state)
    state.waiting_finalizations[Digest(b"d" * 32)] = None
    assert is_catching_up(state)
