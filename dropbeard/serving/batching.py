"""The engine's queue, sans-IO: time comes in as an argument, batches and shed items go out (rule 2.4).

A batch leaves as soon as the engine can take one: nothing waits for company. The earliest deadline goes first,
what cannot finish in time is handed back so that the node can be told, and credits tell the node how much more
it may send. What was taken before and is not finished counts: a batch starts after those. Times are integer
microseconds of any one clock.
"""

from __future__ import annotations

import enum
import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

T = TypeVar("T")

DECAY: Final = 0.9
"""Weight of the past when a batch's cost is measured: about the last ten batches count."""


class BatchCost:
    """Predicts a batch's time as a + c * size, by least squares over exponentially fading measurements."""

    def __init__(self) -> None:
        self._weight = 0.0
        self._size = 0.0
        self._took = 0.0
        self._size_size = 0.0
        self._size_took = 0.0

    def observe(self, size: int, took_us: int) -> None:
        """A batch of ``size`` took that long."""
        self._weight = self._weight * DECAY + 1
        self._size = self._size * DECAY + size
        self._took = self._took * DECAY + took_us
        self._size_size = self._size_size * DECAY + size * size
        self._size_took = self._size_took * DECAY + size * took_us

    def predict_us(self, size: int) -> int:
        """Expected time of a batch; 0 while nothing was measured."""
        if self._weight == 0:
            return 0
        fixed, each = self._line()
        return round(fixed + each * size)

    def _line(self) -> tuple[float, float]:
        through_zero = (0.0, self._size_took / self._size_size)
        spread = self._weight * self._size_size - self._size * self._size
        if spread < 1e-6 * self._size_size:  # one size only: nothing tells the fixed part from the rest
            return through_zero
        each = (self._weight * self._size_took - self._size * self._took) / spread
        if each < 0:  # noise; a larger batch is never cheaper
            return self._took / self._weight, 0.0
        fixed = (self._took - each * self._size) / self._weight
        return (fixed, each) if fixed >= 0 else through_zero


class Admission(enum.Enum):
    """The queue's answer to one item."""

    ACCEPTED = "accepted"
    BUSY = "busy"


@dataclass(frozen=True, slots=True, order=True)
class _Entry(Generic[T]):
    deadline_us: int
    order: int
    item: T = field(compare=False)


@dataclass(frozen=True, slots=True)
class Taken(Generic[T]):
    """What left the queue: to run now, and what is too late."""

    batch: tuple[T, ...]
    shed: tuple[T, ...]


class Batcher(Generic[T]):
    """A bounded queue by deadline; equal deadlines leave in the order they came."""

    def __init__(self, max_batch: int, queue_max: int, cost: BatchCost, preferred: Sequence[int] = ()) -> None:
        """``preferred`` batch sizes, ascending: what an engine was tuned for."""
        if max_batch < 1 or queue_max < 1:
            raise ValueError("max_batch and queue_max are at least 1")
        self._preferred = [size for size in preferred if size <= max_batch]
        self._taken: deque[int] = deque()
        """Sizes of the batches that were taken and are not finished."""
        self._max_batch = max_batch
        self._queue_max = queue_max
        self._cost = cost
        self._heap: list[_Entry[T]] = []
        self._order = 0
        self._credits = 0

    def __len__(self) -> int:
        return len(self._heap)

    def grant(self) -> int:
        """New credits for the node; those it has and the queue together never pass ``queue_max``."""
        fresh = self._queue_max - len(self._heap) - self._credits
        self._credits += fresh
        return fresh

    def limit(self, queue_max: int) -> None:
        """Queue no more than this from now on; what is queued stays."""
        self._queue_max = queue_max
        self.grant()

    def add(self, item: T, deadline_us: int) -> Admission:
        """Queue an item for one credit; without a credit the sender is told that we are busy."""
        if self._credits <= 0:  # below 0 after a lower limit
            return Admission.BUSY
        self._credits -= 1
        self._order += 1
        heapq.heappush(self._heap, _Entry(deadline_us, self._order, item))
        return Admission.ACCEPTED

    def take(self, now_us: int) -> Taken[T]:
        """The next batch, called when the engine can run one; both parts are empty when the queue is."""
        shed = self._shed(now_us)
        batch = tuple(heapq.heappop(self._heap).item for _ in range(self._batch_size(now_us)))
        if batch:
            self._taken.append(len(batch))
        return Taken(batch, tuple(entry.item for entry in shed))

    def finished(self, size: int, took_us: int) -> None:
        """The engine's report on a batch, from which the next ones are predicted."""
        self._cost.observe(size, took_us)
        self.abandoned()

    def abandoned(self) -> None:
        """A batch that was taken came to nothing."""
        if self._taken:
            self._taken.popleft()

    def _ahead_us(self) -> int:
        """What is to be waited for before a batch starts; the oldest one may be about to end and is not counted."""
        return sum(self._cost.predict_us(size) for size in list(self._taken)[1:])

    def _shed(self, now_us: int) -> list[_Entry[T]]:
        alone = self._ahead_us() + self._cost.predict_us(1)
        shed: list[_Entry[T]] = []
        while self._heap and self._heap[0].deadline_us < now_us + alone:
            shed.append(heapq.heappop(self._heap))
        # A prediction that condemns the whole queue may be wrong, and only a batch can correct it: the item
        # with the best chance runs.
        if shed and not self._heap and shed[-1].deadline_us > now_us:
            heapq.heappush(self._heap, shed.pop())
        return shed

    def _batch_size(self, now_us: int) -> int:
        """As many as the engine takes without making the most urgent one late, but at least one."""
        size = self._preferred_size(len(self._heap))
        start_us = now_us + self._ahead_us()
        while size > 1 and start_us + self._cost.predict_us(size) > self._heap[0].deadline_us:
            size -= 1
        return size

    def _preferred_size(self, waiting: int) -> int:
        """The largest preferred size that is waiting, if the rest fills a preferred one too; else all of them."""
        size = min(self._max_batch, waiting)
        fitting = [one for one in self._preferred if one <= size]
        if fitting and waiting - fitting[-1] >= self._preferred[0]:
            return fitting[-1]
        return size
