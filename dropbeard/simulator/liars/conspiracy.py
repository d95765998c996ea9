"""More liars than f, in league: they show one block to some of the others and another to the rest (rule 6.2)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from dropbeard.agreement.effects import Broadcast
from dropbeard.agreement.turn import Outgoing
from dropbeard.simulator.keys import Keys
from dropbeard.simulator.liars.base import message_of, to_each
from dropbeard.simulator.liars.leaders import LyingLeader
from dropbeard.simulator.replica import SimulatedReplica
from dropbeard.types.ids import Digest, OwnerId
from dropbeard.types.messages import PeerMessage, Proposal
from dropbeard.types.statements import Finalize, Notarize
from dropbeard.types.votes import SignedVote


class ForkMaker(LyingLeader):
    """As leader it proposes two blocks, each to half of the honest; every conspirator votes for both, each where it was
    shown, in every way."""

    def __init__(self, replica: SimulatedReplica, keys: Keys, rng: random.Random) -> None:
        super().__init__(replica, keys, rng)
        self._heard: dict[Digest, None] = {}

    def say(self, effect: Outgoing) -> Sequence[Outgoing]:
        message = message_of(effect)
        if isinstance(message, SignedVote) and isinstance(effect, Broadcast) and message.signer == self.owner:
            return ()
        own = isinstance(message, Proposal) and self.replica.turn.state.group.leader(message.header.view) == self.owner
        if not isinstance(message, Proposal) or not own or not isinstance(effect, Broadcast):
            return (effect,)
        below = self.parent_cut(message.header)
        other = self.with_cut(message.header, below)
        if other is None or other.digest == message.header.digest:
            return (effect, *self._votes(message, self.peers))
        twin, _ = self.propose(other, message)
        said: list[Outgoing] = []
        for shown, side in ((message, self._side(0)), (twin, self._side(1))):
            fellows = [peer for peer in self.peers if peer in self.fellows]
            said += [*to_each([*side, *fellows], shown), *self._votes(shown, side)]
        return said

    def hears(self, sender: int, message: PeerMessage) -> list[Outgoing] | None:
        """A fellow conspirator's block: it votes for it where that block was shown."""
        if isinstance(message, Proposal) and message.header.digest not in self._heard:
            self._heard[message.header.digest] = None
            nothing_new = message.header.cut == self.parent_cut(message.header)
            return self._votes(message, self._side(1 if nothing_new else 0))
        return None

    def _side(self, which: int) -> list[OwnerId]:
        """Every second of those that are to be fooled."""
        return [peer for peer in self.peers if peer not in self.fellows][which::2]

    def _votes(self, proposal: Proposal, peers: Sequence[OwnerId]) -> list[Outgoing]:
        header = proposal.header
        place = header.group, header.epoch, header.view, header.digest
        said: list[Outgoing] = []
        for vote in (Notarize(*place), Finalize(*place)):
            said += to_each(peers, self.vote(vote))
        return said
