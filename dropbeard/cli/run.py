"""``dropbeard run``: the daemons. The console scripts dropbeard-node and dropbeard-engine are the same functions."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dropbeard.cli.main import run


@click.group("run")
def run_command() -> None:
    """Run a daemon in the foreground; SIGTERM or Ctrl-C ends it cleanly."""


@run_command.command("node")
@click.argument("config", type=click.Path(path_type=Path))
def node_command(config: Path) -> int:
    """Run the node that CONFIG describes: agreement, client and peer sockets, journal."""
    from dropbeard.daemon.files import read_node_files
    from dropbeard.daemon.node import run_node

    return run_node(read_node_files(config))


@run_command.command("engine")
@click.argument("config", type=click.Path(path_type=Path))
def engine_command(config: Path) -> int:
    """Run the engine that CONFIG describes: one model behind an ipc socket, no keys, no network."""
    from dropbeard.daemon.engine import run_engine
    from dropbeard.daemon.files import read_node_files

    return run_engine(read_node_files(config))


def node_main() -> None:
    """``dropbeard-node CONFIG``."""
    sys.exit(run(["run", "node", *sys.argv[1:]]))


def engine_main() -> None:
    """``dropbeard-engine CONFIG``."""
    sys.exit(run(["run", "engine", *sys.argv[1:]]))
