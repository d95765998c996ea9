"""``dropbeard groups``: what groups offer, from their signed cards."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dropbeard.marketplace.group_cards import Listed

PATH = click.Path(path_type=Path)
REFUSED = 1


@click.command("groups")
@click.argument("sources", nargs=-1, required=True)
@click.option("--task", help="Groups of this task alone.")
@click.option("--endorsed", is_flag=True, help="Cards that f+1 owners signed, and that are valid today, alone.")
@click.option("--group", "genesis", multiple=True, type=PATH, help="A genesis to hold its group's cards against.")
@click.option("--key", type=PATH, help="Ask nodes with this client key; closed groups need it.")
@click.option("--timeout", default=5.0, show_default=True, help="Seconds to wait for a node's cards.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def groups_command(
    sources: tuple[str, ...],
    task: str | None,
    endorsed: bool,
    genesis: tuple[Path, ...],
    key: Path | None,
    timeout: float,
    as_json: bool,
) -> int:
    """List the group cards of SOURCES: card files, directories of .card files, genesis files (their nodes are asked),
    nodes as tcp://HOST:PORT#CURVEKEY (the clients' port). Every signature is checked; nothing is taken on trust.

    Without the genesis (--group) a card's signatures check with the keys that the card itself names, which anyone can
    make up: compare the group's id with what you know. Exit 0, or 1 when a source or card was refused.
    """
    from dropbeard.cli.main import one_line
    from dropbeard.marketplace.catalogue import gather
    from dropbeard.signing.curve import load_curve_secret
    from dropbeard.storage.files import read_genesis

    groups = [read_genesis(path) for path in genesis]
    found = gather(sources, groups, None if key is None else load_curve_secret(key), timeout)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    rows = [_row(listed, today) for listed in found.cards]
    rows = [row for row in rows if task in (None, row["task"]) and (not endorsed or (row["endorsed"] and row["valid"]))]
    if as_json:
        click.echo(json.dumps({"groups": rows, "refused": found.refused}, sort_keys=True))
    else:
        for row in rows:
            _show(row)
        if not rows:
            click.echo("no group card of this kind")
    for line in [] if as_json else found.refused:
        click.echo(f"refused: {one_line(line)}", err=True)
    return REFUSED if found.refused else 0


def _row(listed: Listed, today: str) -> dict[str, Any]:
    card = listed.signed.card
    names = {owner.id: owner.name for owner in card.owners}
    owners = [
        {
            "id": int(owner.id),
            "name": owner.name,
            "model": owner.model.hex(),
            "model_name": owner.model_name,
            "clients": f"{owner.clients}#{owner.curve_key.hex()}",
        }
        for owner in card.owners
    ]
    return {
        "group": card.group.hex(),
        "epoch": int(card.epoch),
        "name": card.name,
        "task": card.task,
        "n": len(card.owners),
        "f": card.f,
        "answers": card.answers,
        "owners": owners,
        "currency": card.terms.currency,
        "price_answer": card.terms.answer,
        "price_late": card.terms.late,
        "slo_p99_ms": card.terms.slo_p99_ms,
        "serial": card.terms.serial,
        "valid_until": card.terms.valid_until,
        "valid": today <= card.terms.valid_until,
        "card": card.digest.hex(),
        "signers": [names[owner] for owner in listed.signers],
        "wrong_signatures": [int(owner) for owner in listed.wrong],
        "endorsed": listed.endorsed,
        "keys": "genesis" if listed.proved else "card",
        "source": listed.source,
    }


def _show(row: dict[str, Any]) -> None:
    state = "endorsed" if row["endorsed"] else "not endorsed"
    late = "" if row["valid"] else ", NO LONGER VALID"
    proof = "as in its genesis" if row["keys"] == "genesis" else "as the card says, not proved"
    click.echo(f"{row['name']}  {row['task']}  group {row['group'][:12]}  {state}{late}")
    price = f"{row['price_answer']} (late {row['price_late']}) micro-{row['currency']} an answer"
    click.echo(f"  {price}, p99 {row['slo_p99_ms']} ms, until {row['valid_until']}, serial {row['serial']}")
    models = ", ".join(f"{owner['name']} ({owner['model_name']})" for owner in row["owners"])
    click.echo(f"  n = {row['n']}, f = {row['f']}, answers = {row['answers']}: {models}")
    click.echo(f"  signed by {', '.join(row['signers']) or 'nobody'}; keys {proof}; from {row['source']}")
    if row["wrong_signatures"]:
        click.echo(f"  WRONG signatures of owners {', '.join(map(str, row['wrong_signatures']))}")
