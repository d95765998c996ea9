"""``dropbeard group``: a genesis from owners' cards, and who serves it from epoch to epoch."""

from __future__ import annotations

from pathlib import Path

import click

from dropbeard.cli.group_card import card_command
from dropbeard.cli.membership import COMMANDS

ALLOW_HELP = "File of clients' public keys, hex, one a line: only they may ask."


@click.group("group")
def group_command() -> None:
    """Make a group's genesis, change its owners, and sign the card that says what it offers."""


for command in (*COMMANDS, card_command):
    group_command.add_command(command)


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
@click.option("--allow-client", "allowed", multiple=True, type=click.Path(path_type=Path), help=ALLOW_HELP)
@click.option("--client-rate", "rate", default=0, help="Requests of one client a second; 0: no limit.")
@click.option("--client-burst", "burst", type=int, help="Requests of one client at once; the rate by default.")
@click.option("--client-day", "per_day", default=0, help="Requests of one client in a UTC day; 0: no limit.")
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
    allowed: tuple[Path, ...],
    rate: int,
    burst: int | None,
    per_day: int,
    wan: bool,
) -> None:
    """Write the genesis file of the owners whose public CARDs are given, in this order."""
    from dataclasses import replace

    from dropbeard.daemon.new_group import client_rules_from, parameters_from, task_of, write_genesis
    from dropbeard.storage.files import read_card
    from dropbeard.types.cards import group_from_cards

    rows = [(str(path), read_card(path)) for path in cards]
    schema = task_of(task, labels, task_file)
    group = group_from_cards(rows, name, schema, parameters_from(settings, wan), faults, answers)
    group = replace(group, clients=client_rules_from(allowed, rate, burst, per_day))
    write_genesis(group, output)
    click.echo(f"wrote {output}: group {group.id.hex()[:12]}, n = {group.n}, f = {group.f}, answers = {group.answers}")
    click.echo("give this file to every owner and every client.")


@group_command.command("client-key")
@click.argument("output", type=click.Path(path_type=Path))
def client_key_command(output: Path) -> None:
    """Make a client's key in the new file OUTPUT, for Client.from_group(..., key=OUTPUT), and print its public half,
    which is the client's name: owners allow it, and usage is counted by it.
    """
    from dropbeard.signing.curve import CurveSecret, write_curve_secret

    secret = CurveSecret.generate()
    write_curve_secret(output, secret)
    click.echo(secret.public.hex())
