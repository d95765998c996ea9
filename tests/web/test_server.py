"""The web page over a real socket."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbeard.errors import ConfigInvalid, TransportFailed
from dropbeard.web import server
from dropbeard.web.server import web_served
from dropbeard.web.site import SECURITY, UPLOAD_BYTES_MAX
from tests.verification.building import Plan, build, world
from tests.web.serving import answering, disclose, files_of, form, status_of

WORLD = world(4)
Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(name="port")
def fixture_port(tmp_path: Path) -> Iterator[int]:
    files = files_of(tmp_path, WORLD.group)
    disclose(files, WORLD)
    with answering(files, status_of(WORLD.group)), web_served(files, 0) as port:
        yield port


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def test_a_browser_gets_a_page_closed_off_by_headers(port: int) -> None:
    status, headers, body = ask(port, "GET", "/")
    assert status == 200
    assert SECURITY.items() <= headers.items()
    assert headers["Cache-Control"] == "no-store"
    assert b"owner 0" in body


def test_errors_are_closed_off_too(port: int) -> None:
    for status, headers, _ in (ask(port, "GET", "/nothing"), ask(port, "DELETE", "/"), ask(port, "GET", "/", Host="x")):
        assert status >= 400
        assert SECURITY.items() <= headers.items()


def test_head_has_the_headers_alone(port: int) -> None:
    status, headers, body = ask(port, "HEAD", "/group")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 1_000


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_nothing_else_is_done(port: int, method: str) -> None:
    status, headers, _ = ask(port, method, "/")
    assert (status, headers["Allow"]) == (405, "GET, HEAD, POST")


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{80}", ""])
def test_a_name_that_was_rebound_to_this_machine_reads_nothing(port: int, host: str) -> None:
    for method, path in (("GET", "/"), ("GET", "/live.json"), ("POST", "/certificates")):
        status, _, body = ask(port, method, path, b"" if method == "POST" else None, Host=host)
        assert status == 421
        assert b"class 3" not in body


def test_an_upload_is_verified(port: int) -> None:
    kind, body = form(build(WORLD, Plan()).encode())
    status, _, page = ask(port, "POST", "/certificates", body, Content_Type=kind, Sec_Fetch_Site="same-origin")
    assert status == 200
    assert b"Valid: class 3" in page


def test_a_form_of_another_page_is_refused(port: int) -> None:
    kind, body = form(build(WORLD, Plan()).encode())
    assert ask(port, "POST", "/certificates", body, Content_Type=kind, Sec_Fetch_Site="cross-site")[0] == 403


@pytest.mark.parametrize(
    ("length", "status"), [("x", 411), ("-1", 411), (str(UPLOAD_BYTES_MAX + 1), 413), ("9" * 40, 413)]
)
def test_the_length_of_an_upload_is_known_and_bounded(port: int, length: str, status: int) -> None:
    assert ask(port, "POST", "/certificates", b"", Content_Length=length)[0] == status


def test_bytes_that_are_no_request_do_not_end_the_server(port: int) -> None:
    for data in (b"\0\1\2\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 70_000 + b"\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(data)
            raw.recv(1_000)
    assert ask(port, "GET", "/")[0] == 200


def test_browsers_that_say_nothing_take_all_threads_only_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "THREADS_MAX", 2)
    monkeypatch.setattr(server._Handler, "timeout", 0.2)
    with web_served(files_of(tmp_path, WORLD.group), 0) as port:
        silent = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(4)]
        for one in silent:
            assert one.recv(1) == b""
            one.close()
        assert ask(port, "GET", "/")[0] == 200


def test_a_port_that_is_taken_and_a_genesis_that_is_not_there_are_named(tmp_path: Path, port: int) -> None:
    files = files_of(tmp_path / "other", WORLD.group)
    with pytest.raises(TransportFailed, match=f"{port}.*--port"), web_served(files, port):
        pass
    files.genesis.unlink()
    with pytest.raises(ConfigInvalid, match=r"genesis\.toml"), web_served(files, 0):
        pass


def test_only_loopback_is_listened_on(port: int) -> None:
    listening = [
        row.split()[1].partition(":")
        for row in Path("/proc/self/net/tcp").read_text().splitlines()[1:]
        if row.split()[3] == "0A"
    ]
    assert {address for address, _, hexed in listening if int(hexed, 16) == port} == {"0100007F"}
