"""``dropbeard doctor``: find out what ails a node."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("doctor")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor_command(config: Path, as_json: bool) -> int:
    """Examine the node of CONFIG, running or not: everything of `dropbeard check`, then clock, descriptors, disk,
    libraries, models, journal, and its peers: connections both ways, handshakes, genesis.

    Exit code 0: nothing failed, though there may be warnings; 1: a check failed, and the line below it says what mends
    it.
    """
    from dropbeard.cli.findings_view import show
    from dropbeard.daemon.doctor import Doctor
    from dropbeard.daemon.files import read_node_files

    return show(Doctor(read_node_files(config)).findings(), as_json)
