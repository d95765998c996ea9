"""Routes, pages, uploads; whatever names say, it is text."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from http import HTTPStatus
from pathlib import Path

import msgspec
import pytest

from dropbeard.types.status import EvidencePart, MarkPart, NodeStatus
from dropbeard.web.pages import PAGES, STATIC, static_file
from dropbeard.web.site import POLICY, Site, is_loopback, uploaded
from tests.verification.building import Plan, World, build, world
from tests.verification.gallery import DEFECTS
from tests.web.serving import HOSTILE, form, named, site_of, status_of

WORLD = world(4)
PATHS = [path for path, _ in PAGES]
PAGE_BYTES_MAX = 100_000


@pytest.fixture(name="site")
def fixture_site(tmp_path: Path) -> Site:
    return site_of(tmp_path, WORLD, status_of(WORLD.group))


def text_of(site: Site, path: str) -> str:
    reply = site.get(path)
    assert reply.status is HTTPStatus.OK
    return reply.body.decode()


class Tags(HTMLParser):
    """Every element and every address of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.addresses: list[str] = []
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action")]


@pytest.mark.parametrize("path", PATHS)
def test_a_page_with_all_it_refers_to_stays_small_and_on_this_server(site: Site, path: str) -> None:
    page = text_of(site, path)
    tags = Tags(page)
    assert all(address == "" or re.match(r"/(?!/)", address) for address in tags.addresses)
    referred = set(re.findall(r'"/static/([^"?]+)', page))
    assert referred <= set(STATIC)
    assert len(page.encode()) + sum(len(static_file(name)) for name in referred) < PAGE_BYTES_MAX


@pytest.mark.parametrize("path", PATHS)
def test_a_page_has_no_script_or_style_of_its_own(site: Site, path: str) -> None:
    page = text_of(site, path)
    tags = Tags(page)
    assert "style" not in tags.names
    assert not [name for name in tags.attributes if name == "style" or name.startswith("on")]
    assert re.findall(r"<script(?! src=)", page) == []
    assert "unsafe" not in POLICY


def hostile_status(made: World) -> NodeStatus:
    found = status_of(made.group, problems=[HOSTILE], group=HOSTILE, release=HOSTILE)
    chain = msgspec.structs.replace(
        found.chain, marked=[MarkPart(HOSTILE, HOSTILE, 1)], evidence=[EvidencePart(HOSTILE, HOSTILE, False)]
    )
    engine = msgspec.structs.replace(found.engine, model=HOSTILE, backend=HOSTILE, update_failure=HOSTILE)
    requests = msgspec.structs.replace(found.requests, outcomes={HOSTILE: 1})
    return msgspec.structs.replace(found, chain=chain, engine=engine, requests=requests)


@pytest.mark.parametrize("path", PATHS)
def test_hostile_names_stay_text(tmp_path: Path, path: str) -> None:
    made = named(WORLD, HOSTILE)
    site = site_of(tmp_path, made, hostile_status(made))
    calm = Tags(text_of(site_of(tmp_path / "calm", WORLD, status_of(WORLD.group)), path))
    page = text_of(site, path)
    assert HOSTILE not in page
    assert "<script>" not in page
    assert HOSTILE in html.unescape(page)
    assert Tags(page).names.count("script") == calm.names.count("script")


def test_a_hostile_certificate_stays_text(tmp_path: Path) -> None:
    made = named(WORLD, HOSTILE)
    site = site_of(tmp_path, made, status_of(made.group))
    page = site.post("/certificates", *form(build(made, Plan()).encode())).body.decode()
    assert "Valid: class 3" in page
    assert HOSTILE not in page


def test_the_node_page_says_what_the_node_says(site: Site) -> None:
    page = text_of(site, "/")
    for text in ("Healthy", "owner 0", "owner 3", "12.5", "down", "this node"):
        assert text in page


def test_problems_are_said_with_the_state(tmp_path: Path) -> None:
    page = text_of(site_of(tmp_path, WORLD, status_of(WORLD.group, problems=["the engine is away"])), "/")
    assert "Degraded" in page
    assert "the engine is away" in page


@pytest.mark.parametrize("path", PATHS)
def test_without_an_answer_of_the_node_every_page_says_so(tmp_path: Path, path: str) -> None:
    page = text_of(site_of(tmp_path, WORLD), path)
    assert "No answer" in page


def test_the_group_page_has_the_matrix(site: Site) -> None:
    page = text_of(site, "/group")
    assert "over 4 disclosed certificates" in page
    assert "25 %<small>1 of 4</small>" in page
    assert "0 %<small>0 of 4</small>" in page


def test_the_json_has_every_text_that_the_page_keeps_true(site: Site) -> None:
    now = json.loads(site.get("/live.json").body)
    page = text_of(site, "/") + text_of(site, "/group")
    assert set(re.findall(r'data-live="([^"]*)"', page)) <= set(now["texts"])
    assert set(re.findall(r'data-path="([^"]*)"', page)) <= set(now["paths"])


def test_a_good_certificate_is_explained(site: Site) -> None:
    page = site.post("/certificates", *form(build(WORLD, Plan()).encode())).body.decode()
    assert "Valid: class 3" in page
    assert "honest-plurality" in page
    assert page.count(">agrees<") == 3


@pytest.mark.parametrize("name", sorted(DEFECTS))
def test_a_bad_certificate_names_its_step(site: Site, name: str) -> None:
    step, make = DEFECTS[name]
    page = site.post("/certificates", *form(make(WORLD).encode())).body.decode()
    assert ">Invalid<" in page
    assert f"verification step {step}," in page


def test_bytes_that_are_no_certificate_are_said_to_be_none(site: Site) -> None:
    assert "Not a certificate" in site.post("/certificates", *form(b"\r\n\0--edge not one")).body.decode()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", b"x"),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=edge", b"x"),
        ("multipart/form-data; boundary=edge", form(b"data")[1][:-20]),
        form(b"data", "another field"),
    ],
)
def test_a_form_without_a_certificate_is_refused(site: Site, kind: str, body: bytes) -> None:
    assert site.post("/certificates", kind, body).status is HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\n\n--edge", bytes(range(256)) * 9])
def test_a_file_comes_out_of_a_form_as_it_went_in(data: bytes) -> None:
    assert uploaded(*form(data)) == data


def test_a_disclosed_certificate_has_a_page_of_its_own(site: Site) -> None:
    page = text_of(site, "/certificates")
    addresses = re.findall(r'href="(/certificates/[0-9a-f]{64})"', page)
    assert len(addresses) == 4
    assert "Valid: class 3" in text_of(site, addresses[0])
    assert site.get(f"/certificates/{'0' * 64}").status is HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("path", ["/nothing", "/static/../server.py", "/static/site.py", "/certificates/x", "//", ""])
def test_other_addresses_are_not_found(site: Site, path: str) -> None:
    assert site.get(path).status is HTTPStatus.NOT_FOUND
    assert site.post(path, *form(b"")).status is HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8645", "localhost:9000", "[::1]:8645", "localhost"])
def test_names_of_this_machine_are_served(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "127.0.0.1.evil.example:80", "localhost:", "localhost:x", "10.0.0.1:8645", ":80"]
)
def test_other_names_are_not(host: str | None) -> None:
    assert not is_loopback(host)
