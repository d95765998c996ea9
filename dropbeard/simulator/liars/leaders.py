"""Leaders that lie in their turn (rules 3.2, 3.3, 3.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dropbeard.agreement.effects import Broadcast
from dropbeard.agreement.holding import ordered_batches, unsigned
from dropbeard.agreement.ledger import apply_block
from dropbeard.agreement.turn import Outgoing
from dropbeard.simulator.liars.base import Liar, message_of, to_each
from dropbeard.types.blocks import Cut, Header, Justification
from dropbeard.types.ids import Digest, Height, TimeUs
from dropbeard.types.messages import Proposal
from dropbeard.types.statements import Finalize, Notarize
from dropbeard.types.votes import SignedVote


class LyingLeader(Liar):
    """Makes other blocks than its replica, valid ones where it wants."""

    def with_cut(self, header: Header, cut: Cut) -> Header | None:
        """The same block over another cut, its roots as they must be."""
        state = self.replica.turn.state
        parent = state.chain.block(header.parent)
        before = None if parent is None else state.chain.state_after(parent)
        if parent is None or before is None:
            return None
        ordered = ordered_batches(state, parent.header.cut, cut, self.owner)
        if not isinstance(ordered, dict):
            return None
        applied = apply_block(state.group, before, parent.header, unsigned(ordered), state.judge.verdict)
        return replace(
            header, cut=cut, time=applied.time, entries_root=applied.tree.root, state_root=applied.state_root
        )

    def parent_cut(self, header: Header) -> Cut:
        """Where the parent's cut stands."""
        parent = self.replica.turn.state.chain.block(header.parent)
        return header.cut if parent is None else parent.header.cut

    def propose(self, header: Header, like: Proposal) -> tuple[Proposal, SignedVote]:
        """Sign a header as its leader."""
        signed = self.vote(Notarize(header.group, header.epoch, header.view, header.digest))
        return Proposal(header, signed.signature, like.justification, like.pages), signed


class EquivocatingLeader(LyingLeader):
    """Two blocks in one view, one for each half of the others, and votes of every kind for both."""

    def say(self, effect: Outgoing) -> Sequence[Outgoing]:
        message = message_of(effect)
        if not isinstance(message, Proposal) or self.replica.turn.state.group.leader(message.header.view) != self.owner:
            return (effect,)
        other = self._other(message)
        if other is None:
            return (effect,)
        proposal, signed = self.propose(other, message)
        these, those = self.halves()
        said = [*to_each(these, message), *to_each(those, proposal), *to_each(those, signed)]
        finalize = Finalize(other.group, other.epoch, other.view, other.digest)
        return [*said, *to_each(those, self.vote(finalize))]

    def _other(self, proposal: Proposal) -> Header | None:
        header, below = proposal.header, self.parent_cut(proposal.header)
        grown = [at for at, (low, tip) in enumerate(zip(below, header.cut, strict=True)) if low != tip]
        if not grown:
            return None
        kept = self.rng.choice(grown)
        cut = tuple(low if at == kept else tip for at, (low, tip) in enumerate(zip(below, header.cut, strict=True)))
        return self.with_cut(header, cut)


class StarvingLeader(LyingLeader):
    """Leaves one owner's lane out of all its blocks."""

    def say(self, effect: Outgoing) -> Sequence[Outgoing]:
        message = message_of(effect)
        if not isinstance(message, Proposal) or not isinstance(effect, Broadcast):
            return (effect,)
        victim = self.peers[self.owner % len(self.peers)]
        below = self.parent_cut(message.header)
        cut = tuple(low if tip.owner == victim else tip for low, tip in zip(below, message.header.cut, strict=True))
        other = None if cut == message.header.cut else self.with_cut(message.header, cut)
        if other is None:
            return (effect,)
        proposal, signed = self.propose(other, message)
        return [Broadcast(proposal), Broadcast(signed)]


class UnjustifiedLeader(LyingLeader):
    """Claims that views were nullified without showing who did it."""

    def say(self, effect: Outgoing) -> Sequence[Outgoing]:
        message = message_of(effect)
        if not isinstance(message, Proposal) or not isinstance(effect, Broadcast) or not message.justification.pages:
            return (effect,)
        rotten = Justification(message.justification.notarization, (Digest(bytes(32)),) * len(message.pages))
        header = replace(message.header, justification=rotten.digest)
        signed = self.vote(Notarize(header.group, header.epoch, header.view, header.digest))
        return [Broadcast(Proposal(header, signed.signature, rotten, ())), Broadcast(signed)]


class LyingHeader(LyingLeader):
    """Writes another height, time or root into its blocks than their batches give."""

    def say(self, effect: Outgoing) -> Sequence[Outgoing]:
        message = message_of(effect)
        if not isinstance(message, Proposal) or not isinstance(effect, Broadcast):
            return (effect,)
        header = message.header
        wrong = self.rng.choice(
            (
                replace(header, height=Height(header.height + 1)),
                replace(header, time=TimeUs(header.time + 1)),
                replace(header, entries_root=header.state_root),
                replace(header, state_root=header.entries_root),
            )
        )
        proposal, signed = self.propose(wrong, message)
        return [Broadcast(proposal), Broadcast(signed)]
