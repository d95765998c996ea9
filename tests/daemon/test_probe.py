"""The engine's watchdog is fed by answers, never by the clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dropbeard.daemon.notify import Notifier
from dropbeard.daemon.probe import Probe
from dropbeard.serving.pipeline import Outcome, Pipeline
from dropbeard.serving.synthetic import ServiceTime, SyntheticEngine
from dropbeard.types.engine_messages import EngineAnswers
from dropbeard.types.ids import Version
from tests.agreement.pieces import GROUP

WAIT_S = 10.0


class Watched(Notifier):
    """A notifier that counts instead of speaking."""

    def __init__(self, watchdog_s: float | None = 3.0) -> None:
        super().__init__({})
        self.watchdog_s = watchdog_s
        self.fed = 0

    def alive(self) -> None:
        self.fed += 1


@dataclass
class Model:
    pipeline: Pipeline


@contextmanager
def model(deliver: Callable[[Sequence[Outcome]], None], hangs: bool = False) -> Iterator[Model]:
    let_go = threading.Event()
    cost = ServiceTime(1_000_000 if hangs else 0, 0)
    engine = SyntheticEngine(GROUP.task, cost, sleep=lambda _: (let_go.wait(WAIT_S), None)[1])
    engine.load()
    pipeline = Pipeline(engine, 4, 16, deliver)
    pipeline.start()
    yield Model(pipeline)
    let_go.set()
    pipeline.stop()


def until(done: Callable[[], bool]) -> bool:
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.005)
    return False


def test_an_answered_probe_of_every_model_feeds_the_watchdog_once() -> None:
    heard: list[Outcome] = []
    watched = Watched()
    with model(heard.extend) as first, model(heard.extend) as second:
        loaded = {Version(1): first, Version(2): second}
        probe = Probe(watched, lambda: loaded)
        probe.look(100.0 + time.monotonic())
        assert until(lambda: len(heard) == 2)
        numbers = [number for said in heard if isinstance(said, EngineAnswers) for number, _ in said.answers]
        assert sorted(numbers) == [-2, -1]
        probe.passed(numbers[0])
        assert watched.fed == 0
        probe.passed(numbers[1])
        probe.passed(numbers[1])
        assert watched.fed == 1


def test_a_model_that_hangs_starves_the_watchdog() -> None:
    watched = Watched()
    with model(lambda _: None, hangs=True) as stuck:
        probe = Probe(watched, lambda: {Version(1): stuck})
        for second in range(50):
            probe.look(float(second))
    assert watched.fed == 0


def test_a_busy_model_that_finished_a_batch_meanwhile_is_alive() -> None:
    watched = Watched()
    with model(lambda _: None) as busy:
        probe = Probe(watched, lambda: {Version(1): busy})
        probe.look(time.monotonic())
        assert until(lambda: busy.pipeline.batches() == 1)
        probe.look(time.monotonic() + 2)
    assert watched.fed == 1


def test_a_version_that_was_unloaded_is_not_waited_for() -> None:
    watched = Watched()
    with model(lambda _: None, hangs=True) as stuck:
        loaded = {Version(1): stuck}
        probe = Probe(watched, lambda: loaded)
        probe.look(10.0)
        loaded.clear()
        probe.look(20.0)
    assert watched.fed == 1


def test_without_a_watchdog_nothing_is_asked() -> None:
    with model(lambda _: None) as idle:
        Probe(Watched(None), lambda: {Version(1): idle}).look(10.0)
        assert idle.pipeline.figures()["queued"] == 0
        assert idle.pipeline.figures()["batches"] == 0
