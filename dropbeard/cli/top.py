"""``dropbeard top``: the whole group, live, in a terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from dropbeard.cli.top_view import Seen
    from dropbeard.daemon.files import NodeFiles

TIMEOUT_S: Final = 1.0
FRAMES_MAX: Final = 1_000_000


@click.command("top")
@click.argument("configs", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--every", default=1.0, show_default=True, type=click.FloatRange(0.1, 60), help="Seconds between frames.")
@click.option("--frames", default=0, type=click.IntRange(0, FRAMES_MAX), help="End after so many; 0: at Ctrl-C.")
def top_command(configs: tuple[Path, ...], every: float, frames: int) -> int:
    """Watch the group as the running nodes of CONFIGS see it: one node is enough, more of them tell more.

    Heights and links of owners whose nodes are not asked are what the first node that answers sees. Ends at Ctrl-C,
    with exit code 0; with --frames, 2 when no node answered the last time.
    """
    from rich.console import Console
    from rich.live import Live

    from dropbeard.cli.top_view import Seen, screen
    from dropbeard.daemon.files import read_node_files
    from dropbeard.errors import NodeUnreachable

    nodes = [read_node_files(config) for config in configs]
    seen = Seen()
    shown = 0
    try:
        with Live(console=Console(), auto_refresh=False, transient=False) as live:
            while True:
                _look(nodes, seen)
                live.update(screen(seen), refresh=True)
                shown += 1
                if shown == frames:
                    return 0 if seen.nodes else NodeUnreachable.exit_code
                time.sleep(every)
    except KeyboardInterrupt:
        return 0


def _look(nodes: Sequence[NodeFiles], seen: Seen) -> None:
    """Ask every node once."""
    from dropbeard.daemon.asking import ask_status
    from dropbeard.errors import NodeUnreachable

    seen.nodes.clear()
    seen.silent.clear()
    for files in nodes:
        try:
            status = ask_status(files, TIMEOUT_S)
        except NodeUnreachable as wrong:
            seen.silent[files.config.name] = str(wrong)
        else:
            seen.nodes[status.owner] = status
    first = next(iter(seen.nodes.values()), None)
    seen.note_rate(0.0 if first is None else first.requests.per_second)
