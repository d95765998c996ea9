"""``dropbeard upgrade-check``: may the running node be stopped without stopping the group?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import click

REFUSED: Final = 1


@click.command("upgrade-check")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--timeout", default=3.0, show_default=True, help="Seconds to wait for the node's answer.")
def upgrade_check_command(config: Path, as_json: bool, timeout: float) -> int:
    """Ask the running node of CONFIG whether enough others carry the group while it is down.

    Another counts when it was heard lately, in this epoch, at most a few blocks behind, with an engine that answers,
    and does not drain. Exit code 0: stop it; 1: do not, and why; 2: no answer.
    """
    import msgspec

    from dropbeard.daemon.asking import ask_status
    from dropbeard.daemon.files import read_node_files
    from dropbeard.daemon.upgrading import check_upgrade
    from dropbeard.errors import ConfigInvalid, NodeUnreachable
    from dropbeard.storage.files import read_genesis

    try:
        files = read_node_files(config)
        interval_us = read_genesis(files.genesis).parameters.status_interval_us
    except ConfigInvalid as wrong:  # 1 would say that a node answered
        raise NodeUnreachable(str(wrong)) from wrong
    found = check_upgrade(ask_status(files, timeout), interval_us)
    if as_json:
        click.echo(json.dumps({"may_stop": found.may_stop, **msgspec.to_builtins(found)}))
    else:
        click.echo(f"{'OK' if found.may_stop else 'NOT NOW'}  {found.text()}")
    return 0 if found.may_stop else REFUSED
