# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a reader of report.html sees and can do, on a cluster of three nodes and a client."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

SCHEMES = ["light", "dark"]


def cells(browser):
    """Return what the cells of the map say, and their state, by row."""
    return browser.script(
        """
        return [...document.querySelectorAll(".heat tbody tr")].map((row) =>
          [...row.querySelectorAll(".cell")].map((cell) =>
            `${cell.innerText} ${cell.className.split("c-")[1]}`));
        """
    )


def press(browser, *keys):
    ActionChains(browser.driver).send_keys(*keys).perform()


@pytest.mark.parametrize("page", ["small", "good", "large", "findings"])
def test_nothing_is_loaded_and_nothing_is_wrong(browser, page, request):
    path = request.getfixturevalue(page)
    browser.open(path)
    browser.choose("rule", "kubelet")
    assert browser.requests() == [path.as_uri()]
    assert browser.messages() == []


def test_the_browser_would_refuse_to_load_anything(browser, small):
    browser.open(small)
    refused = browser.driver.execute_async_script(
        """
        const done = arguments[0];
        document.addEventListener("securitypolicyviolation", (event) => done(event.blockedURI));
        new Image().src = "http://192.0.2.1/picture.png";
        """
    )
    assert refused == "http://192.0.2.1/picture.png"


def test_the_map_shows_which_pairs_fail(browser, small):
    browser.open(small)
    assert browser.texts(".heat thead th") == ["server1", "server2", "server3"]
    assert browser.texts(".heat tbody th") == ["server1", "server2", "server3", "client1"]
    assert cells(browser) == [
        ["· empty", "1 some", "14 bad"],
        ["?14 none", "· empty", "?14 none"],
        ["✓ good", "1 some", "· empty"],
        ["1 some", "✓ good", "✓ good"],
    ]
    said = browser.all(".cell")[1].get_attribute("aria-label")
    assert said == "server1 to server2: 1 of 14 checks failed"


def test_states_differ_by_colour(browser, small):
    browser.open(small)
    colours = {
        cell.get_attribute("class"): cell.value_of_css_property("background-color")
        for cell in browser.all(".cell")
    }
    assert len(set(colours.values())) == len(colours) == 5


def test_all_is_green_where_all_is_well(browser, good):
    browser.open(good)
    assert {shown for row in cells(browser) for shown in row} == {"✓ good", "· empty"}
    assert browser.one("h1").text.startswith("✓ OK")
    assert browser.all("#failed") == []


def test_a_filter_by_rule_changes_the_map_and_the_list(browser, small):
    browser.open(small)
    browser.choose("rule", "spegel")
    assert cells(browser)[0] == ["· empty", "1 bad", "1 bad"]
    assert cells(browser)[3] == ["✓ good"] * 3
    assert browser.one("#chosen").text == "9 checks, 5 failed, of rule spegel"
    assert set(browser.texts("#checks .rule")) == {"spegel"}
    browser.one("#reset").click()
    assert browser.one("#chosen").text == "144 checks, 45 failed"


def test_a_filter_by_outcome_leaves_what_failed_so(browser, small):
    browser.open(small)
    browser.choose("outcome", "failed: timeout")
    assert cells(browser)[0] == ["· empty", "1 some", "· empty"]
    assert browser.one("#chosen").text == "2 failed checks, with timeout"
    assert set(browser.texts("#checks .tag")) == {"✗ timeout"}
    browser.choose("outcome", "failed")
    assert browser.one("#chosen").text == "45 failed checks"


def test_filters_by_source_and_destination_leave_a_pair(browser, small):
    browser.open(small)
    browser.choose("source", "client1")
    browser.choose("destination", "server1")
    assert browser.one("#chosen").text == "20 checks, 1 failed, from client1 to server1"


def test_a_cell_leads_to_its_checks_and_a_check_to_its_detail(browser, small):
    browser.open(small)
    browser.all(".cell")[2].click()
    assert browser.one("#chosen").text == "14 checks, 14 failed, from server1 to server3"
    assert browser.all(".detail") == []
    button = browser.all("#checks .open")[0]
    button.click()
    detail = browser.one(".detail").text
    assert (
        "server3's firewall rejects it (ICMP administratively prohibited from 10.20.0.3)" in detail
    )
    assert "run the playbook prepare" in detail
    assert "etcd cluster communication" in detail
    assert button.get_attribute("aria-expanded") == "true"
    button.click()
    assert browser.all(".detail") == []


def test_failed_checks_are_listed_first_and_a_part_at_a_time(browser, small):
    browser.open(small)
    tags = browser.texts("#checks .tag")
    assert len(tags) == 50
    assert [tag[0] for tag in tags] == ["✗"] * 45 + ["✓"] * 5
    assert browser.one("#more").text == "Show 50 more"
    for _again in range(2):
        browser.one("#more").click()
    assert len(browser.all("#checks .tag")) == 144
    assert browser.all("#more") == []


def test_a_cause_leads_to_its_place_on_the_map(browser, small):
    browser.open(small)
    browser.all(".on-map")[2].click()
    assert browser.one("#chosen").text == (
        "2 failed checks, to server2 of rule spegel with timeout"
    )


def test_a_rule_leads_to_its_place_on_the_map(browser, small):
    browser.open(small)
    next(one for one in browser.all("#rule-rows button") if one.text == "kubelet").click()
    assert browser.one("#chosen").text == "9 checks, 3 failed, of rule kubelet"


@pytest.mark.parametrize("page", ["small", "good", "large", "wide", "findings"])
def test_a_phone_needs_no_scrolling_to_the_side(browser, page, request):
    browser.open(request.getfixturevalue(page), 390, 844)
    for button in browser.all("#checks .open")[:2]:
        button.click()
    for summary in browser.all("summary"):
        summary.click()
    sizes = browser.script(
        "return [document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth]"
    )
    assert sizes == [390, 390, 390]


@pytest.mark.parametrize("page", ["small", "large", "findings"])
def test_a_phone_shows_text_that_can_be_read_and_hit(browser, page, request):
    browser.open(request.getfixturevalue(page), 390, 844)
    smallest = browser.script(
        """
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        let least = 99;
        while (walker.nextNode()) {
          const node = walker.currentNode, parent = node.parentElement;
          if (node.data.trim() && parent.checkVisibility() && !parent.closest(".off, script"))
            least = Math.min(least, parseFloat(getComputedStyle(parent).fontSize));
        }
        return least;
        """
    )
    assert smallest >= 11
    for selector in ("select", ".button", ".cell"):
        assert all(one.size["height"] >= 30 for one in browser.all(selector))


def low_contrasts(browser):
    """Return texts that stand out from what is behind them by less than 4.5, as WCAG counts."""
    return browser.script(
        """
        const parse = (text) => {
          const [r, g, b, a = 1] = text.match(/[0-9.]+/g).map(Number);
          return { r, g, b, a };
        };
        const over = (top, below) => ({
          r: top.r * top.a + below.r * (1 - top.a), g: top.g * top.a + below.g * (1 - top.a),
          b: top.b * top.a + below.b * (1 - top.a), a: 1,
        });
        const backgroundOf = (element) => {
          const layers = [];
          for (let one = element; one; one = one.parentElement)
            layers.push(parse(getComputedStyle(one).backgroundColor));
          const white = parse("rgb(255, 255, 255)");
          return layers.reverse().reduce((below, top) => over(top, below), white);
        };
        const luminance = (colour) => {
          const [r, g, b] = [colour.r, colour.g, colour.b].map((part) => {
            const share = part / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
          });
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const low = [];
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        while (walker.nextNode()) {
          const parent = walker.currentNode.parentElement;
          if (!walker.currentNode.data.trim() || !parent.checkVisibility()) continue;
          if (parent.closest(".off, script, noscript, option")) continue;
          const behind = backgroundOf(parent);
          const front = over(parse(getComputedStyle(parent).color), behind);
          const [light, dark] = [luminance(front), luminance(behind)].sort((a, b) => b - a);
          const contrast = (light + 0.05) / (dark + 0.05);
          if (contrast < 4.5) low.push([walker.currentNode.data, parent.className, contrast]);
        }
        return low;
        """
    )


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("page", ["small", "good", "large", "findings"])
def test_texts_stand_out(browser, page, scheme, request):
    browser.open(request.getfixturevalue(page), scheme=scheme)
    browser.all("#checks .open")[0].click()
    for summary in browser.all("summary"):
        summary.click()
    assert low_contrasts(browser) == []
    light = browser.script("return getComputedStyle(document.body).backgroundColor")
    assert light == {"light": "rgb(245, 246, 248)", "dark": "rgb(18, 22, 28)"}[scheme]


def test_everything_is_reached_by_the_keyboard(browser, small):
    browser.open(small)
    wanted = browser.script(
        """
        return [...document.querySelectorAll("a, button, select, summary, input, canvas")]
          .filter((one) => one.tabIndex >= 0 && one.checkVisibility()).length;
        """
    )
    reached = set()
    unseen = []
    for _step in range(wanted):
        press(browser, Keys.TAB)
        found = browser.driver.switch_to.active_element
        reached.add(found.id)
        if found.value_of_css_property("outline-style") == "none":
            unseen.append(found.tag_name)
    assert len(reached) == wanted
    assert unseen == []


def test_the_map_is_walked_by_arrow_keys(browser, small):
    browser.open(small)
    browser.script("document.querySelector('.cell').focus()")
    press(browser, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ENTER)
    assert browser.one("#chosen").text == "14 checks, 14 failed, from server1 to server3"
    press(browser, Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.HOME, Keys.ENTER)
    assert browser.one("#chosen").text == "20 checks, 1 failed, from client1 to server1"


@pytest.mark.parametrize("page", ["small", "large"])
def test_on_paper_it_is_dark_on_white_and_has_no_controls(browser, page, request):
    browser.open(request.getfixturevalue(page), scheme="dark")
    browser.all("#failed summary")[1].click()
    browser.prefer("dark", media="print")
    browser.script("dispatchEvent(new Event('beforeprint'))")
    assert browser.all(".filters, .on-map, .zoom, #more") == []
    # What was unfolded, and the meaning of the words.
    assert len(browser.all("summary")) == len(browser.all("details[open]")) == 2
    assert low_contrasts(browser) == []
    white = "rgb(255, 255, 255)"
    assert browser.script("return getComputedStyle(document.body).backgroundColor") == white
    browser.script("dispatchEvent(new Event('afterprint'))")
    browser.prefer("dark")
    assert len(browser.all("details[open]")) == 1
    assert browser.script("return getComputedStyle(document.body).backgroundColor") != white


def test_findings_are_above_the_map(browser, findings):
    browser.open(findings)
    assert browser.one("h1").text == "✗ FAILED: 1 finding of level error"
    assert browser.texts("#findings .tag") == ["✗ error"] + ["! warning"] * 11
    top, below = (browser.one(selector).location["y"] for selector in ("#findings", "#map"))
    assert top < below
    first = browser.all("#findings article")[0].text.split("\n")
    assert first == ["✗ error server1", "x" * 1000, "y" * 1000]


def test_further_findings_and_hosts_are_unfolded(browser, findings):
    browser.open(findings)
    more = browser.all("#findings summary")[-1]
    assert more.text == "5 more findings"
    more.click()
    assert browser.texts("#findings .tag")[-2:] == ["! warning", "info"]
    last = browser.all("#findings article")[-1]
    assert last.text.split("\n")[0] == "info all 40 nodes"
    browser.all("#findings summary")[-1].click()
    assert browser.one("#findings .hosts").text.startswith("agent1, agent10, agent11")
    assert "server3" in browser.one("#findings .hosts").text


def test_levels_of_findings_differ_by_colour(browser, findings):
    browser.open(findings)
    browser.all("#findings summary")[-1].click()
    colours = {
        one.text: one.value_of_css_property("background-color")
        for one in browser.all("#findings .tag")
    }
    assert len(set(colours.values())) == len(colours) == 3


def test_findings_on_paper_are_dark_on_white(browser, findings):
    browser.open(findings, scheme="dark")
    browser.all("#findings summary")[-1].click()
    browser.prefer("dark", media="print")
    browser.script("dispatchEvent(new Event('beforeprint'))")
    assert len(browser.all("#findings article")) == 17
    assert low_contrasts(browser) == []
    browser.script("dispatchEvent(new Event('afterprint'))")
    browser.prefer("dark")


def test_it_can_be_printed(browser, small):
    browser.open(small)
    assert browser.pdf().startswith(b"%PDF")


def test_without_a_script_it_still_names_the_failures(browser, small):
    browser.open(small, scripts=False)
    assert "server1, server3 → server2" in browser.one("#failed").text
    assert "need JavaScript" in browser.one("noscript section").text
    assert browser.all("#map, .on-map") == []


def test_without_a_script_findings_are_unfolded(browser, findings):
    browser.open(findings, scripts=False)
    assert len(browser.all("#findings article")) == 12
    browser.all("#findings summary")[-1].click()
    assert len(browser.all("#findings article")) == 17
