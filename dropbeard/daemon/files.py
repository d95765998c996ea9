"""A node's configuration file with its paths made absolute."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dropbeard.errors import ConfigInvalid
from dropbeard.signing.keys import credential
from dropbeard.storage.files import read_text
from dropbeard.types.config_sources import sourced_config
from dropbeard.types.group_card import cards_from_toml
from dropbeard.types.limits import CARD_BYTES_MAX, GROUP_CARDS_BYTES_MAX
from dropbeard.types.node_config import NodeConfig

IPC: Final = "ipc://"


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """A node's configuration with every path absolute."""

    config: NodeConfig
    path: Path
    sources: Mapping[str, str] = field(default_factory=dict)
    """Where each value came from, by dotted key."""
    unknown: tuple[str, ...] = ()
    """What to say of environment variables that look like ours and are none."""

    def _at(self, name: str) -> Path:
        return (self.path.parent / name).resolve()

    @property
    def genesis(self) -> Path:
        """The genesis file."""
        return self._at(self.config.genesis)

    @property
    def state(self) -> Path:
        """The state directory."""
        return self._at(self.config.state)

    @property
    def node_key(self) -> Path:
        """The node's signing key."""
        return self._private(self.config.keys.node)

    @property
    def curve_key(self) -> Path:
        """The node's transport key."""
        return self._private(self.config.keys.curve)

    @property
    def next_keys(self) -> tuple[Path, Path] | None:
        """Signing and transport key of the epoch to come, if there are any."""
        keys = self.config.keys
        if keys.next_node is None or keys.next_curve is None:
            return None
        return self._private(keys.next_node), self._private(keys.next_curve)

    @property
    def salt(self) -> Path:
        """The secret that salts commitments."""
        return self._private(self.config.keys.salt)

    def _private(self, name: str) -> Path:
        """A key file; the credential of its name, where systemd hands one to this service."""
        return credential(name) or self._at(name)

    @property
    def engine_endpoint(self) -> str:
        """The engine's ipc endpoint with an absolute path."""
        endpoint = self.config.engine.endpoint
        return IPC + str(self._at(endpoint.removeprefix(IPC))) if endpoint.startswith(IPC) else endpoint

    def shown_cards(self) -> bytes:
        """The group cards that the node shows whoever asks; ConfigInvalid when their file holds none."""
        if self.config.group_cards is None:
            return b""
        path = self._at(self.config.group_cards)
        text = read_text(path, GROUP_CARDS_BYTES_MAX, "the group cards")
        cards_from_toml(text, str(path))
        return text.encode()

    def passphrase(self) -> str | None:
        """The node key's passphrase, from the environment variable that the configuration names."""
        name = self.config.keys.passphrase_env
        if name is None:
            return None
        value = os.environ.get(name)
        if value is None:
            raise ConfigInvalid(f"{self.path} takes the key's passphrase from ${name}, which is not set")
        return value


def read_node_files(path: Path) -> NodeFiles:
    """A node's configuration file."""
    text = read_text(path, CARD_BYTES_MAX, "the configuration")
    found = sourced_config(text, str(path), os.environ)
    return NodeFiles(found.config, path.resolve(), found.sources, found.unknown)
