"""The supervisor: restarts with back-off, stops for good, leaves nothing running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dropbeard.daemon.supervisor import Child, Supervisor
from dropbeard.errors import DropbeardError

pytestmark = pytest.mark.system
SLEEPER = (sys.executable, "-c", "import time; time.sleep(60)")


def wait_until_gone(pid: int, seconds: float = 10) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    with Supervisor([Child("one", SLEEPER, tmp_path / "one.log")]) as supervisor:
        supervisor.start()
        first = supervisor.pid("one")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert wait_until_gone(first)
        assert supervisor.poll() == ["one"]
        until = time.monotonic() + 10
        while supervisor.pid("one") is None and time.monotonic() < until:
            supervisor.poll()
            time.sleep(0.05)
        assert supervisor.pid("one") not in (None, first)
        assert supervisor.restarts == 1


def test_leaving_it_ends_a_child_that_ignores_sigterm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dropbeard.daemon.supervisor.STOP_S", 0.5)
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    log = tmp_path / "one.log"
    with Supervisor([Child("one", (sys.executable, "-c", stubborn), log)]) as supervisor:
        supervisor.start()
        until = time.monotonic() + 10
        while supervisor.last_line("one") != "up" and time.monotonic() < until:
            time.sleep(0.05)
        pid = supervisor.pid("one")
    assert pid is not None
    assert wait_until_gone(pid)


def test_children_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from dropbeard.daemon.supervisor import Child, Supervisor
code = "from dropbeard.daemon.process import die_with_parent; die_with_parent(); import time; time.sleep(60)"
s = Supervisor([Child("one", (sys.executable, "-c", code), Path({str(tmp_path / "one.log")!r}))])
s.start()
time.sleep(1)
print(s.pid("one"), flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait(10)
    parent.stdout.close()
    assert wait_until_gone(child)


def test_a_command_that_does_not_exist_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(DropbeardError, match="cannot start ghost"):
        Supervisor([Child("ghost", ("/nonexistent/ghost",), tmp_path / "ghost.log")]).start()
