"""Read the files that people give: bounded, with one line for every way it can fail; paths relative to the config."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dropbeard.errors import ConfigInvalid
from dropbeard.types.cards import Card, card_from_toml
from dropbeard.types.genesis_file import genesis_from_toml
from dropbeard.types.group import Group
from dropbeard.types.limits import CARD_BYTES_MAX, GENESIS_BYTES_MAX
from dropbeard.types.node_config import NodeConfig, config_from_toml

IPC: Final = "ipc://"


def read_text(path: Path, bytes_max: int, what: str) -> str:
    """The file's text; ConfigInvalid when it cannot be read, is too large or is not UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
        if len(data) > bytes_max:
            raise ConfigInvalid(f"{path} is larger than {what} may be ({bytes_max} bytes)")
        return data.decode()
    except OSError as wrong:
        raise ConfigInvalid(f"cannot read {what} {path}: {wrong.strerror}") from wrong
    except UnicodeDecodeError as wrong:
        raise ConfigInvalid(f"{path} is not {what}: it is not text") from wrong


def read_genesis(path: Path) -> Group:
    """The group of a genesis file."""
    return genesis_from_toml(read_text(path, GENESIS_BYTES_MAX, "the genesis file"), str(path))


def read_card(path: Path) -> Card:
    """An owner's public card."""
    return card_from_toml(read_text(path, CARD_BYTES_MAX, "the card"), str(path))


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """A node's configuration with every path absolute."""

    config: NodeConfig
    path: Path

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
        return self._at(self.config.keys.node)

    @property
    def curve_key(self) -> Path:
        """The node's transport key."""
        return self._at(self.config.keys.curve)

    @property
    def salt(self) -> Path:
        """The secret that salts commitments."""
        return self._at(self.config.keys.salt)

    @property
    def engine_endpoint(self) -> str:
        """The engine's ipc endpoint with an absolute path."""
        endpoint = self.config.engine.endpoint
        return IPC + str(self._at(endpoint.removeprefix(IPC))) if endpoint.startswith(IPC) else endpoint

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
    return NodeFiles(config_from_toml(text, str(path)), path.resolve())
