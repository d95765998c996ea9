"""Threads around one engine: the next batch is prepared while others run (rule 2.4)."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from dropbeard.errors import EngineFailed, InputInvalid
from dropbeard.serving.batching import Admission, BatchCost, Batcher
from dropbeard.serving.engine import Engine, Prepared
from dropbeard.types.engine_messages import EngineAnswers, EngineFailure, EngineFigures, FailReason
from dropbeard.types.ids import Version
from dropbeard.types.task import Input

WAIT_S: Final = 0.2
"""How long a thread waits before it looks whether it should end."""

FAILURES_MAX: Final = 16
"""Batches that may fail in a row before the engine gives itself up, to be started anew."""

COUNTED: Final = ("shed", "refused", "bad_input", "failed")

Outcome = EngineAnswers | EngineFailure


@dataclass(frozen=True, slots=True)
class Job:
    """One ticket: its input, and its deadline on the monotonic clock in microseconds."""

    ticket: int
    given: Input
    deadline_us: int


class Pipeline:
    """``deliver`` is called from the pipeline's threads with what became of tickets; ``broken`` holds an unexpected
    error that ended a thread.
    """

    def __init__(
        self,
        engine: Engine,
        max_batch: int,
        queue_max: int,
        deliver: Callable[[Sequence[Outcome]], None],
    ) -> None:
        self._engine = engine
        self._batcher: Batcher[Job] = Batcher(max_batch, queue_max, BatchCost(), engine.preferred)
        self._counts: Counter[str] = Counter()
        self._sizes: Counter[int] = Counter()
        self._failures = 0
        self._batcher.grant()
        self._deliver = deliver
        self._changed = threading.Condition()
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        """One ring for each time that something was queued."""
        self._prepared: queue.SimpleQueue[tuple[list[Job], list[Prepared]]] = queue.SimpleQueue()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        """As many as batches may be prepared ahead: one, beside those inside the engine."""
        self._room.put(None)
        self._ending = False
        self._in_hand = 0
        self.broken: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._guarded, args=(loop,), name=name, daemon=True)
            for name, loop in [("prepare", self._prepare_loop)] + [("infer", self._infer_loop)] * engine.in_flight
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, jobs: Sequence[Job]) -> list[EngineFailure]:
        """Queue jobs; why not, for each that is not taken."""
        with self._changed:
            refused = [job for job in jobs if self._batcher.add(job, job.deadline_us) is Admission.BUSY]
            self._counts["refused"] += len(refused)
            self._in_hand += len(jobs) - len(refused)
        self._bell.put(None)
        return [EngineFailure(job.ticket, FailReason.BUSY, "the engine's queue is full") for job in refused]

    def limit(self, queue_max: int) -> None:
        """Take no more than this from now on."""
        with self._changed:
            self._batcher.limit(queue_max)

    def figures(self) -> dict[str, float]:
        """What was done since the start: counts, mean batch and its 90th percentile, seconds in the engine."""
        stats = self._engine.stats()
        with self._changed:
            queued, sizes, counts = len(self._batcher), dict(self._sizes), dict(self._counts)
        return {
            "queued": queued,
            "batches": stats.batches,
            "inputs": stats.inputs,
            "batch_mean": round(stats.inputs / max(1, stats.batches), 2),
            "batch_p90": _percentile(sizes, 0.9),
            "engine_s": round(stats.busy_us / 1e6, 3),
            "copies_s": round(stats.copied_us / 1e6, 3),
            **{name: counts.get(name, 0) for name in COUNTED},
        }

    def counted(self, version: Version) -> EngineFigures:
        """The same for the node, which knows the model by its version."""
        stats = self._engine.stats()
        with self._changed:
            queued, sizes, counts = len(self._batcher), sorted(self._sizes.items()), dict(self._counts)
        return EngineFigures(
            version=version,
            queued=queued,
            batches=stats.batches,
            inputs=stats.inputs,
            busy_us=stats.busy_us,
            copied_us=stats.copied_us,
            sizes=tuple(sizes),
            **{name: counts.get(name, 0) for name in COUNTED},
        )

    def batches(self) -> int:
        """How many batches were answered."""
        with self._changed:
            return sum(self._sizes.values())

    def drain(self, timeout_s: float) -> bool:
        """Wait until everything submitted was delivered; False when that took too long."""
        until = time.monotonic() + timeout_s
        with self._changed:
            while self._in_hand and self.broken is None and time.monotonic() < until:
                self._changed.wait(WAIT_S)
            return self._in_hand == 0

    def stop(self) -> None:
        """End the threads after what they are doing."""
        self._ending = True
        self._bell.put(None)
        for thread in self._threads:
            thread.join(timeout=5 * WAIT_S)

    def _guarded(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except BaseException as wrong:
            self.broken = wrong
            self._deliver(())

    def _prepare_loop(self) -> None:
        while not self._ending:
            if not len(self._batcher) and not self._rung():
                continue
            with self._changed:
                taken = self._batcher.take(time.monotonic_ns() // 1000)
                self._batcher.grant()
                self._counts["shed"] += len(taken.shed)
            late = "it could not have been answered by its deadline"
            self._finish([EngineFailure(job.ticket, FailReason.TOO_LATE, late) for job in taken.shed])
            jobs, prepared = self._prepare(taken.batch)
            if jobs:
                self._hand_over(jobs, prepared)
            elif taken.batch:
                with self._changed:
                    self._batcher.abandoned()

    def _rung(self) -> bool:
        """Wait until something was queued, and hear every ring so far."""
        try:
            self._bell.get(timeout=WAIT_S)
            while True:
                self._bell.get_nowait()
        except queue.Empty:
            return len(self._batcher) > 0

    def _prepare(self, batch: Sequence[Job]) -> tuple[list[Job], list[Prepared]]:
        jobs, prepared = [], []
        for job in batch:
            try:
                prepared.append(self._engine.prepare(job.given))
                jobs.append(job)
            except InputInvalid as wrong:
                with self._changed:
                    self._counts["bad_input"] += 1
                self._finish([EngineFailure(job.ticket, FailReason.BAD_INPUT, str(wrong))])
        return jobs, prepared

    def _hand_over(self, jobs: list[Job], prepared: list[Prepared]) -> None:
        while not self._ending:
            try:
                self._room.get(timeout=WAIT_S)
            except queue.Empty:
                continue
            self._prepared.put((jobs, prepared))
            return

    def _infer_loop(self) -> None:
        while not self._ending:
            try:
                jobs, prepared = self._prepared.get(timeout=WAIT_S)
            except queue.Empty:
                continue
            self._room.put(None)
            started_us = time.monotonic_ns() // 1000
            try:
                outputs = self._engine.infer(prepared)
            except EngineFailed as wrong:
                self._failed(len(jobs), wrong)
                self._finish([EngineFailure(job.ticket, FailReason.BROKEN, str(wrong)) for job in jobs])
                continue
            with self._changed:
                self._batcher.finished(len(jobs), time.monotonic_ns() // 1000 - started_us)
                self._sizes[len(jobs)] += 1
                self._failures = 0
            rows = tuple((job.ticket, output) for job, output in zip(jobs, outputs, strict=True))
            self._finish([EngineAnswers(rows)])

    def _failed(self, inputs: int, wrong: EngineFailed) -> None:
        with self._changed:
            self._batcher.abandoned()
            self._counts["failed"] += inputs
            self._failures += 1
            if self._failures >= FAILURES_MAX:
                text = f"{self._failures} batches failed one after the other, the last with: {wrong}"
                self.broken = EngineFailed(text)

    def _finish(self, outcomes: Sequence[Outcome]) -> None:
        if not outcomes:
            return
        self._deliver(outcomes)
        ended = sum(len(o.answers) if isinstance(o, EngineAnswers) else 1 for o in outcomes)
        with self._changed:
            self._in_hand -= ended
            if not self._in_hand:
                self._changed.notify_all()


def _percentile(counts: dict[int, int], share: float) -> int:
    """The smallest value that this share of what was counted does not pass; 0 of nothing."""
    left = share * sum(counts.values())
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    return 0
