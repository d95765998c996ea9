"""A gateway's configuration: strict, and each mistake is one line that names the key."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from dropbeard.cli.main import run
from dropbeard.errors import OPERATOR_MUST_ACT, ConfigInvalid
from dropbeard.gateway.config import GatewayConfig, gateway_from_toml, read_gateway_files
from dropbeard.types.genesis_file import genesis_to_toml
from tests.verification.building import world

DOCS = Path(__file__).resolve().parents[2] / "docs" / "gateway.md"
PLAIN = 'genesis = "genesis.toml"\n'


def test_a_genesis_is_all_that_a_gateway_needs_and_it_listens_on_loopback() -> None:
    config = gateway_from_toml(PLAIN, "gateway.toml")
    assert config == GatewayConfig("genesis.toml")
    assert (config.address, config.metrics_address, config.metrics_port) == ("127.0.0.1", "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("htp_port = 1", "line 2: unknown field `htp_port`.*did you mean `http_port`"),
        ("http_port = 0", "http_port is 0"),
        ("grpc_port = 65536", "grpc_port is 65536"),
        ("grpc_port = 8000", "must differ"),
        ("metrics_port = 8001", "must differ"),
        ("http_port = '8000'", "line 2: .*`int`"),
        ("input = 'jpeg'", "one of encoded, raw|one of raw, encoded"),
        ("require = 'all'", "require"),
        ("height = 0", "height is 0, must be between 1 and 16384, or -1"),
        ("height = 16384\nwidth = 16385", "width is 16385"),
        ("timeout_ms = 500", "patience_ms is 1000, must not pass timeout_ms"),
        ("batch_max = 300", "batch_max is 300, must not pass in_flight_max"),
        ("body_bytes_max = 300000000", "must not pass buffered_bytes_max"),
        ("model = 'a/b'", "use letters, digits"),
        ("address = 'a b'", "address"),
        ("[tls]\ncertificate = 'c'", "missing required field `key`"),
        ("[tls]\ncertificate = 'c'\nkey = 'k'\nca = 'a'", "unknown field `ca`"),
    ],
)
def test_what_is_wrong_is_named(line: str, part: str) -> None:
    with pytest.raises(ConfigInvalid, match=part):
        gateway_from_toml(PLAIN + line, "gateway.toml")


def test_the_documentation_names_every_key_and_no_other() -> None:
    table = DOCS.read_text().partition("## Configuration")[2]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    named = {key for row in rows for key in re.findall(r"`([a-z_]+)`", row)}
    own = {spec.encode_name for spec in msgspec.structs.fields(GatewayConfig)} - {"tls"}
    assert named == own | {"certificate", "key", "client_ca"}


def test_a_key_is_taken_from_systemd_where_it_hands_one_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gateway.toml").write_text(PLAIN)
    files = read_gateway_files(tmp_path / "gateway.toml")
    assert files.private("tls.key") == tmp_path / "tls.key"
    handed = tmp_path / "credentials"
    handed.mkdir()
    (handed / "tls.key").touch()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(handed))
    assert files.private("tls.key") == handed / "tls.key"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("genesis = 'none.toml'", "cannot read the genesis file"),
        (f"{PLAIN}key = 'none.key'", "none.key"),
        (f"{PLAIN}successions = 'none'", "none"),
        (f"{PLAIN}successions = 'genesis.toml'", "genesis.toml"),
        (f"{PLAIN}timeout_ms = 86400000", "the group's horizon"),
        (f"{PLAIN}[tls]\ncertificate = 'none.pem'\nkey = 'none.key'", r"the files of \[tls\] cannot be used"),
    ],
)
def test_what_only_a_person_can_mend_ends_the_daemon_with_its_own_code(
    tmp_path: Path, text: str, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "genesis.toml").write_text(genesis_to_toml(world().group))
    (tmp_path / "gateway.toml").write_text(text)
    assert run(["run", "gateway", str(tmp_path / "gateway.toml")]) == OPERATOR_MUST_ACT
    assert re.search(part, capsys.readouterr().err)
