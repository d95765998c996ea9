"""Findings of checks as lines or JSON, and the exit code that they make."""

from __future__ import annotations

import json
from typing import Any

import click

from dropbeard.cli.main import one_line
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
            click.echo(one_line(f"{row.level:4}  {row.check}: {row.text}"))
            if row.mend is not None:
                click.echo(one_line(f"      {row.mend}"))
    return FAILED if level == "fail" else 0
