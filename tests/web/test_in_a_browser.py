"""The pages in a real headless Chromium; $DROPBEARD_SCREENSHOTS keeps the pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dropbeard.daemon.files import NodeFiles
from dropbeard.web import sampling
from dropbeard.web.pages import PAGES
from dropbeard.web.server import web_served
from tests.verification.browser.chromium import PROGRAM, chromium
from tests.verification.building import GOOD, Plan, build, output, world
from tests.verification.gallery import DEFECTS
from tests.web.browser import Page
from tests.web.serving import answering, disclose, files_of, status_of

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(PROGRAM is None, reason="no chromium is installed here to open the pages with"),
]
WORLD = world(4)
PAGE_BYTES_MAX = 100_000
REPORT = "document.querySelector('.report')?.innerText ?? ''"
TRANSFERRED = """
performance.getEntriesByType('resource').reduce(
    (sum, entry) => sum + entry.transferSize, performance.getEntriesByType('navigation')[0].transferSize)
"""


@pytest.fixture(scope="module", name="page")
def fixture_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("browser")) as browser:
        yield Page(browser)


@pytest.fixture(scope="module", name="files")
def fixture_files(tmp_path_factory: pytest.TempPathFactory) -> NodeFiles:
    files = files_of(tmp_path_factory.mktemp("node"), WORLD.group)
    disclose(files, WORLD, 12)
    return files


@pytest.fixture(scope="module", name="address")
def fixture_address(files: NodeFiles) -> Iterator[str]:
    with answering(files, status_of(WORLD.group)), web_served(files, 0) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(name="certificates")
def fixture_certificates(tmp_path: Path) -> dict[str, Path]:
    made = {
        "good": build(WORLD, Plan(base=(0, 1, 2, 3), votes={3: output(7)})).encode(),
        "undecided": build(WORLD, Plan(base=(0, 1, 2), votes={2: output(7)})).encode(),
        "expired": build(WORLD, GOOD["expired"]).encode(),
        "bad": DEFECTS["a salt is another"][1](WORLD).encode(),
        "none": b"no certificate at all",
    }
    for name, data in made.items():
        (tmp_path / f"{name}.dbcert").write_bytes(data)
    return {name: tmp_path / f"{name}.dbcert" for name in made}


def keep(page: Page, name: str) -> None:
    """A picture for people."""
    folder = os.environ.get("DROPBEARD_SCREENSHOTS")
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(Path(folder) / f"{name}.png")


def background(page: Page) -> int:
    """How bright the page is, 0 to 765."""
    found: int = page.value(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).reduce((a, b) => a + +b, 0)"
    )
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("path", "name"), PAGES)
def test_a_page_is_shown_without_a_complaint(page: Page, address: str, path: str, name: str, dark: bool) -> None:
    page.look(dark=dark)
    page.open(address + path)
    keep(page, f"{name.lower()}-{'dark' if dark else 'light'}")
    assert page.complaints() == []
    assert {asked.startswith(f"{address}/") for _, asked in page.asked_for()} == {True}
    assert page.value(TRANSFERRED) < PAGE_BYTES_MAX
    assert (background(page) < 300) is dark
    assert page.value("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("path", "name"), PAGES)
def test_a_narrow_page_does_not_scroll_sideways(page: Page, address: str, path: str, name: str) -> None:
    page.look(width=390)
    page.open(address + path)
    keep(page, f"{name.lower()}-narrow")
    assert page.value("document.documentElement.scrollWidth <= innerWidth")


def test_without_scripts_tables_charts_and_the_form_work(
    page: Page, address: str, certificates: dict[str, Path]
) -> None:
    page.look(scripts=False)
    page.open(f"{address}/")
    keep(page, "node-no-scripts")
    # The page's own scripts are off; what is asked here runs in spite of that.
    assert page.value("document.querySelectorAll('tbody tr').length") == 2 + WORLD.group.n
    assert page.value("document.querySelector('[data-path=\"rate.0.d\"]').getAttribute('d')").startswith("M")
    page.open(f"{address}/certificates")
    page.choose("file", certificates["good"])
    page.click("form.drop button")
    page.wait_for(f"({REPORT}).includes('Valid: class 3')")
    keep(page, "certificate-no-scripts")


@pytest.mark.parametrize("how", ["chosen", "dropped", "sent"])
@pytest.mark.parametrize(
    ("name", "said"), [("good", "Valid: class 3"), ("bad", "step 11"), ("none", "Not a certificate")]
)
def test_a_file_is_checked_in_the_browser(
    page: Page, address: str, certificates: dict[str, Path], name: str, said: str, how: str
) -> None:
    page.look()
    page.open(f"{address}/certificates")
    if how == "dropped":
        page.drop(certificates[name])
    else:
        page.choose("file", certificates[name])
    if how == "sent":
        page.click("form.drop button")
    page.wait_for(f"({REPORT}).includes('{said}')")
    keep(page, f"certificate-{name}")
    assert {method for method, _ in page.asked_for()} == {"GET"}
    assert page.value(TRANSFERRED) < PAGE_BYTES_MAX
    assert page.complaints() == []


@pytest.mark.parametrize("name", ["good", "undecided", "expired"])
def test_browser_and_server_explain_a_certificate_alike(
    page: Page, address: str, certificates: dict[str, Path], name: str
) -> None:
    said = []
    for scripts in (True, False):
        page.look(scripts=scripts)
        page.open(f"{address}/certificates")
        page.choose("file", certificates[name])
        if not scripts:
            page.click("form.drop button")
        page.wait_for(f"({REPORT}).includes('Valid')")
        said.append(page.value(REPORT))
    assert said[0] == said[1]


def test_the_policy_holds_in_a_browser(page: Page, address: str) -> None:
    page.look()
    page.open(f"{address}/")
    page.value("addEventListener('securitypolicyviolation', (e) => { window.broken = e.effectiveDirective })")
    assert page.value("(() => { try { document.body.innerHTML = 'x' } catch (e) { return e.name } })()") == "TypeError"
    page.value("fetch('http://localhost:9/').then(() => window.sent = 1, () => window.sent = 0)")
    page.wait_for("window.sent === 0")
    page.wait_for("window.broken === 'connect-src'")


def test_a_page_stays_true_while_it_is_open(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "EVERY_S", 0.1)
    files = files_of(tmp_path, WORLD.group)
    page.look()
    with ExitStack() as serving:
        port = serving.enter_context(web_served(files, 0))
        page.open(f"http://127.0.0.1:{port}/")
        assert "No answer" in page.value("document.body.innerText")
        with answering(files, status_of(WORLD.group)):
            page.wait_for(
                "document.body?.innerText.includes('Healthy')"
            )  # the script loads the page again: it has tables
            page.value("window.same = true")
            page.wait_for("!document.querySelector('[data-note=\"polled\"]').hidden")
        page.wait_for("document.body?.innerText.includes('No answer')")
        assert page.value("window.same")
        keep(page, "node-silent")
    page.wait_for("document.body?.innerText.includes('not served any more')")
