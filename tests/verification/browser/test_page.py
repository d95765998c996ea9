"""The page, opened from disk in a real browser, gives the verdicts of the gallery and reaches no network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dropbeard.types.task import Input, InputKind
from dropbeard.verification.browser.page import PAGE_BYTES_MAX, verifier_page
from tests.verification.browser.chromium import PROGRAM, Chromium, chromium
from tests.verification.building import Plan, build
from tests.verification.exhibits import EXHIBITS, GENESIS, WORLD, Exhibit, Verdict

VERDICT = "document.getElementById('result').dataset.verdict"
STEP = "document.getElementById('result').dataset.step"
TEXT = "document.getElementById('result').innerText"

in_a_browser = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no chromium is installed here to open the page with"),
]


@pytest.fixture(name="folder", scope="module")
def fixture_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page is."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "verify.html").write_text(verifier_page(), encoding="utf-8")
    return folder


@pytest.fixture(name="browser", scope="module")
def fixture_browser(folder: Path) -> Iterator[Chromium]:
    """One browser for all of them."""
    with chromium(folder) as browser:
        yield browser


def page_says(browser: Chromium, folder: Path, exhibit: Exhibit, input_name: str = "input") -> Verdict:
    """Choose the exhibit's files in a fresh page; the certificate comes last."""
    browser.open(folder / "verify.html")
    files = {
        "genesis": exhibit.genesis,
        "input": exhibit.image,
        "successions": exhibit.successions,
        "certificate": exhibit.certificate,
    }
    for place, data in files.items():
        if data is not None:
            file = folder / (input_name if place == "input" else place)
            file.write_bytes(data)
            browser.choose(place, file)
    browser.wait_for(f"{VERDICT} !== 'none'")
    step = browser.evaluate(STEP)
    return browser.evaluate(VERDICT), int(step) if step else None


def named(name: str) -> Exhibit:
    """The exhibit of this name."""
    return next(exhibit for exhibit in EXHIBITS if exhibit.name == name)


def test_the_page_is_one_small_file_that_names_no_other() -> None:
    page = verifier_page()
    assert len(page.encode()) <= PAGE_BYTES_MAX
    assert page.count("<script>") == page.count("</script>") == 2
    assert re.findall(r"\b(?:src|href)\s*=|https?://|@import|url\(", page) == []
    assert page == verifier_page()


@pytest.mark.timeout(300)
class TestInABrowser:
    """What only a browser can tell."""

    pytestmark = in_a_browser

    def test_the_page_gives_the_verdict_of_every_exhibit(self, browser: Chromium, folder: Path) -> None:
        said = {exhibit.name: page_says(browser, folder, exhibit) for exhibit in EXHIBITS}
        assert said == {exhibit.name: exhibit.verdict for exhibit in EXHIBITS}

    def test_the_page_shows_what_was_agreed_by_whom(self, browser: Chromium, folder: Path, tmp_path: Path) -> None:
        assert page_says(browser, folder, named("a supplement")) == ("valid", None)
        shown = browser.evaluate(TEXT)
        base = build(WORLD, Plan()).base.entry
        for said in ("Agreed: class 3 (margin 4, assurance robust)", "epoch 0, height 7", base.request.hex()):
            assert said in shown
        assert [f"owner {owner}\tclass 3" in shown for owner in range(4)] == [True] * 4
        browser.screenshot(tmp_path / "good-light.png", "light")
        browser.screenshot(tmp_path / "good-dark.png", "dark")

    @pytest.mark.parametrize(
        ("name", "kind", "row"),
        [
            ("answer: a vector of extremes", "embedding", "owner 1\t-32768, 32767, -1\t1\t"),
            ("answer: scores below zero", "scores", "owner 1\tleft -32768, right -1\t1\t"),
            ("answer: no boxes", "boxes", "owner 1\tno objects\t1\t"),
            (
                "answer: a box of the whole picture without any score",
                "boxes",
                "owner 1\tdog, 0.0 %, from (0.0 %, 0.0 %) to (100.0 %, 100.0 %)\t1\t",
            ),
            ("task: a tensor as large as it can be", "tensor", "owner 1\t0, 0, 0, 0, 0, 0, 0, 0 and 16376 more\t1\t"),
            ("task: a tensor with a scale and a unit", "tensor", "owner 1\t0 m, 0 m\t1\t"),
        ],
    )
    def test_the_page_shows_answers_that_are_no_classes_and_no_margin(
        self, browser: Chromium, folder: Path, tmp_path: Path, name: str, kind: str, row: str
    ) -> None:
        assert page_says(browser, folder, named(name)) == ("valid", None)
        shown = browser.evaluate(TEXT)
        assert f"3 owners' answers of the kind {kind} are certified." in shown
        assert row in shown
        assert "margin" not in shown
        assert "Probability" not in shown
        browser.screenshot(tmp_path / "good-light.png", "light")

    def test_the_page_says_that_a_vector_expired(self, browser: Chromium, folder: Path) -> None:
        assert page_says(browser, folder, named("a vector that expired")) == ("valid", None)
        assert "The group agreed that the request expired" in browser.evaluate(TEXT)

    def test_the_page_names_the_failed_check(self, browser: Chromium, folder: Path, tmp_path: Path) -> None:
        assert page_says(browser, folder, named("a salt is another")) == ("invalid", 11)
        assert "Check 11 of 14, openings, failed: the opening of owner 0" in browser.evaluate(TEXT)
        browser.screenshot(tmp_path / "bad-light.png", "light")
        browser.screenshot(tmp_path / "bad-dark.png", "dark")

    @pytest.mark.parametrize(("change", "verdict"), [(0, ("valid", None)), (1, ("invalid", 10))])
    def test_the_page_compares_an_array_file(
        self, browser: Chromium, folder: Path, change: int, verdict: Verdict
    ) -> None:
        pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
        asked = Input(InputKind.RAW_RGB8, (2, 4, 3), pixels.tobytes())
        np.save(folder / "pixels.npy", pixels + np.uint8(change))
        array = (folder / "pixels.npy").read_bytes()
        exhibit = Exhibit("array", build(WORLD, Plan(image=asked)).encode(), verdict, GENESIS.encode(), array)
        assert page_says(browser, folder, exhibit, "pixels.npy") == verdict

    def test_files_may_be_dropped_together_whatever_they_are_called(self, browser: Chromium, tmp_path: Path) -> None:
        exhibit = named("epoch 2")
        (tmp_path / "verify.html").write_text(verifier_page(), encoding="utf-8")
        contents = {"one": exhibit.certificate, "two": exhibit.successions or b"", "g.toml": exhibit.genesis}
        for name, data in contents.items():
            (tmp_path / name).write_bytes(data)
        browser.open(tmp_path / "verify.html")
        browser.drop([tmp_path / name for name in contents])
        browser.wait_for(f"{VERDICT} !== 'none'")
        assert browser.evaluate(VERDICT) == "valid"
        names = "Array.from(document.querySelectorAll('input'), (input) => input.files[0]?.name ?? null)"
        assert browser.evaluate(names) == ["one", "g.toml", None, "two"]

    def test_each_file_has_its_label(self, browser: Chromium, folder: Path) -> None:
        browser.open(folder / "verify.html")
        labels = "Array.from(document.querySelectorAll('input'), (input) => input.labels.length)"
        assert browser.evaluate(labels) == [1, 1, 1, 1]

    def test_nothing_was_loaded_but_the_page_and_nothing_went_wrong(self, browser: Chromium, folder: Path) -> None:
        page_says(browser, folder, named("direct"))
        asked = {e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"}
        assert {url.rpartition("/")[2] for url in asked} == {"verify.html"}
        assert {url.partition(":")[0] for url in asked} == {"file"}
        wrong = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        assert [event for event in browser.events if event["method"] in wrong] == []

    def test_a_script_that_was_added_does_not_run(self, browser: Chromium, folder: Path, tmp_path: Path) -> None:
        page = tmp_path / "changed.html"
        text = (folder / "verify.html").read_text(encoding="utf-8")
        page.write_text(text.replace("</main>", "</main><script>document.title = 'ran'</script>"), encoding="utf-8")
        browser.open(page)
        assert browser.evaluate("document.title") == "dropbeard: verify a certificate"
