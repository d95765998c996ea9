"""Slow and silent owners: when a certificate counts as late, and whom a hedging client no longer waits for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dropbeard.types.group import Group
from dropbeard.types.ids import OwnerId
from dropbeard.types.parameters import MILLISECOND
from dropbeard.verification.certificate import Verified

HEDGE_AFTER_US: Final = 500 * MILLISECOND
"""Enough owners have answered, and the certificate is this late: f+1 of them are asked for it, by the request's id."""

SILENT_AFTER: Final = 4
"""Certificates in a row without an owner's answer, after which a hedging client has no patience for it."""

PROBE_EVERY: Final = 32
"""A hedging client keeps its whole patience for one request in so many: who was slow may be fast again."""


@dataclass(slots=True)
class Silence:
    """Which owners are missing from the latest certificates."""

    missed: dict[OwnerId, int] = field(default_factory=dict)
    """Certificates in a row that lack an owner's answer; nothing of owners that were in the last one."""
    _hedged: int = 0

    def note(self, verified: Verified, group: Group) -> None:
        """A certificate came."""
        answered = {answer.owner for answer in verified.answers}
        for owner in group.members:
            if owner in answered:
                self.missed.pop(owner, None)
            else:
                self.missed[owner] = self.missed.get(owner, 0) + 1

    def patience_us(self, wished_us: int, group: Group) -> int:
        """None when at most ``answers`` owners are left that are not silent, but now and then what was wished."""
        silent = sum(missed >= SILENT_AFTER for missed in self.missed.values())
        if not silent or group.n - silent > group.answers:
            return wished_us
        self._hedged += 1
        return 0 if self._hedged % PROBE_EVERY else wished_us
