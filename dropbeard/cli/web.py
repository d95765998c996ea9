"""``dropbeard web``: the page of a running node, on loopback, read-only."""

from __future__ import annotations

from pathlib import Path

import click

PORT = 8645


@click.command("web")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65_535), help="0: any free one.")
def web_command(config: Path, port: int) -> int:
    """Serve the page of CONFIG's node on 127.0.0.1 until Ctrl-C or SIGTERM, as the node's own user or root.

    Status and charts of the node, the group with who disagrees with whom over disclosed certificates, model versions
    from the ledger, and a certificate explorer. It reads files and the status socket, changes nothing and opens no
    key. Whoever has an account on this machine can read the page.
    """
    from dropbeard.daemon.files import read_node_files
    from dropbeard.daemon.process import StopSignal
    from dropbeard.web.server import ADDRESS, web_served

    stop = StopSignal()
    with web_served(read_node_files(config), port) as found:
        click.echo(f"http://{ADDRESS}:{found}/")
        stop.wait()
    return 0
