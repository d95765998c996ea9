"""What liars have in common: a replica, its key without a guard, luck."""

from __future__ import annotations

import random
from collections.abc import Sequence

from dropbeard.agreement.effects import Broadcast, Send
from dropbeard.agreement.turn import Outgoing
from dropbeard.simulator.keys import Keys
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.types.ids import OwnerId, Signature
from dropbeard.types.lanes import LaneBatch, SignedBatch
from dropbeard.types.messages import PeerMessage
from dropbeard.types.statements import Statement, Vote
from dropbeard.types.votes import SignedVote


class Liar:
    """Says what its replica says; subclasses twist it. ``delay_us`` is added to each of its messages."""

    def __init__(self, replica: SimulatedReplica, keys: Keys, rng: random.Random) -> None:
        self.replica = replica
        self.keys = keys
        self.rng = rng
        self.fellows: frozenset[int] = frozenset()
        """Every owner that lies in this schedule."""

    @property
    def owner(self) -> OwnerId:
        """Who lies."""
        return self.replica.owner

    @property
    def peers(self) -> list[OwnerId]:
        """Every other owner."""
        return list(self.replica.turn.state.peers)

    def delay_us(self) -> int:
        """How long it sits on a message."""
        return 0

    def hears(self, sender: int, message: PeerMessage) -> list[Outgoing] | None:
        """Answers of its own to a message that its replica shall not see; None to let it through."""
        return None

    def twist(self, outgoing: Sequence[Outgoing]) -> list[Outgoing]:
        """What it sends instead of what its replica would have sent."""
        return [said for effect in outgoing for said in self.say(effect)]

    def say(self, effect: Outgoing) -> Sequence[Outgoing]:
        """What it sends instead of one message."""
        return (effect,)

    def sign(self, statement: Statement) -> Signature:
        """With its own key, whatever it promised before."""
        return Signature(self.replica.key().sign(statement.encode()))

    def vote(self, vote: Vote) -> SignedVote:
        """A signed vote of its own."""
        return SignedVote(self.owner, vote, self.sign(vote))

    def batch(self, batch: LaneBatch) -> SignedBatch:
        """A signed batch of its own."""
        return SignedBatch(batch, self.sign(batch.promise))

    def halves(self) -> tuple[list[OwnerId], list[OwnerId]]:
        """Its peers in two groups, drawn anew each time."""
        peers = self.peers
        self.rng.shuffle(peers)
        middle = self.rng.randint(0, len(peers))
        return peers[:middle], peers[middle:]


def to_each(peers: Sequence[OwnerId], message: PeerMessage) -> list[Outgoing]:
    """One message to some peers."""
    return [Send(peer, message) for peer in peers]


def message_of(effect: Outgoing) -> PeerMessage | None:
    """What an effect says to peers, if it does."""
    return effect.message if isinstance(effect, Send | Broadcast) else None
