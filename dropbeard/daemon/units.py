"""The systemd units of this installation: texts shipped with the package, with the path of this program in them."""

from __future__ import annotations

import ipaddress
import re
import sysconfig
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Final

from dropbeard.errors import ConfigInvalid

PROGRAM: Final = "/usr/bin/dropbeard"
"""What the shipped units start."""

SHOWN: Final = {
    "node": "dropbeard-node@.service",
    "engine": "dropbeard-engine@.service",
    "gateway": "dropbeard-gateway@.service",
    "prune": "dropbeard-prune@.service",
    "prune-timer": "dropbeard-prune@.timer",
    "target": "dropbeard.target",
    "slice": "dropbeard.slice",
    "sysusers": "sysusers.conf",
    "tmpfiles": "tmpfiles.conf",
}
PLACES: Final = {
    "dropbeard-node@.service": "etc/systemd/system/dropbeard-node@.service",
    "dropbeard-engine@.service": "etc/systemd/system/dropbeard-engine@.service",
    "dropbeard-gateway@.service": "etc/systemd/system/dropbeard-gateway@.service",
    "dropbeard-prune@.service": "etc/systemd/system/dropbeard-prune@.service",
    "dropbeard-prune@.timer": "etc/systemd/system/dropbeard-prune@.timer",
    "dropbeard.target": "etc/systemd/system/dropbeard.target",
    "dropbeard.slice": "etc/systemd/system/dropbeard.slice",
    "sysusers.conf": "etc/sysusers.d/dropbeard.conf",
    "tmpfiles.conf": "etc/tmpfiles.d/dropbeard.conf",
}
DROP_INS: Final = {
    "gpu": "engine",
    "openvino": "engine",
    "oip": "engine",
    "encrypted-keys": "node",
    "gateway-tls": "gateway",
    "gateway-key": "gateway",
}
"""Shipped drop-ins, and the unit that each is for."""

HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - places that the units cannot see
INSTANCE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""Names that systemd takes as they are; any other would have to be escaped."""


def program_path(given: Path | None) -> Path:
    """The program that the units start; ConfigInvalid when they could not see it, as it is in somebody's home."""
    path = given or Path(sysconfig.get_path("scripts")) / "dropbeard"
    if not path.is_absolute():
        raise ConfigInvalid(f"{path} is no absolute path; units need one")
    if any(path.is_relative_to(hidden) for hidden in HIDDEN):
        raise ConfigInvalid(f"{path} is where the units cannot see it; install dropbeard under /opt or /usr/local")
    return path


def unit_text(file: str, program: Path) -> str:
    """A shipped file, with ``program`` in place of the one that it names."""
    text = (resources.files("dropbeard") / "units" / file).read_text(encoding="utf-8")
    return text.replace(f"ExecStart={PROGRAM} ", f"ExecStart={program} ")


def drop_in(name: str, address: str | None = None) -> str:
    """A shipped drop-in; ``address`` is the serving system's, for oip."""
    text = (resources.files("dropbeard") / "units" / "drop-ins" / f"{name}.conf").read_text(encoding="utf-8")
    if name != "oip":
        return text
    return text.replace("@ADDRESS@", _network(address or "", "--oip"))


def allow_list(peers: Sequence[str], clients: Sequence[str]) -> str:
    """A drop-in for a node that lets only its peers (hosts of the genesis) and its clients' networks through."""
    rows = [_network(host, "the genesis") for host in peers] + [_network(row, "client_networks") for row in clients]
    allowed = "\n".join(f"IPAddressAllow={row}" for row in dict.fromkeys(rows))
    return f"# Made from the genesis and the node's client_networks.\n[Service]\nIPAddressDeny=any\n{allowed}\n"


def _network(text: str, what: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip("[]")))
    except ValueError as wrong:
        raise ConfigInvalid(
            f"{what} names {text!r}: a list of addresses can hold no names; write an address"
        ) from wrong


def check_instance(name: str) -> None:
    """ConfigInvalid unless systemd takes an owner's name as an instance."""
    if not INSTANCE.fullmatch(name):
        raise ConfigInvalid(f"systemd cannot take {name!r} as it is: use letters, digits, dot, dash and underscore")


def drop_in_place(name: str, unit: str, instance: str) -> str:
    """Where a drop-in of one instance lies, below the root."""
    return f"etc/systemd/system/dropbeard-{unit}@{instance}.service.d/20-{name}.conf"


def write_all(root: Path, files: Mapping[str, str]) -> list[Path]:
    """Write every file below ``root``, each whole; ConfigInvalid names what cannot be written."""
    written = []
    for place, text in files.items():
        path = root / place
        scratch = path.with_name(f".{path.name}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(text, encoding="utf-8")
            scratch.chmod(0o644)
            scratch.replace(path)
        except OSError as wrong:
            raise ConfigInvalid(f"cannot write {path}: {wrong.strerror}; run it as root, or give --root") from wrong
        written.append(path)
    return written
