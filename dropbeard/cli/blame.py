"""``dropbeard blame``: who signed what nobody honest signs, as a file that convicts (rules 6.2, 8.1)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dropbeard.cli.lineages import GENESIS, SUCCESSIONS, read_lineage

if TYPE_CHECKING:
    from dropbeard.audit.blaming import Blame
    from dropbeard.types.group import Group

NOBODY = 1


@click.command("blame")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@GENESIS
@click.option("--ledger", "ledgers", multiple=True, type=click.Path(path_type=Path), help="A node's state directory.")
@SUCCESSIONS
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the first piece of evidence here.")
def blame_command(
    sources: tuple[Path, ...],
    genesis: Path,
    ledgers: tuple[Path, ...],
    successions: Path | None,
    output: Path | None,
) -> int:
    """Judge SOURCES together: certificates, evidence files, state directories of nodes.

    Exit code 0: somebody is convicted; 1: nobody; 2: a file cannot be read.
    """
    from dropbeard.audit.blaming import blame_over
    from dropbeard.storage.files import read_genesis

    lineage = read_lineage(read_genesis(genesis), successions)
    judged = blame_over(lineage, [*sources, *ledgers])
    for group, found in judged:
        _say(group, found)
    guilty = [(group, found) for group, found in judged if found.convicted]
    if not guilty:
        click.echo("nobody is convicted by these")
        return NOBODY
    if output is not None:
        _write(*guilty[0], output)
    return 0


def _say(group: Group, found: Blame) -> None:
    where = f" in epoch {group.epoch}" if group.epoch else ""
    for owner, offence in found.convicted:
        click.echo(f"convicted: {group.member(owner).name} of {offence.name.lower().replace('_', ' ')}{where}")
    if found.conflict is not None and len({owner for owner, _ in found.convicted}) <= group.f:
        names = ", ".join(group.member(owner).name for owner in found.unaccounted)
        click.echo(f"{found.conflict}{where}: unaccounted, which is no conviction: {names}")
        click.echo("add --ledger DIR of any honest node: its votes and justifications tell who lied")


def _write(group: Group, found: Blame, output: Path) -> None:
    from dropbeard.errors import DropbeardError
    from dropbeard.evidence.kinds import encode_evidence

    try:
        output.write_bytes(encode_evidence(group, next(iter(found.convicted.values()))))
    except OSError as wrong:
        raise DropbeardError(f"cannot write the evidence to {output}: {wrong.strerror}") from wrong
    click.echo(f"evidence written to {output}")
