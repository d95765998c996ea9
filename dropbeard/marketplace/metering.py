"""Usage of a month as a pure function of the ledger (rule 8.2): the same ledger gives the same numbers everywhere.

A block belongs to the month in which its time lies (rule 3.1), in UTC; a month begins with its first microsecond and
ends before the next one's. An answer is counted in the block whose entry holds it, and so once: a request gets one
agreed or one expired entry, and an owner stands in it or in one supplement.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

from dropbeard.errors import ConfigInvalid
from dropbeard.types.blocks import Header
from dropbeard.types.entries import Entry, EntryKind
from dropbeard.types.ids import ClientKey, Digest, Epoch, Height, OwnerId, TimeUs, Version
from dropbeard.types.parameters import SECOND

_MONTH: Final = re.compile(r"(?P<year>[0-9]{4})-(?P<month>0[1-9]|1[0-2])")
FIRST_YEAR: Final = 1970
DAY_US: Final = 86_400 * SECOND


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month in UTC: microseconds since 1970 from ``start`` to before ``end``."""

    name: str
    start: TimeUs
    end: TimeUs


def month_of(text: str) -> Month:
    """Read ``YYYY-MM``; ConfigInvalid when it is no month."""
    found = _MONTH.fullmatch(text)
    if found is None or int(found["year"]) < FIRST_YEAR:
        raise ConfigInvalid(f"{text!r} is no month: write it as 2026-11")
    year, month = int(found["year"]), int(found["month"])
    start = calendar.timegm((year, month, 1, 0, 0, 0)) * SECOND
    return Month(text, TimeUs(start), TimeUs(start + calendar.monthrange(year, month)[1] * DAY_US))


class Service(NamedTuple):
    """Whose answers to whom, by which model."""

    owner: OwnerId
    client: ClientKey
    version: Version
    model: Digest


class Counts(NamedTuple):
    """Answers in ``agreed`` entries; ``late`` ones, in supplements; those in entries of requests that ``expired``."""

    agreed: int = 0
    late: int = 0
    expired: int = 0

    def plus(self, other: Counts) -> Counts:
        """The sums."""
        return Counts(self.agreed + other.agreed, self.late + other.late, self.expired + other.expired)


ONE: Final = {
    EntryKind.AGREED: Counts(agreed=1),
    EntryKind.SUPPLEMENT: Counts(late=1),
    EntryKind.EXPIRED: Counts(expired=1),
}


class BlockEnd(NamedTuple):
    """A block at an end of the range."""

    height: Height
    digest: Digest


@dataclass(frozen=True, slots=True)
class Usage:
    """What a month's blocks hold. ``first`` and ``last``: the lowest and the highest of them that are known.
    ``missing``: ranges of heights, ends included, that are or may be of the month and whose entries are not there.

    ``closed``: a block at or after the month's end is known, so nothing more can be added to it. ``tip``: the highest
    block that was looked at.
    """

    month: Month
    first: BlockEnd | None
    last: BlockEnd | None
    epochs: tuple[Epoch, ...]
    missing: tuple[tuple[int, int], ...]
    closed: bool
    tip: Height
    counts: dict[Service, Counts]
    """By service, ascending."""

    @property
    def is_complete(self) -> bool:
        """Was every block of the month that the ledger has counted?"""
        return not self.missing


class _Seen(NamedTuple):
    height: Height
    time: TimeUs
    counted: bool


@dataclass(slots=True)
class Meter:
    """Counts while a ledger is replayed: ``see`` is a witness for ``audit_ledger``. Blocks above ``through`` are as if
    they were not there.
    """

    month: Month
    through: Height | None = None
    _seen: dict[Height, _Seen] = field(default_factory=dict)
    _ends: list[BlockEnd] = field(default_factory=list)
    _epochs: dict[Epoch, None] = field(default_factory=dict)
    _counts: dict[Service, Counts] = field(default_factory=dict)

    def see(self, header: Header, entries: tuple[Entry, ...] | None) -> None:
        """Take the next block; closing blocks have no height of their own and no entries (rule 8.4)."""
        known = self._seen.get(header.height)
        if header.is_closing or (self.through is not None and header.height > self.through) or known is not None:
            return
        self._seen[header.height] = _Seen(header.height, header.time, entries is not None)
        if not self.month.start <= header.time < self.month.end:
            return
        self._ends[1:] = [BlockEnd(header.height, header.digest)]
        self._epochs[header.epoch] = None
        for entry in entries or ():
            for promise in entry.promises:
                service = Service(promise.owner, entry.client, promise.version, promise.model)
                self._counts[service] = self._counts.get(service, Counts()).plus(ONE[entry.kind])

    def usage(self) -> Usage:
        """What was counted, once the replay is over."""
        seen = sorted([_Seen(Height(0), TimeUs(0), True), *self._seen.values()])
        return Usage(
            self.month,
            self._ends[0] if self._ends else None,
            self._ends[-1] if self._ends else None,
            tuple(sorted(self._epochs)),
            tuple(_joined([*_gaps(seen, self.month), *_uncounted(seen, self.month)])),
            any(block.time >= self.month.end for block in seen),
            seen[-1].height,
            dict(sorted(self._counts.items())),
        )


def _gaps(seen: Sequence[_Seen], month: Month) -> list[tuple[int, int]]:
    """Heights of which not even a header is there, and that may be of the month: time never goes back (rule 3.1)."""
    return [
        (below.height + 1, above.height - 1)
        for below, above in pairwise(seen)
        if above.height > below.height + 1 and below.time < month.end and above.time >= month.start
    ]


def _uncounted(seen: Sequence[_Seen], month: Month) -> list[tuple[int, int]]:
    """Blocks of the month of which only the header is there."""
    return [(row.height, row.height) for row in seen if not row.counted and month.start <= row.time < month.end]


def _joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending, and those that touch made one."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found
