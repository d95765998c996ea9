"""``dropbeard model``: the next version of an owner's model, from the owner key to the lane (rule 4.3)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dropbeard.cli.lineages import GENESIS

if TYPE_CHECKING:
    from dropbeard.types.group import Owner
    from dropbeard.types.ids import Digest

SYNTHETIC = "synthetic"


@click.group("model")
def model_command() -> None:
    """Sign an update where the owner key is, hand it to the node, see what was in force when."""


@model_command.command("sign")
@click.argument("model")
@GENESIS
@click.option("--owner-key", "key", type=click.Path(path_type=Path), required=True, help="owner.key, kept offline.")
@click.option("--version", default=2, show_default=True, help="One more than the version in force.")
@click.option("--epoch", default=0, show_default=True, help="The group's epoch.")
@click.option("--passphrase-env", metavar="VAR", help="The owner key's passphrase is in $VAR.")
@click.option("-o", "output", type=click.Path(path_type=Path), required=True, help="Update file to write.")
def sign_command(
    model: str, genesis: Path, key: Path, version: int, epoch: int, passphrase_env: str | None, output: Path
) -> None:
    """Sign MODEL, by its manifest's name, as the owner's next version. Needs no network and no node."""
    from dropbeard.errors import ConfigInvalid, KeyInvalid
    from dropbeard.signing.keys import load_private_key
    from dropbeard.storage.files import read_genesis
    from dropbeard.types.ids import Epoch, Signature, Version
    from dropbeard.types.lanes import SignedUpdate
    from dropbeard.types.statements import ModelUpdate
    from dropbeard.types.update_file import update_to_toml

    group = read_genesis(genesis)
    private = load_private_key(key, None if passphrase_env is None else os.environ.get(passphrase_env))
    public = private.public.to_bytes()
    owner = next((owner for owner in group.owners if owner.owner_key == public), None)
    if owner is None:
        raise KeyInvalid(f"{key} is no owner key of the group {group.name}")
    if not 2 <= version < 1 << 32:
        raise ConfigInvalid(f"version {version} is out of bounds: the first model is version 1, updates count from 2")
    update = ModelUpdate(group.id, Epoch(epoch), owner.id, Version(version), _digest(model, owner, version))
    signed = SignedUpdate(update, Signature(private.sign(update.encode())))
    try:
        with output.open("x") as file:
            file.write(update_to_toml(signed, model))
    except FileExistsError:
        raise ConfigInvalid(f"{output} exists; name another file") from None
    click.echo(f"{output}: {owner.name} takes {model} as version {version}")
    click.echo(f"next, at the node: dropbeard model update CONFIG {output}")


def _digest(model: str, owner: Owner, version: int) -> Digest:
    from dropbeard.serving.manifest import load_manifest, model_digest
    from dropbeard.serving.synthetic import synthetic_digest

    return synthetic_digest(owner.name, version) if model == SYNTHETIC else model_digest(load_manifest(model))


@model_command.command("update")
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("update", type=click.Path(path_type=Path))
@click.option("--timeout", default=120.0, show_default=True, help="Seconds to wait for the node's word.")
def update_command(config: Path, update: Path, timeout: float) -> None:
    """Hand UPDATE to the node of CONFIG on this machine: exit 0 once its lane carries it, 1 when it is refused.

    A node that is not running takes it when it runs. Until the next model is loaded and warm, the old one answers.
    """
    from dropbeard.daemon.files import read_node_files
    from dropbeard.daemon.updates import update_tray
    from dropbeard.errors import UpdateRefused
    from dropbeard.storage.files import read_text
    from dropbeard.types.update_file import UPDATE_BYTES_MAX, update_from_toml

    state = read_node_files(config).state
    text = read_text(update, UPDATE_BYTES_MAX, "the update")
    update_from_toml(text, str(update))
    if not state.is_dir():
        raise UpdateRefused(f"{state} is not there: the node of {config} never ran")
    tray = update_tray(state)
    tray.hand_over(text)
    click.echo(tray.wait_for_word(timeout))


@model_command.command("history")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--group", "genesis", type=click.Path(path_type=Path), help="Genesis file; else the configuration's.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def history_command(directory: Path, genesis: Path | None, as_json: bool) -> None:
    """Replay the ledger in DIR without keys: which version of whose model was in force from which height on."""
    from dropbeard.cli.ledger import audit_of

    group, audit = audit_of(directory, genesis)
    first = [(0, owner.name, 1, owner.model) for owner in group.owners]
    later = [(row.height, audit.names[row.owner], row.version, row.model) for row in audit.models]
    rows = [
        {"height": height, "owner": name, "version": int(version), "model": model.hex()}
        for height, name, version, model in (*first, *later)
    ]
    if as_json:
        click.echo(json.dumps({"models": rows}))
        return
    for row in rows:
        click.echo(f"height {row['height']:8}  {row['owner']:20} version {row['version']:4}  {str(row['model'])[:12]}")
