"""``dropbeard drain``: end a running node without a failed request."""

from __future__ import annotations

import os
import select
import time
from pathlib import Path
from typing import Final

import click

ANSWER_BYTES_MAX: Final = 1_024


@click.command("drain")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--timeout", default=10.0, show_default=True, help="Seconds to wait for its end.")
def drain_command(config: Path, timeout: float) -> int:
    """Have the running node of CONFIG take no new requests, finish those under way, and end with exit code 0.

    Exit code 0: it ended; 2: it does not answer, or goes on beyond the time-out.
    """
    from dropbeard.daemon.asking import ask_status
    from dropbeard.daemon.files import read_node_files
    from dropbeard.daemon.status_desk import DRAIN
    from dropbeard.errors import NodeUnreachable
    from dropbeard.transport.status_link import ask

    files = read_node_files(config)
    started = time.monotonic()
    try:
        process = os.pidfd_open(ask_status(files, timeout).pid)
    except OSError as wrong:
        raise NodeUnreachable(f"the node ended by itself, or runs in another container: {wrong.strerror}") from wrong
    try:
        ask(files.state, DRAIN, ANSWER_BYTES_MAX, timeout)
        ended, _, _ = select.select([process], [], [], timeout)
    finally:
        os.close(process)
    if not ended:
        raise NodeUnreachable(f"the node was asked to end and goes on after {timeout:g} s; see its log")
    click.echo(f"drained in {time.monotonic() - started:.2f} s")
    return 0
