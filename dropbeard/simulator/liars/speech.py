"""Replicas that keep silent, dawdle, contradict themselves, withhold, forge, repeat or serve rot (rule 10)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from dropbeard.agreement.effects import Broadcast, Send, SendClient
from dropbeard.agreement.turn import Outgoing
from dropbeard.simulator.keys import Keys
from dropbeard.simulator.liars.base import Liar, message_of, to_each
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.types.blocks import QuorumCertificate
from dropbeard.types.ids import Digest, OwnerId, Signature, View
from dropbeard.types.lanes import SignedBatch
from dropbeard.types.messages import (
    BatchNotice,
    BucketNotice,
    CertificateNotice,
    Openings,
    PeerMessage,
    Proposal,
    Reply,
    SnapshotNotice,
)
from dropbeard.types.parameters import MILLISECOND
from dropbeard.types.statements import Finalize, Notarize, Nullify, Vote
from dropbeard.types.votes import SignedVote

KEPT_MAX = 200
HABIT = 0.15
"""How often a forger or replayer adds something of its own to a turn."""

DAWDLE_US = 200 * MILLISECOND


class Silent(Liar):
    """Hears everything and says nothing."""

    def twist(self, outgoing: Sequence[Outgoing]) -> list[Outgoing]:
        return []


class Slow(Liar):
    """Honest and late."""

    def delay_us(self) -> int:
        return self.rng.randint(0, DAWDLE_US)


class Withholder(Liar):
    """Promises and never opens."""

    def say(self, effect: Outgoing) -> Sequence[Outgoing]:
        hidden = isinstance(effect, SendClient) and isinstance(effect.message, Openings | Reply)
        return () if hidden else (effect,)


class VoteFlipper(Liar):
    """Votes for, against and for something else in one view, to different peers."""

    def __init__(self, replica: SimulatedReplica, keys: Keys, rng: random.Random) -> None:
        super().__init__(replica, keys, rng)
        self._headers: dict[View, dict[Digest, None]] = {}

    def hears(self, sender: int, message: PeerMessage) -> list[Outgoing] | None:
        if isinstance(message, Proposal):
            self._headers.setdefault(message.header.view, {})[message.header.digest] = None
        return None

    def say(self, effect: Outgoing) -> Sequence[Outgoing]:
        message = message_of(effect)
        if not isinstance(message, SignedVote) or not isinstance(effect, Broadcast):
            return (effect,)
        said: list[Outgoing] = []
        for peer in self.peers:
            for vote in self._votes(message.vote):
                if self.rng.random() < 0.6:
                    said += to_each([peer], self.vote(vote))
        return said

    def _votes(self, vote: Vote) -> list[Vote]:
        group, epoch, view = vote.group, vote.epoch, vote.view
        votes: list[Vote] = [Nullify(group, epoch, view)]
        for header in self._headers.get(view, {}):
            votes += [Notarize(group, epoch, view, header), Finalize(group, epoch, view, header)]
        return [*votes, vote]


class Forger(Liar):
    """Speaks in the names of others, with signatures that are not theirs."""

    def twist(self, outgoing: Sequence[Outgoing]) -> list[Outgoing]:
        said = super().twist(outgoing)
        if self.rng.random() < HABIT:
            said += to_each(self.halves()[0], self._forgery())
        return said

    def _forgery(self) -> PeerMessage:
        state = self.replica.turn.state
        view = View(max(0, state.view + self.rng.randint(-2, 2)))
        header = state.best[1]
        group, epoch = state.group.id, state.group.epoch
        nullify = Nullify(group, epoch, view)
        vote: Vote = self.rng.choice(
            (nullify, Notarize(group, epoch, view, header), Finalize(group, epoch, view, header))
        )
        name = self.rng.choice(self.peers)
        if self.rng.random() < 0.4:
            return SignedVote(name, vote, self.sign(vote))
        if self.rng.random() < 0.6:
            signers = sorted(self.rng.sample(state.group.members, state.group.quorum))
            alone = self.rng.random() < 0.5  # its own, good signature many times over, or one for each name
            rows = tuple((self.owner if alone else OwnerId(signer), self.sign(vote)) for signer in signers)
            return CertificateNotice(QuorumCertificate(vote, rows))  # type: ignore[arg-type]
        return self._stolen_batch(name)

    def _stolen_batch(self, name: OwnerId) -> PeerMessage:
        held = list(self.replica.turn.state.lanes.lanes[name].batches.values())
        if not held:
            group = self.replica.turn.state.group
            return SignedVote(name, Nullify(group.id, group.epoch, View(0)), Signature(bytes(64)))
        stolen = self.rng.choice(held).batch
        forged = replace(stolen, attestations=stolen.attestations[1:])
        return BatchNotice(SignedBatch(forged, self.sign(forged.promise)))


class Replayer(Liar):
    """Says again what it or anybody once said."""

    def __init__(self, replica: SimulatedReplica, keys: Keys, rng: random.Random) -> None:
        super().__init__(replica, keys, rng)
        self._kept: list[PeerMessage] = []

    def hears(self, sender: int, message: PeerMessage) -> list[Outgoing] | None:
        self._keep(message)
        return None

    def twist(self, outgoing: Sequence[Outgoing]) -> list[Outgoing]:
        for effect in outgoing:
            message = message_of(effect)
            if message is not None:
                self._keep(message)
        said = list(outgoing)
        while self._kept and self.rng.random() < HABIT:
            said.append(Send(self.rng.choice(self.peers), self.rng.choice(self._kept)))
        return said

    def _keep(self, message: PeerMessage) -> None:
        if len(self._kept) < KEPT_MAX:
            self._kept.append(message)
        else:
            self._kept[self.rng.randrange(KEPT_MAX)] = message


class SnapshotLiar(Liar):
    """Serves snapshots that are not the group's."""

    def say(self, effect: Outgoing) -> Sequence[Outgoing]:
        message = message_of(effect)
        if isinstance(effect, Send) and isinstance(message, SnapshotNotice):
            rotten = self.rng.choice(
                (
                    replace(message, small=message.small[:-1] + b"\xff"),
                    replace(message, root=Digest(bytes(32))),
                    replace(message, buckets=message.buckets[1:]),
                )
            )
            return (Send(effect.peer, rotten),)
        if isinstance(effect, Send) and isinstance(message, BucketNotice):
            return (Send(effect.peer, BucketNotice(message.rows[::-1])),)
        return (effect,)
