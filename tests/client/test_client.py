"""The client object where no group answers: what is wrong is said at once, in one error, and nothing stays open."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from dropbeard.client import Client
from dropbeard.errors import ConfigInvalid, DropbeardError, GroupUnreachable, KeyInvalid
from dropbeard.signing.curve import CurveSecret, write_curve_secret
from dropbeard.types.genesis_file import genesis_to_toml
from dropbeard.types.group import Endpoints, Group
from tests.client.recorded import recorded
from tests.transport.worlds import free_endpoints


@pytest.fixture
def group() -> Group:
    """A group whose ports nobody listens on."""
    base: Group = recorded().group
    dead = iter(free_endpoints(4 * base.n))
    owners = [replace(o, endpoints=Endpoints(*(next(dead) for _ in range(4)))) for o in base.owners]
    return replace(base, owners=tuple(owners))


def test_dead_ports_are_one_error_that_names_the_owners(group: Group) -> None:
    before = threading.active_count()
    with pytest.raises(
        GroupUnreachable, match=r"0 of 4 nodes .* no answer from owner 0, owner 1, owner 2, owner 3"
    ) as e:
        Client(group, connect_timeout=0.2)
    assert e.value.retry_safe
    assert threading.active_count() == before


def test_a_port_that_accepts_and_says_nothing_is_a_node_that_does_not_answer(group: Group) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        silent = replace(group.owners[0].endpoints, clients=f"tcp://127.0.0.1:{server.getsockname()[1]}")
        owners = (replace(group.owners[0], endpoints=silent), *group.owners[1:])
        with pytest.raises(GroupUnreachable, match="0 of 4"):
            Client(replace(group, owners=owners), connect_timeout=0.3)


@pytest.mark.parametrize(
    ("timeout", "patience"), [(1.0, 2.0), (10.0, -1.0), (1e9, 1.0), (float("nan"), 1.0), (10.0, float("nan"))]
)
def test_times_that_the_group_does_not_allow_are_refused(group: Group, timeout: float, patience: float) -> None:
    with pytest.raises(ConfigInvalid, match="patience <= timeout"):
        Client(group, timeout=timeout, patience=patience, connect_timeout=0.1)


def test_a_client_is_made_from_a_genesis_file_and_a_key_file(group: Group, tmp_path: Path) -> None:
    genesis, key = tmp_path / "genesis.toml", tmp_path / "client.key"
    genesis.write_text(genesis_to_toml(group))
    write_curve_secret(key, CurveSecret.generate())
    with pytest.raises(GroupUnreachable):
        Client.from_group(genesis, key, connect_timeout=0.1)
    key.chmod(0o644)
    with pytest.raises(KeyInvalid, match="chmod"):
        Client.from_group(genesis, key, connect_timeout=0.1)
    with pytest.raises(ConfigInvalid, match="cannot read the genesis file"):
        Client.from_group(str(tmp_path / "none.toml"))


def test_a_certificate_that_cannot_be_saved_is_one_error(tmp_path: Path) -> None:
    from dropbeard.client import SavedCertificate
    from tests.verification.building import Plan, build, world

    saved = SavedCertificate(build(world(), Plan()))
    assert saved.save(tmp_path / "a.dbcert").read_bytes() == saved.data
    with pytest.raises(DropbeardError, match="cannot write the certificate"):
        saved.save(tmp_path / "none" / "a.dbcert")
