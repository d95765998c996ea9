"""What a group answered about one picture, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dropbeard.cli.outcome_view import value_rows, value_text
from dropbeard.client.answers import Answer
from dropbeard.client.outcomes import Measured
from dropbeard.errors import DropbeardError
from dropbeard.types.group import Group

MODEL_HEX: Final = 12
"""Hex digits of a model's digest that are shown."""


def save(answer: Answer, image: Path, out: Path) -> Path:
    """NAME.dbcert, or NAME-2.dbcert and so on: a certificate is never overwritten."""
    path, number = out / f"{image.stem}.dbcert", 2
    while path.exists():
        path, number = out / f"{image.stem}-{number}.dbcert", number + 1
    return answer.certificate.save(path)


def lines(path: Path, answer: Answer | None, saved: Path | None, group: Group) -> Iterator[str]:
    """What was agreed, each owner's own answer, where the certificate is."""
    if answer is None:
        yield f"{path}: no answer"
    elif answer.measured is None:
        said = f"undecided, {answer.shown} leads" if answer.label is None else f"agreed: {answer.label}"
        yield f"{path}: {said}   margin {answer.margin}   assurance {answer.assurance.value}   {_time(answer)}"
        for owner in answer.owners:
            yield _owner(owner.owner, owner.model, owner.version, f"{owner.label} ({owner.probability:.0%})")
    else:
        found = answer.measured
        worth = [f"margin {found.margin}"] if found.margin is not None else []
        worth += [f"f owners could have moved a number by {found.reach:g}"] if found.reach is not None else []
        yield "   ".join([f"{path}: {value_text(found.value, group)}", *worth, _time(answer)])
        for row in found.owners:
            said = f"agrees {row.agreement:.3f}: {value_text(row.output, group)}"
            yield _owner(row.owner, row.model, row.version, said)
    if saved is not None:
        yield f"  certificate {saved}"


def _time(answer: Answer) -> str:
    return f"{answer.latency_ms:.0f} ms"


def _owner(name: str, model: str, version: int, said: str) -> str:
    return f"  {name:16} {model[:MODEL_HEX]} v{version:<4} {said}"


def figures(
    path: Path, answer: Answer | None, error: DropbeardError | None, saved: Path | None, group: Group
) -> dict[str, Any]:
    """The same as one JSON object; ``error`` is null unless something is wrong."""
    found: dict[str, Any] = {"input": str(path), "error": None if error is None else str(error)}
    if answer is None:
        return found
    names = ("label", "class_id", "shown", "margin", "height", "request_id")
    found |= {name: getattr(answer, name) for name in names}
    found |= {"assurance": answer.assurance.value, "latency_ms": round(answer.latency_ms, 1)}
    found["certificate"] = None if saved is None else str(saved)
    if answer.measured is not None:
        return found | _measured(answer.measured, group)
    fields = ("owner", "model", "version", "label", "probability")
    found["owners"] = [{name: getattr(owner, name) for name in fields} for owner in answer.owners]
    return found


def _measured(found: Measured, group: Group) -> dict[str, Any]:
    """``value`` as ``dropbeard verify --json`` gives it, and each owner's with its agreement, 0 to 1."""
    fields = ("owner", "model", "version", "agreement")
    owners = [
        {name: getattr(row, name) for name in fields} | {"value": value_rows(row.output, group)} for row in found.owners
    ]
    kind, value = group.task.kind.name.lower(), value_rows(found.value, group)
    return {"kind": kind, "value": value, "reach": found.reach, "margin": found.margin, "owners": owners}
