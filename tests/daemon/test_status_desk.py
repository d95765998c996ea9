"""The node's side of the status socket, and the loop's question to itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import zmq

from dropbeard.daemon.status_desk import ALIVE, DRAIN, OK, PRUNE, STATUS, UNKNOWN, StatusDesk
from dropbeard.transport.status_link import Context, StatusLink
from dropbeard.types.status import NodeStatus
from tests.daemon.test_probe import Watched

WAIT_S = 10.0


class Bench:
    """A desk, somebody who asks, and a loop that the test turns."""

    def __init__(self, directory: Path, watchdog_s: float | None) -> None:
        self.context: Context = zmq.Context()
        self.watched = Watched(watchdog_s)
        self.drained = 0
        answer = cast(NodeStatus, {"a": "status"})
        self.desk = StatusDesk(self.context, directory, lambda: answer, self.drain, self.watched, lambda: 3)
        self.link = StatusLink(self.context, directory, 1_000)

    def drain(self) -> None:
        self.drained += 1

    def ask(self, question: bytes) -> bytes | None:
        self.link.ask(question)
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            self.desk.answer(0)
            found = self.link.answer()
            if found is not None:
                return found
            time.sleep(0.002)
        return None


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, None)
    yield made
    made.link.close()
    made.desk.close()
    made.context.term()


def test_the_questions_that_are_known_are_answered(bench: Bench) -> None:
    assert bench.ask(PRUNE) == b'{"left":3}'
    assert bench.ask(STATUS) == b'{"a":"status"}'
    assert bench.ask(ALIVE) == OK
    assert bench.drained == 0
    assert bench.ask(DRAIN) == OK
    assert bench.drained == 1


@pytest.mark.parametrize("question", [b"", b"status/2", b"drain/1\n", b"/0123456789:;<=>?@ABCDEFG", bytes(64)])
def test_any_other_question_changes_nothing(bench: Bench, question: bytes) -> None:
    assert bench.ask(question) == UNKNOWN
    assert bench.drained == 0


def test_the_watchdog_is_fed_by_the_answer_to_the_loops_own_question(tmp_path: Path) -> None:
    made = Bench(tmp_path, 3.0)
    try:
        assert len(made.desk.sockets()) == 2
        for second in range(100):
            made.desk.answer(second * 1_000_000)
            if made.watched.fed >= 3:
                break
            time.sleep(0.05)
        assert made.watched.fed >= 3
        fed = made.watched.fed
        # A loop whose sockets are never found readable is not alive, however often it turns.
        for second in range(100, 120):
            made.desk.answer(second * 1_000_000, ready=())
        assert made.watched.fed == fed
    finally:
        made.link.close()
        made.desk.close()
        made.context.term()
