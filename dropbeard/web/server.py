"""The socket of the web page: loopback alone, a few threads, every wait bounded."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

from dropbeard.daemon.asking import ask_status
from dropbeard.daemon.files import NodeFiles
from dropbeard.errors import TransportFailed
from dropbeard.storage.files import read_text
from dropbeard.types.genesis_file import genesis_from_toml
from dropbeard.types.limits import GENESIS_BYTES_MAX
from dropbeard.types.status import NodeStatus
from dropbeard.web.archive import Archive
from dropbeard.web.sampling import Sampler
from dropbeard.web.site import SECURITY, UPLOAD_BYTES_MAX, Reply, Site, is_loopback

ADDRESS: Final = "127.0.0.1"
ASK_S: Final = 1.0
READ_S: Final = 5.0
"""For a browser to send or take the next bytes."""

THREADS_MAX: Final = 16
ALLOWED: Final = "GET, HEAD, POST"
STATUSES: Final = {status.value: status for status in HTTPStatus}


class _Handler(BaseHTTPRequestHandler):
    site: Site
    timeout = READ_S

    def do_GET(self) -> None:
        if self._is_for_us():
            self._send(self.site.get(self.path.partition("?")[0]))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        if not self._is_for_us():
            return
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "The length of what is sent must be said.")
        elif len(length) > 9 or int(length) > UPLOAD_BYTES_MAX:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "No certificate is that large.")
        else:
            body = self.rfile.read(int(length))
            kind = self.headers.get("Content-Type", "")
            self._send(self.site.post(self.path.partition("?")[0], kind, body))

    def _is_for_us(self) -> bool:
        """No foreign page reads this one under its own name, and none sends a form here."""
        if not is_loopback(self.headers.get("Host")):
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "This page is served to 127.0.0.1 and localhost alone.")
            return False
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and self.command == "POST":
            self._refuse(HTTPStatus.FORBIDDEN, "Another page sent this form.")
            return False
        return True

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self._send(self.site.refuse(status, message))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library finds wrong with a request."""
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "These pages are only read.")
        else:
            self._refuse(STATUSES.get(code, HTTPStatus.BAD_REQUEST), "That is no request that a browser makes.")

    def _send(self, reply: Reply) -> None:
        self.close_connection = True
        self.send_response(reply.status)
        lines = {**reply.headers, **SECURITY, "Content-Type": reply.kind, "Content-Length": str(len(reply.body))}
        if reply.status is HTTPStatus.METHOD_NOT_ALLOWED:
            lines["Allow"] = ALLOWED
        for name, value in lines.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:
        """Who looks is no event."""

    def version_string(self) -> str:
        return "dropbeard"


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = THREADS_MAX

    def __init__(self, port: int, handler: type[_Handler]) -> None:
        self._free = threading.BoundedSemaphore(THREADS_MAX)
        super().__init__((ADDRESS, port), handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """One thread for each request, THREADS_MAX of them; who comes then is hung up on."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that went away or took too long is none of ours."""


@contextmanager
def web_served(files: NodeFiles, port: int) -> Iterator[int]:
    """Serve the page of a node until the block ends; the port, also when 0 asked for any.

    Raises ConfigInvalid when the genesis cannot be read, TransportFailed when the port cannot be had.
    """
    genesis = read_text(files.genesis, GENESIS_BYTES_MAX, "the genesis file")
    group = genesis_from_toml(genesis, str(files.genesis))

    def ask() -> NodeStatus:
        return ask_status(files, ASK_S)

    sampler = Sampler(ask)
    sampler.take()  # the first page says something
    archive = Archive(files, group, lambda: _in_force(sampler))
    site = Site(files.config.name, genesis, sampler, archive)
    try:
        server = _Server(port, type("Handler", (_Handler,), {"site": site}))
    except OSError as wrong:
        raise TransportFailed(
            f"cannot serve the page on {ADDRESS}:{port}: {wrong.strerror}; choose another port with --port"
        ) from wrong
    over = threading.Event()
    threads = [
        threading.Thread(target=server.serve_forever, name="web"),
        threading.Thread(target=sampler.run, args=(over,), name="sampling"),
        threading.Thread(target=archive.run, args=(over,), name="archive"),
    ]
    for thread in threads:
        thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        for thread in threads:
            thread.join()


def _in_force(sampler: Sampler) -> object:
    """The models that the node says are in force."""
    status = sampler.seen().status
    return None if status is None else status.chain.models
