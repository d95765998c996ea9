"""``dropbeard check`` of a gateway: each finding with the fault that triggers it."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from dropbeard.cli.main import run
from dropbeard.gateway.readiness import is_gateway
from dropbeard.types.genesis_file import genesis_to_toml
from tests.gateway.pieces import free_ports
from tests.gateway.test_daemon import write_pair
from tests.types.test_node_config import CONFIG
from tests.verification.building import world


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "genesis.toml").write_text(genesis_to_toml(world().group))
    http_port, grpc_port = free_ports(2)
    (tmp_path / "gateway.toml").write_text(
        f'genesis = "genesis.toml"\nhttp_port = {http_port}\ngrpc_port = {grpc_port}\n'
    )
    return tmp_path / "gateway.toml"


def levels(config: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, str]]:
    code = run(["check", str(config), "--json"])
    return code, {row["check"]: row["level"] for row in json.loads(capsys.readouterr().out)["checks"]}


def test_a_gateway_that_can_run_has_nothing_to_mend(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = levels(config, capsys)
    assert code == 0
    assert set(found.values()) == {"ok"}


def test_a_nodes_configuration_is_none_of_a_gateway(tmp_path: Path, config: Path) -> None:
    (tmp_path / "alice.toml").write_text(CONFIG.to_toml())
    assert is_gateway(config)
    assert not is_gateway(tmp_path / "alice.toml")


@pytest.mark.parametrize(
    ("line", "check", "level"),
    [
        ("timeout_ms = 86400000", "config", "fail"),
        ("key = 'none.key'", "key", "fail"),
        ("address = '0.0.0.0'", "clients", "warn"),
        ("address = '0.0.0.0'\n[tls]\ncertificate = 'tls.pem'\nkey = 'tls.key'", "clients", "warn"),
        ("[tls]\ncertificate = 'tls.pem'\nkey = 'tls.key'", "tls", "warn"),
        ("[tls]\ncertificate = 'tls.pem'\nkey = 'other.key'", "tls", "fail"),
    ],
)
def test_what_is_to_be_mended_is_found(
    config: Path, line: str, check: str, level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("tls", "other"):
        write_pair(config.parent, name)
    config.write_text(config.read_text() + line)
    code, found = levels(config, capsys)
    assert found[check] == level
    assert code == (1 if "fail" in found.values() else 0)


def test_a_port_that_is_taken_and_a_file_that_others_write_are_found(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        config.write_text(config.read_text() + f"metrics_port = {other.getsockname()[1]}\n")
        config.chmod(0o666)
        code, found = levels(config, capsys)
    assert code == 1
    assert (found["ports"], found["permissions"]) == ("fail", "fail")
