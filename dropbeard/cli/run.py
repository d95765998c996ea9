"""``dropbeard run``: the daemons. The console scripts dropbeard-node and dropbeard-engine are the same functions."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dropbeard.cli.main import run, say
from dropbeard.errors import DropbeardError, ExtraMissing

if TYPE_CHECKING:
    from dropbeard.daemon.files import NodeFiles


@click.group("run")
def run_command() -> None:
    """Run a daemon in the foreground; SIGTERM or Ctrl-C ends it cleanly.

    Exit code 0: it was told to end; 1: a restart may help; 65: the node's disk does not hold all that it promised;
    69: its owner left the group, and it has nothing left to show; 78: configuration, keys, a model or a package must be
    mended first.
    """


@run_command.command("node")
@click.argument("config", type=click.Path(path_type=Path))
def node_command(config: Path) -> int:
    """Run the node that CONFIG describes: agreement, client and peer sockets, journal."""
    from dropbeard.daemon.node import run_node

    return _run(run_node, config)


@run_command.command("engine")
@click.argument("config", type=click.Path(path_type=Path))
def engine_command(config: Path) -> int:
    """Run the engine that CONFIG describes: one model behind an ipc socket, no keys, no network."""
    from dropbeard.daemon.engine import run_engine

    return _run(run_engine, config)


@run_command.command("gateway")
@click.argument("config", type=click.Path(path_type=Path))
def gateway_command(config: Path) -> int:
    """Run the gateway that CONFIG describes: the Open Inference Protocol v2, by HTTP and gRPC, in front of a group."""
    from dropbeard.gateway.config import read_gateway_files

    def serve(path: Path) -> int:
        files = read_gateway_files(path)
        try:
            from dropbeard.gateway.daemon import run_gateway
        except ModuleNotFoundError as missing:
            raise ExtraMissing(f"a gateway needs {missing.name}: pip install 'dropbeard[gateway]'") from missing
        return run_gateway(files)

    return _ended(serve, config)


def _run(daemon: Callable[[NodeFiles], int], config: Path) -> int:
    from dropbeard.daemon.files import read_node_files

    return _ended(lambda path: daemon(read_node_files(path)), config)


def _ended(daemon: Callable[[Path], int], config: Path) -> int:
    """A daemon's own exit codes tell a service manager whether another start may help (errors.py)."""
    try:
        return daemon(config)
    except DropbeardError as wrong:
        say(wrong)
        return wrong.daemon_exit_code


def node_main() -> None:
    """``dropbeard-node CONFIG``."""
    sys.exit(run(["run", "node", *sys.argv[1:]]))


def engine_main() -> None:
    """``dropbeard-engine CONFIG``."""
    sys.exit(run(["run", "engine", *sys.argv[1:]]))
