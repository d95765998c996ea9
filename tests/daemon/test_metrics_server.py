"""The page that Prometheus reads."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import zmq
from prometheus_client.parser import text_string_to_metric_families

from dropbeard.daemon import metrics_server
from dropbeard.daemon.metrics_server import metrics_served
from dropbeard.errors import TransportFailed
from dropbeard.transport.status_link import Context, StatusListener
from tests.daemon.test_metrics import sample


@contextmanager
def node(directory: Path, answer: bytes) -> Iterator[None]:
    """Answers every question on the status socket with ``answer``."""
    context: Context = zmq.Context()
    listener, over = StatusListener(context, directory), threading.Event()

    def loop() -> None:
        while not over.is_set():
            listener.socket.poll(20)
            for route, _ in listener.receive():
                listener.send(route, answer)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        listener.close()
        context.term()


def get(port: int, path: str = "/metrics") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def figures(page: str) -> dict[str, float]:
    return {one.name: one.value for family in text_string_to_metric_families(page) for one in family.samples}


def test_prometheus_reads_what_the_node_says_of_itself(tmp_path: Path) -> None:
    with node(tmp_path, msgspec.json.encode(sample())), metrics_served(tmp_path, "127.0.0.1", 0) as port:
        status, page = get(port)
    found = figures(page)
    assert status == 200
    assert found["dropbeard_height"] == 100
    assert found["dropbeard_up"] == 1
    assert found["process_open_fds"] > 0


@pytest.mark.parametrize("answer", [b"{}", b"garbage", b""])
def test_a_node_that_is_down_or_says_nonsense_is_down(tmp_path: Path, answer: bytes) -> None:
    with metrics_served(tmp_path, "127.0.0.1", 0) as port:
        with node(tmp_path, answer):
            assert figures(get(port)[1])["dropbeard_up"] == 0
        assert figures(get(port)[1])["dropbeard_up"] == 0


def test_nothing_but_metrics_is_there(tmp_path: Path) -> None:
    with metrics_served(tmp_path, "127.0.0.1", 0) as port:
        for path in ("/", "/metricsx", "/../etc/passwd", "/status"):
            assert get(port, path)[0] == 404
        with socket.create_connection(("127.0.0.1", port), timeout=10) as posting:
            posting.sendall(b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello")
            assert b" 501 " in posting.recv(200)


def test_a_reader_that_never_asks_is_cut_off_and_others_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_server._Handler, "timeout", 0.2)
    with metrics_served(tmp_path, "127.0.0.1", 0) as port, socket.create_connection(("127.0.0.1", port)):
        assert get(port)[0] == 200


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with (
        metrics_served(tmp_path, "127.0.0.1", 0) as port,
        pytest.raises(TransportFailed, match="choose another metrics_port"),
        metrics_served(tmp_path, "127.0.0.1", port),
    ):
        pytest.fail("two on one port")


def test_ipv6_is_served_too(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
    with metrics_served(tmp_path, "[::1]", 0) as port, socket.create_connection(("::1", port), timeout=10) as asking:
        asking.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert b"200" in asking.recv(100)
