"""``dropbeard reputation``: what a ledger and disclosed certificates say of each owner."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dropbeard.cli.ledger import GENESIS

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH = click.Path(path_type=Path)
INCOMPLETE = 3
DISCLOSED = "disclosed"


@click.command("reputation")
@click.option("--ledger", "directory", type=PATH, required=True, help="A node's state directory, or a copy of one.")
@GENESIS
@click.option("--disclosed", type=PATH, help="Disclosed certificates (.dbcert files); else `disclosed` of the ledger.")
@click.option("--json", "as_json", is_flag=True, help="The canonical JSON document.")
def reputation_command(directory: Path, genesis: Path | None, disclosed: Path | None, as_json: bool) -> int:
    """Replay a ledger, verify disclosed certificates, and count for each owner: answers, late and missing ones, how
    often it agreed with the group, and evidence against it. Counts and thousandths, no score.

    Exit 0, 1 the ledger does not check, 2 unreadable, 3 the ledger lacks blocks, so that counts are of a part.
    """
    from dropbeard.cli.ledger import audit_of
    from dropbeard.marketplace.reputation import Attendance, disclosed_in, lineage_from, reputation, to_json

    attendance = Attendance()
    group, audit = audit_of(directory, genesis, attendance.see)
    lineage = lineage_from(group, audit)
    found = disclosed_in(disclosed if disclosed is not None else directory / DISCLOSED, lineage)
    members = {owner: [g.epoch for g in lineage.groups if g.owner(owner) is not None] for owner in audit.names}
    table = reputation(group, audit, attendance, found, members)
    if as_json:
        click.echo(to_json(table), nl=False)
    else:
        _show(table)
    if table["complete"]:
        return 0
    click.echo(f"NOT COMPLETE: of {table['headers_only']} blocks only headers are here, counts start above", err=True)
    return INCOMPLETE


def _show(table: Mapping[str, Any]) -> None:
    click.echo(
        f"group {table['group']['name']}, height {table['height']}: {table['agreed_requests']} requests agreed; "
        f"of {table['certificates']} certificates are disclosed, {table['decided']} decided; {table['refused']} refused"
    )
    click.echo(f"{'owner':16} {'agreed':>8} {'late':>14} {'absent':>14} {'expired':>8} {'same class':>20}  evidence")
    for row in table["owners"]:
        marks = ", ".join(f"{m['offence'].replace('_', ' ')} at {m['height']}" for m in row["evidence"]) or "none"
        same = f"{row['disclosed_same']} of {row['disclosed_decided']} {_share(row['agreement_permille'])}"
        late = f"{row['late']} {_share(row['late_permille'])}"
        absent = f"{row['absent']} {_share(row['absent_permille'])}"
        click.echo(
            f"{row['owner'][:16]:16} {row['agreed']:8} {late:>14} {absent:>14} {row['expired']:8} {same:>20}  {marks}"
        )


def _share(permille: int | None) -> str:
    return "" if permille is None else f"({permille // 10}.{permille % 10} %)"
