# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections import Counter

from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.causes import (
    causes,
    failed,
    scopes,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.reports import (
    DROPPED,
    REJECTED,
    SILENT,
    check,
)
from hypothesis import given
from hypothesis import strategies as st


def bad(source="agent1", destination="server1", detail="no answer", **others):
    return check(
        source, destination, ok=False, **{"observed": "timeout", "detail": detail, **others}
    )


def test_only_failures_are_failures():
    assert failed([check(), bad(), check()]) == [bad()]


def test_one_remedy_for_all_destinations_is_one_cause():
    found = causes([bad(destination=name, detail=DROPPED.format(name)) for name in ("n1", "n2")])
    assert [len(cause.checks) for cause in found] == [2]
    assert "a firewall on the destination or" in found[0].text


def test_a_cause_names_what_its_checks_have_in_common():
    detail = REJECTED.format("n1", "10.0.0.1")
    found = causes(
        [bad(name, "n1", detail, address="10.0.0.1", observed="rejected") for name in ("n2", "n3")]
    )
    assert found[0].text == detail


def test_a_name_within_a_longer_one_is_another_name():
    details = ["n11 answered instead of n1", "n12 answered instead of n1"]
    found = causes([bad("n1", "n1.example", detail) for detail in details])
    assert sorted(cause.text for cause in found) == details


def test_the_share_of_a_range_is_no_cause():
    assert len(causes([bad(detail="no answer"), bad(detail="no answer; 3 of 9 ports probed")])) == 1
    assert causes([bad(detail="3 of 9 ports probed")])[0].text == ""


def test_what_was_observed_and_expected_tells_causes_apart():
    found = causes([bad(), bad(observed="refused"), bad(expected="closed")])
    assert len(found) == 3


def test_an_error_is_one_cause_whatever_was_expected():
    found = causes(
        [bad(observed="error", expected=one, detail=SILENT) for one in ("open", "closed")]
    )
    assert [(cause.expected, len(cause.checks)) for cause in found] == [("", 2)]


def test_the_cause_of_most_failures_comes_first():
    found = causes([bad(observed="refused"), bad("n1"), bad("n2")])
    assert [cause.observed for cause in found] == ["timeout", "refused"]


def test_text_of_strangers_is_made_harmless():
    assert "\x1b" not in causes([bad(detail="\x1b[2J answered")])[0].text


def test_ports_that_fail_alike_are_one_scope():
    found = scopes([bad(name, port=port) for name in ("n1", "n2") for port in ("1", "2")])
    (scope,) = found
    assert (scope.sources, scope.destinations, scope.count) == (["n1", "n2"], ["server1"], 4)
    assert [port for _rule, port, _protocol in scope.ports] == ["1", "2"]


def test_nodes_that_do_not_reach_each_other_are_one_scope():
    names = ["n1", "n2", "n3"]
    (scope,) = scopes([bad(a, b) for a in names for b in names if a != b])
    assert (scope.sources, scope.destinations, scope.count) == (names, names, 6)


def test_a_node_that_is_probed_at_two_addresses_counts_twice():
    (scope,) = scopes([bad(address=address) for address in ("192.0.2.1", "198.51.100.1")])
    assert (scope.sources, scope.count) == (["agent1"], 2)


NAMES = st.sampled_from(["n1", "n2", "n3", "n4"])
FAILURES = st.lists(
    st.builds(bad, NAMES, NAMES, port=st.sampled_from(["1", "2", "3"])).filter(
        lambda one: one["source"] != one["destination"]
    ),
    unique_by=lambda one: (one["source"], one["destination"], one["port"]),
)


@given(FAILURES)
def test_scopes_say_what_has_failed_and_nothing_else(failures):
    said = Counter(
        (source, destination, port)
        for scope in scopes(failures)
        for source in scope.sources
        for destination in scope.destinations
        if source != destination
        for _rule, port, _protocol in scope.ports
    )
    assert said == Counter((one["source"], one["destination"], one["port"]) for one in failures)
    assert sum(scope.count for scope in scopes(failures)) == len(failures)


def dropped(name="server1", **others):
    return bad(destination=name, detail=DROPPED.format(name), **others)


def rejected(name="server1", **others):
    detail = REJECTED.format(name, "192.0.2.11")
    return bad(destination=name, detail=detail, observed="rejected", **others)


def test_packets_without_an_icmp_error_have_the_cause_of_those_with_one():
    checks = [dropped(port="1"), rejected(port="2"), dropped(port="3"), rejected(port="4")]
    (cause,) = causes(checks)
    assert (cause.checks, cause.observed) == (checks, "rejected or timeout")
    assert cause.text == REJECTED.format("server1", "192.0.2.11")
    # The checks are as they were.
    assert [check["observed"] for check in checks] == ["timeout", "rejected"] * 2


def test_packets_that_another_host_drops_have_a_cause_of_their_own():
    found = causes([rejected("n1"), dropped("n2")])
    assert [cause.observed for cause in found] == ["rejected", "timeout"]


def test_packets_that_another_rule_drops_have_a_cause_of_their_own():
    other = bad(detail="no answer, so a firewall on server1 or on the way drops it: chain x: nft y")
    assert [cause.observed for cause in causes([rejected(), other])] == ["rejected", "timeout"]
    hole = dropped(port="2")
    hole["detail"] += "; an MTU hole on the way"
    assert len(causes([rejected(), hole])) == 2


def test_cause_of_two_hosts_of_which_one_rejects_is_one_if_each_has_an_icmp_error():
    found = causes([rejected("n1"), rejected("n2"), dropped("n1", port="9"), dropped("n3")])
    assert [(len(cause.checks), cause.observed) for cause in found] == [
        (3, "rejected or timeout"),
        (1, "timeout"),
    ]


def test_udp_ports_that_a_rule_refuses_are_one_cause():
    fix = "chain input of table ip filter drops it: -A INPUT -j REJECT: iptables -D"
    refused = bad(
        detail="the path is open, but server1 refuses: a rule there resets the connection (ICMP "
        f"port unreachable from 192.0.2.11), or nobody listens on 192.0.2.11 any more; {fix}",
        observed="refused",
        protocol="udp",
    )
    silent = bad(
        detail=f"no answer, so a firewall on server1 or on the way drops it: {fix}", protocol="udp"
    )
    (cause,) = causes([silent, refused])
    assert cause.observed == "refused or timeout"
