"""Findings of checks as lines or JSON, and the exit code that they make."""

from __future__ import annotations

import json
from typing import Any

import click

from dropbeard.daemon.findings import Finding, worst

FAILED = 1


def show(findings: list[Finding], as_json: bool) -> int:
    """Print them; 1 when a check failed."""
    level = worst(findings)
    if as_json:
        rows: list[dict[str, Any]] = [
            {"check": row.check, "level": row.level, "text": row.text, "mend": row.mend} for row in findings
        ]
        click.echo(json.dumps({"level": level, "checks": rows}))
    else:
        for row in findings:
            click.echo(f"{row.level:4}  {row.check}: {_line(row.text)}")
            if row.mend is not None:
                click.echo(f"      {_line(row.mend)}")
    return FAILED if level == "fail" else 0


def _line(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
