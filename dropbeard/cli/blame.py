"""``dropbeard blame``: who signed what nobody honest signs, as a file that convicts (rules 6.2, 8.1)."""

from __future__ import annotations

from pathlib import Path

import click

NOBODY = 1


@click.command("blame")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--group", "genesis", type=click.Path(path_type=Path), required=True, help="The group's genesis file.")
@click.option("--ledger", "ledgers", multiple=True, type=click.Path(path_type=Path), help="A node's state directory.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the first piece of evidence here.")
def blame_command(sources: tuple[Path, ...], genesis: Path, ledgers: tuple[Path, ...], output: Path | None) -> int:
    """Judge SOURCES together: certificates, evidence files, state directories of nodes.

    Exit code 0: somebody is convicted; 1: nobody; 2: a file cannot be read.
    """
    from dropbeard.audit.blaming import blame
    from dropbeard.errors import DropbeardError
    from dropbeard.evidence.kinds import encode_evidence
    from dropbeard.storage.files import read_genesis

    group = read_genesis(genesis)
    found = blame(group, [*sources, *ledgers])
    for owner, offence in found.convicted:
        click.echo(f"convicted: {group.member(owner).name} of {offence.name.lower().replace('_', ' ')}")
    if found.conflict is not None and len({owner for owner, _ in found.convicted}) <= group.f:
        names = ", ".join(group.member(owner).name for owner in found.unaccounted)
        click.echo(f"{found.conflict}: unaccounted, which is no conviction: {names}")
        click.echo("add --ledger DIR of any honest node: its votes and justifications tell who lied")
    if not found.convicted:
        click.echo("nobody is convicted by these")
        return NOBODY
    if output is not None:
        try:
            output.write_bytes(encode_evidence(group, next(iter(found.convicted.values()))))
        except OSError as wrong:
            raise DropbeardError(f"cannot write the evidence to {output}: {wrong.strerror}") from wrong
        click.echo(f"evidence written to {output}")
    return 0
