"""``dropbeard status``: what the running node of a configuration says of itself; its exit code is a health check."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from dropbeard.audit.disclosed import Agreement
    from dropbeard.daemon.files import NodeFiles
    from dropbeard.types.status import NodeStatus

HEALTHY: Final = 0
DEGRADED: Final = 1
EVERY_S: Final = 2.0


@click.command("status")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--watch", is_flag=True, help="Again every two seconds, until Ctrl-C.")
@click.option("--timeout", default=3.0, show_default=True, help="Seconds to wait for the node's answer.")
@click.option(
    "--certificates",
    type=click.Path(path_type=Path),
    help="Certificates that clients disclosed (.dbcert files); else the directory `disclosed` of the state directory.",
)
def status_command(config: Path, as_json: bool, watch: bool, timeout: float, certificates: Path | None) -> int:
    """Ask the running node of CONFIG how it is, as its own user or root.

    Exit code 0: healthy; 1: degraded, and the problems are named; 2: no answer.
    """
    from dropbeard.errors import ConfigInvalid, NodeUnreachable

    try:
        while True:
            code = _once(config, as_json, watch, timeout, certificates)
            if not watch:
                return code
            time.sleep(EVERY_S)
    except ConfigInvalid as wrong:  # 1 would say that a node answered
        raise NodeUnreachable(str(wrong)) from wrong


def _once(config: Path, as_json: bool, watch: bool, timeout: float, certificates: Path | None) -> int:
    from dropbeard.cli.main import one_line
    from dropbeard.cli.status_view import lines
    from dropbeard.daemon.asking import ask_status
    from dropbeard.daemon.files import read_node_files

    files = read_node_files(config)
    status = ask_status(files, timeout)
    agreement = _agreement(files, status.owner, certificates)
    if as_json:
        click.echo(json.dumps(_as_json(status, agreement)))
    else:
        if watch:
            click.clear()
        for line in lines(status, agreement):
            click.echo(one_line(line))
    return DEGRADED if status.problems else HEALTHY


def _agreement(files: NodeFiles, owner: str, certificates: Path | None) -> Agreement:
    from dropbeard.audit.disclosed import agreement_of
    from dropbeard.daemon.epoch_files import read_epochs
    from dropbeard.storage.files import DISCLOSED, read_genesis

    group = read_genesis(files.genesis)
    return agreement_of(owner, group, certificates or files.state / DISCLOSED, read_epochs(group, files.state)[1])


def _as_json(status: NodeStatus, agreement: Agreement) -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(status)
    counts = {name: getattr(agreement, name) for name in ("certificates", "decided", "agreed", "refused")}
    return {"healthy": not status.problems, **found, "agreement": {"rate": agreement.rate, **counts}}
