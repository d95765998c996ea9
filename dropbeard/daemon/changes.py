"""Owners' votes for a change of the membership, from their files to the lane (rule 8.4).

``dropbeard group submit`` puts a vote into the node's state directory; the node keeps it, also over a restart, until
the epoch is over. Once a quorum of owners wants one and the same configuration, its lane carries the change.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dropbeard.agreement.events import ChangeWasSigned, Event
from dropbeard.agreement.replica_state import ReplicaState
from dropbeard.daemon.tray import Tray
from dropbeard.errors import ChangeRefused, ConfigInvalid
from dropbeard.storage.files import read_text
from dropbeard.types.checking import SignatureChecker
from dropbeard.types.group import Group
from dropbeard.types.ids import OwnerId
from dropbeard.types.membership import SignedChange, configuration_digest, following_group
from dropbeard.types.proposals import differences, vote_fault
from dropbeard.types.vote_file import VOTE_BYTES_MAX, ChangeVote, vote_from_toml

log = logging.getLogger("dropbeard.node")

VOTES: Final = "votes"
"""The directory, in the state directory, of the votes that count in the present epoch."""

VOTES_MAX: Final = 256
"""Votes that are kept: four for each of 64 owners."""

LOOK_EVERY_US: Final = 500_000
CARRY_EVERY_US: Final = 10_000_000
"""A change that no block ordered is put into the lane again after this long."""


def vote_tray(directory: Path) -> Tray:
    """Where votes are put."""
    return Tray(directory, "vote", ChangeRefused)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A configuration that owners want, and who they are, ascending."""

    configuration: bytes
    votes: tuple[ChangeVote, ...]

    def signed(self) -> SignedChange:
        """The change with everyone's signature."""
        return SignedChange(self.configuration, tuple((vote.owner, vote.signature) for vote in self.votes))

    def text(self, group: Group) -> str:
        """What changes, in one line."""
        return "; ".join(differences(group, following_group(group, self.configuration)))

    def standing(self, group: Group) -> str:
        """Who voted, and how many lack."""
        voted = {vote.owner for vote in self.votes}
        lacking = max(0, group.quorum - len(voted))
        said = f"{len(voted)} of {group.quorum} votes ({_names(group, voted)})"
        others = [owner for owner in group.members if owner not in voted]
        return said + (f", {lacking} more needed of {_names(group, others)}" if lacking else "")


def _names(group: Group, owners: Iterable[OwnerId]) -> str:
    return ", ".join(group.member(owner).name for owner in sorted(owners)) or "nobody"


def read_votes(directory: Path, group: Group, checker: SignatureChecker) -> list[ChangeVote]:
    """Votes in a node's state directory that count in this group's epoch."""
    found = []
    for path in sorted((directory / VOTES).glob("*.toml"))[:VOTES_MAX]:
        try:
            vote = vote_from_toml(read_text(path, VOTE_BYTES_MAX, "the vote"), str(path))
        except ConfigInvalid as wrong:
            log.warning("vote-refused reason=%s", wrong)
            continue
        if vote_fault(group, vote, checker) is None:
            found.append(vote)
    return found


def proposals_of(votes: Iterable[ChangeVote]) -> list[Proposal]:
    """The configurations that are voted for, those with the most votes first."""
    by_configuration: dict[bytes, dict[OwnerId, ChangeVote]] = {}
    for vote in votes:
        by_configuration.setdefault(vote.configuration, {}).setdefault(vote.owner, vote)
    found = [
        Proposal(configuration, tuple(vote for _, vote in sorted(rows.items())))
        for configuration, rows in by_configuration.items()
    ]
    return sorted(found, key=lambda proposal: (-len(proposal.votes), configuration_digest(proposal.configuration)))


class ChangeDesk:
    """Takes votes, one file at a time, and has the lane carry what a quorum wants."""

    def __init__(self, directory: Path, state: ReplicaState) -> None:
        self._directory = directory
        self._state = state
        self._tray = vote_tray(directory)
        self._next_us = 0
        self._carry_us = 0
        self._epoch = state.group.epoch
        self._sweep()
        self._votes = read_votes(directory, state.group, state.judge.checker)

    def look(self, now_us: int) -> list[Event]:
        """Every half second: is there a vote, and does a quorum want something?"""
        if now_us < self._next_us:
            return []
        self._next_us = now_us + LOOK_EVERY_US
        if self._state.group.epoch != self._epoch:
            self._forget()
        if not self._tray.is_empty:
            self._take()
        return self._carry(now_us)

    def _forget(self) -> None:
        """The epoch is over, and its votes with it."""
        self._epoch, self._votes, self._carry_us = self._state.group.epoch, [], 0
        self._sweep()

    def _sweep(self) -> None:
        for path in (self._directory / VOTES).glob("*.toml"):
            if not path.name.startswith(f"{self._epoch}-"):
                path.unlink(missing_ok=True)

    def _take(self) -> None:
        group = self._state.group
        try:
            text = self._tray.take(VOTE_BYTES_MAX)
            vote = vote_from_toml(text, str(self._tray.wanted))
        except ConfigInvalid as wrong:
            self._tray.finish(False, str(wrong))
            return
        fault = vote_fault(group, vote, self._state.judge.checker)
        ending = self._state.chain.base.succeeding
        if fault is None and ending is not None and ending.epoch == group.epoch:
            fault = f"a change is ordered already; epoch {group.epoch} ends at height {ending.last}"
        if fault is None and not self._state.is_member:
            fault = "this node's owner is not in the group; hand the vote to one whose owner is"
        if fault is None and len(self._votes) >= VOTES_MAX:
            fault = f"{VOTES_MAX} votes are kept already; remove some from {self._directory / VOTES}"
        if fault is not None:
            self._tray.finish(False, fault)
            return
        self._keep(vote, text)
        wanted = next(p for p in proposals_of(self._votes) if p.configuration == vote.configuration)
        enough = len(wanted.votes) >= group.quorum
        follows = "the lane carries the change" if enough else "they count at this node alone, so hand them to it"
        self._tray.finish(True, f"{wanted.text(group)}: {wanted.standing(group)}; {follows}")

    def _keep(self, vote: ChangeVote, text: str) -> None:
        name = f"{vote.epoch}-{configuration_digest(vote.configuration).hex()[:16]}-{vote.owner}.toml"
        directory = self._directory / VOTES
        directory.mkdir(exist_ok=True)
        scratch = directory / f"{name}.new"
        scratch.write_text(text)
        scratch.replace(directory / name)
        others = [kept for kept in self._votes if (kept.owner, kept.configuration) != (vote.owner, vote.configuration)]
        self._votes = [*others, vote]

    def _carry(self, now_us: int) -> list[Event]:
        state, ending = self._state, self._state.chain.base.succeeding
        ordered = ending is not None and ending.epoch == state.group.epoch
        best = next(iter(proposals_of(self._votes)), None) if self._votes else None
        if ordered or best is None or len(best.votes) < state.group.quorum or not state.may_speak:
            return []
        if now_us < self._carry_us:
            return []
        self._carry_us = now_us + CARRY_EVERY_US
        log.info("change-carried epoch=%d change=%s", state.group.epoch, best.text(state.group))
        return [ChangeWasSigned(best.signed())]
