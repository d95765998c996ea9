"""SIGHUP: the configuration is read again, and what may change while a daemon runs is changed: all of it, or none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Set
from typing import Any, Final, NamedTuple

import msgspec

from dropbeard.daemon.files import NodeFiles, read_node_files
from dropbeard.daemon.process import HangupSignal
from dropbeard.errors import ConfigInvalid, DropbeardError
from dropbeard.types.node_config import EngineTable, NodeConfig


class Changeable(NamedTuple):
    """Dotted keys: those that a daemon changes while it runs, and those that it does not read."""

    now: Set[str]
    unread: Set[str]


def _keys(form: type[msgspec.Struct], prefix: str = "") -> frozenset[str]:
    return frozenset(prefix + name for name in form.__struct_fields__)


_ENGINE: Final = _keys(EngineTable, "engine.")

NODE: Final = Changeable(
    now=frozenset({"log_level", "metrics_port", "metrics_address", "client_networks"}),
    unread=_ENGINE - {"engine.endpoint", "engine.model", "engine.backend"},
)
ENGINE: Final = Changeable(
    now=frozenset({"log_level", "engine.queue_max"}),
    unread=_keys(NodeConfig) - {"log_level", "name", "genesis", "engine"},
)


def changed_keys(old: NodeConfig, new: NodeConfig) -> list[str]:
    """Dotted keys whose values differ; of ``keys`` the table alone is named."""
    before, after = _flat(old), _flat(new)
    return [key for key in before if before[key] != after[key]]


def _flat(config: NodeConfig) -> dict[str, Any]:
    top = {name: getattr(config, name) for name in NodeConfig.__struct_fields__ if name != "engine"}
    return top | {f"engine.{name}": getattr(config.engine, name) for name in EngineTable.__struct_fields__}


class Reloader:
    """``apply`` is given the old and the new configuration; what it raises, it raises with nothing changed."""

    def __init__(
        self, files: NodeFiles, may: Changeable, apply: Callable[[NodeConfig, NodeConfig], None], log: logging.Logger
    ) -> None:
        self._path = files.path
        self._config = files.config
        self._may = may
        self._apply = apply
        self._log = log
        self._signal = HangupSignal()
        self.fd = self._signal.fd
        """Readable when the signal came."""

    def look(self) -> None:
        """Read the file again if that was asked for; one line says what came of it."""
        if not self._signal.taken():
            return
        try:
            new = read_node_files(self._path).config
            changed = [key for key in changed_keys(self._config, new) if key not in self._may.unread]
            fixed = [key for key in changed if key not in self._may.now]
            if fixed:
                raise ConfigInvalid(f"{', '.join(fixed)} cannot change while it runs: restart it for that")
            self._apply(self._config, new)
        except DropbeardError as wrong:
            self._log.warning("config-refused nothing was changed: %s", wrong)
            return
        self._config = new
        logging.getLogger("dropbeard").setLevel(new.log_level.upper())
        self._log.info("config-reloaded changed=%s", ",".join(changed) or "nothing")
