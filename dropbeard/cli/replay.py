"""``dropbeard replay``: run a node's recorded core again."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("replay")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--until", type=int, metavar="EVENT", help="Stop after the turn of this number.")
@click.option("--quiet", is_flag=True, help="Only the last line.")
def replay_command(file: Path, until: int | None, quiet: bool) -> int:
    """Run the core of a node again from FILE, one of the recordings in its state directory (option ``record``).

    Exit code 0: every turn signed and stored what it did then; 1: one did not, or the file is no recording.
    """
    from dropbeard.daemon.replaying import replay

    turns = 0
    for turn in replay(file, until):
        turns += 1
        if not quiet:
            events, signed = " ".join(turn.events) or "(time)", " ".join(turn.signed)
            click.echo(f"{turn.number:8} view {turn.view} height {turn.height}  {events}  {signed and '-> ' + signed}")
    click.echo(f"{turns} turns went the same way again")
    return 0
