# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._probe_plan.plan import (
    CLOSED,
    CONTROLLER,
    OPEN,
    Expectation,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.evaluate import build
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.firewalls import (
    Difference,
    Firewall,
    Opening,
    Zone,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.remedies import cause_of
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.seen import Seen
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.terminal import headline
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    port_rule,
    topology,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.reports import finding

# DESIGN's report format.
CHECK_KEYS = {
    "source", "destination", "address", "port", "protocol", "rule", "expected", "observed", "ok",
    "detail",
}  # fmt: skip
SUMMARY_KEYS = {
    "expected_open", "open", "blocked", "expected_closed", "closed", "unexpectedly_open",
    "not_determined",
}  # fmt: skip
OBSERVED = {"open", "refused", "rejected", "timeout", "unreachable", "wrong_host", "error"}
SERVER = "192.0.2.11"
RULES = [
    port_rule(6443, name="api"),
    port_rule(8472, name="vxlan", protocol="udp"),
    port_rule(443, name="https", source=["external"]),
    port_rule(10000, 30000, name="data"),
]
CLUSTER = topology(rules=RULES, external_clients=["client1"])


def expectation(
    ports=(6443,), expected=OPEN, rule="api", protocol="tcp", source="agent1", size=None
):
    return Expectation(
        source=source,
        destination="server1",
        address=SERVER,
        protocol=protocol,
        rule=rule,
        expected=expected,
        ports=list(ports),
        size=size or len(ports),
    )


def probed(*runs, protocol="tcp", sources=None):
    """Return what port_probe returns, for runs of (first, last, observed, detail)."""
    results = [
        {
            "address": SERVER,
            "protocol": protocol,
            "first": first,
            "last": last,
            "observed": observed,
            "detail": detail,
        }
        for first, last, observed, detail in runs
    ]
    return {"results": results, "sources": sources or {}}


def listening(*busy, witnessed=False):
    """Return what port_listener returns, for busy (protocol, port)."""
    entries = [{"address": SERVER, "protocol": protocol, "port": port} for protocol, port in busy]
    return {"busy": entries, "witnessed": entries if witnessed else [], "processes": []}


def evaluated(
    observed,
    detail="",
    expected=OPEN,
    mode="auto",
    busy=(),
    protocol="tcp",
    cluster=CLUSTER,
    witnessed=False,
):
    """Return the check of one port that was observed so."""
    rule = "api" if protocol == "tcp" else "vxlan"
    port = 6443 if protocol == "tcp" else 8472
    listeners = {"server1": listening(*busy, witnessed=witnessed)}
    if mode == "live" and not busy:
        listeners = {}
    seen = Seen(
        {"agent1": probed((port, port, observed, detail), protocol=protocol)}, listeners, mode
    )
    wanted = expectation([port], expected, rule, protocol)
    (check,) = build(cluster, [wanted], seen)["checks"]
    return check


ECHO = "it sent back what it got"
UDP = {"protocol": "udp"}
BUSY = {"busy": [("tcp", 6443)]}
BUSY_UDP = {"busy": [("udp", 8472)], "protocol": "udp"}
OVERLAY = "through the overlay"
UNRESTRICTED = {"cluster": {**CLUSTER, "restrict_sources": False}}
ANOTHER_HOST = "another host with this address, or a NAT"
STOP_IT = "stop it, or set k3s_connectivity_mode to auto"
NO_RULE = "open to agent1, which no rule admits"


@pytest.mark.parametrize(
    ("observed", "said", "given", "reported", "ok", "detail"),
    [
        ("open", "", {}, "open", True, "^$"),
        ("timeout", "", UDP, "timeout", False, ""),
        ("timeout", "an MTU hole", UDP, "timeout", False, "; an MTU hole$"),
        ("timeout", "", UNRESTRICTED, "timeout", False, "zone of its cluster interface"),
        (
            *("wrong_host", "server1's port 9501", {}, "wrong_host", False),
            "server1's port 9501 answered instead: a NAT on server1",
        ),
        # An answer without the token, from a port that a listener of the run holds.
        ("accepted", "", {}, "wrong_host", False, ANOTHER_HOST),
        ("accepted", ECHO, UDP, "wrong_host", False, ""),
        # A port that another process holds.
        ("accepted", "", {"mode": "live"}, "open", True, "a service answered"),
        (
            *("refused", "", {"mode": "live"}, "refused", False),
            "nobody listens on server1: start the service",
        ),
        ("accepted", "", BUSY, "open", True, ""),
        *(
            (observed, "", {"mode": "listen", **BUSY}, "error", False, STOP_IT)
            for observed in ("accepted", "timeout", "refused")
        ),
        ("accepted", ECHO, BUSY_UDP, "error", False, "which proves nothing"),
        (
            *("accepted", "", BUSY_UDP, "open", True),
            r"^a service answered \(over UDP\), not our listener$",
        ),
        ("timeout", "an MTU hole", BUSY_UDP, "error", False, "proves nothing.*; an MTU hole$"),
        ("timeout", "", {"busy": [("tcp", 8472)], **UDP}, "timeout", False, ""),
        *(
            ("open", OVERLAY, {"mode": mode, **BUSY_UDP}, "open", True, f"^{OVERLAY}$")
            for mode in ("auto", "live")
        ),
        # What is expected closed.
        *(
            (observed, "", {"expected": CLOSED}, observed, True, "")
            for observed in ("timeout", "rejected", "unreachable", "refused")
        ),
        ("open", "", {"expected": CLOSED}, "open", False, f"(?=.*server1).*{NO_RULE}"),
        ("accepted", "", {"expected": CLOSED}, "wrong_host", False, f"(?=.*server1).*{NO_RULE}"),
        (
            *("refused", "", {"expected": CLOSED, "mode": "live"}, "refused", False),
            "the path is open, though nobody listens",
        ),
        ("mtu_hole", "", {"expected": CLOSED, **UDP}, "open", False, "which no rule admits"),
        ("loss", "", {"expected": CLOSED, **UDP}, "open", False, "which no rule admits"),
        ("loss", "some", UDP, "timeout", False, "are lost [(]some[)]: look for a rule with a rate"),
        ("error", "", {"expected": CLOSED}, "error", False, ""),
    ],
)
def test_check_of_an_observation(observed, said, given, reported, ok, detail):
    check = evaluated(observed, said, **given)
    assert (check["observed"], check["ok"]) == (reported, ok)
    assert re.search(detail, check["detail"])


@pytest.mark.parametrize(
    ("observed", "said", "parts"),
    [
        ("refused", "", ["the path is open", "server1 refuses"]),
        ("rejected", "", ["server1's firewall rejects it", "k3s-from-nodes", "prepare"]),
        ("rejected", f"ICMP x from {SERVER}", [f"(ICMP x from {SERVER})", "k3s-from-nodes"]),
        ("rejected", "ICMP x from 192.0.2.1", ["a firewall at 192.0.2.1, on the way to server1"]),
        ("rejected", "ICMP x from 192.0.2.21", ["a firewall at 192.0.2.21 (agent1)"]),
        ("timeout", "", ["no answer", "server1", "drops it", "k3s-from-nodes"]),
        ("unreachable", "no answer to ARP", ["agent1 can't reach 192.0.2.11 (no answer to ARP)"]),
        ("error", "on the source: no free files", ["on agent1: no free files"]),
    ],
)
def test_a_blocked_port_fails_and_says_what_to_do(observed, said, parts):
    check = evaluated(observed, said)
    assert (check["observed"], check["ok"]) == (observed, False)
    for part in parts:
        assert part in check["detail"]


def test_an_mtu_hole_is_a_timeout_that_says_what_to_do():
    check = evaluated("mtu_hole", "none of more than 1400 bytes", protocol="udp")
    assert (check["observed"], check["ok"]) == ("timeout", False)
    assert check["detail"].startswith("none of more than 1400 bytes; give the NICs of agent1 and")
    assert "firewall" not in check["detail"]


def test_another_host_that_answers_is_named():
    check = evaluated("wrong_host", "agent9")
    assert (check["observed"], check["ok"]) == ("wrong_host", False)
    assert "agent9 answered instead of server1" in check["detail"]


@pytest.mark.parametrize(
    ("observed", "expected", "result", "part"),
    [
        ("refused", OPEN, ("error", False), "start it (systemctl start k3s.service)"),
        # Nothing but the firewall can reject or drop.
        ("rejected", OPEN, ("rejected", False), "should admit it"),
        ("timeout", OPEN, ("timeout", False), "should admit it"),
        ("timeout", CLOSED, ("timeout", True), ""),
        ("refused", CLOSED, ("error", False), "k3s.service does not run on server1"),
        ("overlay_silent", OPEN, ("error", False), "start it (systemctl start k3s.service)"),
        # It has started in the meantime.
        ("accepted", OPEN, ("open", True), "a service answered"),
        ("accepted", CLOSED, ("open", False), "which no rule admits"),
    ],
)
def test_port_of_a_stopped_service_is_not_determined(observed, expected, result, part):
    place = {"address": SERVER, "protocol": "tcp", "port": 6443, "unit": "k3s.service"}
    seen = Seen(
        {"agent1": probed((6443, 6443, observed, ""))},
        {"server1": {**listening(), "reserved": [place]}},
        "auto",
    )
    (check,) = build(CLUSTER, [expectation(expected=expected)], seen)["checks"]
    assert (check["observed"], check["ok"]) == result
    assert part in check["detail"]


@pytest.mark.parametrize("mode", ["auto", "live"])
@pytest.mark.parametrize("expected", [OPEN, CLOSED])
def test_a_service_that_listens_elsewhere_is_named(mode, expected):
    place = {"address": SERVER, "protocol": "tcp", "port": 6443, "held_at": ["127.0.0.1"]}
    seen = Seen(
        {"agent1": probed((6443, 6443, "refused", ""))},
        {"server1": {**listening(), "bound_elsewhere": [place]}},
        mode,
    )
    (check,) = build(CLUSTER, [expectation(expected=expected)], seen)["checks"]
    assert (check["observed"], check["ok"]) == ("refused", False)
    assert "the path is open" in check["detail"]
    if expected == OPEN:
        assert "listens on 127.0.0.1 alone: have it listen on 192.0.2.11" in check["detail"]


def test_a_client_outside_is_pointed_to_the_policy_for_clients():
    wanted = expectation([443], rule="https", source="client1")
    seen = Seen({"client1": probed((443, 443, "timeout", ""))}, {"server1": listening()}, "auto")
    assert "k3s-from-clients" in build(CLUSTER, [wanted], seen)["checks"][0]["detail"]


# Ports that another process holds


@pytest.mark.parametrize("mode", ["auto", "live"])
def test_silence_of_a_udp_service_proves_nothing(mode):
    check = evaluated("timeout", mode=mode, busy=[("udp", 8472)], protocol="udp")
    assert (check["observed"], check["ok"]) == ("error", False)
    assert "a silent UDP port proves nothing" in check["detail"]


@pytest.mark.parametrize("mode", ["auto", "live"])
def test_a_silent_overlay_is_a_timeout_that_names_both_firewalls(mode):
    said = "through the overlay: 10.42.1.0 did not answer"
    check = evaluated("overlay_silent", said, mode=mode, busy=[("udp", 8472)], protocol="udp")
    assert (check["observed"], check["ok"]) == ("timeout", False)
    for part in (said, "server1", "agent1", "k3s-from-nodes"):
        assert part in check["detail"]


def test_a_silent_overlay_is_the_sources_fault_where_its_own_firewall_rejects():
    back = {**probed((8472, 8472, "rejected", ""), protocol="udp")}
    back["results"][0]["address"] = "192.0.2.21"
    probes = {
        "agent1": probed((8472, 8472, "overlay_silent", "through it"), protocol="udp"),
        "server1": back,
    }
    seen = Seen(probes, {"server1": listening(("udp", 8472))}, "auto")
    wanted = expectation([8472], OPEN, "vxlan", "udp")
    (check,) = build(CLUSTER, [wanted], seen)["checks"]
    assert (check["observed"], check["ok"]) == ("timeout", False)
    assert "agent1's own firewall rejects what comes back, as server1 has found" in check["detail"]


def test_silent_wireguard_names_the_destination_only():
    said = "through the overlay: 10.42.1.0 behind flannel-wg did not answer"
    back = {**probed((8472, 8472, "rejected", ""), protocol="udp")}
    back["results"][0]["address"] = "192.0.2.21"
    probes = {
        "agent1": probed((8472, 8472, "overlay_silent", said), protocol="udp"),
        "server1": back,
    }
    seen = Seen(probes, {"server1": listening(("udp", 8472))}, "auto")
    (check,) = build(CLUSTER, [expectation([8472], OPEN, "vxlan", "udp")], seen)["checks"]
    assert (check["observed"], check["ok"]) == ("timeout", False)
    assert "a firewall on server1 or on the way drops WireGuard's packets" in check["detail"]
    assert "what comes back" not in check["detail"]


def test_silent_wireguard_behind_an_open_port_is_its_own_state():
    said = "through the overlay: 10.42.1.0 behind flannel-wg did not answer"
    said += ", though the port itself is open"
    check = evaluated("overlay_silent", said, busy=[("udp", 8472)], protocol="udp", witnessed=True)
    assert (check["observed"], check["ok"]) == ("timeout", False)
    assert "state is wrong, on agent1 or server1" in check["detail"]
    assert "ip -details link show type wireguard" in check["detail"]
    assert "policy" not in check["detail"]


@pytest.mark.parametrize(
    ("witnessed", "expected", "outcome"),
    [
        (False, OPEN, ("open", True)),
        (True, OPEN, ("timeout", False)),
        (True, CLOSED, ("timeout", True)),
        (False, CLOSED, ("open", False)),
    ],
)
def test_wireguard_that_a_witness_contradicts_is_a_timeout(witnessed, expected, outcome):
    """The firewall admits the answers of a connection that was established before."""
    said = "through the overlay: 10.42.1.0 behind flannel-wg answered"
    said += ", though the port itself did not answer"
    check = evaluated(
        "open", said, expected=expected, busy=[("udp", 8472)], protocol="udp", witnessed=witnessed
    )
    assert (check["observed"], check["ok"]) == outcome
    established = "a connection that was established before" in check["detail"]
    assert established is witnessed


@pytest.mark.parametrize("mode", ["auto", "live"])
@pytest.mark.parametrize(
    ("observed", "expected", "ok"),
    [
        ("open", OPEN, True),
        ("timeout", OPEN, False),
        ("rejected", OPEN, False),
        ("open", CLOSED, False),
        ("timeout", CLOSED, True),
        ("refused", CLOSED, True),
    ],
)
def test_a_witness_makes_of_a_held_udp_port_one_like_others(mode, observed, expected, ok):
    held = [("udp", 8472)]
    check = evaluated(
        observed, expected=expected, mode=mode, busy=held, protocol="udp", witnessed=True
    )
    assert (check["observed"], check["ok"]) == (observed, ok)


def test_a_silent_overlay_behind_an_open_port_is_told_apart():
    said = "through the overlay: 10.42.1.0 did not answer, though the port itself is open"
    check = evaluated("overlay_silent", said, busy=[("udp", 8472)], protocol="udp", witnessed=True)
    assert (check["observed"], check["ok"]) == ("timeout", False)
    assert f"no answer {said}: on agent1, its firewalld policy k3s-from-nodes" in check["detail"]


SOUND = Firewall(
    running=True, prepared=True, default_zone="public", zones={"public": Zone(("eth0",))}
)


def with_firewall(observed, firewall, sources=None, expected=OPEN):
    """Return the check of one port of a destination whose firewall was read."""
    probes = {"agent1": probed((6443, 6443, observed, ""), sources=sources)}
    seen = Seen(probes, {"server1": listening()}, "auto", {"server1": firewall})
    (check,) = build(CLUSTER, [expectation([6443], expected)], seen)["checks"]
    return check


@pytest.mark.parametrize("observed", ["timeout", "rejected"])
def test_prepare_is_the_remedy_only_if_it_would_change_something(observed):
    missing = Difference("runtime", "policy", "k3s-from-nodes", "missing")
    detail = with_firewall(observed, replace(SOUND, differences=(missing,)))["detail"]
    assert "on server1, policy k3s-from-nodes is missing" in detail
    assert detail.endswith("run the playbook prepare")
    detail = with_firewall(observed, SOUND)["detail"]
    assert "firewalld on server1 is as prepare configures it" in detail
    assert "run the playbook prepare" not in detail


def test_a_node_that_sends_from_another_address_is_named():
    sources = {SERVER: "198.51.100.21"}
    detail = with_firewall("rejected", SOUND, sources)["detail"]
    assert "agent1 sends from 198.51.100.21, and server1 admits 192.0.2.21 of agent1 only" in detail
    assert "ip route get 192.0.2.11" in detail


@pytest.mark.parametrize("sources", [{SERVER: "192.0.2.21"}, {SERVER: "nonsense"}, "lie", None])
def test_a_source_address_that_is_right_or_unknown_is_not_named(sources):
    assert "sends from" not in with_firewall("rejected", SOUND, sources)["detail"]


def test_what_opens_a_port_is_named_with_the_command():
    opening = Opening("zone", "public", "port=6443/tcp", ("6443/tcp",))
    detail = with_firewall("open", replace(SOUND, openings=(opening,)), expected=CLOSED)["detail"]
    assert detail == (
        "open to agent1, which no rule admits; zone public of firewalld on server1 opens it "
        "(port=6443/tcp): firewall-cmd --zone=public --remove-port=6443/tcp, and the same with "
        "--permanent"
    )


def test_a_firewall_that_could_not_be_read_is_not_evidence():
    detail = with_firewall("rejected", Firewall(problem="not authorized"))["detail"]
    assert "k3s-from-nodes" in detail and "should admit it" in detail


# Trouble with the listeners


def with_listeners(observed, listeners, ended=(), expected=OPEN, mode="auto", protocol="tcp"):
    """Return the check of one port where the destination said so of its listeners."""
    rule, port = ("api", 6443) if protocol == "tcp" else ("vxlan", 8472)
    probes = {
        "agent1": probed((port, port, observed, ""), protocol=protocol),
        "server1": {**probed(), "ended": list(ended)},
    }
    seen = Seen(probes, {"server1": listeners}, mode)
    (check,) = build(CLUSTER, [expectation([port], expected, rule, protocol)], seen)["checks"]
    return check


@pytest.mark.parametrize("expected", [OPEN, CLOSED])
@pytest.mark.parametrize("observed", ["refused", "accepted"])
def test_a_listener_that_has_ended_is_named(observed, expected):
    check = with_listeners(observed, listening(), [4711], expected)
    assert (check["observed"], check["ok"]) == ("error", False)
    assert "the listener of server1 has ended" in check["detail"]


@pytest.mark.parametrize("observed", ["open", "timeout", "rejected"])
def test_a_listener_that_has_ended_does_not_hide_a_firewall(observed):
    assert with_listeners(observed, listening(), [4711])["observed"] == observed


@pytest.mark.parametrize("expected", [OPEN, CLOSED])
@pytest.mark.parametrize(
    ("listeners", "ended", "said"),
    [(listening(), [4711], "has ended"), (None, [], "has started no listeners")],
)
def test_silence_over_udp_proves_nothing_where_nobody_listens(listeners, ended, said, expected):
    check = with_listeners("timeout", listeners, ended, expected, protocol="udp")
    assert (check["observed"], check["ok"]) == ("error", False)
    assert said in check["detail"]


def test_a_service_answers_though_a_listener_has_ended():
    assert with_listeners("accepted", listening(("tcp", 6443)), [4711])["observed"] == "open"


@pytest.mark.parametrize("listeners", [None, {"failed": True, "msg": "no memory"}])
def test_a_node_without_listeners_is_named(listeners):
    check = with_listeners("refused", listeners)
    assert (check["observed"], check["ok"]) == ("error", False)
    assert "server1 has started no listeners" in check["detail"]
    assert with_listeners("timeout", listeners)["observed"] == "timeout"
    assert with_listeners("refused", listeners, mode="live")["observed"] == "refused"


@pytest.mark.parametrize("expected", [OPEN, CLOSED])
@pytest.mark.parametrize("observed", ["refused", "timeout", "unreachable"])
def test_a_port_that_the_destination_could_not_have_is_named(observed, expected):
    trouble = {
        "address": SERVER,
        "protocol": "tcp",
        "first": 6000,
        "last": 7000,
        "detail": "it does not have the address",
    }
    check = with_listeners(observed, {**listening(), "errors": [trouble]}, (), expected)
    assert (check["observed"], check["ok"]) == ("error", False)
    assert check["detail"] == "server1 can't listen there: it does not have the address"
    for other in ({"last": 6400}, {"protocol": "udp"}, {"address": "192.0.2.99"}):
        listeners = {**listening(), "errors": [{**trouble, **other}]}
        assert with_listeners(observed, listeners)["observed"] == observed


# Duplicate addresses


def with_duplicates(observed, of, expected=OPEN):
    """Return the check of one port where a node has found its address taken."""
    probes = {
        "agent1": probed((6443, 6443, observed, ""), sources={SERVER: "192.0.2.21"}),
        "server1": probed(),
    }
    address = {"server1": SERVER, "agent1": "192.0.2.21"}[of]
    probes[of]["duplicates"] = {address: ["52:54:00:12:34:56"]}
    seen = Seen(probes, {"server1": listening()}, "auto")
    (check,) = build(CLUSTER, [expectation(expected=expected)], seen)["checks"]
    return check


@pytest.mark.parametrize("observed", ["open", "refused", "rejected", "timeout", "accepted"])
def test_an_address_that_another_host_has_as_well_is_the_wrong_host(observed):
    check = with_duplicates(observed, "server1")
    assert (check["observed"], check["ok"]) == ("wrong_host", False)
    assert f"another host has {SERVER} of server1 as well (its NIC is 52:54" in check["detail"]


def test_what_is_closed_is_closed_though_another_host_has_the_address():
    check = with_duplicates("rejected", "server1", CLOSED)
    assert (check["observed"], check["ok"]) == ("rejected", True)


@pytest.mark.parametrize(
    ("observed", "reported"),
    [("timeout", "timeout"), ("accepted", "wrong_host"), ("mtu_hole", "timeout")],
)
def test_a_source_whose_address_another_host_has_loses_answers(observed, reported):
    check = with_duplicates(observed, "agent1")
    assert (check["observed"], check["ok"]) == (reported, False)
    assert "may get lost, since another host has 192.0.2.21 of agent1" in check["detail"]


def test_a_source_that_got_its_answer_did_not_lose_it():
    assert with_duplicates("open", "agent1")["ok"] is True


# External sources


HTTPS = expectation([443], rule="https", source=CONTROLLER)
FEW = {**CLUSTER, "external_sources": ["198.51.100.0/24"]}


def seen_from(address, observed="timeout"):
    probes = {CONTROLLER: probed((443, 443, observed, ""), sources={SERVER: address})}
    return Seen(probes, {"server1": listening()}, "auto")


@pytest.mark.parametrize(
    ("address", "observed", "expected", "ok"),
    [
        ("203.0.113.5", "timeout", CLOSED, True),
        ("203.0.113.5", "open", CLOSED, False),
        ("198.51.100.5", "open", OPEN, True),
        (None, "open", OPEN, True),
        ("2001:db8::5", "timeout", CLOSED, True),
    ],
)
def test_check_of_an_external_client_by_its_address(address, observed, expected, ok):
    (check,) = build(FEW, [HTTPS], seen_from(address, observed))["checks"]
    assert (check["expected"], check["ok"]) == (expected, ok)


def test_external_sources_do_not_concern_nodes():
    seen = Seen({"agent1": probed((6443, 6443, "open", ""))}, {"server1": listening()}, "auto")
    (check,) = build(FEW, [expectation()], seen)["checks"]
    assert (check["expected"], check["ok"]) == (OPEN, True)


def test_a_plain_port_of_another_rule_is_open_to_any_client():
    # 9095 is a plain port of the zone already, so the client's rule can not narrow it.
    rules = [
        port_rule(9095, name="kafka"),
        port_rule(9095, name="external-kafka", source=["external"]),
    ]
    cluster = {**FEW, "rules": rules, "restrict_sources": False}
    probes = {CONTROLLER: probed((9095, 9095, "open", ""), sources={SERVER: "203.0.113.5"})}
    seen = Seen(probes, {"server1": listening()}, "auto")
    wanted = expectation([9095], rule="external-kafka", source=CONTROLLER)
    assert build(cluster, [wanted], seen)["ok"]


# The report as a whole


def mixed_report():
    probes = {
        "agent1": probed(
            (6443, 6443, "open", ""),
            (10000, 10002, "open", ""),
            (10003, 10004, "timeout", ""),
            (10005, 30000, "open", ""),
        )
    }
    wanted = [
        expectation(),
        expectation([10000, 10001, 10002, 10003, 10004, 30000], rule="data"),
        expectation([443], CLOSED, "https"),
        expectation([6443], CLOSED),
    ]
    return build(CLUSTER, wanted, Seen(probes, {"server1": listening()}, "auto"))


def test_the_keys_are_those_of_the_design():
    report = mixed_report()
    assert set(report) == {"ok", "summary", "checks", "findings"}
    assert set(report["summary"]) == SUMMARY_KEYS
    for check in report["checks"]:
        assert set(check) == CHECK_KEYS
        assert check["observed"] in OBSERVED
        assert isinstance(check["port"], str)


def good_report(*findings):
    probes = {"agent1": probed((6443, 6443, "open", ""))}
    seen = Seen(probes, {"server1": listening()}, "auto")
    return build(CLUSTER, [expectation()], seen, findings)


def test_finding_of_level_error_makes_the_report_not_ok():
    report = good_report(finding("server1"), finding("agent1"))
    assert report["ok"] is False
    assert report["findings"] == [finding("agent1", "server1")]
    assert report["summary"]["open"] == report["summary"]["expected_open"] == 1


@pytest.mark.parametrize("level", ["warning", "info"])
def test_finding_of_another_level_leaves_the_report_ok(level):
    report = good_report(finding(level=level))
    assert report["ok"] is True
    assert report["findings"] == [finding(level=level)]


def test_report_without_findings_has_an_empty_list():
    assert good_report()["findings"] == []


def test_finding_makes_the_report_of_a_single_node_not_ok():
    single = {**CLUSTER, "nodes": CLUSTER["nodes"][:1], "external_clients": []}
    seen = Seen({}, {}, "auto")
    assert build(single, [], seen)["ok"] is True
    assert build(single, [], seen, [finding()])["ok"] is False


def test_neighbours_with_one_outcome_are_one_check():
    ports = [check["port"] for check in mixed_report()["checks"] if check["rule"] == "data"]
    assert ports == ["10000-10002", "10003-10004", "30000"]


@pytest.mark.parametrize("blocked", [False, True])
def test_a_sample_says_how_many_ports_it_stands_for(blocked):
    middle = "timeout" if blocked else "open"
    probes = {
        "agent1": probed(
            (10000, 10000, "open", ""), (10500, 10500, middle, ""), (30000, 30000, "open", "")
        )
    }
    wanted = expectation([10000, 10500, 30000], rule="data", size=20001)
    report = build(CLUSTER, [wanted], Seen(probes, {"server1": listening()}, "auto"))
    ports = [check["port"] for check in report["checks"]]
    assert ports == (["10000", "10500", "30000"] if blocked else ["10000-30000"])
    for check in report["checks"]:
        assert check["detail"].endswith("3 of 20001 ports probed")


def test_ports_of_other_rules_between_neighbours_are_said_not_to_be_probed():
    probes = {"agent1": probed((10, 12, "timeout", ""))}
    report = build(
        CLUSTER, [expectation([10, 12], CLOSED)], Seen(probes, {"server1": listening()}, "auto")
    )
    (check,) = report["checks"]
    assert (check["port"], check["detail"]) == ("10-12", "2 of 3 ports probed")


def test_the_summary_adds_up():
    report = mixed_report()
    summary = report["summary"]
    total = summary.pop("expected_open") + summary.pop("expected_closed")
    assert total == sum(summary.values()) == len(report["checks"]) == 6
    assert summary["not_determined"] == 1
    assert report["ok"] is False


def test_check_that_could_not_be_made_is_not_determined():
    wanted = [expectation(), expectation([443], CLOSED, "https"), expectation([10000], rule="data")]
    probes = {"agent1": probed((443, 443, "timeout", ""), (6443, 6443, "error", "no route"))}
    report = build(CLUSTER, wanted, Seen(probes, {"server1": listening()}, "auto"))
    assert report["ok"] is False
    assert report["summary"] == {
        "expected_open": 2,
        "open": 0,
        "blocked": 0,
        "expected_closed": 1,
        "closed": 1,
        "unexpectedly_open": 0,
        "not_determined": 2,
    }
    assert headline(report).endswith("1 of 1 closed as they should be, 2 not determined")


def test_a_report_without_failures_is_ok():
    seen = Seen({"agent1": probed((6443, 6443, "open", ""))}, {"server1": listening()}, "auto")
    assert build(CLUSTER, [expectation()], seen)["ok"] is True


def test_no_checks_prove_nothing_in_a_cluster_of_several_nodes():
    report = build(CLUSTER, [], Seen({}, {}, "auto"))
    assert report["ok"] is False


@pytest.mark.parametrize("result", [None, {"failed": True, "msg": "unreachable"}])
def test_a_source_that_did_not_report_is_an_error(result):
    seen = Seen({"agent1": result}, {"server1": listening()}, "auto")
    (check,) = build(CLUSTER, [expectation()], seen)["checks"]
    assert (check["observed"], check["ok"]) == ("error", False)
    assert "did not report" in check["detail"]


def test_a_port_that_the_source_left_out_is_an_error():
    seen = Seen({"agent1": probed((6444, 6500, "open", ""))}, {"server1": listening()}, "auto")
    (check,) = build(CLUSTER, [expectation()], seen)["checks"]
    assert check["observed"] == "error"
    assert "did not probe this port" in check["detail"]


@pytest.mark.parametrize(
    ("observed", "said", "protocol"),
    [
        ("timeout", "", "tcp"),
        ("rejected", "", "tcp"),
        ("rejected", f"ICMP administratively prohibited from {SERVER}", "tcp"),
        ("refused", "", "tcp"),
        ("refused", f"ICMP port unreachable from {SERVER}", "udp"),
        ("overlay_silent", "through the overlay: 10.42.0.1 behind flannel.1", "udp"),
    ],
)
def test_cause_of_a_detail_is_the_blocker_and_its_remedy(observed, said, protocol):
    stray = Difference("runtime", "policy", "k3s-from-nodes", "missing")
    firewall = Firewall(running=True, prepared=True, differences=(stray,))
    result = probed((6443, 6443, observed, said), protocol=protocol)
    wanted = expectation([6443], protocol=protocol)
    seen = Seen({"agent1": result}, {"server1": listening()}, "auto", {"server1": firewall})
    (check,) = build(CLUSTER, [wanted], seen)["checks"]
    assert not check["ok"]
    assert cause_of(check["detail"]) == (
        "on server1, policy k3s-from-nodes is missing in the runtime configuration of firewalld: "
        "run the playbook prepare"
    )


# Answers that do not arrive

AGENT = "192.0.2.21"
DUMMY = "203.0.113.254"


def returned(address, *runs, firewall=None, observed="timeout"):
    """Return the check of a port that timed out; the destination reaches the source from that."""
    back = probed(*runs, sources={AGENT: address})
    for one in back["results"]:
        one["address"] = AGENT
    probes = {
        "agent1": probed((6443, 6443, observed, ""), sources={SERVER: AGENT}),
        "server1": back,
    }
    firewalls = {"server1": firewall} if firewall else {}
    seen = Seen(probes, {"server1": listening()}, "auto", firewalls)
    (check,) = build(CLUSTER, [expectation()], seen)["checks"]
    assert (check["observed"], check["ok"]) == (observed, False)
    return check["detail"]


def test_destination_without_a_route_to_the_source_is_named():
    assert returned(None, firewall=SOUND) == (
        "no answer, since server1 has no route back to 192.0.2.21 (agent1), or one that drops "
        "packets: correct it on server1 (ip route show match 192.0.2.21 shows those that it has)"
    )
    assert "has no route back" in returned(None)


def test_route_of_the_answers_is_not_named_if_a_firewall_drops_the_packets():
    stray = Difference("runtime", "policy", "k3s-from-nodes", "missing")
    text = returned(None, firewall=replace(SOUND, differences=(stray,)))
    assert "policy k3s-from-nodes is missing" in text
    assert "no route" not in text


@pytest.mark.parametrize("observed", ["rejected", "refused", "unreachable"])
def test_route_of_the_answers_is_not_named_if_there_was_an_answer(observed):
    assert "no route back" not in returned(None, firewall=SOUND, observed=observed)


@pytest.mark.parametrize("runs", [[], [(6443, 6443, "timeout", "")]])
def test_answers_that_leave_from_another_address_are_named(runs):
    """A node with the guide's default route has a route to any address."""
    assert returned(DUMMY, *runs, firewall=SOUND) == (
        "no answer, since server1 sends to 192.0.2.21 (agent1) from 203.0.113.254 and not from "
        "192.0.2.11, so that its answers may leave by another NIC: see ip route get 192.0.2.21 on "
        "server1, and add a route to 192.0.2.21 by the NIC of 192.0.2.11"
    )


@pytest.mark.parametrize(
    ("address", "runs"),
    [(SERVER, []), ("nonsense", []), (DUMMY, [(6443, 6443, "open", "")]),
     (DUMMY, [(6443, 6443, "refused", "")])],
)  # fmt: skip
def test_route_of_the_answers_is_not_named_if_it_is_right(address, runs):
    text = returned(address, *runs, firewall=SOUND)
    assert text.startswith("no answer, so a firewall on server1 or on the way drops it")


def test_source_without_a_route_is_told_to_add_one():
    assert evaluated("unreachable", "no route on the source")["detail"] == (
        "agent1 has no route to 192.0.2.11: add one on agent1 (ip route show match 192.0.2.11 "
        "shows those that it has)"
    )


@pytest.mark.parametrize("kind", ["blackhole", "unreachable", "prohibit"])
def test_source_whose_route_drops_packets_is_told_to_remove_it(kind):
    assert evaluated("unreachable", f"the source has a route of the type {kind}")["detail"] == (
        f"agent1 has a route of the type {kind}, to 192.0.2.11: remove it (ip route show match "
        "192.0.2.11 shows those that it has)"
    )


# Packet filters that drop what leaves a host


def chain(hook, *rules, policy="drop", **others):
    """Return a base chain of a table that other software has made."""
    return {
        "tool": "nft",
        "family": "inet",
        "table": "other",
        "chain": hook,
        "hook": hook,
        "priority": 0,
        "policy": policy,
        "devices": [],
        "drops": "all",
        "rule": f"policy {policy}",
        "rule_chain": hook,
        "handle": 0,
        "owner": "",
        "policy_owner": "",
        "rules": {hook: list(rules)},
        **others,
    }


ACCEPT_ANSWERS = {"verdict": "accept", "states": ["established", "related"], "text": "answers"}
DROP_6443 = {
    "verdict": "drop",
    "protocols": ["tcp"],
    "ports": [[6443, 6443]],
    "text": "tcp dport 6443 drop",
    "handle": 7,
}
DROP_ANSWERS = {
    "verdict": "drop",
    "protocols": ["tcp"],
    "partial": True,
    "text": "tcp sport 6443 drop",
    "handle": 8,
}


def filtered(source=(), destination=(), observed="timeout", said="", protocol="tcp"):
    """Return the detail of a check between hosts with these packet filters."""
    firewalls = {
        "agent1": replace(SOUND, packet_filters=tuple(source)),
        "server1": replace(SOUND, packet_filters=tuple(destination)),
    }
    result = probed((6443, 6443, observed, said), protocol=protocol, sources={SERVER: AGENT})
    seen = Seen({"agent1": result}, {"server1": listening()}, "auto", firewalls)
    (check,) = build(CLUSTER, [expectation(protocol=protocol)], seen)["checks"]
    return check["detail"]


@pytest.mark.parametrize("hook", ["output", "postrouting"])
def test_packet_filter_that_drops_a_probe_as_it_leaves_is_named(hook):
    assert filtered([chain(hook, DROP_6443, policy="accept")]).startswith(
        f"no answer, since on agent1, chain {hook} of table inet other (nft, hook {hook}) drops "
        "it: tcp dport 6443 drop: accept the cluster's packets before it, or remove it: nft delete "
        f"rule inet other {hook} handle 7"
    )


def test_packet_filter_that_drops_answers_as_they_leave_is_named():
    text = filtered(destination=[chain("output")])
    assert text.startswith("no answer, since on server1, chain output of table")
    assert "drops the answers: " in text
    assert "nft 'chain inet other output { policy accept; }'" in text


def test_packet_filter_that_drops_answers_as_they_arrive_is_named():
    text = filtered([chain("input")])
    assert text.startswith("no answer, since on agent1, chain input of table")
    assert "drops the answers: " in text


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        # They accept the answers.
        ([chain("input", ACCEPT_ANSWERS)], [chain("output", ACCEPT_ANSWERS)]),
        # They are for other ports, families and NICs.
        ([chain("output", {**DROP_6443, "ports": [[2379, 2379]]}, policy="accept")], []),
        ([chain("output", family="ip6")], [chain("output", family="ip6")]),
        ([chain("output", {**DROP_6443, "outputs": ["eth7"]}, policy="accept")], []),
        ([chain("forward")], [chain("forward")]),
        # A rule for the port of the probe does not drop answers, which go to another port.
        ([], [chain("output", DROP_6443, policy="accept")]),
    ],
)
def test_packet_filters_that_pass_probe_and_answer_are_not_named(source, destination):
    text = filtered(source, destination)
    assert text.startswith("no answer, so a firewall on server1 or on the way drops it")
    assert "table inet other" not in text


def test_packet_filter_that_may_drop_answers_is_named_last():
    uncertain = chain("output", DROP_ANSWERS, policy="accept")
    text = filtered(destination=[uncertain])
    assert "on server1, chain output" in text
    assert "may drop the answers: tcp sport 6443 drop" in text
    text = filtered([chain("output", DROP_6443, policy="accept")], [uncertain])
    assert "on agent1, chain output of table inet other (nft, hook output) drops it" in text
    banned = chain("input", {**DROP_ANSWERS, "text": "banned"}, policy="accept")
    assert "on server1, chain input" in filtered(destination=[uncertain, banned])


def test_packet_filter_of_the_destination_is_named_before_that_of_answers():
    text = filtered(destination=[chain("output"), chain("input", ACCEPT_ANSWERS)])
    assert "on server1, chain input of table inet other (nft, hook input) drops it" in text


def test_source_that_rejects_its_own_packets_is_named():
    rejecting = [chain("output", DROP_6443, policy="accept")]
    said = f"ICMP port unreachable from {AGENT}"
    assert filtered(rejecting, observed="rejected", said=said).startswith(
        f"agent1's own packet filter rejects it ({said}): on agent1, chain output of table"
    )


@pytest.mark.parametrize(("code", "named"), [("EPERM", True), ("ENOBUFS", False)])
def test_packet_filter_on_the_source_explains_an_error_of_send(code, named):
    text = filtered([chain("output")], observed="error", said=f"on the source: {code}")
    assert text.startswith(f"on agent1: {code}")
    assert ("chain output of table inet other" in text) is named
