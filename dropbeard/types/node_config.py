"""A node's configuration file: one TOML for ``dropbeard run node`` and ``dropbeard run engine``. No secrets in it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from dropbeard.errors import ConfigInvalid
from dropbeard.types.cards import check_endpoint
from dropbeard.types.toml_text import convert_plain, read_plain, table

Backend = Literal["onnx", "openvino", "tensorrt", "oip", "synthetic"]

RECORD_MAX: Final = 10_000_000

ENGINE_NUMBER_MAX: Final = 4_096
"""Threads, inputs in a batch, inputs waiting: none is ever larger."""

DEVICE_MAX: Final = 255
PORT_MAX: Final = 65_535
SERVICE_US_MAX: Final = 60_000_000


class KeysTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Key files, relative to the configuration file. ``passphrase_env`` names an environment variable."""

    node: str
    curve: str
    salt: str
    passphrase_env: str | None = None
    next_node: str | None = None
    """With ``next_curve``: the keys that take over in the epoch that names them (``dropbeard group rotate``)."""
    next_curve: str | None = None


class EngineTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The engine: which model, on which backend, behind which ipc socket."""

    model: str
    endpoint: str = "ipc://engine.sock"
    backend: Backend = "onnx"
    threads: int = 1
    """CPU cores of one batch."""
    streams: int = 1
    """Batches computed at once, each on ``threads`` cores; for the backends onnx and openvino."""
    max_batch: int = 8
    queue_max: int = 256
    device: int = 0
    """Which GPU, counted from 0."""
    service_time_us: tuple[tuple[int, int], ...] | None = None
    """Of the backend synthetic: (inputs in a batch, microseconds) as measured, by ascending inputs; none: no time."""
    url: str | None = None
    """Of the serving system, for the backend oip: http://HOST:PORT or grpc://HOST:PORT."""
    remote_model: str | None = None
    """What the serving system calls the model; the manifest's name if not said."""


class NodeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. Paths are relative to it; ``dropbeard.daemon.files`` makes them absolute."""

    name: str
    genesis: str
    state: str
    keys: KeysTable
    engine: EngineTable
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    record: int = 0
    """Turns of the core to keep for ``dropbeard replay``, in the state directory; 0: none. They hold inputs."""
    metrics_port: int = 0
    """Where Prometheus finds the node's and its engine's figures; 0: nowhere."""
    metrics_address: str = "127.0.0.1"
    """Address of that port: whoever reaches it reads the figures."""
    listen: str | None = None
    """Address to listen on instead of the genesis' host: 0.0.0.0 behind NAT, or where the genesis has a host name."""
    group_cards: str | None = None
    """File of group cards that the node shows whoever asks (``dropbeard groups``)."""

    client_networks: tuple[str, ...] = ()
    """Networks of clients, as 192.0.2.0/24, for ``dropbeard systemd install --config``; none: no list is made."""

    def to_toml(self) -> str:
        """The file's text."""
        head = {
            "name": self.name,
            "genesis": self.genesis,
            "state": self.state,
            "log_level": self.log_level,
            "record": self.record,
            "metrics_port": self.metrics_port,
            "metrics_address": self.metrics_address,
            "listen": self.listen,
            "group_cards": self.group_cards,
            "client_networks": self.client_networks or None,
        }
        keys = table("[keys]", msgspec.structs.asdict(self.keys))
        return "\n".join([table("", head), keys, table("[engine]", msgspec.structs.asdict(self.engine))])


def config_from_toml(text: str, what: str) -> NodeConfig:
    """Read a configuration; ConfigInvalid names the key that is wrong."""
    return config_from_plain(read_plain(text, what), text, what)


def config_from_plain(plain: Mapping[str, Any], text: str, what: str) -> NodeConfig:
    """The same of tables that were read from ``text``."""
    config = convert_plain(plain, text, NodeConfig, what)
    if config.listen is not None:
        check_endpoint(f"tcp://{config.listen}:1", f"{what}: listen")
    for network in config.client_networks:
        check_network(network, what)
    if not 0 <= config.metrics_port <= PORT_MAX:
        raise ConfigInvalid(f"{what}: metrics_port is {config.metrics_port}, must be between 0 (off) and {PORT_MAX}")
    if config.metrics_port:
        check_endpoint(f"tcp://{config.metrics_address}:{config.metrics_port}", f"{what}: metrics_address")
    if not 0 <= config.record <= RECORD_MAX:
        raise ConfigInvalid(f"{what}: record is {config.record}, must be between 0 and {RECORD_MAX} turns")
    if (config.keys.next_node is None) != (config.keys.next_curve is None):
        raise ConfigInvalid(f"{what}: keys.next_node and keys.next_curve go together")
    check_engine(config.engine, what)
    return config


def check_network(text: str, what: str) -> None:
    """ConfigInvalid unless it is the address of a network or a host."""
    try:
        ipaddress.ip_network(text)
    except ValueError as wrong:
        raise ConfigInvalid(f"{what}: client_networks holds {text!r}, write networks as 192.0.2.0/24") from wrong


def check_engine(engine: EngineTable, what: str) -> None:
    """Whether an engine's settings are in bounds and go together; ConfigInvalid names the key that is wrong."""
    if not 0 <= engine.device <= DEVICE_MAX:
        raise ConfigInvalid(f"{what}: engine.device is {engine.device}, must be between 0 and {DEVICE_MAX}")
    _check_service_time(engine, what)
    if engine.backend == "oip" and engine.url is None:
        raise ConfigInvalid(f"{what}: the backend oip needs engine.url (--url), the serving system's address")
    if engine.backend != "oip" and engine.url is not None:
        raise ConfigInvalid(f"{what}: engine.url (--url) is for the backend oip alone")
    if engine.streams != 1 and engine.backend not in ("onnx", "openvino"):
        raise ConfigInvalid(f"{what}: engine.streams goes with the backends onnx and openvino, and with no other")
    for key in ("threads", "streams", "max_batch", "queue_max"):
        value = getattr(engine, key)
        if not 1 <= value <= ENGINE_NUMBER_MAX:
            raise ConfigInvalid(f"{what}: engine.{key} is {value}, must be between 1 and {ENGINE_NUMBER_MAX}")


def _check_service_time(engine: EngineTable, what: str) -> None:
    rows = engine.service_time_us
    if rows is None:
        return
    if engine.backend != "synthetic":
        raise ConfigInvalid(f"{what}: engine.service_time_us is for the backend synthetic alone")
    sizes = [inputs for inputs, _ in rows]
    if not rows or sizes != sorted(set(sizes)) or sizes[0] < 1 or any(us < 0 or us > SERVICE_US_MAX for _, us in rows):
        raise ConfigInvalid(
            f"{what}: engine.service_time_us needs rows [inputs, microseconds] with ascending inputs from 1 on "
            f"and times up to {SERVICE_US_MAX}"
        )
