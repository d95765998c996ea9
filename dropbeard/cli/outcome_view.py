"""What a certificate of a task that does not classify says, for people and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from dropbeard.aggregate import Assurance, Decision, outcome, plurality
from dropbeard.types.group import Group
from dropbeard.types.outputs import Boxes, Numbers
from dropbeard.types.task import PROBABILITY_ONE, Output
from dropbeard.verification.certificate import Verified

NUMBERS_SHOWN = 8


def decision_of(verified: Verified, group: Group) -> Decision:
    """Margin and assurance of any task; without a class where it does not classify, and with margin 0 where none is."""
    if group.task.form is None:
        return plurality(verified)
    found = outcome(verified)
    return Decision(None, None, found.margin or 0, found.assurance)


def value_figures(verified: Verified, group: Group) -> dict[str, Any]:
    """Kind and value: numbers as floats, boxes as [label, x0, y0, x1, y1, score] in shares; nothing of classes."""
    if group.task.form is None:
        return {}
    return {"kind": group.task.kind.name.lower(), "value": value_rows(outcome(verified).value, group)}


def value_rows(value: Output | None, group: Group) -> list[Any] | None:
    """A value for JSON, as in ``value_figures``."""
    if isinstance(value, Numbers):
        return list(value.reals())
    if isinstance(value, Boxes):
        rows = value.boxes
        return [[group.task.labels[row[0]], *(units / PROBABILITY_ONE for units in row[1:])] for row in rows]
    return None


def outcome_lines(verified: Verified, group: Group) -> Iterator[str]:
    """The group's value, then each owner's answer with its agreement."""
    found = outcome(verified)
    if found.value is None:
        return
    reach = "" if found.reach is None else f"   f owners could have moved a number by {_real(found.value, found.reach)}"
    margin = "" if found.margin is None else f"   margin {found.margin}"
    assurance = "" if found.assurance is Assurance.NONE else f"   assurance {found.assurance.value}"
    yield f"{group.task.kind.name.lower()}: {value_text(found.value, group)}{margin}{reach}{assurance}"
    shares = dict(found.agreements)
    for answer in verified.answers:
        said = f"agrees {shares[answer.owner] / PROBABILITY_ONE:.3f}: {value_text(answer.output, group)}"
        yield f"  {answer.name:16} {answer.model.hex()[:12]} v{answer.version:<4} {said}"


def _real(value: Output, units: int) -> str:
    return f"{math.ldexp(units, -value.form.fraction_bits):g}" if isinstance(value, Numbers) else str(units)


def value_text(value: Output, group: Group) -> str:
    """A value for people: the first numbers with their labels and unit, or what the boxes hold."""
    if isinstance(value, Boxes):
        rows = [f"{group.task.labels[box.class_id]} ({box.score / PROBABILITY_ONE:.0%})" for box in value.boxes]
        return ", ".join(rows) or "no objects"
    if not isinstance(value, Numbers):
        return ""
    unit = f" {value.form.unit}" if value.form.unit else ""
    rows = [f"{real:g}{unit}" for real in value.reals()]
    if len(group.task.labels) == len(rows):
        rows = [f"{label} {row}" for label, row in zip(group.task.labels, rows, strict=True)]
    more = f" and {len(rows) - NUMBERS_SHOWN} more" if len(rows) > NUMBERS_SHOWN else ""
    return ", ".join(rows[:NUMBERS_SHOWN]) + more
