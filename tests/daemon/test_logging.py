"""What daemons log: one event a line, named in one way, with the journal's priorities."""

from __future__ import annotations

import ast
import logging
import os
import re
import sys
from pathlib import Path

import pytest

from dropbeard.daemon.process import (
    EVENTS_MAX,
    LEFT_OUT,
    LINES_MAX,
    WINDOW_S,
    JournalFormatter,
    RateLimit,
    is_journal,
)

PACKAGE = Path(__file__).resolve().parents[2] / "dropbeard"
EVENT = re.compile(r"[a-z]+(-[a-z0-9]+)+( |$)")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def logged() -> list[tuple[str, ast.Call]]:
    """Every call of a logger in the package."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                holder = node.func.value
                if isinstance(holder, ast.Name) and holder.id == "log":
                    found.append((f"{path.name}:{node.lineno}", node))
    return found


def test_every_event_begins_with_its_name() -> None:
    calls = logged()
    assert len(calls) > 15
    wrong = []
    for place, call in calls:
        first = call.args[0]
        if not (isinstance(first, ast.Constant) and isinstance(first.value, str) and EVENT.match(first.value)):
            wrong.append(place)
    assert wrong == []


def test_no_event_holds_an_input_an_answer_or_a_key() -> None:
    secret = {"given", "data", "output", "opening", "openings", "salt", "secret", "node_key", "passphrase", "inputs"}
    wrong = [
        place
        for place, call in logged()
        for argument in call.args[1:]
        if isinstance(argument, ast.Name) and argument.id in secret
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, 7), (logging.INFO, 6), (logging.WARNING, 4), (logging.ERROR, 3), (logging.CRITICAL, 3)],
)
def test_the_journal_gets_the_priority_of_a_level(level: int, priority: int) -> None:
    record = logging.LogRecord("dropbeard.node", level, "", 0, "engine-lost after=%d", (3,), None)
    assert JournalFormatter().format(record) == f"<{priority}>dropbeard.node engine-lost after=3"


def test_every_line_of_a_traceback_has_its_events_priority() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
        record = logging.LogRecord("dropbeard.engine", logging.ERROR, "", 0, "load-failed", (), sys.exc_info())
    lines = JournalFormatter().format(record).splitlines()
    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines)


def test_a_stream_is_the_journal_only_if_systemd_says_so(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        status = os.fstat(file.fileno())
        assert is_journal(file.fileno(), f"{status.st_dev}:{status.st_ino}")
        assert not is_journal(file.fileno(), f"{status.st_dev}:{status.st_ino + 1}")
        assert not is_journal(file.fileno(), None)
    assert not is_journal(file_closed(), "0:0")


def file_closed() -> int:
    """A descriptor that is not open."""
    handle = os.open("/dev/null", os.O_RDONLY)
    os.close(handle)
    return handle


class Heard(logging.Handler):
    """Keeps what a rate limit lets through, by a clock that the test sets."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.lines = 0.0, list[str]()
        self.addFilter(RateLimit(self, lambda: self.now))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def say(self, text: str, *values: object) -> None:
        self.handle(logging.LogRecord("dropbeard.node", logging.WARNING, "", 0, text, values, None))


def test_an_event_is_logged_so_often_in_a_window_and_then_counted() -> None:
    heard = Heard()
    for number in range(LINES_MAX + 7):
        heard.say("peer-offence number=%d", number)
    heard.say("engine-lost")
    assert len(heard.lines) == LINES_MAX + 1
    heard.now = WINDOW_S
    heard.say("peer-offence number=%d", 99)
    assert heard.lines[-2:] == ["log-left-out event=peer-offence count=7", "peer-offence number=99"]


def test_a_quiet_event_is_never_mentioned() -> None:
    heard = Heard()
    for window in range(3):
        heard.now = window * WINDOW_S
        heard.say("engine-lost")
    assert heard.lines == ["engine-lost"] * 3


def test_names_that_never_end_take_bounded_memory_and_are_limited_together() -> None:
    heard = Heard()
    for number in range(10 * EVENTS_MAX):
        heard.say(f"event-{number}")
    assert len(heard.lines) == EVENTS_MAX + LINES_MAX
    heard.now = WINDOW_S
    heard.say("engine-lost")
    assert heard.lines[-2:] == [f"log-left-out event=other-events count={9 * EVENTS_MAX - LINES_MAX}", "engine-lost"]


def test_every_event_is_in_the_list_for_operators() -> None:
    """Its names are what people search and alert for; a new one is written down, a lost one is missed."""
    named = {
        str(call.args[0].value).partition(" ")[0] for _, call in logged() if isinstance(call.args[0], ast.Constant)
    }
    listed = re.findall(r"^\| `([a-z0-9-]+)` \|", (PACKAGE.parent / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(named | {"config-reloaded", "config-refused", LEFT_OUT})
