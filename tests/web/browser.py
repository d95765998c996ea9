"""The pages of a server in a real browser (tests/verification/browser/chromium.py)."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from tests.verification.browser.chromium import Chromium


class Page:
    """One page of a browser, by its address."""

    def __init__(self, browser: Chromium) -> None:
        self._browser = browser
        self.value = browser.evaluate
        self.wait_for = browser.wait_for
        self.choose = browser.choose

    def open(self, address: str) -> None:
        """Go to a page and wait until it is loaded; what was logged and asked for before is forgotten."""
        self._browser.events.clear()
        assert "errorText" not in self._browser.call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete'")

    def look(self, *, dark: bool = False, width: int = 1180, scripts: bool = True) -> None:
        """How the next pages are shown."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._browser.call("Emulation.setEmulatedMedia", features=features)
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        self._browser.call("Emulation.setDeviceMetricsOverride", **metrics)
        self._browser.call("Emulation.setScriptExecutionDisabled", value=not scripts)

    def click(self, selector: str) -> None:
        """Click in the middle of an element, as a hand would: no script of the page is needed."""
        root = self._browser.call("DOM.getDocument")["root"]["nodeId"]
        node = self._browser.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._browser.call("DOM.scrollIntoViewIfNeeded", nodeId=node)
        quad = self._browser.call("DOM.getBoxModel", nodeId=node)["model"]["content"]
        x, y = sum(quad[0::2]) / 4, sum(quad[1::2]) / 4
        for kind in ("mousePressed", "mouseReleased"):
            self._browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def drop(self, file: Path) -> None:
        """Drag a file over the page and let it go."""
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self._browser.call("Input.dispatchDragEvent", type=kind, x=300, y=300, data=data)

    def screenshot(self, path: Path) -> None:
        """The whole page as a picture."""
        found = self._browser.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def complaints(self) -> list[str]:
        """What the browser logged since the page was opened: blocked by policy, not found, thrown."""
        logged = [event["params"]["entry"]["text"] for event in self._events("Log.entryAdded")]
        return logged + [str(event["params"]) for event in self._events("Runtime.exceptionThrown")]

    def asked_for(self) -> list[tuple[str, str]]:
        """Method and address of everything that the browser asked for since the page was opened."""
        sent = [event["params"]["request"] for event in self._events("Network.requestWillBeSent")]
        return [(request["method"], request["url"]) for request in sent]

    def _events(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self._browser.events if event.get("method") == name]
