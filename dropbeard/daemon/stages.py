"""How long requests take in this node, stage by stage, and what became of them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from dropbeard.agreement.effects import Broadcast, SendClient
from dropbeard.agreement.events import AnswersCame, Event, RequestCame
from dropbeard.agreement.turn import Outgoing
from dropbeard.types.entries import Entry, EntryKind
from dropbeard.types.ids import RequestId
from dropbeard.types.messages import BatchNotice, Openings, PeerMessage, Proposal, Rejected, Reply
from dropbeard.types.status import StagePart
from dropbeard.types.votes import SignedVote

STEP: Final = 1.15
"""Each bucket's bound over the one before it: a percentile is at most this much too high."""

FIRST_US: Final = 100
LAST_US: Final = 120_000_000
SLOT_US: Final = 10_000_000
SLOTS: Final = 6
"""The last minute in parts of ten seconds, of which the oldest is dropped."""

REQUESTS_MAX: Final = 65_536
"""Requests whose stages are being followed; the oldest makes room."""

STAGES: Final = ("infer", "promise", "agree", "total")
OUTCOMES: Final = {kind: kind.name.lower() for kind in EntryKind}


def _bounds() -> tuple[int, ...]:
    found = [FIRST_US]
    while found[-1] < LAST_US:
        found.append(int(found[-1] * STEP))
    return tuple(found)


BOUNDS_US: Final = _bounds()


class Durations:
    """Durations in microseconds, counted in buckets: all of them, and those of the last minute."""

    def __init__(self) -> None:
        self._all = [0] * (len(BOUNDS_US) + 1)
        self._recent: list[tuple[int, list[int]]] = []
        self._sum_us = 0

    def note(self, took_us: int, now_us: int, count: int = 1) -> None:
        """``count`` more that took as long, at ``now_us`` of the monotonic clock."""
        bucket = bisect_left(BOUNDS_US, took_us)
        slot = now_us // SLOT_US
        if not self._recent or self._recent[-1][0] != slot:
            self._recent = [*self._recent[1 - SLOTS :], (slot, [0] * (len(BOUNDS_US) + 1))]
        self._all[bucket] += count
        self._recent[-1][1][bucket] += count
        self._sum_us += count * took_us

    def part(self, stage: str, now_us: int) -> StagePart:
        """The figures under this name; every fifth bucket's bound is enough for a monitor."""
        oldest = now_us // SLOT_US - SLOTS
        slots = [counts for slot, counts in self._recent if slot > oldest]
        recent = [sum(column) for column in zip(*slots, strict=True)] if slots else []
        buckets, below = [], 0
        for index, bound in enumerate(BOUNDS_US):
            below += self._all[index]
            if index % 5 == 0:
                buckets.append((bound, below))
        return StagePart(
            stage=stage,
            recent=sum(recent),
            p50_us=_percentile(recent, 0.5),
            p99_us=_percentile(recent, 0.99),
            count=sum(self._all),
            sum_us=self._sum_us,
            buckets=buckets,
        )


def _percentile(counts: Sequence[int], share: float) -> int | None:
    """The upper bound of the bucket that this share of what was counted does not pass."""
    left = share * sum(counts)
    if not left:
        return None
    for bound, count in zip(BOUNDS_US, counts, strict=False):
        left -= count
        if left <= 0:
            return bound
    return LAST_US


class _Journey:
    """Where a request is, and when it came there."""

    __slots__ = ("came_us", "done", "since_us")

    def __init__(self, came_us: int) -> None:
        self.came_us = self.since_us = came_us
        self.done = 0
        """Stages behind it."""


class Stages:
    """Follows the requests that clients sent to this node: answered by the engine, promised, in a final block."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.votes: Counter[str] = Counter()
        self._durations = {stage: Durations() for stage in STAGES}
        self._under_way: dict[RequestId, _Journey] = {}

    def came(self, events: Sequence[Event], now_us: int) -> None:
        """What a turn is about to handle."""
        for event in events:
            if isinstance(event, RequestCame):
                self._start(event.request.id, now_us)
            elif isinstance(event, AnswersCame):
                self._pass((request for request, _ in event.answers), 0, now_us)

    def _start(self, request: RequestId, now_us: int) -> None:
        if request in self._under_way:
            return
        if len(self._under_way) >= REQUESTS_MAX:
            del self._under_way[next(iter(self._under_way))]
        self._under_way[request] = _Journey(now_us)

    def _pass(self, requests: Iterable[RequestId], stage: int, now_us: int) -> None:
        under_way = self._under_way
        since: dict[int, int] = {}
        for request in requests:
            journey = under_way.get(request)
            if journey is not None and journey.done == stage:
                since[journey.since_us] = since.get(journey.since_us, 0) + 1
                journey.done, journey.since_us = stage + 1, now_us
        self._note(STAGES[stage], since, now_us)

    def _note(self, stage: str, since: dict[int, int], now_us: int) -> None:
        """Those that were as long in this stage, at once: what one turn handles came in few turns."""
        for since_us, count in since.items():
            self._durations[stage].note(now_us - since_us, now_us, count)

    def sent(self, outgoing: Sequence[Outgoing], now_us: int) -> None:
        """What a turn sends, its promises being on disk."""
        for effect in outgoing:
            if isinstance(effect, Broadcast):
                self._count_vote(effect.message)
            if not isinstance(effect, SendClient):
                continue
            message = effect.message
            if isinstance(message, Openings):
                self._pass((opening.request for opening in message.openings), 1, now_us)
            elif isinstance(message, Reply):
                self._end([entry for _, entry in message.entries], now_us)
            elif isinstance(message, Rejected) and self._under_way.pop(message.request, None) is not None:
                self.outcomes[f"rejected_{message.reason.name.lower()}"] += 1

    def _count_vote(self, message: PeerMessage) -> None:
        if isinstance(message, SignedVote):
            self.votes[type(message.vote).__name__.lower()] += 1
        elif isinstance(message, Proposal):
            self.votes["proposal"] += 1
        elif isinstance(message, BatchNotice):
            self.votes["batch"] += 1

    def _end(self, entries: Sequence[Entry], now_us: int) -> None:
        self._pass((entry.request for entry in entries), 2, now_us)
        came: dict[int, int] = {}
        for entry in entries:
            journey = self._under_way.pop(entry.request, None)
            if journey is not None:
                self.outcomes[OUTCOMES[entry.kind]] += 1
                if entry.kind is not EntryKind.EXPIRED:
                    came[journey.came_us] = came.get(journey.came_us, 0) + 1
        self._note("total", came, now_us)

    def parts(self, now_us: int) -> list[StagePart]:
        """Every stage."""
        return [self._durations[stage].part(stage, now_us) for stage in STAGES]

    def per_second(self, now_us: int, uptime_us: int) -> float:
        """Requests that reached a final block, over the last minute or since the start."""
        recent = self._durations["total"].part("total", now_us).recent
        return round(recent * 1e6 / max(1, min(SLOTS * SLOT_US, uptime_us)), 2)
