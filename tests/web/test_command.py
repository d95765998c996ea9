"""``dropbeard web`` as a process: it needs no key, serves, and ends when it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from dropbeard.cli.main import run
from tests.verification.building import world
from tests.web.serving import answering, disclose, files_of, status_of

TIMEOUT_S = 60
WORLD = world(4)


@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_end(tmp_path: Path, number: signal.Signals) -> None:
    files = files_of(tmp_path, WORLD.group)
    disclose(files, WORLD)
    before = sorted(path for path in tmp_path.rglob("*"))
    assert not list(tmp_path.rglob("*.key"))
    command = [sys.executable, "-m", "dropbeard", "web", str(files.path), "--port", "0"]
    with answering(files, status_of(WORLD.group)):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:
                assert b"Healthy" in answer.read()
            process.send_signal(number)
            assert process.wait(TIMEOUT_S) == 0
        written = set(tmp_path.rglob("*")) - set(before)
    assert written == {files.state / "status.sock"}  # the node's own


@pytest.mark.system
def test_a_signal_that_one_of_its_threads_takes_ends_it(tmp_path: Path) -> None:
    files = files_of(tmp_path, WORLD.group)
    command = [sys.executable, "-m", "dropbeard", "web", str(files.path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        threads = [int(path.name) for path in Path(f"/proc/{process.pid}/task").iterdir()]
        os.kill(max(threads), signal.SIGTERM)  # Linux hands it to that one, while its main thread waits
        try:
            assert process.wait(TIMEOUT_S) == 0
        finally:
            process.kill()


def test_a_configuration_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["web", str(tmp_path / "none.toml")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
