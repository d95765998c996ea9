"""Owners that lie in their lane (rules 2.6, 2.7, 4.3, 8.1). A rewritten lane is a chain of its own."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from dropbeard.agreement.effects import Broadcast, Send
from dropbeard.agreement.turn import Outgoing
from dropbeard.evidence.kinds import VotePair, encode_evidence
from dropbeard.simulator.keys import Keys
from dropbeard.simulator.liars.base import Liar, message_of, to_each
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.types.group import FIRST_VERSION
from dropbeard.types.ids import NO_DIGEST, Digest, LaneHeight, OwnerId, TimeUs, View
from dropbeard.types.lanes import Attestation, LaneBatch, SignedBatch
from dropbeard.types.messages import BatchNotice, FetchBatches, PeerMessage
from dropbeard.types.statements import Finalize, Nullify
from dropbeard.types.votes import SignedVote

COPIED_MAX = 200


class _Rewriter(Liar):
    """Sends another batch for each of its replica's, and serves the chain that it sent."""

    def __init__(self, replica: SimulatedReplica, keys: Keys, rng: random.Random) -> None:
        super().__init__(replica, keys, rng)
        self._tip: tuple[LaneHeight, Digest] = (LaneHeight(0), NO_DIGEST)
        self._made: dict[Digest, SignedBatch] = {}
        self._for: dict[Digest, SignedBatch] = {}

    def rewrite(self, batch: LaneBatch) -> LaneBatch:
        """Another batch in the place of this one."""
        return batch

    def say(self, effect: Outgoing) -> Sequence[Outgoing]:
        message = message_of(effect)
        if not isinstance(message, BatchNotice) or message.signed.batch.owner != self.owner:
            return (effect,)
        notice = BatchNotice(self._instead_of(message.signed.batch))
        return (Send(effect.peer, notice),) if isinstance(effect, Send) else (Broadcast(notice),)

    def _instead_of(self, batch: LaneBatch) -> SignedBatch:
        made = self._for.get(batch.digest)
        if made is None:
            height, parent = self._tip
            changed = replace(self.rewrite(batch), lane_height=LaneHeight(height + 1), parent=parent)
            made = self._for[batch.digest] = self.batch(changed)
            self._made[changed.digest] = made
            self._tip = changed.lane_height, changed.digest
        return made

    def hears(self, sender: int, message: PeerMessage) -> list[Outgoing] | None:
        if not isinstance(message, FetchBatches) or message.tip not in self._made:
            return None
        said: list[Outgoing] = []
        at = message.tip
        while at in self._made and self._made[at].batch.lane_height > message.above:
            said.append(Send(OwnerId(sender), BatchNotice(self._made[at])))
            at = self._made[at].batch.parent
        return said[::-1]


class StaleVersion(_Rewriter):
    """Goes on under its first version whatever it announced."""

    def rewrite(self, batch: LaneBatch) -> LaneBatch:
        return replace(batch, version=FIRST_VERSION)


class RottenEvidence(_Rewriter):
    """Accuses without proof: in words, or with votes of others that it signed itself."""

    def rewrite(self, batch: LaneBatch) -> LaneBatch:
        if self.rng.random() < 0.3:
            return replace(batch, evidence=(b"they are all liars",))
        group, accused = self.replica.turn.state.group, self.rng.choice(self.peers)
        votes = Finalize(group.id, group.epoch, View(1), NO_DIGEST), Nullify(group.id, group.epoch, View(1))
        pair = VotePair(*(SignedVote(accused, vote, self.sign(vote)) for vote in votes))
        return replace(batch, evidence=(encode_evidence(group, pair),))


class Copycat(_Rewriter):
    """Attests with the commitments of others, without running anything."""

    def __init__(self, replica: SimulatedReplica, keys: Keys, rng: random.Random) -> None:
        super().__init__(replica, keys, rng)
        self._heard: dict[Digest, Attestation] = {}

    def hears(self, sender: int, message: PeerMessage) -> list[Outgoing] | None:
        if isinstance(message, BatchNotice):
            for item in message.signed.batch.attestations:
                if len(self._heard) < COPIED_MAX:
                    self._heard.setdefault(item.body, item)
        return super().hears(sender, message)

    def rewrite(self, batch: LaneBatch) -> LaneBatch:
        copied = tuple(self._heard.get(item.body, item) for item in batch.attestations)
        return replace(batch, attestations=copied)


class EquivocatingLane(Liar):
    """Two lanes: one for each half of the others, drawn anew for each batch."""

    def __init__(self, replica: SimulatedReplica, keys: Keys, rng: random.Random) -> None:
        super().__init__(replica, keys, rng)
        self._twin_of: dict[Digest, Digest] = {NO_DIGEST: NO_DIGEST}

    def say(self, effect: Outgoing) -> Sequence[Outgoing]:
        message = message_of(effect)
        own = isinstance(message, BatchNotice) and message.signed.batch.owner == self.owner
        if not own or not isinstance(message, BatchNotice) or not isinstance(effect, Broadcast):
            return (effect,)
        batch = message.signed.batch
        parent = self._twin_of.get(batch.parent, batch.parent)
        items = batch.attestations[: len(batch.attestations) // 2]
        twin = replace(batch, parent=parent, time=TimeUs(batch.time + 1), attestations=items)
        self._twin_of[batch.digest] = twin.digest
        these, those = self.halves()
        return [*to_each(these, message), *to_each(those, BatchNotice(self.batch(twin)))]
