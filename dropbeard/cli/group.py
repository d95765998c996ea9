"""``dropbeard group``: a genesis from owners' cards."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("group")
def group_command() -> None:
    """Make a group's genesis."""


@group_command.command("create")
@click.argument("cards", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Genesis file to write.")
@click.option("--name", default="group", show_default=True, help="The group's name.")
@click.option("--f", "faults", type=int, help="Byzantine owners tolerated; the most that n >= 3f+1 allows by default.")
@click.option("--answers", type=int, help="Owners that must answer, 2f+1 to n-f; n-f by default.")
@click.option("--task", default="imagenet", show_default=True, help="Name of the task schema.")
@click.option("--task-file", type=click.Path(path_type=Path), help="A [task] table, for tasks that do not classify.")
@click.option("--labels", type=click.Path(path_type=Path), help="Class names, one a line; ImageNet's by default.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a genesis parameter.")
@click.option("--wan", is_flag=True, help="Time-outs for owners in different regions.")
def create_command(
    cards: tuple[Path, ...],
    output: Path,
    name: str,
    faults: int | None,
    answers: int | None,
    task: str,
    task_file: Path | None,
    labels: Path | None,
    settings: tuple[str, ...],
    wan: bool,
) -> None:
    """Write the genesis file of the owners whose public CARDs are given, in this order."""
    from dropbeard.daemon.new_group import parameters_from, task_of, write_genesis
    from dropbeard.storage.files import read_card
    from dropbeard.types.cards import group_from_cards

    rows = [(str(path), read_card(path)) for path in cards]
    group = group_from_cards(
        rows, name, task_of(task, labels, task_file), parameters_from(settings, wan), faults, answers
    )
    write_genesis(group, output)
    click.echo(f"wrote {output}: group {group.id.hex()[:12]}, n = {group.n}, f = {group.f}, answers = {group.answers}")
    click.echo("give this file to every owner and every client.")
