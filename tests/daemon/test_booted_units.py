"""The units under a real systemd, booted in a private root by systemd-nspawn: opt-in, and never by a bare unshare.

``DROPBEARD_NSPAWN_ROOT`` names a directory with a minimal system (debootstrap --variant=minbase with systemd, dbus and
python3) in which dropbeard with its extra ``gateway`` is installed as /opt/dropbeard/bin/dropbeard. It is booted on an
overlay that is thrown away (``--volatile=overlay``), with a network of its own; nothing of this machine is shared but
the group's files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbeard.cli.main import run

NSPAWN = shutil.which("systemd-nspawn")
ROOT = os.environ.get("DROPBEARD_NSPAWN_ROOT")
BOOT_S = 120.0
STOP_S = 60.0
PROGRAM = "/opt/dropbeard/bin/dropbeard"
DONE = "report.txt"

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(NSPAWN is None, reason="needs systemd-nspawn"),
    pytest.mark.skipif(ROOT is None, reason="opt-in: DROPBEARD_NSPAWN_ROOT names a system to boot"),
    pytest.mark.skipif(os.geteuid() != 0, reason="systemd-nspawn needs root"),
]

SCRIPT = f"""#!/bin/sh
# Runs inside, once: installs what the README says, watches what systemd makes of it, and switches off.
exec > /given/{DONE} 2>&1
set -eux
trap 'test $? = 0 || journalctl --no-pager --unit="dropbeard-*" | tail -n 60' EXIT
cp -r /given/root/. /
systemd-sysusers
systemd-tmpfiles --create
systemctl daemon-reload
systemctl start dropbeard-engine@solo dropbeard-node@solo
systemctl is-active dropbeard-engine@solo dropbeard-node@solo
{PROGRAM} status /etc/dropbeard/solo/solo.toml
systemctl start dropbeard-gateway@front
READY='import urllib.request; print("gateway", urllib.request.urlopen("http://127.0.0.1:8000/v2/health/ready").status)'
for i in $(seq 60); do /usr/bin/python3 -c "$READY" && break; sleep 0.5; done
systemctl is-active dropbeard-gateway@front
systemctl stop dropbeard-gateway@front
echo "gateway's result: $(systemctl show -p Result --value dropbeard-gateway@front)"
{PROGRAM} ledger prune /etc/dropbeard/solo/solo.toml
systemctl start dropbeard-prune@solo.service
systemctl reload dropbeard-node@solo
systemctl kill --signal=KILL --kill-who=main dropbeard-node@solo
restarts() {{ systemctl show -p NRestarts --value dropbeard-node@solo; }}
for i in $(seq 60); do test "$(restarts)" = 1 && systemctl is-active dropbeard-node@solo && break; sleep 0.5; done
echo "restarts: $(restarts)"
systemctl kill --signal=STOP --kill-who=main dropbeard-node@solo
for i in $(seq 120); do test "$(restarts)" = 2 && systemctl is-active dropbeard-node@solo && break; sleep 0.5; done
echo "restarts with the watchdog's: $(restarts)"
systemctl stop dropbeard-node@solo dropbeard-engine@solo
echo "result: $(systemctl show -p Result --value dropbeard-node@solo)"
echo finished
"""

UNIT = """[Unit]
Description=what the test does inside
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh /given/script
ExecStopPost=/bin/systemctl poweroff --no-block
TimeoutStartSec=110
"""


@pytest.fixture
def given(tmp_path: Path) -> Iterator[Path]:
    """What the booted system gets: units, a group of one, and what it shall do."""
    made, home = tmp_path / "given", tmp_path / "given/root/etc/dropbeard/solo"
    assert run(["systemd", "install", "solo", "--root", str(made / "root"), "--program", PROGRAM]) == 0
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(f"class {number}" for number in range(10)))
    assert run(["init", "solo", "--dir", str(home), "--backend", "synthetic", "--system", "--host", "127.0.0.1"]) == 0
    words = [str(home / "solo.card.toml"), "-o", str(home / "genesis.toml"), "--labels", str(labels)]
    assert run(["group", "create", *words]) == 0
    (home / "owner.key").unlink()
    assert run(["systemd", "install", "front", "--gateway", "--root", str(made / "root"), "--program", PROGRAM]) == 0
    front = home.parent / "front"
    front.mkdir()
    (front / "gateway.toml").write_text('genesis = "genesis.toml"\n')
    (front / "genesis.toml").write_bytes((home / "genesis.toml").read_bytes())
    (made / "script").write_text(SCRIPT)
    (made / "inside.service").write_text(UNIT)
    yield made


def booted(given: Path) -> str:
    """Boot, let it do its work, and give back what it wrote; it is ended by its own pid if it does not end."""
    assert NSPAWN is not None
    assert ROOT is not None
    command = [
        NSPAWN,
        f"--directory={ROOT}",
        "--volatile=overlay",
        "--private-network",
        "--register=no",
        "--keep-unit",
        "--boot",
        f"--bind={given}:/given",
        f"--bind-ro={given / 'inside.service'}:/etc/systemd/system/inside.service",
        "--",
        "systemd.wants=inside.service",
    ]
    with (given / "console.txt").open("wb") as console:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        try:
            process.wait(BOOT_S)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(STOP_S)
    report = given / DONE
    assert report.exists(), (given / "console.txt").read_text(errors="replace")[-2_000:]
    return report.read_text()


def test_units_start_reload_restart_and_stop_under_a_real_systemd(given: Path) -> None:
    report = booted(given)
    assert "finished" in report, report[-2_000:]
    assert "gateway 200" in report
    assert "gateway's result: success" in report
    assert "restarts: 1" in report
    assert "restarts with the watchdog's: 2" in report
    assert "result: success" in report
    assert "HEALTHY  solo" in report
