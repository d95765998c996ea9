"""The metrics page of a node, where its configuration wants it, if it wants one."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from dropbeard.errors import TransportFailed
from dropbeard.types.node_config import NodeConfig

log = logging.getLogger("dropbeard.node")


class MetricsPage:
    """Use as a context manager; TransportFailed when the port cannot be had. Who wants no page does not load its
    library.
    """

    def __init__(self, state: Path, config: NodeConfig) -> None:
        self._state = state
        self._config = config
        self._open = ExitStack()

    def _serve(self, config: NodeConfig) -> None:
        if not config.metrics_port:
            return
        from dropbeard.daemon.metrics_server import metrics_served

        self._open.enter_context(metrics_served(self._state, config.metrics_address, config.metrics_port))
        log.info("metrics-served address=%s port=%d", config.metrics_address, config.metrics_port)

    def move(self, old: NodeConfig, new: NodeConfig) -> None:
        """Serve where ``new`` says; TransportFailed when that cannot be, and the page is where it was."""
        if (old.metrics_address, old.metrics_port) == (new.metrics_address, new.metrics_port):
            return
        self._open.close()  # first: the new address may hold the old one
        try:
            self._serve(new)
        except TransportFailed:
            self._serve(old)
            raise

    def __enter__(self) -> Self:
        self._serve(self._config)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()
