"""A node's files and what its node says, for tests of the web page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from dropbeard.daemon.files import NodeFiles, read_node_files
from dropbeard.errors import NodeUnreachable
from dropbeard.types import status as parts
from dropbeard.types.genesis_file import genesis_to_toml
from dropbeard.types.group import Group
from dropbeard.types.node_config import EngineTable, KeysTable, NodeConfig
from dropbeard.types.status import NodeStatus
from dropbeard.types.task import Input, InputKind
from dropbeard.web.archive import Archive
from dropbeard.web.sampling import Sampler
from dropbeard.web.site import Site
from tests.daemon.test_metrics import sample
from tests.daemon.test_metrics_server import node
from tests.verification.building import Plan, World, build, output, world

HOSTILE = "<script>alert('&amp;\"x\"')</script>"


def named(made: World, name: str) -> World:
    """The same keys, and a first owner of another name."""
    first, *others = made.group.owners
    return World(replace(made.group, owners=(replace(first, name=name), *others)), made.keys)


def files_of(directory: Path, group: Group) -> NodeFiles:
    """Configuration, genesis and state directory of a node that has no key at all."""
    (directory / "state" / "disclosed").mkdir(parents=True)
    (directory / "genesis.toml").write_text(genesis_to_toml(group))
    keys = KeysTable("node.key", "curve.key", "salt.key")
    config = NodeConfig(group.owners[0].name, "genesis.toml", "state", keys, EngineTable("m"))
    (directory / "alice.toml").write_text(config.to_toml())
    return read_node_files(directory / "alice.toml")


def disclose(files: NodeFiles, made: World, certificates: int = 4) -> None:
    """Certificates of as many requests; the fourth owner answers otherwise in the first of them."""
    for number in range(certificates):
        image = Input(InputKind.ENCODED_IMAGE, (0, 0, 0), f"picture {number}".encode())
        plan = Plan(base=(0, 1, 2, 3), image=image, votes={3: output(7)} if number == 0 else {})
        (files.state / "disclosed" / f"{number}.dbcert").write_bytes(build(made, plan).encode())


def status_of(made: Group, /, **changes: object) -> NodeStatus:
    """A status that names the owners of a group."""
    names = [owner.name for owner in made.owners]
    chain = msgspec.structs.replace(
        sample().chain,
        models=[parts.ModelPart(name, 1, "ab" * 32, 0) for name in names],
        peers=[parts.PeerPart(name, name != names[-1], 500_000, 4_000, 120, 102) for name in names[1:]],
        lanes=[parts.LanePart(name, 14, 12) for name in names],
        leader=names[0],
    )
    return msgspec.structs.replace(sample(), **({"owner": names[0], "group": made.name, "chain": chain} | changes))


def site_of(directory: Path, made: World | None = None, status: NodeStatus | None = None) -> Site:
    """A site over such files, its certificates read; without ``status`` its node does not answer."""
    made = made or world(4)
    files = files_of(directory, made.group)
    disclose(files, made)

    def ask() -> NodeStatus:
        if status is None:
            raise NodeUnreachable("no node runs here")
        return status

    sampler = Sampler(ask)
    sampler.take()
    archive = Archive(files, made.group, lambda: None)
    archive.look_at_certificates()
    return Site(files.config.name, files.genesis.read_text(), sampler, archive)


@contextmanager
def answering(files: NodeFiles, status: NodeStatus) -> Iterator[None]:
    """A status socket where a node would have it."""
    with node(files.state, msgspec.json.encode(status)):
        yield


def form(data: bytes, field: str = "certificate") -> tuple[str, bytes]:
    """(content type, body) as a browser sends a file."""
    head = f'--edge\r\nContent-Disposition: form-data; name="{field}"; filename="c.dbcert"\r\n'
    body = head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + data + b"\r\n--edge--\r\n"
    return "multipart/form-data; boundary=edge", body
