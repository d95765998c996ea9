"""Schedules that were found by reading the core as an attacker, each with its bug put back. Owner 3 is the liar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from dropbeard.agreement import epochs, inspection, ledger_state, snapshots, turn, whole_state
from dropbeard.agreement.effects import Propose, Send, SendClient
from dropbeard.agreement.epochs import jump
from dropbeard.agreement.events import PeerSpoke
from dropbeard.agreement.inspection import is_worth_handling
from dropbeard.agreement.lane_store import LaneStore
from dropbeard.agreement.turn import Turn
from dropbeard.errors import DiskFull
from dropbeard.signing.guard import Guard
from dropbeard.simulator.keys import GuardedSigner
from dropbeard.types import wire
from dropbeard.types.blocks import LaneTip
from dropbeard.types.hashing import STATE_WHOLE, digest
from dropbeard.types.ids import Digest, Epoch, Height, LaneHeight
from dropbeard.types.journal import Piece
from dropbeard.types.messages import BootAnswer, FetchSnapshot, Presence, Reply, SnapshotNotice
from tests.agreement.epoch_pieces import close_epoch, finalized, grown
from tests.agreement.pieces import (
    CLIENT,
    GROUP,
    KEYS,
    START,
    attestation,
    batch,
    came,
    end_turn,
    feed,
    finalize,
    first_block,
    notarize,
    nullify,
    owner,
    replica,
    signed_batch,
    signed_vote,
    tell,
)
from tests.agreement.test_replies import answered

Patch = pytest.MonkeyPatch
LIAR = 3


# --- a batch that names the lane's end as its parent and lies about its own height ------------------------------------


def proposes_beside_a_crooked_batch() -> bool:
    state = replica(0)
    first = batch(LIAR, [attestation(1)])
    crooked = replace(batch(LIAR, (), first), lane_height=LaneHeight(7))
    feed(state, [came(first), came(crooked), came(batch(2, [attestation(2)]))])
    return any(isinstance(effect, Propose) for effect in end_turn(state))


def test_a_batch_of_a_wrong_height_stops_no_leader() -> None:
    assert proposes_beside_a_crooked_batch()


def test_a_mutant_that_follows_parents_whatever_the_height_can_never_lead(monkeypatch: Patch) -> None:
    def any_height(self: LaneStore, tip: LaneTip, steps: int | None = None) -> LaneTip:
        at, height, taken = tip.digest, tip.height, 0
        while steps is None or taken < steps:
            children = self.lanes[tip.owner].children.items()
            following = [batch for (_, parent), found in children if parent == at for batch in found]
            if not following:
                break
            at, height, taken = following[0], LaneHeight(height + 1), taken + 1
        return LaneTip(tip.owner, height, at)

    monkeypatch.setattr(LaneStore, "tip_from", any_height)
    assert not proposes_beside_a_crooked_batch()


# --- our own statements of an epoch that is over, in the answer to a boot question ------------------------------------


def halted_by_what_it_said_in_the_last_epoch() -> list[bool]:
    """Views and lanes began anew, so the liar always has a vote and a batch of ours that are ahead of ours now."""
    vote = signed_vote(1, nullify(100))
    lane = signed_batch(batch(1)).statement
    halted = []
    for old in (BootAnswer(Epoch(1), 5, vote, None), BootAnswer(Epoch(1), 5, None, lane)):
        state = replica(1)
        close_epoch(state)
        state.boot, state.awake = 5, False
        if is_worth_handling(state, old, state.judge.checker):
            tell(state, LIAR, old)
        halted.append(state.halted is not None)
    return halted


def test_what_we_said_in_an_epoch_that_is_over_stops_nobody() -> None:
    assert halted_by_what_it_said_in_the_last_epoch() == [False, False]


def test_a_mutant_that_takes_statements_of_any_epoch_is_stopped_for_good_by_one_liar(monkeypatch: Patch) -> None:
    monkeypatch.setattr(inspection, "_boot_answer_checks", lambda *rest: True)
    assert halted_by_what_it_said_in_the_last_epoch() == [True, True]


# --- a finalization that holds our own vote, while that vote waits for room on the disk -------------------------------


class FullDisk:
    """Takes nothing once it is full."""

    def __init__(self) -> None:
        self.full = False

    def append(self, records: Sequence[bytes], piece: Piece | None = None) -> None:
        if self.full:
            raise DiskFull("no room")


def shown_while_full() -> list[int]:
    """Signers of what a client is shown of a block that our own unwritten Finalize made final."""
    state, disk = replica(1), FullDisk()
    run = Turn(state, GuardedSigner(lambda: KEYS.keys[1], Guard()), disk)
    made = answered(CLIENT)
    proposal = first_block(state, 0, *made)
    run.run([*map(came, made), PeerSpoke(owner(0), proposal)], START)
    disk.full = True
    votes = [signed_vote(i, vote(proposal.header)) for vote in (notarize, finalize) for i in (0, LIAR)]
    with pytest.raises(DiskFull):
        run.run([PeerSpoke(vote.signer, vote) for vote in votes], START)
    assert state.chain.final.header == proposal.header
    shown: list[Any] = run.show(CLIENT, made[0].request_ids[0])
    replies = [told.message for told in shown if isinstance(told, SendClient) and isinstance(told.message, Reply)]
    return [int(signer) for reply in replies for signer, _ in reply.signatures]


def test_no_client_sees_our_signature_before_our_disk_has_it() -> None:
    assert shown_while_full() == []


def test_a_mutant_that_shows_what_is_final_lets_a_crash_undo_a_vote_that_is_known(monkeypatch: Patch) -> None:
    monkeypatch.setattr(turn, "_finalized_by", lambda said: set())
    assert 1 in shown_while_full()


# --- what an owner decided about its node, over the end of an epoch ---------------------------------------------------


def kept_over_an_epoch() -> list[bool]:
    """Restored from a backup, and about to leave: does it still know, one epoch later?"""
    state = replica(1)
    last = grown(state)
    state.barred, state.ending = frozenset([GROUP.member(owner(1)).node_key]), Presence.DRAINS
    tell(state, LIAR, finalized(last))
    end_turn(state)
    assert state.group.epoch == 1
    return [state.is_barred, state.ending is Presence.DRAINS]


def test_who_observes_or_drains_does_so_in_the_next_epoch_too() -> None:
    assert kept_over_an_epoch() == [True, True]


def test_a_mutant_that_begins_anew_signs_with_a_key_that_a_backup_bars(monkeypatch: Patch) -> None:
    monkeypatch.setattr(epochs, "KEPT", epochs.KEPT - {"barred", "ending"})
    assert kept_over_an_epoch() == [False, False]


# --- the outline of a snapshot, cut elsewhere -------------------------------------------------------------------------


def taken_for_proved() -> list[bool]:
    """The proof covers one string of bytes; the liar moves the place where the small tables end in it."""
    ahead = replica(1)
    close_epoch(ahead, batch(2, [attestation(7, by=2)]))
    given = ahead.successions[Epoch(0)]
    taken = []
    for moved in (40, -40):
        state = replica(2)
        jump(state, given)
        end_turn(state)
        (sent,) = tell(ahead, 2, FetchSnapshot(given.last.height))
        assert isinstance(sent, Send)
        assert isinstance(sent.message, SnapshotNotice)
        tell(state, LIAR, _cut_elsewhere(sent.message, moved))
        taken.append(state.transfer is not None and state.transfer.outline is not None)
    return taken


def _cut_elsewhere(outline: SnapshotNotice, moved: int) -> SnapshotNotice:
    data = outline.small + b"".join(wire.u64(number) + digest for number, digest in outline.buckets)
    reader = wire.Reader(data[len(outline.small) + moved :])
    buckets = []
    while reader.remaining:
        buckets.append((reader.u64(), Digest(reader.take(32))))
    return replace(outline, small=data[: len(outline.small) + moved], buckets=tuple(buckets))


def test_an_outline_that_is_cut_elsewhere_is_not_the_one_that_was_proved() -> None:
    assert taken_for_proved() == [False, False]


def test_a_mutant_that_hashes_tables_and_buckets_as_one_string_takes_both(monkeypatch: Patch) -> None:
    def one_string(height: Height, small: bytes, buckets: Iterable[tuple[int, Digest]]) -> Digest:
        return digest(STATE_WHOLE, wire.u64(height), small, *(wire.u64(number) + found for number, found in buckets))

    for module in (whole_state, snapshots, ledger_state):
        monkeypatch.setattr(module, "snapshot_digest", one_string)
    assert taken_for_proved() == [True, True]
