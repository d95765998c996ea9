"""Each check of a configuration, with the fault that triggers it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dropbeard.cli.main import run
from dropbeard.daemon.files import read_node_files
from dropbeard.daemon.findings import Finding
from dropbeard.daemon.local_group import free_ports
from dropbeard.daemon.readiness import GIVE_GENESIS, Readiness, site_of

LABELS = "\n".join(f"class {number}" for number in range(10))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A group of one with nothing to complain about but its synthetic engine."""
    (tmp_path / "labels.txt").write_text(LABELS)
    home, port = tmp_path / "solo", str(free_ports(1)[0])
    assert run(["init", "solo", "--dir", str(home), "--backend", "synthetic", "--port", port]) == 0
    labels = str(tmp_path / "labels.txt")
    card, genesis = str(home / "solo.card.toml"), str(home / "genesis.toml")
    assert run(["group", "create", card, "-o", genesis, "--labels", labels]) == 0
    (home / "owner.key").unlink()
    return home


def findings(home: Path) -> dict[str, Finding]:
    return {row.check: row for row in Readiness(read_node_files(home / "solo.toml")).findings()}


def test_a_sound_configuration_has_nothing_to_mend(home: Path) -> None:
    found = findings(home)
    levels = {name: row.level for name, row in found.items()}
    assert levels.pop("model") == "warn"
    assert set(levels.values()) == {"ok"}
    assert all(row.mend is None for row in found.values() if row.level == "ok")
    assert not (home / "state").exists()


def edit(home: Path, old: str, new: str) -> None:
    config = home / "solo.toml"
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))


def unknown_model(home: Path) -> None:
    edit(home, 'backend = "synthetic"', 'backend = "onnx"')
    edit(home, 'model = "efficientnet-lite0"', 'model = "nothing-like-it"')


FAULTS: list[tuple[str, str, str, Callable[[Path], object]]] = [
    ("genesis", "fail", "cannot read the genesis file", lambda home: (home / "genesis.toml").unlink()),
    ("genesis", "fail", "line 1", lambda home: (home / "genesis.toml").write_text("= no")),
    ("keys", "fail", "open to others", lambda home: (home / "node.key").chmod(0o644)),
    ("keys", "fail", "does not exist", lambda home: (home / "salt.key").unlink()),
    ("keys", "warn", "the keys are solo's", lambda home: edit(home, 'name = "solo"', 'name = "lolo"')),
    ("owner-key", "warn", "lies on the node's machine", lambda home: (home / "owner.key").touch()),
    ("permissions", "fail", "others can write", lambda home: (home / "genesis.toml").chmod(0o666)),
    ("state", "warn", "open to others", lambda home: (home / "state").mkdir(mode=0o755)),
    ("engine-socket", "fail", "is no socket", lambda home: (home / "engine.sock").touch()),
    ("engine-socket", "fail", "at most 107 work", lambda home: edit(home, "engine.sock", "x" * 120)),
    ("model", "fail", "nothing-like-it", unknown_model),
]


@pytest.mark.parametrize(("check", "level", "part", "break_it"), FAULTS, ids=lambda value: str(value)[:20])
def test_a_fault_is_found_and_the_finding_says_what_mends_it(
    home: Path, check: str, level: str, part: str, break_it: Callable[[Path], object]
) -> None:
    break_it(home)
    row = findings(home)[check]
    assert (row.level, part in row.text) == (level, True), row
    assert row.mend


def test_another_backends_model_is_not_the_one_of_the_genesis(home: Path) -> None:
    edit(home, 'backend = "synthetic"', 'backend = "onnx"')
    row = findings(home)["model"]
    assert row.level in ("warn", "fail")  # fail where the model is not in the cache
    assert row.mend


def test_a_taken_port_is_found(home: Path) -> None:
    port = int((home / "solo.card.toml").read_text().split("tcp://127.0.0.1:")[1].split('"')[0])
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
        holder.listen()
        row = findings(home)["ports"]
    assert row.level == "fail"
    assert str(port) in row.text


def test_an_address_that_is_not_this_machines_is_found(home: Path) -> None:
    edit(home, "record = 0", 'record = 0\nlisten = "203.0.113.9"')
    assert findings(home)["ports"].level == "fail"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_state_directory_that_cannot_be_made_is_found(home: Path) -> None:
    edit(home, 'state = "state"', 'state = "/proc/state"')
    assert findings(home)["state"].level == "fail"


def test_variables_that_mean_nothing_are_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROPBEARD_STAT", "x")
    row = findings(home)["config"]
    assert (row.level, "did you mean DROPBEARD_STATE" in row.text) == ("warn", True)


@pytest.mark.parametrize(
    ("endpoint", "site"),
    [
        ("tcp://192.0.2.77:7400", "192.0.2.0/24"),
        ("tcp://[2001:db8:1:2::9]:7400", "2001:db8:1::/48"),
        ("tcp://a.rack1.example:7400", "rack1.example"),
        ("tcp://alone:7400", "alone"),
        ("ipc:///run/x.sock", "one machine"),
    ],
)
def test_a_site_is_a_network_or_a_domain(endpoint: str, site: str) -> None:
    assert site_of(endpoint) == site


def of_sites(tmp_path: Path, *hosts: str, sizes: Sequence[str] = ()) -> Finding:
    """The finding of the first owner of a group at these hosts."""
    tmp_path.mkdir()
    (tmp_path / "labels.txt").write_text(LABELS)
    cards = []
    for number, host in enumerate(hosts):
        home = tmp_path / f"o{number}"
        words = ["--dir", str(home), "--backend", "synthetic", "--host", host, "--port", str(7_400 + 10 * number)]
        assert run(["init", f"o{number}", *words]) == 0
        cards.append(str(home / f"o{number}.card.toml"))
    genesis = str(tmp_path / "o0" / "genesis.toml")
    assert run(["group", "create", *cards, "-o", genesis, "--labels", str(tmp_path / "labels.txt"), *sizes]) == 0
    return Readiness(read_node_files(tmp_path / "o0" / "o0.toml")).sites()


def test_four_owners_at_three_sites_are_warned_and_at_four_they_are_not(tmp_path: Path) -> None:
    three = of_sites(tmp_path / "three", "192.0.2.1", "192.0.2.2", "198.51.100.1", "203.0.113.1")
    assert three.level == "warn"
    assert "2 of 4 owners are at 192.0.2.0/24: without it 2 of the 3 needed remain" in three.text
    four = of_sites(tmp_path / "four", "192.0.2.1", "198.51.100.1", "203.0.113.1", "10.0.0.1")
    assert four.level == "ok"


def test_a_lost_site_must_leave_the_answers_of_a_request_besides_a_quorum(tmp_path: Path) -> None:
    hosts = [f"{site}.{number}" for site in ("192.0.2", "198.51.100", "203.0.113") for number in (1, 2, 3)]
    eight = of_sites(tmp_path / "eight", *hosts, sizes=["--f", "1"])
    assert eight.level == "warn"
    assert "without it 6 of the 8 needed remain: nothing is answered" in eight.text
    assert "--answers 6" in str(eight.mend)
    assert of_sites(tmp_path / "six", *hosts, sizes=["--f", "1", "--answers", "6"]).level == "ok"


def test_what_fails_for_want_of_the_genesis_is_said_once(home: Path) -> None:
    (home / "genesis.toml").unlink()
    found = findings(home)
    assert [name for name, row in found.items() if "cannot read the genesis" in row.text] == ["genesis"]
    assert found["genesis"].mend == GIVE_GENESIS
    assert (found["keys"].level, found["keys"].text, found["keys"].mend) == ("fail", "as genesis", "mend genesis first")
    assert found["permissions"].level == "ok"


def test_the_commands_print_findings_and_values(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["check", str(home / "solo.toml"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["level"] == "warn"
    assert [row["check"] for row in told["checks"]][:3] == ["config", "genesis", "keys"]
    (home / "node.key").chmod(0o640)
    assert run(["check", str(home / "solo.toml")]) == 1
    assert "fail  keys: " in capsys.readouterr().out
    assert run(["config", "show", str(home / "solo.toml"), "--effective", "--json"]) == 0
    rows = {row["key"]: row for row in json.loads(capsys.readouterr().out)["config"]}
    assert rows["engine.threads"]["source"].startswith("line ")
    assert rows["listen"] == {"key": "listen", "value": None, "source": "default"}
