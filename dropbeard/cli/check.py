"""``dropbeard check``: a node's or a gateway's configuration, keys and files, before it runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("check")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def check_command(config: Path, as_json: bool) -> int:
    """Check CONFIG: genesis, keys, permissions, state, model, ports, and whether the loss of a site stops the group; of
    a gateway genesis, keys, TLS, who may ask, ports.

    Exit code 0: nothing failed, though there may be warnings; 1: a check failed, and the line below it says what mends
    it.
    """
    from dropbeard.cli.findings_view import show
    from dropbeard.daemon.files import read_node_files
    from dropbeard.daemon.readiness import Readiness
    from dropbeard.gateway.readiness import findings, is_gateway

    if is_gateway(config):
        return show(findings(config), as_json)
    return show(Readiness(read_node_files(config)).findings(), as_json)
