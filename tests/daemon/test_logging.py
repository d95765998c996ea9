"""What daemons log: one event a line, named in one way, with the journal's priorities."""

from __future__ import annotations

import ast
import logging
import os
import re
import sys
from pathlib import Path

import pytest

from dropbeard.daemon.process import JournalFormatter, is_journal

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
