"""From a request to a reply, without a socket: routes, uploads, and the headers that close the pages off."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import msgspec
from multipart import MultipartError, MultipartParser, parse_options_header

from dropbeard.types.genesis_file import genesis_from_toml
from dropbeard.types.limits import CERTIFICATE_BYTES_MAX
from dropbeard.web import pages
from dropbeard.web.archive import Archive
from dropbeard.web.explorer import Report, explained, report_on
from dropbeard.web.live import live_of
from dropbeard.web.pages import Known
from dropbeard.web.sampling import Sampler
from dropbeard.web.timeline import Timeline

HTML: Final = "text/html; charset=utf-8"
JSON: Final = "application/json"
BYTES: Final = "application/octet-stream"
FIELD: Final = "certificate"
FORM_BYTES_MAX: Final = 4 << 10
"""What a form may add to the file that it brings."""

UPLOAD_BYTES_MAX: Final = CERTIFICATE_BYTES_MAX + FORM_BYTES_MAX
LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
REQUEST_HEX: Final = 64

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
SECURITY: Final = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent back; SECURITY and the length are added to ``headers``."""

    status: HTTPStatus
    body: bytes
    kind: str = HTML
    headers: Mapping[str, str] = field(default_factory=lambda: {"Cache-Control": "no-store"})


def is_loopback(host: str | None) -> bool:
    """Whether a Host header names this machine by a name that no foreign page can have: rebinding ends here.

    The port does not matter: a tunnel may have another one.
    """
    if host is None:
        return False
    name, colon, port = host.rpartition(":")
    return host in LOOPBACK or (colon != "" and name in LOOPBACK and port.isascii() and port.isdigit())


class Site:
    """Answers for one node. ``owner`` names it while it says nothing itself; ``genesis`` is the file's text."""

    def __init__(self, owner: str, genesis: str, sampler: Sampler, archive: Archive) -> None:
        self._owner = owner
        self._genesis = genesis.encode()
        self._group = genesis_from_toml(genesis, "the genesis")
        self._sampler = sampler
        self._archive = archive
        self._pages: dict[str, Callable[[Known], str]] = {
            "/": pages.node_page,
            "/group": pages.group_page,
            "/models": pages.models_page,
            "/certificates": pages.certificates_page,
        }

    def get(self, path: str) -> Reply:
        """A page, a file, the JSON that keeps a page true, or what a browser checks certificates with."""
        if path in self._pages:
            return _html(HTTPStatus.OK, self._pages[path](self._known()))
        if path == "/live.json":
            return Reply(HTTPStatus.OK, msgspec.json.encode(live_of(self._sampler.seen(), time.monotonic())), JSON)
        if path == "/genesis.toml":
            return Reply(HTTPStatus.OK, self._genesis, BYTES)
        if path == "/successions":
            timeline = self._archive.read().timeline
            return Reply(HTTPStatus.OK, timeline.successions if isinstance(timeline, Timeline) else b"", BYTES)
        folder, _, name = path.rpartition("/")
        if folder == "/static" and name in pages.STATIC:
            kept = {"Cache-Control": "max-age=31536000, immutable"}
            return Reply(HTTPStatus.OK, pages.static_file(name), pages.STATIC[name], kept)
        if folder == "/certificates" and len(name) == REQUEST_HEX:
            return self._disclosed(name)
        return self.refuse(HTTPStatus.NOT_FOUND, "There is no such page.")

    def _disclosed(self, request: str) -> Reply:
        read = self._archive.read()
        found = next((one for one in read.certificates if one.request.hex() == request), None)
        if found is None:
            return self.refuse(HTTPStatus.NOT_FOUND, "No valid certificate of this request was disclosed here.")
        return self._report(explained(found, read.lineage))

    def post(self, path: str, kind: str, body: bytes) -> Reply:
        """Check the certificate that a form brings."""
        if path != "/certificates":
            return self.refuse(HTTPStatus.NOT_FOUND, "Nothing can be sent there.")
        data = uploaded(kind, body)
        if data is None:
            return self.refuse(HTTPStatus.BAD_REQUEST, "The form brings no certificate file.")
        return self._report(report_on(data, self._archive.read().lineage))

    def _report(self, report: Report) -> Reply:
        return _html(HTTPStatus.OK, pages.certificates_page(self._known(), report))

    def refuse(self, status: HTTPStatus, message: str) -> Reply:
        """Why there is nothing to show."""
        return _html(status, pages.message_page(self._known(), status.phrase, message))

    def _known(self) -> Known:
        seen = self._sampler.seen()
        status = seen.status
        owner = self._owner if status is None else status.owner
        return Known(owner, self._group, live_of(seen, time.monotonic()), status, self._archive.read())


def _html(status: HTTPStatus, text: str) -> Reply:
    return Reply(status, text.encode())


def uploaded(kind: str, body: bytes) -> bytes | None:
    """The file of a form in ``body``, at most UPLOAD_BYTES_MAX; None when it brings none."""
    name, options = parse_options_header(kind)
    boundary = options.get("boundary")
    if name != "multipart/form-data" or not boundary:
        return None
    try:
        parser = MultipartParser(
            io.BytesIO(body),
            boundary,
            len(body),
            disk_limit=0,
            memory_limit=UPLOAD_BYTES_MAX,
            spool_limit=UPLOAD_BYTES_MAX,
            part_limit=4,
            strict=True,
        )
        part = parser.get(FIELD)
    except MultipartError:
        return None
    found: bytes | None = None if part is None else part.raw
    return found
