"""``dropbeard init``: what an owner needs to take part."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import get_args

import click

from dropbeard.types.node_config import Backend, EngineTable


@click.command("init")
@click.argument("name")
@click.option("--dir", "directory", type=click.Path(path_type=Path), required=True, help="Directory to make.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address at which others reach this node.")
@click.option("--port", default=7400, show_default=True, help="Port for votes; the next three are taken too.")
@click.option("--model", default="efficientnet-lite0", show_default=True, help="First model, by its manifest's name.")
@click.option("--backend", type=click.Choice(get_args(Backend)), default="onnx", show_default=True)
@click.option("--url", help="For the backend oip: http://HOST:PORT or grpc://HOST:PORT of your serving system.")
@click.option("--remote-model", help="For the backend oip: what your serving system calls the model.")
@click.option("--system", is_flag=True, help="For the systemd units: state in /var/lib/dropbeard, socket in /run.")
@click.option("--passphrase-env", metavar="VAR", help="Encrypt owner and node key with the passphrase in $VAR.")
def init_command(
    name: str,
    directory: Path,
    host: str,
    port: int,
    model: str,
    backend: Backend,
    url: str | None,
    remote_model: str | None,
    system: bool,
    passphrase_env: str | None,
) -> None:
    """Make keys, configuration and public card of the owner NAME.

    Private keys get mode 0600 and are never overwritten. A running node needs node.key, curve.key and salt.key; keep
    owner.key offline.
    """
    import msgspec

    from dropbeard.daemon.new_node import NodePlan, make_node
    from dropbeard.errors import ConfigInvalid

    passphrase = None if passphrase_env is None else os.environ.get(passphrase_env)
    if passphrase_env is not None and not passphrase:
        raise ConfigInvalid(f"--passphrase-env names ${passphrase_env}, which is not set or empty")
    engine = EngineTable(model, backend=backend, url=url, remote_model=remote_model)
    state = "state"
    if system:
        state, socket = f"/var/lib/dropbeard/{name}", f"ipc:///run/dropbeard/{name}/engine.sock"
        engine = msgspec.structs.replace(engine, endpoint=socket)
    made = make_node(
        NodePlan(
            name=name,
            host=host,
            port=port,
            engine=engine,
            passphrase=passphrase,
            passphrase_env=passphrase_env,
            state=state,
        ),
        directory,
    )
    card, config = (shlex.quote(str(path)) for path in (made.card, made.config))
    click.echo(f"made {directory}: send {card} to the other owners, keep everything else private.")
    click.echo(f"next: put the group's genesis at {made.config.parent / 'genesis.toml'}, then")
    click.echo(f"  dropbeard run engine {config}")
    click.echo(f"  dropbeard run node {config}")
