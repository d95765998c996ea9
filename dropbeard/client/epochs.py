"""How a session follows its group from one epoch to the next while requests are under way, sans IO (rule 8.4).

A node's welcome and the headers of its replies name its epoch. Of one that is ahead of ours we ask what ended ours;
that proves itself from the genesis on, so any node may show it. Replies of an epoch that is not known yet wait for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from dropbeard.errors import LedgerInvalid
from dropbeard.types.ids import Epoch, OwnerId
from dropbeard.types.messages import Reply
from dropbeard.types.parameters import SECOND
from dropbeard.types.succession import Succession
from dropbeard.verification.lineage import Lineage

EARLY_REPLIES_MAX: Final = 1_024
"""Replies of an epoch that is not known here yet; the oldest makes room, and a repeated request brings it again."""

ASK_AGAIN_US: Final = SECOND
"""A node that is ahead and did not show what ended our epoch is asked again after this long."""


@dataclass(slots=True)
class EpochFollower:
    """``lineage``: the epochs known so far, the genesis' first."""

    lineage: Lineage
    _ahead: dict[OwnerId, Epoch] = field(default_factory=dict)
    """The latest epoch that each node spoke of, where that is beyond ours."""
    _asked_us: dict[OwnerId, int] = field(default_factory=dict)
    """When each node was last asked; only who was asked is listened to."""
    _early: deque[tuple[OwnerId, Reply]] = field(default_factory=lambda: deque(maxlen=EARLY_REPLIES_MAX))

    @property
    def epoch(self) -> Epoch:
        """The latest epoch known."""
        return self.lineage.groups[-1].epoch

    def heard(self, owner: OwnerId, epoch: Epoch) -> None:
        """A node speaks of this epoch as its own."""
        if epoch > self.epoch:
            self._ahead[owner] = max(epoch, self._ahead.get(owner, epoch))

    def keep(self, owner: OwnerId, reply: Reply) -> bool:
        """Keep a reply for later when its epoch is not known yet."""
        epoch = reply.headers[0].epoch
        self.heard(owner, epoch)
        if epoch <= self.epoch:
            return False
        self._early.append((owner, reply))
        return True

    def to_ask(self, now_us: int) -> list[OwnerId]:
        """Nodes to ask now what ended our epoch."""
        due = [o for o in self._ahead if now_us - self._asked_us.get(o, -ASK_AGAIN_US) >= ASK_AGAIN_US]
        self._asked_us.update(dict.fromkeys(due, now_us))
        return due

    def follow(self, owner: OwnerId, given: Succession) -> bool:
        """Take in what a node that was asked shows; True when it led into the next epoch."""
        if given.epoch != self.epoch or self._asked_us.pop(owner, None) is None:
            return False
        try:
            self.lineage = self.lineage.followed_by(given)
        except LedgerInvalid:
            self._ahead.pop(owner, None)  # a node's fault; another one shows the right one
            return False
        self._ahead = {o: epoch for o, epoch in self._ahead.items() if epoch > self.epoch}
        self._asked_us.clear()
        return True

    def due_replies(self) -> Iterable[tuple[OwnerId, Reply]]:
        """What waited for the epoch that is known now; the rest goes on waiting."""
        waiting, self._early = self._early, deque(maxlen=EARLY_REPLIES_MAX)
        for owner, reply in waiting:
            if not self.keep(owner, reply):
                yield owner, reply
