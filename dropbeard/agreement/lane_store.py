"""Lane batches as a replica holds them: chains by digest, at most two per height, gaps known (rules 2.7, 2.8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dropbeard.types import limits
from dropbeard.types.blocks import Cut, LaneTip
from dropbeard.types.group import Group
from dropbeard.types.ids import NO_DIGEST, Digest, LaneHeight, OwnerId, Signature
from dropbeard.types.lanes import SignedBatch, decode_batch

KEPT_PER_HEIGHT = 2
"""Batches kept per lane height without being named by a proposal: enough to prove an equivocation (rule 2.8)."""


class Packed(NamedTuple):
    """An old batch as it is sent: a fifth of what it takes as objects."""

    signature: Signature
    data: bytes
    parent: Digest


@dataclass(slots=True)
class Lane:
    """One owner's lane."""

    batches: dict[Digest, SignedBatch] = field(default_factory=dict)
    packed: dict[Digest, Packed] = field(default_factory=dict)
    packed_to: LaneHeight = LaneHeight(0)
    children: dict[tuple[LaneHeight, Digest], list[Digest]] = field(default_factory=dict)
    """By height and digest of a batch: what extends it. What names it as parent from any other height than the next
    one stands in no valid cut, and must not be in the way of what does."""
    heights: dict[LaneHeight, list[Digest]] = field(default_factory=dict)
    forgotten_to: LaneHeight = LaneHeight(0)

    def is_over(self, height: LaneHeight) -> bool:
        """Was everything of this height forgotten? Its owner could sign batches for each such height anew."""
        return height <= self.forgotten_to


def fits_group(group: Group, signed: SignedBatch) -> bool:
    """Is the batch of this group's epoch, of one of its lanes, and within the sender's limits? (rule 2.8)"""
    batch = signed.batch
    known = batch.group == group.id and batch.epoch == group.epoch and group.owner(batch.owner) is not None
    first = batch.lane_height == 1
    linked = first == (batch.parent == NO_DIGEST)
    return known and linked and len(batch.attestations) <= group.parameters.batch_items_max


class LaneStore:
    """All lanes of the group."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.lanes: dict[OwnerId, Lane] = {owner: Lane() for owner in group.members}

    def get(self, owner: OwnerId, digest: Digest) -> SignedBatch | None:
        """The batch of this digest."""
        lane = self.lanes[owner]
        signed = lane.batches.get(digest)
        if signed is None and digest in lane.packed:
            old = lane.packed[digest]
            signed = SignedBatch(decode_batch(old.data, self.group.parameters), old.signature)
        return signed

    def add(self, signed: SignedBatch, final_height: LaneHeight, named: bool) -> bool:
        """Keep the batch unless it is known, past the window, or one too many for its height; was it kept?

        ``named``: a proposal in hand or a fetch of ours names it.
        """
        batch = signed.batch
        lane = self.lanes[batch.owner]
        if batch.digest in lane.batches or batch.digest in lane.packed:
            return False
        past = batch.lane_height > final_height + 2 * self.group.parameters.lane_window
        if not named and (past or lane.is_over(batch.lane_height)):
            return False
        twins = lane.heights.setdefault(batch.lane_height, [])
        if len(twins) >= KEPT_PER_HEIGHT and not named:
            return False
        twins.append(batch.digest)
        lane.batches[batch.digest] = signed
        below = LaneHeight(batch.lane_height - 1), batch.parent
        lane.children.setdefault(below, []).append(batch.digest)
        return True

    def twins(self, owner: OwnerId, height: LaneHeight) -> Sequence[Digest]:
        """Batches held at one height: two or more convict the owner (rule 8.1)."""
        return self.lanes[owner].heights.get(height, ())

    def goes_on(self, cut: Cut) -> bool:
        """Is a batch held that extends a tip of the cut?"""
        return any(self.lanes[tip.owner].children.get((tip.height, tip.digest)) for tip in cut)

    def tip_from(self, tip: LaneTip, steps: int | None = None) -> LaneTip:
        """The end of the first-seen branch above ``tip``, at most ``steps`` batches on."""
        children = self.lanes[tip.owner].children
        at, height, taken = tip.digest, tip.height, 0
        while steps is None or taken < steps:
            following = children.get((height, at))
            if not following:
                break
            at, height, taken = following[0], LaneHeight(height + 1), taken + 1
        return LaneTip(tip.owner, height, at)

    def attests(self, tip: LaneTip, enough: int) -> bool:
        """Does the first-seen branch above ``tip`` hold ``enough`` attestations?"""
        lane, at, height = self.lanes[tip.owner], tip.digest, tip.height
        while enough > 0 and (following := lane.children.get((height, at))):
            at, height = following[0], LaneHeight(height + 1)
            signed = lane.batches.get(at)
            enough -= 0 if signed is None else len(signed.batch.attestations)
        return enough <= 0

    def tips_from(self, cut: Cut, steps: int | None = None) -> Cut:
        """``tip_from`` of every lane of a cut."""
        return tuple(self.tip_from(tip, steps) for tip in cut)

    def between(self, below: LaneTip, tip: LaneTip) -> list[SignedBatch] | LaneTip | None:
        """The batches above ``below`` up to ``tip``, ascending; the first one missing (walking down); or None when
        ``tip`` does not extend ``below``."""
        rows: list[SignedBatch] = []
        at, height = tip.digest, tip.height
        while height > below.height:
            signed = self.get(tip.owner, at)
            if signed is None:
                return LaneTip(tip.owner, height, at)
            if signed.batch.lane_height != height:
                return None
            rows.append(signed)
            at, height = signed.batch.parent, LaneHeight(height - 1)
        if (height, at) != (below.height, below.digest):
            return None
        rows.reverse()
        return rows

    def down_from(self, tip: LaneTip, above: LaneHeight) -> Iterator[SignedBatch]:
        """Held batches from ``tip`` downwards, above height ``above``, at most FETCH_BATCHES_MAX."""
        at = tip.digest
        for _ in range(limits.FETCH_BATCHES_MAX):
            signed = self.get(tip.owner, at)
            if signed is None or signed.batch.lane_height <= above:
                return
            yield signed
            at = signed.batch.parent

    def find_down(self, digest: Digest, above: LaneHeight) -> Iterator[SignedBatch]:
        """``down_from`` for a batch of whichever lane holds it."""
        for owner in self.lanes:
            signed = self.get(owner, digest)
            if signed is not None:
                yield from self.down_from(LaneTip(owner, signed.batch.lane_height, digest), above)

    def pack_below(self, cut: Cut) -> None:
        """Batches at or below the cut's heights are asked for seldom: keep their bytes alone."""
        for tip in cut:
            lane = self.lanes[tip.owner]
            for height in range(lane.packed_to + 1, tip.height + 1):
                for digest in lane.heights.get(LaneHeight(height), ()):
                    signed = lane.batches.pop(digest, None)
                    if signed is not None:
                        lane.packed[digest] = Packed(signed.signature, signed.batch.encode(), signed.batch.parent)
            lane.packed_to = max(lane.packed_to, tip.height)

    def forget_below(self, cut: Cut) -> None:
        """Drop every batch at or below the cut's heights."""
        for tip in cut:
            lane = self.lanes[tip.owner]
            lane.forgotten_to = max(lane.forgotten_to, tip.height)
            for height in [h for h in lane.heights if h <= tip.height]:
                for digest in lane.heights.pop(height):
                    if digest in lane.packed:
                        parent = lane.packed.pop(digest).parent
                    else:
                        parent = lane.batches.pop(digest).batch.parent
                    lane.children.pop((LaneHeight(height - 1), parent), None)
