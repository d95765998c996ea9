"""``dropbeard check`` of a gateway's configuration: what can be known before it runs, from its files alone."""

from __future__ import annotations

import datetime
import importlib.util
import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography import x509

from dropbeard.client.options import Options
from dropbeard.daemon.findings import Check, Finding, fail, ok, run_all, warn
from dropbeard.daemon.readiness import OTHERS_WRITE, bind_fault
from dropbeard.errors import ExtraMissing
from dropbeard.gateway.config import GatewayFiles, read_gateway_files
from dropbeard.signing.curve import load_curve_secret
from dropbeard.storage.files import read_genesis, read_text
from dropbeard.types.limits import CARD_BYTES_MAX
from dropbeard.types.toml_text import read_plain

PACKAGES: Final = ("aiohttp", "grpc", "tritonclient")
"""Of the extra ``gateway``."""

EXPIRES_SOON: Final = datetime.timedelta(days=14)


def is_gateway(path: Path) -> bool:
    """Whether a configuration is a gateway's: a node's has keys and an engine."""
    plain = read_plain(read_text(path, CARD_BYTES_MAX, "the configuration"), str(path))
    return "genesis" in plain and not plain.keys() & {"keys", "engine", "state", "name"}


def findings(path: Path) -> list[Finding]:
    """All checks, in the order in which they are to be mended. Ports are bound for a moment."""
    checks = _Checks(read_gateway_files(path))
    named: Mapping[str, Check] = {
        "packages": checks.packages,
        "config": checks.config,
        "genesis": checks.genesis,
        "permissions": checks.permissions,
        "key": checks.key,
        "tls": checks.tls,
        "clients": checks.clients,
        "ports": checks.ports,
    }
    return run_all(named)


class _Checks:
    def __init__(self, files: GatewayFiles) -> None:
        self._files = files
        self._config = files.config

    def packages(self) -> Finding:
        """What HTTP and gRPC need."""
        missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
        if missing:
            return fail("packages", f"{', '.join(missing)} cannot be found", "pip install 'dropbeard[gateway]'")
        return ok("packages", ", ".join(PACKAGES))

    def config(self) -> Finding:
        """It was read, and fits the group."""
        times = Options(timeout=self._config.timeout_ms / 1e3, patience=self._config.patience_ms / 1e3)
        times.checked(read_genesis(self._files.genesis))
        return ok("config", f"{self._files.path} is read")

    def genesis(self) -> Finding:
        """The group."""
        group = read_genesis(self._files.genesis)
        return ok("genesis", f"group {group.name} ({group.id.hex()[:12]}), n = {group.n}, f = {group.f}")

    def permissions(self) -> Finding:
        """Nobody else may change whom the gateway asks."""
        for path in (self._files.path, self._files.genesis, self._files.path.parent):
            if path.stat().st_mode & OTHERS_WRITE:
                return fail("permissions", f"others can write to {path}", f"chmod go-w {path}")
        return ok("permissions", "configuration and genesis can be changed by their owner alone")

    def key(self) -> Finding:
        """Nodes know the gateway by it."""
        if self._config.key is None:
            return ok("key", "a fresh client key at each start")
        load_curve_secret(self._files.private(self._config.key))
        return ok("key", f"{self._config.key} is private")

    def tls(self) -> Finding:
        """The files fit each other, and have not run out."""
        if self._config.tls is None:
            return ok("tls", "none")
        try:
            from dropbeard.gateway.listening import read_tls
        except ModuleNotFoundError as missing:
            raise ExtraMissing(f"a gateway needs {missing.name}; pip install 'dropbeard[gateway]'") from missing
        read_tls(self._config.tls, self._files)
        chain = self._files.at(self._config.tls.certificate)
        ends = x509.load_pem_x509_certificates(chain.read_bytes())[0].not_valid_after_utc
        left = ends - datetime.datetime.now(datetime.UTC)
        if left < datetime.timedelta(0):
            return fail("tls", f"{chain} was valid until {ends:%Y-%m-%d}", "renew it")
        if left < EXPIRES_SOON:
            return warn("tls", f"{chain} is valid until {ends:%Y-%m-%d}", "renew it")
        return ok("tls", f"valid until {ends:%Y-%m-%d}")

    def clients(self) -> Finding:
        """Whoever reaches an address may ask, unless clients need certificates."""
        config = self._config
        if _is_local(config.address) or (config.tls is not None and config.tls.client_ca is not None):
            return ok("clients", "this machine's" if _is_local(config.address) else "those with a certificate")
        text = f"everybody who reaches {config.address} may ask, and pictures travel as they are"
        if config.tls is not None:
            text = f"everybody who reaches {config.address} may ask"
        return warn("clients", text, "set client_ca in [tls], or let a proxy of yours ask on loopback")

    def ports(self) -> Finding:
        """They are free."""
        config = self._config
        ends = [f"tcp://{config.address}:{port}" for port in (config.http_port, config.grpc_port) if port]
        ends += [f"tcp://{config.metrics_address}:{config.metrics_port}"] if config.metrics_port else []
        for end in ends:
            wrong = bind_fault(end)
            if wrong is not None:
                return fail("ports", f"cannot listen on {end}: {wrong}", "free it, or choose another port")
        return ok("ports", ", ".join(ends))


def _is_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return address == "localhost"
