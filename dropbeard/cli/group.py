"""``dropbeard group``: a genesis from owners' cards, and who serves it from epoch to epoch."""

from __future__ import annotations

from pathlib import Path

import click

from dropbeard.cli.membership import COMMANDS


@click.group("group")
def group_command() -> None:
    """Make a group's genesis, and change its owners."""


for command in COMMANDS:
    group_command.add_command(command)


@group_command.command("create")
@click.argument("cards", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Genesis file to write.")
@click.option("--name", default="group", show_default=True, help="The group's name.")
@click.option("--f", "faults", type=int, help="Byzantine owners tolerated; the most that n >= 3f+1 allows by default.")
@click.option("--answers", type=int, help="Owners that must answer, 2f+1 to n-f; n-f by default.")
@click.option("--task", default="imagenet", show_default=True, help="Name of the task schema.")
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
    labels: Path | None,
    settings: tuple[str, ...],
    wan: bool,
) -> None:
    """Write the genesis file of the owners whose public CARDs are given, in this order."""
    from dropbeard.daemon.new_group import parameters_from, read_labels, write_genesis
    from dropbeard.storage.files import read_card
    from dropbeard.types.cards import group_from_cards
    from dropbeard.types.genesis_file import task_schema

    rows = [(str(path), read_card(path)) for path in cards]
    schema = task_schema(task, read_labels(labels))
    group = group_from_cards(rows, name, schema, parameters_from(settings, wan), faults, answers)
    write_genesis(group, output)
    click.echo(f"wrote {output}: group {group.id.hex()[:12]}, n = {group.n}, f = {group.f}, answers = {group.answers}")
    click.echo("give this file to every owner and every client.")
