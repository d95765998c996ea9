"""The threads around an engine: everything taken is answered once, and an engine that only fails gives itself up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from dropbeard.errors import EngineFailed
from dropbeard.serving.engine import Prepared
from dropbeard.serving.pipeline import FAILURES_MAX, Job, Outcome, Pipeline
from dropbeard.serving.synthetic import ServiceTime, SyntheticEngine
from dropbeard.types.engine_messages import EngineAnswers, EngineFailure, FailReason
from dropbeard.types.task import Input, TaskSchema
from tests.serving.colours import encoded, plain

WAIT_S = 10.0
FAR_US = 60_000_000


class Ends:
    """What a pipeline delivered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.answered: list[int] = []
        self.failed: list[tuple[int, FailReason]] = []

    def deliver(self, outcomes: Sequence[Outcome]) -> None:
        with self._lock:
            for outcome in outcomes:
                if isinstance(outcome, EngineAnswers):
                    self.answered += [ticket for ticket, _ in outcome.answers]
                elif isinstance(outcome, EngineFailure):
                    self.failed.append((outcome.ticket, outcome.reason))


Start = Callable[..., Pipeline]


@pytest.fixture
def ends() -> Ends:
    return Ends()


@pytest.fixture
def start(ends: Ends) -> Iterator[Start]:
    running: list[Pipeline] = []

    def begin(engine: SyntheticEngine, max_batch: int = 4, queue_max: int = 100) -> Pipeline:
        engine.load()
        pipeline = Pipeline(engine, max_batch, queue_max, ends.deliver)
        running.append(pipeline)
        pipeline.start()
        return pipeline

    yield begin
    for pipeline in running:
        pipeline.stop()


def job(ticket: int, given: Input | None = None, ahead_us: int = FAR_US) -> Job:
    return Job(ticket, given or plain(1, 2, 3), time.monotonic_ns() // 1000 + ahead_us)


def test_every_ticket_is_answered_once(start: Start, ends: Ends, schema: TaskSchema) -> None:
    pipeline = start(SyntheticEngine(schema, ServiceTime(100, 10)))
    assert pipeline.submit([job(number) for number in range(25)]) == []
    assert [pipeline.submit([job(number)]) for number in range(25, 50)] == [[]] * 25
    assert pipeline.drain(WAIT_S)
    assert sorted(ends.answered) == list(range(50))
    figures = pipeline.figures()
    assert (figures["inputs"], figures["queued"], figures["shed"]) == (50, 0, 0)
    assert 1 <= figures["batch_mean"] <= 4 and figures["batch_p90"] <= 4


def test_as_many_batches_are_inside_as_the_engine_takes(start: Start, ends: Ends, schema: TaskSchema) -> None:
    inside, together = [], threading.Barrier(3)

    class Wide(SyntheticEngine):
        in_flight = 3  # type: ignore[misc]

        def infer(self, batch: Sequence[Prepared]) -> list[bytes]:
            together.wait(WAIT_S)
            inside.append(len(batch))
            return super().infer(batch)

    pipeline = start(Wide(schema, ServiceTime(0, 0)), max_batch=1)
    for number in range(3):
        pipeline.submit([job(number)])
    assert pipeline.drain(WAIT_S)
    assert inside == [1, 1, 1]


def test_a_full_queue_refuses(start: Start, ends: Ends, schema: TaskSchema) -> None:
    pipeline = start(SyntheticEngine(schema, ServiceTime(50_000, 0)), max_batch=1, queue_max=2)
    refused = pipeline.submit([job(number) for number in range(20)])
    assert {failure.reason for failure in refused} == {FailReason.BUSY}
    assert pipeline.drain(WAIT_S)
    assert sorted([*ends.answered, *(failure.ticket for failure in refused)]) == list(range(20))
    assert pipeline.figures()["refused"] == len(refused)


def test_what_is_too_late_is_shed(start: Start, ends: Ends, schema: TaskSchema) -> None:
    pipeline = start(SyntheticEngine(schema, ServiceTime(0, 0)))
    pipeline.submit([job(1, ahead_us=-1)])
    assert pipeline.drain(WAIT_S)
    assert ends.failed == [(1, FailReason.TOO_LATE)]
    assert pipeline.figures()["shed"] == 1


def test_bad_inputs_fail_alone_and_nothing_waits_for_them(start: Start, ends: Ends, schema: TaskSchema) -> None:
    pipeline = start(SyntheticEngine(schema, ServiceTime(0, 0)))
    for number in range(10):
        pipeline.submit([job(number, encoded(b"") if number % 2 else None)])
    assert pipeline.drain(WAIT_S)
    assert sorted(ends.answered) == [0, 2, 4, 6, 8]
    assert sorted(ends.failed) == [(number, FailReason.BAD_INPUT) for number in (1, 3, 5, 7, 9)]
    assert pipeline.figures()["bad_input"] == 5


class Failing(SyntheticEngine):
    """Fails so many times, then works."""

    times = 1

    def infer(self, batch: Sequence[Prepared]) -> list[bytes]:
        if self.times:
            self.times -= 1
            raise EngineFailed("out of memory")
        return super().infer(batch)


def test_a_batch_that_fails_is_reported_and_the_next_one_runs(start: Start, ends: Ends, schema: TaskSchema) -> None:
    pipeline = start(Failing(schema, ServiceTime(0, 0)))
    pipeline.submit([job(1)])
    assert pipeline.drain(WAIT_S)
    pipeline.submit([job(2)])
    assert pipeline.drain(WAIT_S)
    assert (ends.failed, ends.answered) == ([(1, FailReason.BROKEN)], [2])
    assert pipeline.broken is None


def test_an_engine_that_fails_every_batch_gives_itself_up(start: Start, ends: Ends, schema: TaskSchema) -> None:
    engine = Failing(schema, ServiceTime(0, 0))
    engine.times = FAILURES_MAX
    pipeline = start(engine, max_batch=1)
    for number in range(FAILURES_MAX):
        pipeline.submit([job(number)])
    pipeline.drain(WAIT_S)
    assert isinstance(pipeline.broken, EngineFailed)
    assert "16 batches failed one after the other, the last with: out of memory" in str(pipeline.broken)
