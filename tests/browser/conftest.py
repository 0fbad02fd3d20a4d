# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A headless Chromium, and report.html on clusters of several sizes for it to open."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.evaluate import Report
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.html_file import render
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.model import Topology
from ansible_collections.edgeops.k3s_network.tests.unit.support.reports import (
    cluster,
    finding,
    mesh,
    some_broken,
)
from selenium import webdriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

WHEN = datetime.datetime(2026, 3, 1, 4, 5, 6, tzinfo=datetime.timezone.utc)
OPTIONS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--disable-default-apps --disable-extensions --hide-scrollbars"
)
# One question for all elements, however many there are.
SEEN = "[...document.querySelectorAll(arguments[0])].filter((one) => one.checkVisibility())"


class Browser:
    """What the tests ask of a browser that shows one page."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(
        self,
        path: Path,
        width: int = 1280,
        height: int = 900,
        scheme: str = "light",
        scripts: bool = True,
    ) -> None:
        """Load a page as a screen of that size and colour scheme shows it."""
        self.resize(width, height)
        self.prefer(scheme)
        self._command("Emulation.setScriptExecutionDisabled", value=not scripts)
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(path.as_uri())

    def resize(self, width: int, height: int) -> None:
        """Give the page a screen of that size."""
        self._command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )

    def prefer(self, scheme: str, media: str = "screen") -> None:
        """Give the page C(light) or C(dark), on a screen or on paper (C(print))."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._command("Emulation.setEmulatedMedia", media=media, features=features)

    def all(self, selector: str) -> list[WebElement]:
        """Return the elements of a selector that can be seen."""
        return self.script(f"return {SEEN}", selector)

    def one(self, selector: str) -> WebElement:
        """Return the only element of a selector that can be seen."""
        (found,) = self.all(selector)
        return found

    def texts(self, selector: str) -> list[str]:
        """Return what the elements of a selector say."""
        return self.script(f"return {SEEN}.map((one) => one.innerText.trim())", selector)

    def choose(self, name: str, value: str) -> None:
        """Choose an option of a filter by the words it begins with."""
        field = self.one(f"#f-{name}")
        texts = self.script("return [...arguments[0].options].map((one) => one.text)", field)
        at = next(at for at, text in enumerate(texts) if text.startswith(value))
        Select(field).select_by_index(at)

    def script(self, text: str, *arguments: Any) -> Any:
        """Return what a function body returns in the page."""
        return self.driver.execute_script(text, *arguments)

    def messages(self) -> list[str]:
        """Return what the console has said since the page was opened."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the page was opened."""
        events = [
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        ]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def pdf(self) -> bytes:
        """Return the page as it is printed."""
        return base64.b64decode(self._command("Page.printToPDF")["data"])

    def _command(self, name: str, **parameters: Any) -> dict[str, Any]:
        return self.driver.execute_cdp_cmd(name, parameters)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return the one browser of the session."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for option in OPTIONS.split():
        options.add_argument(option)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService("/usr/bin/chromedriver")
    driver = webdriver.Chrome(options, service)
    try:
        yield Browser(driver)
    finally:
        driver.quit()


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Topology, Report], Path]:
    """Write the page of a report, and return where it is."""

    def write(topology: Topology, report: Report) -> Path:
        path = tmp_path_factory.mktemp("report") / "report.html"
        path.write_text(render(report, topology, WHEN), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def small(written: Callable[[Topology, Report], Path]) -> Path:
    """Return the page of three nodes and a client, some of which fail."""
    topology = cluster(3, clients=1)
    return written(topology, mesh(topology, some_broken(topology)))


@pytest.fixture(scope="session")
def good(written: Callable[[Topology, Report], Path]) -> Path:
    """Return the page of three nodes where all is well."""
    topology = cluster(3, clients=1)
    return written(topology, mesh(topology))


@pytest.fixture(scope="session")
def large(written: Callable[[Topology, Report], Path]) -> Path:
    """Return the page of 200 nodes and a client, some of which fail."""
    topology = cluster(200, clients=1)
    return written(topology, mesh(topology, some_broken(topology)))


@pytest.fixture(scope="session")
def findings(written: Callable[[Topology, Report], Path]) -> Path:
    """Return the page of 40 nodes where only findings make the report not ok."""
    topology = cluster(40, clients=1)
    names = [node["name"] for node in topology["nodes"]]
    found = [
        finding(cause="x" * 1000, remedy="y" * 1000),
        finding(*names, cause="no overlay", level="info"),
        *(
            finding(*names[number : number + 20], level="warning", cause=f"cause {number}")
            for number in range(15)
        ),
    ]
    return written(topology, mesh(topology, findings=found))


@pytest.fixture(scope="session")
def wide(written: Callable[[Topology, Report], Path]) -> Path:
    """Return a page with long names and large numbers."""
    topology = cluster(3, clients=1)
    for node in topology["nodes"]:
        node["name"] += f"-{'long' * 12}.{'example' * 4}.com"
    for rule in topology["rules"]:
        rule["name"] += "_without_any_place_to_break_it_at" * 2
    report = mesh(topology, some_broken(topology))
    summary = {key: value + 10_000_000 for key, value in report["summary"].items()}
    return written(topology, {**report, "summary": summary})
