"""A headless Chromium for tests and pictures of pages, driven by selenium through the system's own chromedriver.

selenium and not playwright: Debian's chromium-driver is built with the browser that it drives, while playwright is made for one
that it downloads; and selenium's needs are small, trio among them. Nothing is downloaded: both programs are named.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.support.ui import WebDriverWait

    HAS_SELENIUM = True
except ImportError:  # the extra `test` is not installed whole
    HAS_SELENIUM = False

WIDTH, HEIGHT = 1400, 1000
READY_S = 30.0
"""A page of a million events takes one or two."""


def _found(variable: str, *names: str) -> str | None:
    named = os.environ.get(variable)
    return named or next(filter(None, map(shutil.which, names)), None)


CHROMIUM = _found("WATCHCACHE_CHROMIUM", "chromium", "chromium-browser", "google-chrome")
DRIVER = _found("WATCHCACHE_CHROMEDRIVER", "chromedriver")
CURE = (
    "no headless Chromium: apt-get install chromium chromium-driver, or name them in WATCHCACHE_CHROMIUM and"
    " WATCHCACHE_CHROMEDRIVER; and pip install 'watchcache[test]' for selenium"
)
IS_FOUND = HAS_SELENIUM and CHROMIUM is not None and DRIVER is not None
needs_browser = pytest.mark.skipif(not IS_FOUND, reason=CURE)


class Browser:
    """A browser with one page at a time, and all that it asked of a network and complained about since `open`."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.requests: list[str] = []

    def open(self, path: Path) -> float:
        """Open a page from disk; return when it says that it is ready, with how many ms that took from the navigation on."""
        self.driver.get_log("performance")
        self.driver.get_log("browser")
        self.requests.clear()
        self.driver.get(path.resolve().as_uri())
        ready = WebDriverWait(self.driver, READY_S, poll_frequency=0.05).until(
            lambda driver: driver.execute_script("return document.documentElement.dataset.ready")
        )
        return float(ready)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a piece of JavaScript returns. The page's own policy binds the page, not its tester."""
        return self.driver.execute_script(script, *arguments)

    def frame(self) -> None:
        """Return when the page has drawn what was asked for: two frames later."""
        self.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")

    def find(self, selector: str) -> Any:
        """The first element that a CSS selector finds."""
        return self.driver.find_element("css selector", selector)

    def asked_for(self) -> list[str]:
        """The addresses that the page has asked for since it was opened, itself first."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
        return self.requests

    def complaints(self) -> list[str]:
        """What stands in the console: errors, refusals of the policy, exceptions."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def picture(self, path: Path, *, height_max: int = 4000) -> bytes:
        """The page, from its top to `height_max`, as PNG."""
        size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], height_max), "scale": 1}
        taken = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        content = base64.b64decode(taken["data"])
        path.write_bytes(content)
        return content


@contextmanager
def open_browser(*, dark: bool = False) -> Iterator[Browser]:
    """A browser that ends with the block. Where there is none, tests that want one are skipped: see `needs_browser`."""
    assert IS_FOUND, CURE
    options = Options()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--disable-gpu", f"--window-size={WIDTH},{HEIGHT}", "--hide-scrollbars"):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium refuses to be root otherwise, as it is in a container
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.set_script_timeout(READY_S)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield Browser(driver)
    finally:
        driver.quit()
