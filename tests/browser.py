"""A headless Chromium for the tests of pages, or the reason why there is none."""

from __future__ import annotations

import os
import shutil
import time
from typing import Any

import pytest

# Set in CI, where a missing browser must not pass for a tested page.
NEEDED = "MAXBENCH_TEST_BROWSER"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def _missing() -> str | None:
    if not _found("chromium", "chromium-browser", "google-chrome", "chrome"):
        return "no Chromium on the path"
    if not _found("chromedriver"):
        return "no chromedriver on the path"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed"
    return None


def _found(*names: str) -> str | None:
    return next(filter(None, map(shutil.which, names)), None)


class Browser:
    """One Chromium; every page is opened with the network off."""

    def __init__(self, profile: str) -> None:
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = _found("chromium", "chromium-browser", "google-chrome", "chrome") or ""
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        service = webdriver.ChromeService(_found("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)

    def open(self, path: Any, *, width: int = 1280, dark: bool = False, media: str = "screen") -> None:
        """Open a file in a window of a width, in light or dark, as on a screen or in print."""
        command = self.driver.execute_cdp_cmd
        command("Network.enable", {})
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        command("Network.emulateNetworkConditions", offline)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        command("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        command("Emulation.setDeviceMetricsOverride", size)
        self.logs("browser"), self.logs("performance")
        self.driver.get(path.as_uri() if hasattr(path, "as_uri") else path)

    def js(self, script: str, *arguments: Any) -> Any:
        """The value that a function's body returns."""
        return self.driver.execute_script(script, *arguments)

    def logs(self, kind: str) -> list[dict[str, Any]]:
        """What the browser logged since the last call."""
        return self.driver.get_log(kind)

    def wait(self, script: str, seconds: float = 10) -> Any:
        """The value of a script, once it is true."""
        end = time.monotonic() + seconds
        while not (value := self.js(script)):
            assert time.monotonic() < end, f"still not true: {script}"
            time.sleep(0.05)
        return value


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A `Browser`; the test is skipped where there is none, and fails instead where one is needed."""
    if (reason := _missing()) is not None:
        if os.environ.get(NEEDED):
            pytest.fail(f"{NEEDED} is set, but {reason}")
        pytest.skip(reason)
    found = Browser(str(tmp_path_factory.mktemp("chromium")))
    yield found
    found.driver.quit()
