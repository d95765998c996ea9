"""The page that Prometheus reads, in a thread of the node: one request at a time, each with a time-out."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from dropbeard.daemon.metrics import families, unreachable
from dropbeard.daemon.status_desk import STATUS
from dropbeard.errors import NodeUnreachable, TransportFailed
from dropbeard.transport.status_link import ask
from dropbeard.types.status import STATUS_BYTES_MAX, NodeStatus

PATH: Final = "/metrics"
ASK_S: Final = 1.0
REQUEST_S: Final = 5.0
"""For one reader to ask and to read the answer."""


class NodeCollector(Collector):
    """Asks the node of a state directory at each scrape."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def describe(self) -> list[Metric]:
        """Nothing: the node is not asked before the first scrape."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics of now."""
        try:
            answer = ask(self._directory, STATUS, STATUS_BYTES_MAX, ASK_S)
            yield from families(msgspec.json.decode(answer, type=NodeStatus))
        except (NodeUnreachable, msgspec.MsgspecError):
            yield from unreachable()


class _Handler(BaseHTTPRequestHandler):
    registry: CollectorRegistry
    timeout = REQUEST_S

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(404, explain=f"metrics are at {PATH}")
            return
        page = generate_latest(self.registry)
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE_LATEST)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:
        """Scrapes are no events."""

    def version_string(self) -> str:
        return "dropbeard"


class _Server(HTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that went away or took too long is none of ours."""


class _Server6(_Server):
    address_family = socket.AF_INET6


@contextmanager
def metrics_served(directory: Path, address: str, port: int) -> Iterator[int]:
    """Serve the metrics of the node of ``directory`` until the block ends; the port, also when 0 asked for any.

    Raises TransportFailed when the port cannot be had.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(NodeCollector(directory))
    handler = type("Handler", (_Handler,), {"registry": registry})
    host = address.strip("[]")
    try:
        server = (_Server6 if ":" in host else _Server)((host, port), handler)
    except OSError as wrong:
        hint = "choose another metrics_port, or 0 for none"
        raise TransportFailed(f"cannot serve metrics on {address}:{port}: {wrong.strerror}; {hint}") from wrong
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
