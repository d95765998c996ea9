"""The shipped units: systemd understands them, they are tight, and they agree with what the daemons do."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TypeGuard

import pytest

from dropbeard import errors
from dropbeard.cli.main import run
from dropbeard.daemon import starts
from dropbeard.daemon.engine_models import DRAIN_S
from dropbeard.daemon.node import DRAIN_MAX_US
from dropbeard.daemon.notify import EXTEND_BY_S
from dropbeard.daemon.units import DROP_INS, PLACES, allow_list, drop_in, unit_text
from dropbeard.errors import ConfigInvalid
from dropbeard.gateway import daemon as gateway_daemon
from dropbeard.gateway.listening import CLOSE_S

ANALYZE = shutil.which("systemd-analyze")
TIMEOUT_S = 60
EXPOSURE_MAX = "20"
"""2.0 of 10 on systemd's scale."""

SERVICES = ("node", "engine", "gateway", "prune")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="needs systemd-analyze")


def installed(root: Path, *words: str) -> Path:
    """The folder of units below a private root, starting a program that is there."""
    assert run(["systemd", "install", "alice", "--root", str(root), "--program", "/bin/true", *words]) == 0
    return root / "etc/systemd/system"


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    command = [ANALYZE, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def instance(folder: Path, kind: str) -> Path:
    """The template as alice's, under a name that the offline tool takes with its drop-ins."""
    made = folder / f"dropbeard-{kind}@alice.service"
    shutil.copy(folder / f"dropbeard-{kind}@.service", made)
    return made


def _is_error(found: object) -> TypeGuard[type[errors.DropbeardError]]:
    return isinstance(found, type) and issubclass(found, errors.DropbeardError)


def value(text: str, key: str) -> str:
    found = re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)
    assert found, key
    return str(found[-1])


@needs_systemd
@pytest.mark.parametrize("kind", SERVICES)
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--gpu",),
        ("--openvino",),
        ("--oip", "192.0.2.7"),
        ("--encrypted-keys",),
        ("--gateway-tls", "--gateway-key"),
    ],
)
def test_every_service_verifies_and_scores_2_or_better(tmp_path: Path, kind: str, words: tuple[str, ...]) -> None:
    unit = instance(installed(tmp_path, *words), kind)
    verified = analyze("verify", "--man=no", unit)
    assert (verified.returncode, verified.stderr) == (0, "")
    secure = analyze("security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE_MAX}", unit)
    assert secure.returncode == 0, secure.stdout[-200:]


@needs_systemd
def test_a_service_without_its_sandbox_would_be_found(tmp_path: Path) -> None:
    unit = instance(installed(tmp_path), "node")
    unit.write_text(unit.read_text().replace("CapabilityBoundingSet=", "").replace("SystemCallFilter", "#"))
    secure = analyze("security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE_MAX}", unit)
    assert secure.returncode == 1
    unit.write_text(unit.read_text().replace("WatchdogSec", "WatchDogSeconds"))
    assert "WatchDogSeconds" in analyze("verify", "--man=no", unit).stderr


@needs_systemd
@pytest.mark.parametrize("name", ["dropbeard.target", "dropbeard.slice", "dropbeard-prune@.timer"])
def test_target_slice_and_timer_verify(tmp_path: Path, name: str) -> None:
    verified = analyze("verify", "--man=no", installed(tmp_path) / name)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_what_must_not_be_restarted_are_the_daemons_own_exit_codes() -> None:
    mine = {kind.daemon_exit_code for kind in vars(errors).values() if _is_error(kind)} - {1}
    assert mine == {errors.OPERATOR_MUST_ACT, errors.STATE_CONTRADICTS, errors.OWNER_LEFT}
    usage = 2
    node = unit_text("dropbeard-node@.service", Path("/x"))
    assert {int(code) for code in value(node, "RestartPreventExitStatus").split()} == {usage, *mine}
    # An engine and a gateway make no promises, so their disk can contradict none.
    for kind in ("engine", "gateway"):
        unit = unit_text(f"dropbeard-{kind}@.service", Path("/x"))
        codes = {int(code) for code in value(unit, "RestartPreventExitStatus").split()}
        assert codes == {usage, errors.OPERATOR_MUST_ACT}


def test_systemd_waits_longer_than_the_daemons_take_to_end_and_to_speak() -> None:
    node = unit_text("dropbeard-node@.service", Path("/x"))
    engine = unit_text("dropbeard-engine@.service", Path("/x"))
    gateway = unit_text("dropbeard-gateway@.service", Path("/x"))
    assert int(value(node, "TimeoutStopSec")) > 2 * DRAIN_MAX_US / 1e6
    assert int(value(engine, "TimeoutStopSec")) > 2 * DRAIN_S
    assert int(value(gateway, "TimeoutStopSec")) > 2 * (gateway_daemon.DRAIN_S + CLOSE_S)
    assert all(int(value(unit, "TimeoutStartSec")) > EXTEND_BY_S for unit in (node, engine, gateway))


def test_an_engine_that_backs_off_never_meets_systemds_limit_of_starts() -> None:
    engine = unit_text("dropbeard-engine@.service", Path("/x"))
    burst, within_s = int(value(engine, "StartLimitBurst")), int(value(engine, "StartLimitIntervalSec"))
    restart_s = int(value(engine, "RestartSec"))
    times, now = [], 0.0
    for failed in range(50):
        times.append(now)
        now += restart_s + starts.wait_of(failed + 1)
    most = max(sum(first <= time < first + within_s for time in times) for first in times)
    assert most < burst


def test_the_engine_has_no_network_and_no_key() -> None:
    engine = unit_text("dropbeard-engine@.service", Path("/x"))
    assert value(engine, "PrivateNetwork") == "yes"
    assert value(engine, "RestrictAddressFamilies") == "AF_UNIX"
    assert "LoadCredential" not in engine
    assert "StateDirectory" not in engine


def test_a_gateway_sees_nothing_of_the_nodes_beside_it_and_keeps_nothing() -> None:
    gateway = unit_text("dropbeard-gateway@.service", Path("/x"))
    hidden = value(gateway, "InaccessiblePaths").replace("-/", "/").split()
    node, engine = (unit_text(f"dropbeard-{kind}@.service", Path("/x")) for kind in ("node", "engine"))
    assert f"/run/{value(engine, 'RuntimeDirectory').split('/')[0]}" in hidden
    assert f"/var/lib/{value(node, 'StateDirectory').split('/')[0]}" in hidden
    assert "StateDirectory" not in gateway
    assert "LoadCredential" not in gateway


def test_what_to_enable_is_named_for_gateways_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    units = installed(tmp_path, "--gateway-tls")
    assert "enable --now dropbeard.target dropbeard-gateway@alice\n" in capsys.readouterr().out
    text = (units / "dropbeard-gateway@alice.service.d" / "20-gateway-tls.conf").read_text()
    assert "LoadCredential=tls.key:/etc/dropbeard/%i/tls.key" in text


def test_installing_twice_changes_nothing_and_names_what_to_do_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed(tmp_path, "--gpu")
    first = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    installed(tmp_path, "--gpu")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == first
    names = {str(path.relative_to(tmp_path)) for path in first}
    assert names == {*PLACES.values(), "etc/systemd/system/dropbeard-engine@alice.service.d/20-gpu.conf"}
    assert "systemctl enable --now dropbeard.target" in capsys.readouterr().out


def test_an_owners_unit_is_shown_with_its_own_paths(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["systemd", "show", "node", "alice", "--program", "/opt/dropbeard/bin/dropbeard"]) == 0
    shown = capsys.readouterr().out
    assert "ExecStart=/opt/dropbeard/bin/dropbeard run node /etc/dropbeard/alice/alice.toml" in shown
    assert "%i" not in shown


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["show", "node", "a/b", "--program", "/x"], "systemd cannot take 'a/b'"),
        (["show", "node", "--program", "dropbeard"], "no absolute path"),
        (["show", "node", "--program", "/home/me/dropbeard"], "units cannot see it"),
        (["install", "--gpu", "--root", "ROOT", "--program", "/x"], "name them"),
        (["install", "a", "--oip", "triton.example", "--root", "ROOT", "--program", "/x"], "can hold no names"),
    ],
)
def test_what_cannot_work_is_refused_in_a_line(
    tmp_path: Path, words: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["systemd", *(str(tmp_path) if word == "ROOT" else word for word in words)]) == 1
    assert part in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_node_admits_its_peers_and_the_networks_that_its_configuration_names() -> None:
    text = allow_list(["192.0.2.1", "[2001:db8::1]", "192.0.2.1"], ["198.51.100.0/24"])
    assert text.splitlines()[1:] == [
        "[Service]",
        "IPAddressDeny=any",
        "IPAddressAllow=192.0.2.1/32",
        "IPAddressAllow=2001:db8::1/128",
        "IPAddressAllow=198.51.100.0/24",
    ]
    with pytest.raises(ConfigInvalid, match="can hold no names"):
        allow_list(["node.example"], [])


def test_every_drop_in_is_shipped_and_for_one_unit() -> None:
    for name in DROP_INS:
        assert "[Service]" in drop_in(name, "192.0.2.1")
    assert "IPAddressAllow=192.0.2.1/32" in drop_in("oip", "192.0.2.1")


def test_a_node_is_closed_to_all_but_the_networks_that_its_configuration_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.txt").write_text("\n".join(f"class {number}" for number in range(10)))
    home, config = tmp_path / "alice", tmp_path / "alice" / "alice.toml"
    assert run(["init", "alice", "--dir", str(home), "--backend", "synthetic", "--host", "192.0.2.1"]) == 0
    words = ["-o", str(home / "genesis.toml"), "--labels", str(tmp_path / "labels.txt")]
    assert run(["group", "create", str(home / "alice.card.toml"), *words]) == 0
    install = ["systemd", "install", "alice", "--root", str(tmp_path / "root"), "--program", "/bin/true"]
    assert run([*install, "--config", str(config)]) == 1
    assert "names no client_networks" in capsys.readouterr().err
    config.write_text('client_networks = ["198.51.100.0/24"]\n' + config.read_text())
    units = installed(tmp_path / "root", "--config", str(config))
    text = (units / "dropbeard-node@alice.service.d" / "20-clients.conf").read_text()
    assert text.splitlines()[2:] == [
        "IPAddressDeny=any",
        "IPAddressAllow=192.0.2.1/32",
        "IPAddressAllow=198.51.100.0/24",
    ]
    if ANALYZE is not None:
        assert analyze("verify", "--man=no", instance(units, "node")).stderr == ""


def test_a_node_made_for_the_system_has_its_state_and_socket_where_the_units_expect_them(tmp_path: Path) -> None:
    home = tmp_path / "alice"
    assert run(["init", "alice", "--dir", str(home), "--backend", "synthetic", "--system"]) == 0
    text = (home / "alice.toml").read_text()
    assert 'state = "/var/lib/dropbeard/alice"' in text
    assert 'endpoint = "ipc:///run/dropbeard/alice/engine.sock"' in text
    node, engine = (unit_text(f"dropbeard-{kind}@.service", Path("/x")) for kind in ("node", "engine"))
    assert value(node, "StateDirectory") == value(engine, "RuntimeDirectory") == "dropbeard/%i"


@pytest.mark.parametrize("kind", ["node", "gateway", "prune"])
def test_a_sandbox_lets_zeromq_set_its_threads_policy_or_it_would_end_the_process(kind: str) -> None:
    text = unit_text(f"dropbeard-{kind}@.service", Path("/x"))
    filters = [line.partition("=")[2] for line in text.splitlines() if line.startswith("SystemCallFilter=")]
    assert filters[-1] == "sched_setscheduler"
    assert any("@resources" in line for line in filters[:-1])


def test_a_nodes_sandbox_lets_zeromq_look_up_the_interfaces_that_it_binds_to() -> None:
    families = value(unit_text("dropbeard-node@.service", Path("/x")), "RestrictAddressFamilies")
    assert "AF_NETLINK" in families.split()
