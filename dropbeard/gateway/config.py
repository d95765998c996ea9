"""A gateway's configuration file: one TOML for ``dropbeard run gateway``. No secrets in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from dropbeard.client.options import CERTIFICATE_TIMEOUT_S, PATIENCE_S
from dropbeard.errors import ConfigInvalid
from dropbeard.signing.keys import credential
from dropbeard.storage.files import read_successions, read_text
from dropbeard.types.cards import check_endpoint
from dropbeard.types.group import Group
from dropbeard.types.limits import CARD_BYTES_MAX, PIXELS_MAX
from dropbeard.types.node_config import PORT_MAX
from dropbeard.types.succession import Succession
from dropbeard.types.toml_text import read_toml

Form = Literal["raw", "encoded"]
Require = Literal["none", "decided", "honest-plurality", "robust"]

TIMES_MS_MAX: Final = 86_400_000
ROWS_MAX: Final = 65_536
BODY_BYTES_LEAST: Final = 1 << 16
BODY_BYTES_MOST: Final = 1 << 30
BUFFERED_BYTES_MOST: Final = 1 << 36
SIDE_MAX: Final = 16_384


class TlsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """PEM files, relative to the configuration file, for HTTP and gRPC alike."""

    certificate: str
    """The gateway's chain."""
    key: str
    client_ca: str | None = None
    """Who may ask: clients with a certificate of one of these authorities; everybody if not said."""


class GatewayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. Paths are relative to it."""

    genesis: str
    successions: str | None = None
    """What ended earlier epochs of the group (`dropbeard ledger successions`): needed where too few of the genesis'
    owners are left; else the nodes show it."""
    model: str | None = None
    """What clients call the group; the task's name if not said."""
    key: str | None = None
    """The CURVE key by which nodes know this gateway (0600); a fresh one at each start if not said."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    address: str = "127.0.0.1"
    """Where HTTP and gRPC listen: whoever reaches it may ask."""
    http_port: int = 8000
    grpc_port: int = 8001
    """0: no gRPC."""
    metrics_address: str = "127.0.0.1"
    metrics_port: int = 0
    """Where Prometheus finds the gateway's figures; 0: nowhere."""

    input: Form = "raw"
    """What the model's metadata names: uint8 pictures, or image files as BYTES. Both are taken always."""
    height: int = 256
    width: int = 256
    """Sides that the metadata names for raw pictures, -1: any. Pictures of all sides are taken always."""

    timeout_ms: int = int(CERTIFICATE_TIMEOUT_S * 1000)
    """From a call to its deadline; a call may ask for less."""
    patience_ms: int = int(PATIENCE_S * 1000)
    """How long the group waits for the remaining owners once enough have answered; a call may say otherwise."""
    require: Require = "none"
    """The least that every answer of a call must have, or the call fails; a call may ask for more."""
    certificates: bool = True
    """Whether a response about one picture has the certificate as a parameter, unasked."""

    batch_max: int = 64
    """Pictures in one call."""
    in_flight_max: int = 256
    """Pictures under way; calls beyond are refused."""
    body_bytes_max: int = 32 << 20
    """One call."""
    buffered_bytes_max: int = 256 << 20
    """All calls that are being read or under way."""

    tls: TlsTable | None = None


_BOUNDS: Final = {
    "http_port": (1, PORT_MAX),
    "grpc_port": (0, PORT_MAX),
    "metrics_port": (0, PORT_MAX),
    "timeout_ms": (1, TIMES_MS_MAX),
    "patience_ms": (0, TIMES_MS_MAX),
    "batch_max": (1, ROWS_MAX),
    "in_flight_max": (1, ROWS_MAX),
    "body_bytes_max": (BODY_BYTES_LEAST, BODY_BYTES_MOST),
    "buffered_bytes_max": (BODY_BYTES_LEAST, BUFFERED_BYTES_MOST),
}


@dataclass(frozen=True, slots=True)
class GatewayFiles:
    """A gateway's configuration with every path absolute."""

    config: GatewayConfig
    path: Path

    @property
    def genesis(self) -> Path:
        """The genesis file."""
        return self.at(self.config.genesis)

    def known_epochs(self, group: Group) -> tuple[Succession, ...]:
        """What ended the group's earlier epochs; ConfigInvalid or LedgerInvalid when the file is none of them."""
        name = self.config.successions
        return () if name is None else tuple(read_successions(self.at(name), group.id))

    def at(self, name: str) -> Path:
        """A file that the configuration names."""
        return (self.path.parent / name).resolve()

    def private(self, name: str) -> Path:
        """The same of a key; the credential of its name, where systemd hands one to this service."""
        return credential(name) or self.at(name)


def read_gateway_files(path: Path) -> GatewayFiles:
    """A gateway's configuration file; ConfigInvalid names line and key."""
    text = read_text(path, CARD_BYTES_MAX, "the configuration")
    return GatewayFiles(gateway_from_toml(text, str(path)), path.resolve())


def gateway_from_toml(text: str, what: str) -> GatewayConfig:
    """Read a configuration; ConfigInvalid names the key that is wrong."""
    config = read_toml(text, GatewayConfig, what)
    for key, (least, most) in _BOUNDS.items():
        value = getattr(config, key)
        if not least <= value <= most:
            raise ConfigInvalid(f"{what}: {key} is {value}, must be between {least} and {most}")
    for key in ("height", "width"):
        value = getattr(config, key)
        if value != -1 and not 1 <= value <= SIDE_MAX:
            raise ConfigInvalid(f"{what}: {key} is {value}, must be between 1 and {SIDE_MAX}, or -1 for any")
    if config.height * config.width > PIXELS_MAX:
        raise ConfigInvalid(f"{what}: height and width make more than {PIXELS_MAX} pixels")
    if config.model is not None and not _is_name(config.model):
        raise ConfigInvalid(f"{what}: model is {config.model!r}: use letters, digits, dot, dash and underscore")
    _check_relations(config, what)
    return config


def _check_relations(config: GatewayConfig, what: str) -> None:
    if config.patience_ms > config.timeout_ms:
        raise ConfigInvalid(f"{what}: patience_ms is {config.patience_ms}, must not pass timeout_ms")
    if config.batch_max > config.in_flight_max:
        raise ConfigInvalid(f"{what}: batch_max is {config.batch_max}, must not pass in_flight_max")
    if config.body_bytes_max > config.buffered_bytes_max:
        raise ConfigInvalid(f"{what}: body_bytes_max is {config.body_bytes_max}, must not pass buffered_bytes_max")
    ports = [port for port in (config.http_port, config.grpc_port, config.metrics_port) if port]
    if len(set(ports)) < len(ports):
        raise ConfigInvalid(f"{what}: http_port, grpc_port and metrics_port must differ")
    check_endpoint(f"tcp://{config.address}:{config.http_port}", f"{what}: address")
    check_endpoint(f"tcp://{config.metrics_address}:1", f"{what}: metrics_address")


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 64 and all(letter.isalnum() or letter in "._-" for letter in text) and text.isascii()
