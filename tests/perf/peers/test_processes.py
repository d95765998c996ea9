"""A server of others as a process: ready, paused, counted, ended with all that it started."""

from __future__ import annotations

import os
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from perf.peers.processes import serving

pytestmark = pytest.mark.system

PROGRAM = """
import http.server, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200), self.end_headers(), self.wfile.write(str(child.pid).encode())
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
open(sys.argv[1], "w").write(str(server.server_port))
server.serve_forever()
"""


def wait_for(path: Path) -> str:
    until = time.monotonic() + 30
    while not (path.exists() and path.read_text()) and time.monotonic() < until:
        time.sleep(0.02)
    return path.read_text()


def is_running(pid: int) -> bool:
    """Neither gone nor waiting for somebody to take note of its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_paused_server_uses_no_core_and_what_it_started_ends_with_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "port")]
    with serving("busy", command, os.environ, "http://127.0.0.1:1/", tmp_path) as server:
        url = f"http://127.0.0.1:{wait_for(tmp_path / 'port')}/"
        server.ready = url
        server.wait_until_ready()
        with urllib.request.urlopen(url, timeout=10) as answer:
            child = int(answer.read())
        until = time.monotonic() + 30
        while server.cpu_seconds() < 0.3 and time.monotonic() < until:
            time.sleep(0.05)
        server.pause()
        before = server.cpu_seconds()
        time.sleep(0.3)
        assert server.cpu_seconds() - before <= 0.02
        server.go_on()
        while server.cpu_seconds() < before + 0.1 and time.monotonic() < until:
            time.sleep(0.05)
        assert server.cpu_seconds() >= before + 0.1
    while is_running(child) and time.monotonic() < until:
        time.sleep(0.02)
    assert not is_running(child)


def test_a_server_that_ends_is_named_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no model')"]
    with (
        serving("short", command, os.environ, "http://127.0.0.1:1/", tmp_path) as server,
        pytest.raises(SystemExit, match="short does not serve: no model"),
    ):
        server.wait_until_ready()
