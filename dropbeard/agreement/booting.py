"""Before its first statement a replica asks what others hold of its own (rule 7.4).

A disk that was rolled back has forgotten promises. This finds it out when a peer that answers knows of one; it is no
guarantee, and a rolled-back replica that nobody found out counts among the f.
"""

from __future__ import annotations

from dropbeard.agreement.effects import Broadcast, Effect, Halt, Send
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.evidence.justification import AnyCertificate
from dropbeard.types.ids import OwnerId
from dropbeard.types.lanes import SignedPromise
from dropbeard.types.messages import BootAnswer, BootQuestion
from dropbeard.types.votes import SignedVote


def ask_peers(state: ReplicaState) -> list[Effect]:
    """Ask everyone until n-1-f have answered; answering needs no vote, so a whole group can start together.

    Who is no member, or barred, asks on: it may become one with a key that may sign, and learns of that from the
    answers (rule 8.4).
    """
    if state.mono < state.next_question_us:
        return []
    rules = state.group.parameters
    soon = state.is_member and not state.is_barred
    state.next_question_us = state.mono + (rules.finalize_timeout_us if soon else rules.status_interval_us)
    return [Broadcast(BootQuestion(state.group.epoch, state.boot))]


def on_boot_question(state: ReplicaState, sender: OwnerId, asked: BootQuestion) -> list[Effect]:
    """What we hold of the asker's own statements."""
    vote, lane = state.latest_votes.get(sender), state.latest_promises.get(sender)
    return [Send(sender, BootAnswer(asked.epoch, asked.boot, vote, lane))]


def on_boot_answer(state: ReplicaState, sender: OwnerId, answer: BootAnswer) -> list[Effect]:
    """Enough answers, none of which shows a promise that the journal lacks, let us speak."""
    if answer.boot != state.boot or state.awake or not state.is_member:
        return []
    effects: list[Effect] = []
    if answer.vote is not None:
        effects += stop_if_forgotten(state, answer.vote)
    if answer.lane is not None:
        effects += stop_if_lane_forgotten(state, answer.lane)
    state.boot_answers[sender] = None
    state.awake = len(state.boot_answers) >= state.group.n - 1 - state.group.f
    return effects


def stop_if_forgotten(state: ReplicaState, signed: SignedVote) -> list[Effect]:
    """A vote of ours in a view beyond every vote that we know we cast."""
    if signed.signer != state.me or signed.vote.view <= state.own_vote_view:
        return []
    return _stop(state, f"a peer holds our {type(signed.vote).__name__} of view {signed.vote.view}")


def stop_if_signed_without_us(state: ReplicaState, certificate: AnyCertificate) -> list[Effect]:
    """The same for a vote of ours inside a certificate."""
    for signer, signature in certificate.signatures:
        if signer == state.me:
            return stop_if_forgotten(state, SignedVote(signer, certificate.vote, signature))
    return []


def stop_if_lane_forgotten(state: ReplicaState, signed: SignedPromise) -> list[Effect]:
    """A batch of our lane above its tip."""
    if signed.promise.owner != state.me or signed.promise.lane_height <= state.own_tip.height:
        return []
    return _stop(state, f"a peer holds our lane batch at height {signed.promise.lane_height}")


def _stop(state: ReplicaState, what: str) -> list[Effect]:
    if state.boot == 0 or state.is_barred:  # who is barred knows it already, and signs nothing
        return []
    state.halted = (
        f"{what}, and our journal ends before it: the disk was rolled back, or another process uses this key. "
        "Nothing is signed with this node key any more; the owner needs a new one (rule 8.4)"
    )
    return [Halt(state.halted)]


def note_vote(state: ReplicaState, signed: SignedVote) -> None:
    """Remember each replica's vote of the highest view, for when it asks."""
    latest = state.latest_votes.get(signed.signer)
    if latest is None or signed.vote.view > latest.vote.view:
        state.latest_votes[signed.signer] = signed


def note_promise(state: ReplicaState, signed: SignedPromise) -> None:
    """Remember each lane's highest batch, for when its owner asks."""
    latest = state.latest_promises.get(signed.promise.owner)
    if latest is None or signed.promise.lane_height > latest.promise.lane_height:
        state.latest_promises[signed.promise.owner] = signed
