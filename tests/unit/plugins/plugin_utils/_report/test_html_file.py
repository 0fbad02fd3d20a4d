# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the page says without its script; tests/browser shows the rest."""

from __future__ import annotations

import base64
import datetime
import hashlib
import html
import re

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.html_file import render
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    node,
    topology,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.reports import (
    check,
    cluster,
    finding,
    mesh,
    report,
    some_broken,
)

WHEN = datetime.datetime(2026, 3, 1, 4, 5, 6, tzinfo=datetime.timezone.utc)
THREE = cluster(3, clients=1)


def page(found, cluster=THREE):
    return render(found, cluster, WHEN)


def words(found, cluster=THREE):
    """Return what a reader without a browser that runs scripts sees."""
    text = re.sub(r"<(script|style|title).*?</\1>", " ", page(found, cluster), flags=re.S)
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", text)).split())


def test_the_failures_are_told_without_a_script():
    found = mesh(THREE, some_broken(THREE))
    text = words(found)
    assert "FAILED: 45 of 144 checks" in text
    assert "16 that should be open are not. 1 that should be closed is not proved closed." in text
    assert "28 could not be determined: the probe itself proved nothing." in text
    assert "✗ timeout 2 checks, expected open server1, server3 → server2 spegel 5001/tcp" in text
    whole = html.unescape(page(found))
    assert all(one["ok"] or one["detail"] in whole for one in found["checks"])


def test_a_good_report_is_told_without_a_script():
    text = words(mesh(THREE))
    assert "OK: the network is as it should be" in text
    assert "What has failed" not in text


def test_findings_are_told_without_a_script():
    text = words(mesh(THREE, some_broken(THREE), [finding("server2"), finding(level="info")]))
    assert "FAILED: 45 of 144 checks and 1 finding" in text
    assert "Findings besides the probes: 1 error, 1 info." in text
    assert (
        "✗ error server2 the policy k3s-from-nodes is not in force run the playbook prepare" in text
    )
    assert text.index("✗ error server2") < text.index("What has failed")


def test_report_that_fails_by_a_finding_only_says_so():
    text = words(mesh(THREE, findings=[finding(), finding(level="warning")]))
    assert "✗ FAILED: 1 finding of level error" in text
    assert "All 144 checks are as they should be." in text
    assert "What has failed" not in text


def test_good_report_shows_its_warnings():
    text = words(mesh(THREE, findings=[finding(level="warning")]))
    assert "✓ OK" in text
    assert "! warning server1 the policy" in text
    assert "Findings" not in words(mesh(THREE))


@pytest.mark.parametrize(("ok", "said"), [(True, "a single node"), (False, "without --limit")])
def test_nothing_probed_is_said(ok, said):
    assert said in words({**report([]), "ok": ok})


def test_the_time_and_the_nodes_are_named():
    text = words(mesh(THREE))
    assert "2026-03-01 04:05 UTC · 3 nodes (3 server, 0 agent)" in text


def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else():
    text = page(mesh(THREE))
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text).group(1)
    allowed = dict(part.split(" ", 1) for part in html.unescape(policy).split("; "))
    assert allowed.pop("default-src") == "'none'"
    for tag in ("script", "style"):
        (inner,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.S)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert allowed.pop(f"{tag}-src") == f"'sha256-{digest}'"
    assert allowed == {"img-src": "data:", "base-uri": "'none'", "form-action": "'none'"}


def test_nothing_that_a_host_said_becomes_markup():
    evil = "<img src=x onerror=alert(1)>\"'"
    cluster = topology([node(evil), node("agent1", "agent")], external_clients=[evil])
    found = report([check(evil, evil, ok=False, observed="wrong_host", detail=evil, rule=evil)])
    text = page(found, cluster)
    assert "<img" not in text
    assert evil in html.unescape(text)


def test_finding_with_markup_is_escaped():
    evil = "<img src=x onerror=alert(1)>\"'"
    many = [f"{number}{evil}" for number in range(30)]
    found = report([check()], [finding(*many, cause=evil, remedy=evil)])
    text = page(found)
    assert "<img" not in text
    # The cause, the remedy, and the hosts twice: some of them, and all.
    assert html.unescape(text).count(evil) == 2 + 4 + 30
