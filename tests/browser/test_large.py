# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The map of 200 nodes and a client, which is a canvas."""

from __future__ import annotations

import time

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

# Where on the canvas a pixel of a colour is, from its top left corner.
FIND = """
const canvas = document.querySelector("canvas");
const probe = document.createElement("i");
probe.className = arguments[0];
document.body.append(probe);
const colour = getComputedStyle(probe).backgroundColor.match(/[0-9]+/g).map(Number);
probe.remove();
const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
for (let at = 0; at < data.length; at += 4)
  if (colour.every((part, index) => part === data[at + index]))
    return [at / 4 % width, Math.floor(at / 4 / width)];
return null;
"""


def click(browser, state):
    """Click on the first cell in that state, and return what is said of it."""
    x, y = browser.script(FIND, f"c-{state}")
    canvas = browser.one("canvas")
    left, top = (canvas.size["width"] // 2, canvas.size["height"] // 2)
    browser.script("arguments[0].scrollIntoView()", canvas)
    ActionChains(browser.driver).move_to_element_with_offset(
        canvas, x - left + 1, y - top + 1
    ).click().perform()
    return browser.one("#chosen").text


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_a_cell_has_the_colour_of_its_pair(browser, large, scheme, width):
    browser.open(large, width, scheme=scheme)
    assert {state: click(browser, state) for state in ("some", "none", "good", "empty")} == {
        "some": "14 checks, 1 failed, from server1 to server2",
        "none": "14 checks, 14 failed, from agent98 to server1",
        "good": "14 checks, 0 failed, from server1 to server3",
        "empty": "0 checks, 0 failed, from server1 to server1",
    }


def test_a_pair_that_fails_altogether_is_red(browser, large):
    browser.open(large)
    assert click(browser, "bad") == "11 checks, 11 failed, from server1 to agent197"


def test_a_filter_by_rule_paints_the_map_anew(browser, large):
    browser.open(large)
    browser.choose("rule", "spegel")
    assert browser.one("#chosen").text == "600 checks, 201 failed, of rule spegel"
    assert browser.script(FIND, "c-some") is None
    assert click(browser, "bad").startswith("1 check, 1 failed, from server1 to server2")


def test_the_map_with_numbers_is_scrolled_to_where_the_keys_go(browser, large):
    browser.open(large)
    browser.one("#big").click()
    browser.script("document.querySelector('canvas').focus()")
    ActionChains(browser.driver).send_keys(Keys.END, Keys.ENTER).perform()
    assert browser.one("#chosen").text == "11 checks, 11 failed, from server1 to agent197"
    left, room = browser.script(
        "const box = document.getElementById('heat'); return [box.scrollLeft, box.scrollWidth]"
    )
    assert left > room / 2


def test_names_on_the_map_choose_a_row(browser, large):
    browser.open(large)
    browser.one("#big").click()
    canvas = browser.one("canvas")
    browser.script("arguments[0].scrollIntoView()", canvas)
    left, top = (canvas.size["width"] // 2, canvas.size["height"] // 2)
    _x, y = browser.script(FIND, "c-good")
    ActionChains(browser.driver).move_to_element_with_offset(
        canvas, 20 - left, y + 2 - top
    ).click().perform()
    assert browser.one("#chosen").text == "2,195 checks, 12 failed, from server1"


def test_it_loads_and_answers(browser, large, capsys):
    started = time.monotonic()
    browser.open(large)
    assert browser.one("#chosen").text == "443,000 checks, 4,771 failed"
    loaded = time.monotonic()
    browser.choose("rule", "kubelet")
    assert browser.one("#chosen").text == "40,000 checks, 397 failed, of rule kubelet"
    filtered = time.monotonic()
    with capsys.disabled():
        print(
            f"\n200 nodes: {large.stat().st_size / 1e6:.1f} MB, "
            f"loaded in {loaded - started:.1f} s, filtered in {filtered - loaded:.1f} s"
        )
