"""``dropbeard check``: what can be known of a node before it runs, from its files alone."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from collections import Counter
from collections.abc import Mapping
from typing import Final

from dropbeard.daemon.epoch_files import read_epochs
from dropbeard.daemon.files import NodeFiles
from dropbeard.daemon.findings import Check, Finding, fail, ok, run_all, warn
from dropbeard.daemon.identity import Identity, identify, load_keys
from dropbeard.errors import ConfigInvalid
from dropbeard.serving.catalogue import artefact
from dropbeard.serving.manifest import load_manifest, model_digest
from dropbeard.storage.files import read_genesis
from dropbeard.transport.engine_link import socket_path
from dropbeard.transport.options import listening_at
from dropbeard.transport.status_link import SOCKET
from dropbeard.types.cards import tcp_parts
from dropbeard.types.group import Group
from dropbeard.types.ids import Digest

SITE_BITS: Final = {4: 24, 6: 48}
"""Addresses that share so many bits are taken for one site."""

GIVE_GENESIS: Final = "put the group's genesis there: dropbeard group create makes it of all owners' cards"
OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


class Readiness:
    """The checks of one configuration. Nothing is changed; ports are bound for a moment, unless a node runs here."""

    def __init__(self, files: NodeFiles) -> None:
        self._files = files

    def findings(self) -> list[Finding]:
        """All of them, in the order in which they are to be mended."""
        checks: Mapping[str, Check] = {
            "config": self.config,
            "genesis": self.genesis,
            "keys": self.keys,
            "owner-key": self.owner_key,
            "permissions": self.permissions,
            "state": self.state,
            "engine-socket": self.engine_socket,
            "model": self.model,
            "ports": self.ports,
            "sites": self.sites,
        }
        return run_all(checks)

    def group(self) -> Group:
        """The genesis' group."""
        return self._epochs()[-1]

    def _epochs(self) -> tuple[Group, ...]:
        """The genesis, and what this node's state directory says of later epochs (rule 8.4)."""
        if not self._files.genesis.exists():
            raise ConfigInvalid(f"cannot read the genesis file {self._files.genesis}: it is not there; {GIVE_GENESIS}")
        return read_epochs(read_genesis(self._files.genesis), self._files.state)[0].groups

    def identity(self) -> Identity:
        """Whose keys these are. Raises what loading them raises."""
        return identify(self._epochs(), load_keys(self._files))

    def config(self) -> Finding:
        """It was read, and the group cards that it names; are there variables that mean nothing?"""
        self._files.shown_cards()
        if self._files.unknown:
            return warn("config", "; ".join(self._files.unknown), "unset them, or correct their names")
        return ok("config", f"{self._files.path} is read")

    def genesis(self) -> Finding:
        """The group."""
        group = self.group()
        epoch = f", epoch {group.epoch}" if group.epoch else ""
        return ok("genesis", f"group {group.name} ({group.id.hex()[:12]}){epoch}, n = {group.n}, f = {group.f}")

    def keys(self) -> Finding:
        """They are private, and an owner's of this genesis."""
        owner = self.identity().owner
        if owner.name != self._files.config.name:
            text = f"the keys are {owner.name}'s, the configuration's name is {self._files.config.name}"
            return warn("keys", text, f'write name = "{owner.name}"')
        return ok("keys", f"the keys of {owner.name} are private and in the genesis")

    def owner_key(self) -> Finding:
        """It should not be here."""
        path = self._files.path.parent / "owner.key"
        if path.exists():
            return warn("owner-key", f"{path} lies on the node's machine", "move it to a machine that is kept offline")
        return ok("owner-key", "the owner key is not here")

    def permissions(self) -> Finding:
        """Nobody else may change what the node believes."""
        files = self._files
        for path in (files.path, files.genesis, files.path.parent):
            if path.exists() and path.stat().st_mode & OTHERS_WRITE:
                return fail("permissions", f"others can write to {path}", f"chmod go-w {path}")
        return ok("permissions", "configuration and genesis can be changed by their owner alone")

    def state(self) -> Finding:
        """A directory of the node's own."""
        path = self._files.state
        if not path.exists():
            parent = next(above for above in path.parents if above.exists())
            if not os.access(parent, os.W_OK):
                return fail("state", f"{path} cannot be made", f"make it for the node's user, or write to {parent}")
            return ok("state", f"{path} will be made")
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            return warn("state", f"{path} is open to others (mode {mode:04o})", f"chmod 700 {path}")
        if not os.access(path, os.W_OK):
            return fail("state", f"{path} cannot be written by this user", "run it as the node's own user")
        return ok("state", f"{path} is private")

    def engine_socket(self) -> Finding:
        """A path that a socket can have."""
        path = socket_path(self._files.engine_endpoint)
        if path.exists() and not path.is_socket():
            return fail("engine-socket", f"{path} is no socket", "remove it, or name another endpoint")
        return ok("engine-socket", str(path))

    def model(self) -> Finding:
        """It is here, whole, and the one that the genesis names first."""
        settings = self._files.config.engine
        if settings.backend == "synthetic":
            return warn("model", "the engine is synthetic: it classifies nothing", "choose a model and its backend")
        manifest = load_manifest(settings.model)
        if settings.backend not in manifest.backends:
            text = f"{settings.model} is not for the backend {settings.backend}"
            return fail("model", text, f"choose one of {', '.join(manifest.backends)}")
        artefact(manifest.name)
        return self._as_the_genesis(model_digest(manifest), settings.model)

    def _as_the_genesis(self, digest: Digest, name: str) -> Finding:
        owner = self.identity().owner
        if owner.model != digest:
            text = f"{name} is not the model that the genesis names for {owner.name} ({owner.model_name})"
            return warn("model", text, "that is so after an update; otherwise choose the model of the card")
        return ok("model", f"{name} is whole, and the genesis names it")

    def ports(self) -> Finding:
        """They are free, or this node's."""
        files = self._files
        if (files.state / SOCKET).exists():
            return ok("ports", "the node runs here and holds them")
        ends = self.identity().owner.endpoints.all
        for end in (listening_at(end, files.config.listen) for end in ends):
            wrong = bind_fault(end)
            if wrong is not None:
                return fail("ports", f"cannot listen on {end}: {wrong}", "free it, or set `listen` to an own address")
        return ok("ports", ", ".join(ends))

    def sites(self) -> Finding:
        """Rules 4.4, 8.3: losing a site must leave a quorum, and the answers that a request needs."""
        group = self.group()
        counts = Counter(site_of(owner.endpoints.votes) for owner in group.owners)
        site, most = counts.most_common(1)[0]
        if group.n == 1:
            return ok("sites", "a group of one has no site to lose")
        left, needed = group.n - most, max(group.quorum, group.answers)
        if left < needed:
            what = "the group stops" if left < group.quorum else "nothing is answered"
            text = f"{most} of {group.n} owners are at {site}: without it {left} of the {needed} needed remain: {what}"
            lower = f", or create the group with --answers {left}" if left >= group.quorum else ""
            return warn(
                "sites", f"{text}, and what is certified stays true", f"spread the owners over more sites{lower}"
            )
        return ok("sites", f"owners at {len(counts)} sites, no loss of one stops the group")


def site_of(endpoint: str) -> str:
    """What is lost together: the network of an address, the domain of a name, the machine of a socket file."""
    place = tcp_parts(endpoint)
    if place is None:
        return "one machine"
    host = place[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.partition(".")[2] or host
    return str(ipaddress.ip_network(f"{address}/{SITE_BITS[address.version]}", strict=False))


def bind_fault(endpoint: str) -> str | None:
    """Why nobody could listen there now; None when somebody could."""
    place = tcp_parts(endpoint)
    if place is None:
        return None
    try:
        found = socket.getaddrinfo(*place, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        return "its host name is not known here"
    except OSError as wrong:
        return os.strerror(wrong.errno or errno.EINVAL)
    return None
