"""May this node be stopped for a while, by what it knows of the others?"""

from __future__ import annotations

from typing import Final

import msgspec

from dropbeard.daemon.vitals import IN_SIGHT_INTERVALS
from dropbeard.errors import NodeUnreachable
from dropbeard.types.status import NodeStatus, PeerPart

BEHIND_MAX: Final = 16
"""Blocks that another node may have been behind when it last said where it is."""

READY: Final = ("serves", "untold")
"""What a node says of itself that goes on; nodes of older releases say nothing."""


class UpgradeCheck(msgspec.Struct, frozen=True):
    """``ready``: the other nodes that carry the group meanwhile; ``not_ready``: why each of the rest does not."""

    owner: str
    needed: int
    ready: list[str]
    not_ready: dict[str, str]

    @property
    def may_stop(self) -> bool:
        """Enough others for a quorum of votes and for the answers that a request needs."""
        return len(self.ready) >= self.needed

    def text(self) -> str:
        """In a line."""
        why = "; ".join(f"{owner} {reason}" for owner, reason in self.not_ready.items())
        others = f"{len(self.ready)} others are ready, {self.needed} are needed while {self.owner} is down"
        return f"{others}: {why}" if why else others


def check_upgrade(status: NodeStatus, status_interval_us: int) -> UpgradeCheck:
    """By the last status of each other; NodeUnreachable when the running node is of a release that does not tell."""
    chain = status.chain
    if chain.needed is None:
        raise NodeUnreachable("the running node is of a release that does not tell what the group needs")
    lately_us = IN_SIGHT_INTERVALS * status_interval_us
    found = {peer.owner: _unready(peer, chain.epoch, lately_us) for peer in chain.peers}
    ready = [owner for owner, why in found.items() if why is None]
    return UpgradeCheck(status.owner, chain.needed, ready, {o: why for o, why in found.items() if why is not None})


def _unready(peer: PeerPart, epoch: int, lately_us: int) -> str | None:
    """Why another node does not count, in words for people."""
    if not peer.understood:
        return f"speaks wire version {peer.wire}, which this node does not understand"
    if peer.said_us_ago is None or peer.said_us_ago > lately_us:
        return "is not heard"
    if peer.epoch != epoch:
        return f"is in epoch {peer.epoch}, this node in {epoch}"
    if peer.presence not in READY:
        return "waits for its engine" if peer.presence == "waits" else peer.presence
    if peer.behind is None or peer.behind > BEHIND_MAX:
        return f"is {peer.behind} blocks behind"
    return None
