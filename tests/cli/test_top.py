"""The group on one screen, and what is said of nodes that do not answer."""

from __future__ import annotations

from io import StringIO

import msgspec
from rich.console import Console

from dropbeard.cli.top_view import HISTORY_MAX, Seen, drawn, screen
from dropbeard.types.status import ModelPart, NodeStatus
from tests.daemon.test_metrics import sample

OWNERS = ("alice", "bob", "carol")


def status(owner: str = "alice", *problems: str) -> NodeStatus:
    """A node of three owners, of whom bob is linked and carol is not, and is marked."""
    found = sample()
    models = [ModelPart(name, 1, "ef" * 32, 0) for name in OWNERS]
    chain = msgspec.structs.replace(found.chain, models=models)
    return msgspec.structs.replace(found, owner=owner, chain=chain, problems=list(problems))


def frame(seen: Seen) -> list[str]:
    out = Console(file=StringIO(), width=80, force_terminal=False)
    out.print(screen(seen))
    assert isinstance(out.file, StringIO)
    return out.file.getvalue().splitlines()


def line_of(lines: list[str], owner: str) -> list[str]:
    return next(line.split() for line in lines if line.startswith(owner))


def test_every_owner_has_a_line_from_one_node_alone() -> None:
    lines = frame(Seen({"alice": status()}, rates=[1.0, 2.0]))
    assert "pictures" in lines[0] and "view 120 led by bob" in lines[0]
    assert line_of(lines, "alice")[1:4] == ["healthy", "100", "12+2"]
    assert line_of(lines, "bob")[1:4] == ["linked", "102", "9+0"]
    assert line_of(lines, "carol")[1] == "marked"
    assert lines[-1] == "carol is marked for double_notarize since height 50"


def test_a_second_node_tells_of_itself_what_only_it_knows() -> None:
    alone = line_of(frame(Seen({"alice": status()})), "bob")
    told = line_of(frame(Seen({"alice": status(), "bob": status("bob", "its engine is loading its model")})), "bob")
    assert "12.5" not in alone
    assert told[1] == "degraded"
    assert "12.5" in told


def test_problems_and_silent_nodes_are_named() -> None:
    lines = frame(Seen({"alice": status("alice", "64 blocks behind")}, {"dave": "no node runs here"}))
    assert "alice: 64 blocks behind" in lines
    assert lines[-1] == "dave: no node runs here"
    assert frame(Seen(silent={"dave": "no node runs here"})) == ["dave: no node runs here"]


def test_the_rate_is_drawn_against_its_highest() -> None:
    assert drawn([]) == ""
    assert drawn([0.0, 0.0]) == "▁▁"
    assert drawn([0.0, 5.0, 10.0]) == "▁▅█"
    seen = Seen()
    for number in range(HISTORY_MAX + 5):
        seen.note_rate(number)
    assert seen.rates == [float(number) for number in range(5, HISTORY_MAX + 5)]
