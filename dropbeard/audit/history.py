"""A pile of certificates as one history: order, gaps, versions, and how each owner did. Pure and deterministic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dropbeard.audit.certificates import BadFile, Seen
from dropbeard.audit.contradictions import Contradiction, against_ledger, contradictions
from dropbeard.audit.findings import BlockRow
from dropbeard.types.entries import EntryKind
from dropbeard.types.ids import Digest, OwnerId, RequestId, Version
from dropbeard.types.task import PROBABILITY_ONE
from dropbeard.verification.lineage import Lineage


@dataclass(slots=True)
class OwnerRecord:
    """How an owner did in the agreed requests of the epochs that it belonged to, each request once.

    It promised its answer ``in_time`` for the entry, ``late`` (in a supplement, at most ``late_blocks_max`` blocks
    higher), or is ``absent`` from the certificates at hand. Of the answers that are ``opened``, ``decided`` stand in
    certificates that decide something; ``disagreed`` of them do not agree with it at all (they put another class
    first), and ``apart`` is what they all lack of full agreement, each 0 to 65535 (``dropbeard.aggregate.agreement``).
    """

    owner: OwnerId
    name: str
    requests: int = 0
    in_time: int = 0
    late: int = 0
    absent: int = 0
    late_blocks_max: int = 0
    opened: int = 0
    decided: int = 0
    disagreed: int = 0
    apart: int = 0

    @property
    def disagreement(self) -> float | None:
        """Mean over ``decided``, 0 to 1: of classes the share of ``disagreed``. None: not known."""
        return self.apart / (self.decided * PROBABILITY_ONE) if self.decided else None


@dataclass(frozen=True, slots=True)
class VersionSpan:
    """From which height to which the promises of an owner name this version and model."""

    owner: OwnerId
    version: Version
    model: Digest
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Heights ``first`` to ``last`` hold ``entries``, supplements included, of which ``without`` are in no certificate
    here; None: not known, because no certificate is of these heights and no ledger was given.
    """

    first: int
    last: int
    entries: int | None
    without: int | None


@dataclass(frozen=True, slots=True)
class LedgerView:
    """What a replayed ledger adds: its blocks, and the digests of all blocks that its directory holds."""

    rows: Sequence[BlockRow]
    digests: frozenset[Digest]


@dataclass(slots=True)
class History:
    """``order``: of each request the certificate with the most answers, as the group ordered them; ``duplicates``: the
    files of requests that have several; ``uncertified``: agreed or expired requests of the ledger that no certificate
    here is about, None without a ledger.
    """

    bad: list[BadFile]
    order: list[Seen]
    valid: int
    duplicates: list[tuple[RequestId, list[Path]]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    versions: list[VersionSpan] = field(default_factory=list)
    owners: list[OwnerRecord] = field(default_factory=list)
    contradictions: list[Contradiction] = field(default_factory=list)
    uncertified: int | None = None


def history_of(lineage: Lineage, read: Iterable[Seen | BadFile], ledger: LedgerView | None = None) -> History:
    """Put together what was read, in whichever order it came."""
    rows = sorted(read, key=lambda row: row.path)
    bad = [row for row in rows if isinstance(row, BadFile)]
    valid = sorted((row for row in rows if isinstance(row, Seen)), key=lambda row: row.place)
    by_request: dict[RequestId, list[Seen]] = defaultdict(list)
    for row in valid:
        by_request[row.request].append(row)
    order = sorted((max(given, key=_fullness) for given in by_request.values()), key=lambda row: row.place)
    repeated = [(request, [row.path for row in given]) for request, given in by_request.items() if len(given) > 1]
    wrong = contradictions(valid)
    if ledger is not None:
        wrong += against_ledger(valid, ledger.rows, ledger.digests)
    return History(
        bad=bad,
        order=order,
        valid=len(valid),
        duplicates=sorted(repeated),
        gaps=gaps_of(valid, None if ledger is None else ledger.rows),
        versions=_versions(order),
        owners=_owners(lineage, order),
        contradictions=wrong,
        uncertified=None if ledger is None else _uncertified(order, ledger.rows),
    )


def _uncertified(order: Iterable[Seen], rows: Sequence[BlockRow]) -> int:
    heights = {row.height for row in rows}
    return sum(row.agreed + row.expired for row in rows) - sum(seen.block.height in heights for seen in order)


def _fullness(row: Seen) -> tuple[int, int]:
    """More answers, then more promises; of equals, ``max`` takes the first."""
    return len(row.opened), len(row.promises)


def gaps_of(seen: Iterable[Seen], ledger: Sequence[BlockRow] | None = None) -> list[Gap]:
    """Entries of blocks that no certificate shows, neighbours put together. A block says how many it holds."""
    entries: dict[int, int] = {}
    covered: dict[int, set[int]] = defaultdict(set)
    for row in seen:
        for height, index, count in row.leaves:
            entries[height] = count
            covered[height].add(index)
    for block in ledger or ():
        entries[block.height] = block.agreed + block.expired + block.supplements
    gaps: list[Gap] = []
    before: int | None = None
    for at in sorted(entries):
        if before is not None and at > before + 1:
            gaps.append(Gap(before + 1, at - 1, None, None))
        without = entries[at] - len(covered.get(at, ()))
        if without > 0:
            _extend(gaps, Gap(at, at, entries[at], without))
        before = at
    return gaps


def _extend(gaps: list[Gap], more: Gap) -> None:
    """One row for neighbouring heights."""
    last = gaps[-1] if gaps else None
    if last is None or last.last + 1 != more.first or last.entries is None or last.without is None:
        gaps.append(more)
        return
    gaps[-1] = Gap(last.first, more.last, last.entries + (more.entries or 0), last.without + (more.without or 0))


def _versions(order: Iterable[Seen]) -> list[VersionSpan]:
    spans: dict[tuple[OwnerId, Version, Digest], tuple[int, int]] = {}
    for row in order:
        for promise in row.promises:
            key = promise.owner, promise.version, promise.model
            first, last = spans.get(key, (promise.height, promise.height))
            spans[key] = min(first, promise.height), max(last, promise.height)
    found = [VersionSpan(*key, *heights) for key, heights in spans.items()]
    return sorted(found, key=lambda span: (span.owner, span.first, span.version, span.model))


def _owners(lineage: Lineage, order: Iterable[Seen]) -> list[OwnerRecord]:
    records: Mapping[OwnerId, OwnerRecord] = {
        owner.id: OwnerRecord(owner.id, owner.name) for group in lineage.groups for owner in group.owners
    }
    for row in order:
        if row.kind is EntryKind.AGREED:
            late = {promise.owner: promise.height - row.block.height for promise in row.promises if promise.late}
            promised = {promise.owner for promise in row.promises}
            for owner in lineage.groups[row.block.epoch].members:
                _count(records[owner], row, promised, late)
    return [records[owner] for owner in sorted(records)]


def _count(record: OwnerRecord, row: Seen, promised: set[OwnerId], late: Mapping[OwnerId, int]) -> None:
    record.requests += 1
    if record.owner in late:
        record.late += 1
        record.late_blocks_max = max(record.late_blocks_max, late[record.owner])
    elif record.owner in promised:
        record.in_time += 1
    else:
        record.absent += 1
    record.opened += record.owner in row.opened
    agreed = row.agreements.get(record.owner)
    if agreed is not None:
        record.decided += 1
        record.disagreed += not agreed
        record.apart += PROBABILITY_ONE - agreed
