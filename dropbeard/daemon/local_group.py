"""A whole group on this machine: real keys, real daemons, loopback sockets. For the demo, tests and measurements."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from dropbeard.daemon.new_group import read_labels, write_genesis
from dropbeard.daemon.new_node import PORTS, NodePlan, make_node
from dropbeard.daemon.supervisor import Child, Supervisor
from dropbeard.errors import DropbeardError
from dropbeard.storage.files import read_card
from dropbeard.types.cards import group_from_cards
from dropbeard.types.genesis_file import task_schema
from dropbeard.types.group import Group
from dropbeard.types.node_config import EngineTable
from dropbeard.types.parameters import Parameters
from dropbeard.types.task import TaskSchema

OWNERS: Final = (
    ("alice", "efficientnet-lite0"),
    ("bob", "efficientnet-lite1"),
    ("carol", "efficientnet-lite2"),
    ("dave", "squeezenet1.1"),
)
"""The four owners of the demo and the model of each."""

LOOPBACK: Final = "127.0.0.1"
FIRST_PORT: Final = 17_400
LAST_PORT: Final = 32_000
"""Below the range from which Linux takes ports for outgoing connections."""


class LocalGroup:
    """Makes a group in ``directory`` and runs it; use as a context manager. ``directory`` must be empty or new.

    ``owners``: (name, model) of each. ``engine``: settings of every engine but its model, or one for each owner.
    ``task``: what is asked of it, classes named by ``labels`` (ImageNet's by default) unless given.
    ``hosts``: the address of each node in the genesis, when nodes are to be reached in another way than by loopback.
    """

    def __init__(
        self,
        directory: Path,
        owners: Sequence[tuple[str, str]] = OWNERS,
        *,
        engine: EngineTable | Sequence[EngineTable] | None = None,
        labels: Path | None = None,
        task: TaskSchema | None = None,
        parameters: Parameters | None = None,
        hosts: Sequence[str] | None = None,
    ) -> None:
        self.directory = directory.resolve()
        self.genesis = self.directory / "genesis.toml"
        ports = free_ports(len(owners))
        engines = [engine or EngineTable("")] * len(owners) if not isinstance(engine, Sequence) else engine
        rows = zip(owners, hosts or [LOOPBACK] * len(owners), ports, engines, strict=True)
        nodes = []
        for (name, model), host, port, settings in rows:
            of_model = msgspec.structs.replace(settings, model=model)
            plan = NodePlan(name, host, port, of_model, genesis="../genesis.toml")
            nodes.append(make_node(plan, self.directory / name))
        cards = [(str(node.card), read_card(node.card)) for node in nodes]
        asked = task_schema("imagenet", read_labels(labels)) if task is None else task
        self.group: Group = group_from_cards(cards, "local", asked, parameters or Parameters())
        write_genesis(self.group, self.genesis)
        self.configs = [node.config for node in nodes]
        children = [self._child(kind, config) for kind in ("engine", "node") for config in self.configs]
        self.supervisor = Supervisor(children)
        self._stack = ExitStack()

    def _child(self, kind: str, config: Path) -> Child:
        command = (sys.executable, "-m", "dropbeard", "run", kind, str(config))
        return Child(f"{kind} {config.stem}", command, config.parent / f"{kind}.log")

    def __enter__(self) -> Self:
        self._stack.enter_context(self.supervisor)
        try:
            self.supervisor.start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def check(self) -> None:
        """Restart what crashed; DropbeardError when a daemon ends at once, with its own last line."""
        for name in self.supervisor.poll():
            raise DropbeardError(f"{name} ended: {self.supervisor.last_line(name)}")


def free_ports(nodes: int) -> list[int]:
    """First port of three free ones in a row for each node; DropbeardError when there are none."""
    found: list[int] = []
    start = FIRST_PORT + (os.getpid() * 16 * PORTS) % (LAST_PORT - FIRST_PORT - 1_000)
    port = start
    while len(found) < nodes and port < LAST_PORT:
        if all(_is_free(port + i) for i in range(PORTS)):
            found.append(port)
        port += PORTS
    if len(found) < nodes:
        raise DropbeardError(f"no {nodes * PORTS} free loopback ports from {start} to {LAST_PORT}; stop other programs")
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
