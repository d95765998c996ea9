"""``dropbeard audit``: what a pile of certificates says together, with or without a node's ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dropbeard.cli.lineages import GENESIS, SUCCESSIONS, UNREADABLE, read_lineage, unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dropbeard.audit.blaming import Blame
    from dropbeard.audit.findings import Audit
    from dropbeard.audit.history import History, LedgerView
    from dropbeard.types.group import Group
    from dropbeard.verification.lineage import Lineage

WRONG = 1


@click.command("audit")
@click.argument("sources", metavar="CERT...", nargs=-1, required=True, type=click.Path(path_type=Path))
@GENESIS
@click.option("--ledger", type=click.Path(path_type=Path), help="A node's state directory, to be replayed as well.")
@SUCCESSIONS
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def audit_command(
    sources: tuple[Path, ...], genesis: Path, ledger: Path | None, successions: Path | None, as_json: bool
) -> int:
    """Verify certificates (files, or directories of .dbcert files) and put them together: order of the requests, gaps,
    model versions, lateness and disagreement of each owner, duplicates, contradictions. Evidence among them is judged.

    Exit code 0: all are valid and none contradicts another; 1: one is invalid, or some contradict each other or the
    ledger, or somebody is convicted; 2: a file cannot be read, and nothing else is wrong.
    """
    from dropbeard.audit.certificates import files_among, read_certificate_file
    from dropbeard.audit.history import history_of
    from dropbeard.cli.audit_view import figures_of, lines_of
    from dropbeard.cli.main import one_line
    from dropbeard.storage.files import read_genesis

    with unreadable():
        group = read_genesis(genesis)
    lineage = read_lineage(group, successions)
    replayed, view = (None, None) if ledger is None else _replayed(ledger, group)
    certificates, evidence = files_among(sources)
    history = history_of(lineage, (read_certificate_file(path, lineage) for path in certificates), view)
    judged = _judged(lineage, history, evidence, ledger)
    if as_json:
        click.echo(json.dumps(figures_of(lineage, history, judged, replayed)))
    else:
        click.echo("\n".join(map(one_line, lines_of(lineage, history, judged, replayed))))
    if history.contradictions or any(found.convicted for _, found in judged):
        return WRONG
    if any(bad.step is not None for bad in history.bad):
        return WRONG
    return UNREADABLE if history.bad else 0


def _replayed(directory: Path, group: Group) -> tuple[Audit, LedgerView]:
    """The ledger, checked from its start; LedgerInvalid names the height that does not check."""
    from dropbeard.agreement.records import BlockRecord
    from dropbeard.audit.history import LedgerView
    from dropbeard.audit.ledger import audit_ledger
    from dropbeard.audit.reading import read_ledger

    held = read_ledger(directory, group)
    replayed = audit_ledger(group, held.records, held.checkpoint)
    digests = frozenset(row.proposal.header.digest for row in held.records if isinstance(row, BlockRecord))
    return replayed, LedgerView(replayed.blocks, digests)


def _judged(
    lineage: Lineage, history: History, evidence: Sequence[Path], ledger: Path | None
) -> Sequence[tuple[Group, Blame]]:
    """Whom evidence and contradicting certificates convict, with what the ledger's node saw (rules 6.2, 8.1)."""
    from dropbeard.audit.blaming import blame_over

    files = sorted({path for found in history.contradictions for path in found.files})
    sources = [*evidence, *files, *([] if ledger is None else [ledger])]
    return blame_over(lineage, sources) if sources else []
