"""What a check found: its name, how bad it is, and what mends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from dropbeard.errors import DropbeardError

Level = Literal["ok", "warn", "fail"]
ORDER: Final = ("ok", "warn", "fail")


@dataclass(frozen=True, slots=True)
class Finding:
    """``mend`` is a line for whoever has to act; None where nothing is to be done."""

    check: str
    level: Level
    text: str
    mend: str | None = None


Check = Callable[[], Finding]


def ok(check: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(check, "ok", text)


def warn(check: str, text: str, mend: str) -> Finding:
    """It works, and should be mended."""
    return Finding(check, "warn", text, mend)


def fail(check: str, text: str, mend: str) -> Finding:
    """It does not work."""
    return Finding(check, "fail", text, mend)


def run_all(checks: Mapping[str, Check], before: Sequence[Finding] = ()) -> list[Finding]:
    """``before`` and every check in its order; an expected error is a failed check, and its own line says what to do.

    A check that fails for the reason of an earlier one names that one alone.
    """
    found = list(before)
    for name, check in checks.items():
        row = _run(name, check)
        earlier = next((other for other in found if (other.level, other.text) == ("fail", row.text)), None)
        found.append(row if earlier is None else fail(name, f"as {earlier.check}", f"mend {earlier.check} first"))
    return found


def _run(name: str, check: Check) -> Finding:
    try:
        return check()
    except DropbeardError as wrong:
        text, _, mend = str(wrong).partition("; ")
        return fail(name, text, mend or "mend what it names, then check again")
    except OSError as wrong:
        return fail(name, f"{wrong.filename or name}: {wrong.strerror}", "run it as the node's own user, or as root")


def worst(findings: list[Finding]) -> Level:
    """The worst level."""
    return max((row.level for row in findings), key=ORDER.index, default="ok")
