"""Each check of the doctor, with the fault that triggers it."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest

from dropbeard.cli.main import run
from dropbeard.daemon import doctor as module
from dropbeard.daemon.doctor import SYNCS, Doctor, KernelClock, clock, read_kernel_clock, sync_times
from dropbeard.daemon.files import read_node_files
from dropbeard.daemon.findings import Finding
from dropbeard.daemon.local_group import LocalGroup, free_ports
from dropbeard.daemon.vitals import LAG_MAX
from dropbeard.types.node_config import EngineTable
from dropbeard.types.status import NodeStatus
from tests.daemon.test_metrics import sample
from tests.daemon.test_metrics_server import node

WAIT_S = 60.0
replaced = msgspec.structs.replace
LABELS = "\n".join(f"class {number}" for number in range(10))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A node of a group of one that does not run."""
    home, labels = tmp_path / "solo", tmp_path / "labels.txt"
    labels.write_text(LABELS)
    port = str(free_ports(1)[0])
    assert run(["init", "solo", "--dir", str(home), "--backend", "synthetic", "--port", port]) == 0
    words = [str(home / "solo.card.toml"), "-o", str(home / "genesis.toml"), "--labels", str(labels)]
    assert run(["group", "create", *words]) == 0
    return home / "solo.toml"


def examined(config: Path) -> dict[str, Finding]:
    return {row.check: row for row in Doctor(read_node_files(config)).findings()}


def edit(config: Path, old: str, new: str) -> None:
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))


def test_what_only_a_running_node_knows_is_not_known_and_nothing_is_left_behind(config: Path) -> None:
    before = sorted(config.parent.iterdir())
    found = examined(config)
    assert [name for name, row in found.items() if "not known" in row.text] == [
        "engine",
        "models-in-force",
        "reached-by",
    ]
    assert found["node"].level == "warn"
    assert [name for name, row in found.items() if row.level == "fail"] == []
    assert all(row.mend for row in found.values() if row.level != "ok")
    assert sorted(config.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("found", "level", "part"),
    [
        (KernelClock(True, 500), "ok", "off by 0.5 ms at most"),
        (KernelClock(False, 500), "warn", "nothing keeps the clock"),
        (KernelClock(True, 400_000), "warn", "may be off by 400 ms"),
        (None, "warn", "does not say"),
    ],
)
def test_a_clock_that_nobody_keeps_is_found(found: KernelClock | None, level: str, part: str) -> None:
    row = clock(found)
    assert (row.level, part in row.text) == (level, True)


def test_the_kernels_own_words_are_read() -> None:
    found = read_kernel_clock()
    assert found is None or 0 <= found.error_us < 10**9


def test_too_few_descriptors_are_found(config: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1_000, hard))
    try:
        row = examined(config)["descriptors"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (row.level, "this shell may open 1000 files" in row.text) == ("warn", True)


def test_a_slow_disk_is_found(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SYNC_WARN_S", 0.0)
    assert Doctor(read_node_files(config)).disk().level == "warn"
    monkeypatch.setattr(module, "SYNC_FAIL_S", 0.0)
    assert Doctor(read_node_files(config)).disk().level == "fail"


def test_a_full_disk_is_found(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DISK_FREE_BYTES", 1 << 62)
    row = Doctor(read_node_files(config)).disk()
    assert (row.level, "MiB are free" in row.text) == ("fail", True)


def test_syncs_are_measured_and_their_file_is_gone(tmp_path: Path) -> None:
    took = sync_times(tmp_path)
    assert len(took) == SYNCS
    assert took == sorted(took)
    assert took[0] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_backend_that_is_not_installed_is_found(config: Path) -> None:
    edit(config, 'backend = "synthetic"', 'backend = "tensorrt"')
    found = examined(config)
    if find_spec("tensorrt") is None:
        assert found["libraries"].level == "fail"
        assert found["libraries"].mend == "pip install 'dropbeard[tensorrt]'"
        assert found["plan"].level == "fail"


def test_a_journal_that_lay_around_is_warned_of(config: Path) -> None:
    state = config.parent / "state"
    state.mkdir(mode=0o700)
    (state / "journal.db").touch()
    old = time.time() - 7_200
    os.utime(state / "journal.db", (old, old))
    row = examined(config)["journal"]
    assert (row.level, "last written 2.0 h ago" in row.text) == ("warn", True)


def onnx(config: Path) -> None:
    edit(config, 'backend = "synthetic"', 'backend = "onnx"')


def chain(**changed: object) -> NodeStatus:
    status = sample()
    return replaced(status, chain=replaced(status.chain, **changed))


def engine(**changed: object) -> NodeStatus:
    status = sample()
    return replaced(status, engine=replaced(status.engine, **changed))


STATUSES = [
    ("node", "warn", "the disk is full", replaced(sample(), problems=["the disk is full"])),
    ("engine", "fail", "it is not ready: killed", engine(ready=False)),
    ("engine", "warn", "lost 2 times", engine(lost=2)),
    ("models-in-force", "warn", "alice has no model in the ledger", chain(models=[])),
    ("models-in-force", "fail", "not in this machine's catalogue", sample()),
    ("journal", "warn", "still asks its peers", chain(awake=False)),
    ("journal", "warn", f"{LAG_MAX + 1} blocks behind", chain(lag=LAG_MAX + 1)),
    ("reached-by", "warn", "nothing comes from carol", sample()),
]


@pytest.mark.parametrize(("check", "level", "part", "status"), STATUSES, ids=[part for _, _, part, _ in STATUSES])
def test_what_a_running_node_says_of_itself_is_judged(
    config: Path, check: str, level: str, part: str, status: NodeStatus
) -> None:
    onnx(config)
    (config.parent / "state").mkdir(mode=0o700)
    with node(config.parent / "state", msgspec.json.encode(replaced(status, pid=os.getpid()))):
        row = examined(config)[check]
    assert (row.level, part in row.text) == (level, True), row
    assert row.mend


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalGroup]:
    labels = tmp_path / "labels.txt"
    labels.write_text(LABELS)
    with LocalGroup(tmp_path / "g", engine=EngineTable("", backend="synthetic"), labels=labels) as group:
        yield group


def levels(config: Path) -> dict[str, str]:
    return {name: row.level for name, row in examined(config).items()}


def until_well(config: Path) -> dict[str, str]:
    end = time.monotonic() + WAIT_S
    watched = ("node", "engine", "models-in-force", "journal", "reach", "reached-by", "curve", "genesis-of-peers")
    while True:
        found = levels(config)
        if {found[name] for name in watched} == {"ok"}:
            return found
        assert time.monotonic() < end, examined(config)
        time.sleep(0.5)


@pytest.mark.system
def test_a_running_group_is_well_and_dead_peers_are_named(
    local: LocalGroup, capsys: pytest.CaptureFixture[str]
) -> None:
    config = local.configs[0]
    found = until_well(config)
    assert found["ports"] == "ok"
    assert "fail" not in found.values()
    pid = local.supervisor.pid("node bob")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    time.sleep(5 * local.group.parameters.status_interval_us / 1e6)
    one = examined(config)
    assert {name: one[name].level for name in ("reach", "reached-by", "genesis-of-peers")} == {
        "reach": "warn",
        "reached-by": "warn",
        "genesis-of-peers": "warn",
    }
    assert "bob" in one["reach"].text
    for name in ("node carol", "engine alice"):
        pid = local.supervisor.pid(name)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    time.sleep(5 * local.group.parameters.status_interval_us / 1e6)
    capsys.readouterr()
    assert run(["doctor", str(config), "--json"]) == 1
    told = {row["check"]: row for row in json.loads(capsys.readouterr().out)["checks"]}
    assert {name: told[name]["level"] for name in ("reach", "reached-by", "engine", "node")} == {
        "reach": "fail",
        "reached-by": "fail",
        "engine": "fail",
        "node": "warn",
    }


@pytest.mark.system
def test_another_genesis_and_another_key_are_found_by_asking_the_peers(local: LocalGroup, tmp_path: Path) -> None:
    until_well(local.configs[0])
    cards = [str(config.with_name(f"{config.stem}.card.toml")) for config in local.configs]
    other, labels = tmp_path / "g" / "alice" / "other.toml", str(tmp_path / "labels.txt")
    words = ["-o", str(other), "--labels", labels, "--name", "another"]
    assert run(["group", "create", *cards, *words]) == 0
    mine = local.configs[0]
    elsewhere = mine.with_name("elsewhere.toml")
    text = mine.read_text().replace("../genesis.toml", "other.toml").replace('state = "state"', 'state = "none"')
    elsewhere.write_text(text)
    found = examined(elsewhere)
    assert (found["genesis-of-peers"].level, found["curve"].level) == ("fail", "ok")
    assert "bob, carol, dave serve another genesis" in found["genesis-of-peers"].text
    port = str(free_ports(5)[-1])
    assert run(["init", "mallory", "--dir", str(tmp_path / "m"), "--backend", "synthetic", "--port", port]) == 0
    words = ["-o", str(tmp_path / "m" / "genesis.toml"), "--labels", labels]
    assert run(["group", "create", str(tmp_path / "m" / "mallory.card.toml"), *cards[1:], *words]) == 0
    stranger = examined(tmp_path / "m" / "mallory.toml")
    assert (stranger["curve"].level, stranger["reach"].level) == ("fail", "ok")
    assert "no CURVE handshake with bob, carol, dave" in stranger["curve"].text
