"""``dropbeard ledger``: replay a node's ledger without keys, and show what is in it (rule 8.2)."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dropbeard.cli.ledger_files import backup_command, export_command, node_files_of, prune_command, restore_command

if TYPE_CHECKING:
    from dropbeard.audit.findings import Audit
    from dropbeard.audit.ledger import Witness
    from dropbeard.types.group import Group

GENESIS = click.option(
    "--group",
    "genesis",
    type=click.Path(path_type=Path),
    help="Genesis file; by default what the configuration beside DIR names.",
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
DIRECTORY = click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))


@click.group("ledger")
def ledger_command() -> None:
    """A node's ledger: DIR is its state directory, a copy of one, or an exported file. Auditors need no key."""


for _command in (export_command, backup_command, restore_command, prune_command):
    ledger_command.add_command(_command)


@ledger_command.command("verify")
@DIRECTORY
@GENESIS
@AS_JSON
def verify_ledger(directory: Path, genesis: Path | None, as_json: bool) -> int:
    """Recompute every header and check every signature: exit 0 valid, 1 not (the height is named), 2 unreadable."""
    started = time.monotonic()
    group, audit = audit_of(directory, genesis)
    seconds = round(time.monotonic() - started, 3)
    figures = _figures(audit) | {"seconds": seconds}
    if as_json:
        click.echo(json.dumps({"valid": True} | figures))
        return 0
    since = "the genesis" if audit.start == 0 else f"the snapshot at height {audit.start}"
    click.echo(f"VALID  group {group.name}, replayed from {since} to height {figures['height']}")
    _say_pruned(audit)
    click.echo(
        f"{figures['batches']} lane batches, {figures['agreed']} agreed, {figures['expired']} expired, "
        f"{figures['supplements']} supplements, {audit.signatures} signatures, {seconds} s"
    )
    for marked in figures["marked"]:
        click.echo(f"marked: {marked['owner']} for {marked['offence']} since height {marked['height']}")
    return 0


@ledger_command.command("successions")
@DIRECTORY
@GENESIS
@click.option("-o", "output", type=click.Path(path_type=Path), required=True, help="File to write.")
def successions_command(directory: Path, genesis: Path | None, output: Path) -> int:
    """Replay the ledger and write what ended its epochs: with this file and the genesis anyone verifies certificates of
    later epochs (dropbeard verify --successions).
    """
    from dropbeard.errors import LedgerInvalid, StorageFailed
    from dropbeard.types.succession import encode_successions
    from dropbeard.verification.lineage import lineage_of

    group, audit = audit_of(directory, genesis)
    if [given.epoch for given in audit.successions] != list(range(len(audit.successions))):
        raise LedgerInvalid("this node's ledger starts in a later epoch: ask a node that was there from the genesis")
    lineage = lineage_of(group, audit.successions)
    try:
        output.write_bytes(encode_successions(group.id, audit.successions))
    except OSError as wrong:
        raise StorageFailed(f"cannot write {output}: {wrong.strerror}") from wrong
    click.echo(f"{output}: what ended {len(audit.successions)} epochs; the latest is {len(lineage.groups) - 1}")
    return 0


@ledger_command.command("show")
@DIRECTORY
@GENESIS
@click.option("--from", "first", type=int, default=1, show_default=True, help="First height shown.")
@click.option("--to", "last", type=int, help="Last height shown; the tip if omitted.")
@AS_JSON
def show_ledger(directory: Path, genesis: Path | None, first: int, last: int | None, as_json: bool) -> int:
    """Blocks, model versions, marked owners and usage, after the same replay as verify."""
    _, audit = audit_of(directory, genesis)
    rows = [row for row in audit.blocks if row.height >= first and (last is None or row.height <= last)]
    names = audit.names
    blocks = [{name: getattr(row, name) for name in type(row).__slots__} for row in rows]
    models = [
        {"height": row.height, "owner": names[row.owner], "version": row.version, "model": row.model.hex()}
        for row in audit.models
    ]
    if as_json:
        click.echo(json.dumps(_figures(audit) | {"blocks": blocks, "models": models}))
        return 0
    _say_pruned(audit)
    click.echo("  height    view  batches  agreed  expired  supplements")
    for row in rows:
        click.echo(f"{row.height:8} {row.view:7} {row.batches:8} {row.agreed:7} {row.expired:8} {row.supplements:12}")
    for model in models:
        click.echo(f"height {model['height']}: {model['owner']} updates to version {model['version']}")
    for owner, used in sorted(audit.usage.items()):
        click.echo(f"{names[owner]}: {used} answers in entries")
    for marked in _figures(audit)["marked"]:
        click.echo(f"marked: {marked['owner']} for {marked['offence']} since height {marked['height']}")
    return 0


def _say_pruned(audit: Audit) -> None:
    if audit.headers:
        click.echo(
            f"of {audit.headers} blocks only headers, justifications and finalizations are checked: their lane batches "
            "are pruned, or were passed over by a snapshot"
        )


def audit_of(directory: Path, genesis: Path | None, witness: Witness | None = None) -> tuple[Group, Audit]:
    """The genesis, and the ledger of a state directory replayed, each block shown to ``witness``."""
    from dropbeard.audit.exporting import read_export
    from dropbeard.audit.ledger import audit_ledger
    from dropbeard.audit.reading import UNREADABLE, read_ledger
    from dropbeard.errors import ConfigInvalid
    from dropbeard.storage.files import read_genesis

    try:
        own = None if genesis is None else read_genesis(genesis)
        if directory.is_file():
            group, held = read_export(directory, own)
        else:
            group = read_genesis(_genesis_beside(directory)) if own is None else own
            held = read_ledger(directory, group)
    except ConfigInvalid as wrong:
        wrong.exit_code = UNREADABLE
        raise
    return group, audit_ledger(group, held.records, held.checkpoint, witness)


def _genesis_beside(directory: Path) -> Path:
    """What the configuration names whose state directory this is."""
    from dropbeard.errors import ConfigInvalid

    try:
        return node_files_of(directory).genesis
    except ConfigInvalid as wrong:
        raise ConfigInvalid(f"{wrong}; or say --group GENESIS") from wrong


def _figures(audit: Audit) -> dict[str, Any]:
    names = audit.names
    marked = [
        {"owner": names[owner], "offence": offence.name.lower().replace("_", " "), "height": height}
        for (owner, offence), height in sorted(audit.marks.items())
    ]
    return {
        "start": audit.start,
        "headers": audit.headers,
        "height": audit.blocks[-1].height if audit.blocks else audit.start,
        "batches": sum(row.batches for row in audit.blocks),
        "agreed": sum(row.agreed for row in audit.blocks),
        "expired": sum(row.expired for row in audit.blocks),
        "supplements": sum(row.supplements for row in audit.blocks),
        "signatures": audit.signatures,
        "marked": marked,
        "usage": {names[owner]: used for owner, used in sorted(audit.usage.items())},
    }
