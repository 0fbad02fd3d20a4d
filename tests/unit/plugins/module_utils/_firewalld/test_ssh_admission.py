# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.ssh_admission import (
    Connection,
    evaluate,
    only_accepts,
    services_needed,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.ssh_match import (
    Configuration,
)
from hypothesis import given
from hypothesis import strategies as st

SOURCE = "192.0.2.1"
SSH = {"ssh": {"ports": ["22/tcp"]}}
ACCEPT = "rule accept"
SSH_RULE = 'rule service name="ssh" accept'

# From firewalld's own tests (src/tests of 0.9.3, 1.3.3 and 2.3.1), each accepted by one of them.
OF_FIREWALLD = [
    "rule priority=127 drop",
    'rule family="ipv4" priority=0 forward-port port="222"  protocol="tcp" to-port="22"',
    'rule family="ipv4" priority=-5 source address="10.10.10.0/24" accept',
    "rule family=ipv4 priority=1000 source address=10.10.10.11 audit accept",
    "rule family=ipv4 source address=192.168.0.0/24 icmp-block name=source-quench "
    "log level=info prefix=source-quench limit value=4/m ",
    "rule family=ipv4 source not address=192.168.0.0/24 service name=dns "
    "log prefix=dns level=info limit value=2/m accept ",
    "rule family=ipv4 source ipset=Teste mark set=2",
    'rule family=ipv4 source address="192.168.1.0/255.255.255.0" accept',
    'rule family="ipv4" source address="104.243.250.0/22\t" port port=80 protocol=tcp accept',
    'rule family="ipv4" destination address="192.168.1.0/24" masquerade',
    "rule family=ipv4 destination ipset=foobar accept",
    'rule family="ipv4" port port="222" protocol="tcp" mark set="0xff"',
    'rule family="ipv4" port port="2222" protocol="tcp" nflog prefix="port-2222: " '
    "queue-size=0 drop",
    'rule family="ipv4" port port="3333" protocol="udp" nflog prefix="port-3333: " '
    "queue-size=65535 accept priority=5",
    'rule family=ipv4 source address=10.10.10.10 service name=http accept limit value="2/d"',
    "rule family=ipv6 destination address=[1234::]/64 accept",
    "rule family=ipv6 source address=[::4321] accept",
    'rule family=ipv6 source address=[::4321] forward-port port="1234" protocol=tcp '
    'to-port="4321" to-addr="[::1234]"',
    "rule family=ipv6 source address=1:2:3:4:6:: service name=radius log prefix=dns level=info "
    "limit value=3/m reject limit value=20/m ",
    'rule family="ipv6" source address="1:2:3:4:6::" service name="radius" log prefix="dns -- " '
    'level="info" limit value="3/m" reject type="icmp6-addr-unreachable" limit value="20/m"',
    'rule family=ipv6 source address=1:2:3:4:5:: port port=4011 protocol=tcp log prefix="port '
    '4011/tcp" level=info limit value=4/m drop ',
    "rule family=ipv6 masquerade ",
    'rule forward-port port="2222" to-port="22" to-addr="192.168.100.2" protocol="tcp" '
    'family="ipv4" source address="192.168.2.100"',
    'rule icmp-block name="destination-unreachable"',
    "rule icmp-type name=bad-header mark set=0x86/0x86",
    'rule port port="1111" protocol="tcp" log',
    "rule port port=4444 protocol=sctp accept",
    "rule priority=-2 mark set=0x6600/0xFF00",
    'rule priority=-32768 port port="1234" protocol="tcp" accept',
    'rule priority=126 log prefix="DROPPED: "',
    'rule priority=32000 nflog prefix="NFLOG: " queue-size=10',
    "rule priority=32001 audit accept",
    'rule protocol value="ah" reject',
    'rule protocol value="sctp" log',
    'rule service name="ftp" audit limit burst="1" value="1/m" accept',
    "rule service name=recursive-service log",
    'rule source mac="11:22:33:44:55:66" reject',
    "rule source-port port=4321 protocol=tcp mark set=12",
    "rule tcp-mss-clamp",
    "rule tcp-mss-clamp value=pmtu",
]
RULES = [
    *OF_FIREWALLD,
    ACCEPT,
    SSH_RULE,
    "rule priority=3 reject",
    "rule priority=-3 protocol value=tcp drop",
    f"rule family=ipv4 source address={SOURCE} port port=22 protocol=tcp reject",
    "rule source ipset=nodes drop",
    "rule service name=unknown reject",
]


def zone(*services, rules=(), **settings):
    return {"services": list(services), "rules_str": list(rules), **settings}


def policy(*rules, ingress=("ANY",), egress=("HOST",), **settings):
    return {
        "ingress_zones": list(ingress),
        "egress_zones": list(egress),
        "rich_rules": list(rules),
        "priority": -1,
        "target": "CONTINUE",
        **settings,
    }


def ipset(*entries, kind="hash:ip", family="inet", **settings):
    return {"type": kind, "family": family, "entries": list(entries), **settings}


def configuration(zones=None, policies=None, ipsets=None, services=None, default_zone="public"):
    return Configuration(
        default_zone, zones or {"public": zone()}, policies or {}, ipsets or {}, services or SSH
    )


def admitted(source=SOURCE, port=22, interface="eth0", **objects):
    return evaluate(configuration(**objects), Connection(source, port, interface)).admitted


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (zone("ssh"), True),
        (zone(), False),
        (zone("http"), None),
        (zone(ports=["22/tcp"]), True),
        (zone(ports=["20-25/tcp"]), True),
        (zone(ports=["0-65535/tcp"]), True),
        (zone(ports=["22/udp", "23-30/tcp"]), False),
        (zone(ports=["ssh/tcp"]), None),
        (zone(protocols=["tcp"]), True),
        (zone(protocols=["6"]), True),
        (zone(protocols=["esp"]), False),
        (zone(source_ports=["1024-65535/tcp"]), None),
        (zone(source_ports=["1024-65535/udp"]), False),
        (zone(target="ACCEPT"), True),
        (zone("ssh", target="DROP"), True),
        (zone(target="DROP"), False),
        (zone(target="%%REJECT%%"), False),
        (zone(target="default"), False),
        (zone("ssh", masquerade=True, icmp_blocks=["echo-request"]), True),
    ],
)
def test_a_zone_admits_what_it_lists_and_then_what_its_target_says(settings, expected):
    assert admitted(zones={"public": settings}) is expected


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        # Denying comes before admitting, whatever the order of the rules.
        ([SSH_RULE, "rule service name=ssh reject"], False),
        (["rule priority=-1 service name=ssh accept", "rule protocol value=tcp drop"], True),
        (["rule priority=-1 drop", "rule priority=-2 accept"], True),
        (["rule priority=-1 drop", "rule priority=1 accept"], False),
        (["rule priority=1 reject", "rule priority=2 accept"], False),
        (["rule priority=1 accept", "rule priority=2 drop"], True),
        # Those of one priority are in the order in which somebody added them.
        (["rule priority=1 accept", "rule priority=1 drop"], None),
        (["rule priority=1 accept", "rule priority=1 accept limit value=1/m"], True),
        (["rule accept priority=-2", "rule drop priority=-1"], True),
    ],
)
def test_rich_rules_apply_by_priority_and_deny_first(rules, expected):
    assert admitted(zones={"public": zone(rules=rules)}) is expected


def test_what_comes_before_services_denies_them_and_what_comes_after_does_not():
    assert admitted(zones={"public": zone("ssh", rules=["rule priority=1 drop"])}) is True
    assert admitted(zones={"public": zone("ssh", rules=["rule priority=-1 drop"])}) is False
    assert admitted(zones={"public": zone("ssh", rules=["rule protocol value=tcp drop"])}) is False


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("", True),
        ('family="ipv4"', True),
        ("family='ipv6'", False),
        (f'family="ipv4" source address="{SOURCE}"', True),
        ("family=ipv4 source address=192.0.2.0/24", True),
        ("family=ipv4 source address=192.0.2.0/255.255.255.0", True),
        ("family=ipv4 source address=192.0.2.77/24", True),
        (f'family=ipv4 source address="{SOURCE}\t"', True),
        ("family=ipv4 source address=192.0.2.2", False),
        ("family=ipv4 source NOT address=192.0.2.2", True),
        ("family=ipv4 source not address=192.0.2.0/24", False),
        ('family=ipv4 source address=192.0.2.0/24 invert="True"', False),
        # Being of another family is no match, inverted or not.
        ("family=ipv6 source NOT address=2001:db8::1", False),
        ("source NOT ipset=six", False),
        ("source ipset=nodes", True),
        ("source NOT ipset=nodes", False),
        ("source ipset=nets", True),
        ("source ipset=range", True),
        ("source ipset=others", False),
        ("source NOT ipset=others", True),
        ("source ipset=six", False),
        ("source ipset=missing", None),
        ("source ipset=timed", None),
        ("source ipset=ports", None),
        ("source mac=00:11:22:33:44:55", None),
        ("source NOT mac=00:11:22:33:44:55", None),
        ("family=ipv4 destination address=198.51.100.1", None),
        ("family=ipv4 destination NOT address=198.51.100.1", None),
        ("family=ipv6 destination address=2001:db8::1", False),
        ("destination ipset=six", False),
        ("destination ipset=nodes", None),
        ("port port=22 protocol=tcp", True),
        ("port port=22 protocol=udp", False),
        ("port port=1-21 protocol=tcp", False),
        ("protocol value=tcp", True),
        ("protocol value=icmp", False),
        ("source-port port=1024-65535 protocol=tcp", None),
        ("service name=unknown", None),
        ("service name=http", False),
        ("icmp-type name=echo-request", False),
        ("family=ipv4 source address=192.0.2.2 service name=unknown", False),
        # A limit of the log is none of the rule.
        ('log prefix="a b" level=info limit value=1/m', True),
        ("audit limit value=1/m burst=2", True),
        ("nflog group=1 queue-size=2", True),
        ("element-of-later-versions name=x", None),
    ],
)
def test_a_rule_applies_where_all_its_conditions_hold(condition, expected):
    sets = {
        "nodes": ipset(SOURCE),
        "nets": ipset("192.0.2.0/25", kind="hash:net"),
        "range": ipset("192.0.2.0-192.0.2.9"),
        "others": ipset("198.51.100.1"),
        "six": ipset("2001:db8::1", family="inet6"),
        "timed": ipset(options={"timeout": "60"}),
        "ports": ipset("192.0.2.1,tcp:22", kind="hash:ip,port"),
    }
    services = {**SSH, "http": {"ports": ["80/tcp"]}}
    for prefix, suffix in (("", ""), ("", " priority=1"), ("priority=-1 ", "")):
        rule = f"rule {prefix}{condition} accept{suffix}"
        zones = {"public": zone(rules=[rule])}
        assert admitted(zones=zones, ipsets=sets, services=services) is expected
        # Refusing is the mirror image.
        zones = {"public": zone("ssh", rules=[f"rule priority=-1 {condition} drop"])}
        mirrored = None if expected is None else not expected
        assert admitted(zones=zones, ipsets=sets, services=services) is mirrored


@pytest.mark.parametrize("action", ["log", "audit", "mark set=1", "masquerade", "tcp-mss-clamp"])
def test_what_is_no_verdict_leaves_it_to_the_rules_after_it(action):
    rules = [f"rule priority=-1 {action}"]
    assert admitted(zones={"public": zone("ssh", rules=rules)}) is True
    assert admitted(zones={"public": zone(rules=rules)}) is False


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (["rule priority=-1 accept limit value=2/m", "rule priority=1 accept"], True),
        (["rule priority=-1 accept limit value=2/m"], None),
        (["rule priority=-1 accept limit value=2/m", "rule priority=1 drop"], None),
        (["rule priority=-1 drop limit value=2/m", "rule priority=1 accept"], None),
        (["rule priority=-1 drop limit value=2/m"], False),
    ],
)
def test_what_may_apply_matters_only_where_what_follows_says_otherwise(rules, expected):
    assert admitted(zones={"public": zone(rules=rules)}) is expected


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ({"ports": ["22/tcp"]}, True),
        ({"ports": ["22/udp"]}, False),
        ({}, False),
        ({"protocols": ["tcp"]}, True),
        ({"source_ports": ["22/tcp"]}, None),
        ({"includes": ["ssh"]}, True),
        ({"includes": ["around"]}, False),
        ({"includes": ["elsewhere"]}, None),
        ({"ports": ["22/tcp"], "includes": ["elsewhere"]}, True),
        ({"ports": ["22/tcp"], "destination": {}}, True),
        ({"ports": ["22/tcp"], "destination": {"ipv4": "192.0.2.9"}}, None),
        ({"ports": ["22/tcp"], "destination": {"ipv6": "2001:db8::1"}}, False),
        ({"ports": ["80/tcp"], "destination": {"ipv4": "192.0.2.9"}}, False),
        ({"ports": ["22/tcp"], "destination": "unreadable"}, None),
    ],
)
def test_a_service_admits_what_its_definition_says(definition, expected):
    services = {**SSH, "around": {"includes": ["own"]}, "own": definition}
    assert admitted(zones={"public": zone("own")}, services=services) is expected


def test_includes_in_rich_rules_count_for_some_versions_only():
    services = {**SSH, "own": {"includes": ["ssh"]}}
    rules = ["rule service name=own accept"]
    assert admitted(zones={"public": zone(rules=rules)}, services=services) is None
    assert admitted(zones={"public": zone("ssh", rules=rules)}, services=services) is True


@pytest.mark.parametrize(
    ("zones", "expected"),
    [
        # Its own binding.
        ({"public": zone(), "nic": zone("ssh", interfaces=["eth0"])}, True),
        ({"public": zone("ssh"), "nic": zone(interfaces=["eth0"])}, False),
        ({"public": zone("ssh"), "nic": zone(interfaces=["eth1"])}, True),
        ({"public": zone("ssh"), "nic": zone(interfaces=["eth+"])}, False),
        ({"a": zone("ssh", interfaces=["eth+"]), "b": zone(interfaces=["eth0"])}, None),
        # Sources come before NICs.
        ({"nic": zone(interfaces=["eth0"]), "by": zone("ssh", sources=[SOURCE])}, True),
        ({"nic": zone("ssh", interfaces=["eth0"]), "by": zone(sources=["192.0.2.0/24"])}, False),
        ({"public": zone("ssh"), "by": zone(sources=["198.51.100.0/24"])}, True),
        ({"public": zone("ssh"), "by": zone(sources=["ipset:nodes"])}, False),
        ({"public": zone("ssh"), "by": zone(sources=["ipset:missing"])}, None),
        ({"public": zone("ssh"), "by": zone("ssh", sources=["ipset:missing"])}, True),
        ({"public": zone("ssh"), "by": zone(sources=["00:11:22:33:44:55"])}, None),
        ({"public": zone("ssh"), "by": zone(sources=["2001:db8::/32"])}, True),
        # Among sources the zone's name decides, not how narrow they are.
        ({"a": zone(sources=["192.0.2.0/24"]), "b": zone("ssh", sources=[SOURCE])}, False),
        ({"b": zone(sources=["192.0.2.0/24"]), "a": zone("ssh", sources=[SOURCE])}, True),
        # Priorities of zones come first.
        (
            {
                "a": zone(sources=[SOURCE]),
                "b": zone("ssh", sources=["192.0.2.0/24"], ingress_priority=-1),
            },
            True,
        ),
        (
            {
                "a": zone("ssh", sources=[SOURCE], ingress_priority=5),
                "b": zone(interfaces=["eth0"]),
            },
            False,
        ),
        ({"elsewhere": zone("ssh")}, None),
    ],
)
def test_one_zone_takes_the_packet(zones, expected):
    assert admitted(zones=zones, ipsets={"nodes": ipset(SOURCE)}) is expected


def test_where_the_interface_is_not_known_all_zones_have_to_agree():
    zones = {"public": zone("ssh"), "nic": zone("ssh", interfaces=["eth0"])}
    assert admitted(interface="", zones=zones) is True
    zones["nic"] = zone(interfaces=["eth0"])
    assert admitted(interface="", zones=zones) is None
    zones["public"] = zone()
    assert admitted(interface="", zones=zones) is False
    zones["nic"] = zone("ssh", interfaces=["lo"])
    assert admitted(interface="", zones=zones) is False


@pytest.mark.parametrize(
    "connection", [Connection("192.0.2.1", 22, "lo"), Connection("::1", 9, "")]
)
def test_the_loopback_interface_is_always_admitted(connection):
    verdict = evaluate(configuration({"public": zone(target="DROP")}), connection)
    assert verdict.admitted is True
    assert "loopback" in verdict.because


@pytest.mark.parametrize(
    ("source", "allowed", "expected"),
    [
        ("::ffff:192.0.2.1", "family=ipv4 source address=192.0.2.0/24", True),
        ("::ffff:192.0.2.1", "family=ipv6", False),
        ("fe80::1%eth0", "family=ipv6 source address=fe80::/10", True),
        ("fe80::1", "family=ipv6 source address=[fe80::]/10", True),
        ("2001:db8::1", "family=ipv4", False),
        ("controller.example.com", "family=ipv4 source address=192.0.2.0/24", None),
        ("", "family=ipv4", None),
    ],
)
def test_sources_are_read_in_every_spelling(source, allowed, expected):
    zones = {"public": zone(rules=[f"rule {allowed} accept"])}
    assert admitted(source=source, zones=zones) is expected


@pytest.mark.parametrize(
    ("policies", "services", "expected"),
    [
        ({"p": policy(SSH_RULE)}, [], True),
        ({"p": policy("rule service name=ssh drop")}, ["ssh"], False),
        ({"p": policy(services=["ssh"], priority=5)}, [], True),
        ({"p": policy("rule service name=ssh drop", priority=5)}, ["ssh"], True),
        ({"p": policy(target="ACCEPT")}, [], True),
        ({"p": policy(target="DROP")}, ["ssh"], False),
        ({"p": policy(target="REJECT", priority=1)}, ["ssh"], True),
        ({"p": policy(target="REJECT", ingress=["public"])}, ["ssh"], False),
        ({"p": policy(target="REJECT", ingress=["other"])}, ["ssh"], True),
        # Neither is for what goes to the host itself.
        ({"p": policy(target="REJECT", egress=["ANY"])}, ["ssh"], True),
        ({"p": policy(target="REJECT", ingress=["HOST"], egress=["public"])}, ["ssh"], True),
        ({"p": policy(ports=["22/tcp"]), "q": policy(target="DROP", priority=-2)}, [], False),
        ({"p": policy(ports=["22/tcp"]), "q": policy(target="DROP", priority=5)}, [], True),
        # Policies of one priority have no order.
        ({"p": policy(ports=["22/tcp"]), "q": policy(target="DROP")}, [], None),
        ({"p": policy(ports=["22/tcp"]), "q": policy(SSH_RULE)}, [], True),
    ],
)
def test_policies_of_negative_priority_come_before_the_zone_and_others_after(
    policies, services, expected
):
    zones = {"public": zone(*services, interfaces=["eth0"]), "other": zone()}
    assert admitted(zones=zones, policies=policies) is expected


def test_a_target_and_policies_after_the_zone_are_ordered_by_the_version():
    after = {"p": policy(SSH_RULE, priority=1)}
    assert admitted(zones={"public": zone()}, policies=after) is True
    assert admitted(zones={"public": zone(target="DROP")}, policies=after) is None
    # With priorities of zones it is 2.x.
    zones = {"public": zone(target="DROP"), "other": zone(ingress_priority=1)}
    assert admitted(zones=zones, policies=after) is True


def test_an_ingress_zone_holds_unbound_interfaces_for_some_versions_only():
    policies = {"p": policy(SSH_RULE, ingress=["public"])}
    assert admitted(zones={"public": zone(interfaces=["eth0"])}, policies=policies) is True
    assert admitted(zones={"public": zone()}, policies=policies) is None
    assert admitted(zones={"public": zone(interfaces=["eth1"])}, policies=policies) is None
    assert admitted(zones={"public": zone(interfaces=["eth+"])}, policies=policies) is None


def test_an_ingress_zone_that_does_not_take_the_packet_counts_for_some_versions_only():
    zones = {"nic": zone(interfaces=["eth0"]), "by": zone(sources=[SOURCE])}
    assert admitted(zones=zones, policies={"p": policy(SSH_RULE, ingress=["nic"])}) is None
    assert admitted(zones=zones, policies={"p": policy(SSH_RULE, ingress=["by"])}) is True
    # For 1.x it does so after the zone, but before its target.
    zones["by"]["target"] = "DROP"
    after = {"p": policy(SSH_RULE, ingress=["nic"], priority=1)}
    assert admitted(zones=zones, policies=after) is None


@pytest.mark.parametrize(
    ("ingress", "priority", "expected"),
    [
        ("ANY", -1, None),
        ("public", -1, None),
        ("ANY", -2, True),
        ("public", -2, True),
        ("other", -1, True),
    ],
)
def test_policies_of_one_priority_cost_2_x_its_order(ingress, priority, expected):
    unrelated = "rule port port=80 protocol=tcp accept"
    policies = {
        "p": policy(unrelated, ingress=["public"]),
        "q": policy(unrelated, ingress=[ingress], priority=priority),
    }
    # A source's zone has not ended before that of a NIC begins.
    nic = zone(interfaces=["eth0"])
    trusted = zone(target="ACCEPT", sources=[SOURCE])
    assert admitted(zones={"public": nic, "trusted": trusted}, policies=policies) is expected
    # The default zone is the last one nevertheless.
    nic = zone("ssh", interfaces=["eth0"])
    zones = {"public": zone(), "nic": nic, "trusted": trusted}
    assert admitted(zones=zones, policies=policies) is True
    # What is to come after the zone may come before it.
    policies["late"] = policy("rule drop", priority=1)
    assert admitted(zones={"public": nic}, policies=policies) is expected


@pytest.mark.parametrize(
    ("forward", "admitted_before", "expected"),
    [
        (["22", "tcp", "2222", ""], True, None),
        (["22", "tcp", "", "192.0.2.9"], True, None),
        (["22", "tcp", "2222", ""], False, False),
        (["22", "udp", "2222", ""], True, True),
        (["80", "tcp", "8080", ""], True, True),
        (["2222", "tcp", "22", ""], False, None),
        (["2222", "tcp", "22", "192.0.2.9"], False, False),
    ],
)
def test_a_forwarded_port_may_lead_here_or_elsewhere(forward, admitted_before, expected):
    services = ["ssh"] if admitted_before else []
    plain = {"public": zone(*services, forward_ports=[forward])}
    assert admitted(zones=plain) is expected
    names = ("port", "protocol", "to-port", "to-addr")
    element = " ".join(f"{name}={value}" for name, value in zip(names, forward) if value)
    rich = {"public": zone(*services, rules=[f"rule family=ipv4 forward-port {element}"])}
    assert admitted(zones=rich) is expected
    # That of the other family is none.
    rich = {"public": zone(*services, rules=[f"rule family=ipv6 forward-port {element}"])}
    assert admitted(zones=rich) is admitted_before


@pytest.mark.parametrize(
    ("objects", "because"),
    [
        ({"zones": {"public": zone("ssh")}}, "zone public: service ssh"),
        ({"zones": {"public": zone()}}, "zone public admits nothing to 22/tcp"),
        ({"zones": {"public": zone(target="DROP")}}, "zone public: target DROP"),
        # What is certain comes before what may be.
        ({"zones": {"public": zone("other", ports=["22/tcp"])}}, "zone public: port 22/tcp"),
        (
            {"policies": {"k3s-from-clients": policy(SSH_RULE)}},
            f"policy k3s-from-clients: {SSH_RULE}",
        ),
        ({"policies": {"p": policy(target="REJECT")}}, "policy p: target REJECT"),
        (
            {"zones": {"public": zone("other")}},
            "either zone public: service other (may apply) or zone public admits nothing to 22/tcp",
        ),
        (
            {"zones": {"public": zone(rules=['rule service name="ssh'])}},
            'either zone public: rule service name="ssh (not understood) or zone public admits '
            "nothing to 22/tcp",
        ),
    ],
)
def test_the_reason_names_what_decides(objects, because):
    assert evaluate(configuration(**objects), Connection(SOURCE, 22, "eth0")).because == because


def test_a_rule_that_cannot_be_read_may_do_anything():
    rules = ["rule 'unreadable", "rule priority=-5 accept"]
    assert admitted(zones={"public": zone("ssh", rules=rules)}) is None
    before = {"p": policy(SSH_RULE)}
    assert admitted(zones={"public": zone("ssh", rules=rules)}, policies=before) is True


def test_services_are_asked_for_until_their_includes_are_known():
    definitions = {
        "a": {"includes": ["a", "b"]},
        "b": {"includes": ["c"]},
        "rich": {},
        "of-policy": {"includes": ["gone"]},
    }
    asked = configuration(
        {"public": zone("a", rules=["rule service name=rich accept", "rule unreadable '"])},
        {"p": policy(services=["of-policy"])},
        services={"unrelated": {"includes": ["x"]}},
    )
    assert services_needed(asked) == {"a", "rich", "of-policy"}
    assert services_needed(replace(asked, services=definitions)) == {
        *("a", "b", "c", "rich", "of-policy", "gone")
    }


@pytest.mark.parametrize("rule", OF_FIREWALLD)
def test_every_rule_of_firewalld_is_understood(rule):
    for objects in (
        {"zones": {"public": zone(rules=[rule])}},
        {"policies": {"p": policy(rule)}},
    ):
        for source in (SOURCE, "2001:db8::1"):
            verdict = evaluate(configuration(**objects), Connection(source, 22, "eth0"))
            assert "not understood" not in verdict.because


SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "target": st.sampled_from(["default", "ACCEPT", "DROP", "REJECT"]),
        "services": st.lists(st.sampled_from(["ssh", "unknown", "including"]), max_size=2),
        "ports": st.lists(st.sampled_from(["22/tcp", "80/tcp", "ssh/tcp"]), max_size=2),
    },
)
SOME_RULES = st.lists(st.sampled_from(RULES), max_size=3)
ZONE = st.builds(
    lambda settings, rules, sources, interfaces: {
        **settings,
        "rules_str": rules,
        "sources": sources,
        "interfaces": interfaces,
    },
    SETTINGS,
    SOME_RULES,
    st.lists(st.sampled_from([SOURCE, "192.0.2.0/24", "ipset:nodes", "ipset:gone"]), max_size=1),
    st.lists(st.sampled_from(["eth0", "eth+", "eth1"]), max_size=1),
)
POLICY = st.builds(
    lambda settings, rules, ingress, priority: {
        **settings,
        **policy(*rules, ingress=[ingress], priority=priority),
    },
    SETTINGS,
    SOME_RULES,
    st.sampled_from(["ANY", "public", "dmz"]),
    st.sampled_from([-2, -1, 1]),
)
CONFIGURATIONS = st.builds(
    Configuration,
    st.just("public"),
    st.fixed_dictionaries({"public": ZONE, "dmz": ZONE}),
    st.dictionaries(st.sampled_from("abc"), POLICY, max_size=3),
    st.just({"nodes": ipset(SOURCE)}),
    st.just({**SSH, "including": {"includes": ["ssh"]}}),
)
CONNECTIONS = st.builds(
    Connection,
    st.sampled_from([SOURCE, "192.0.2.2", "2001:db8::1"]),
    st.sampled_from([22, 80]),
    st.sampled_from(["eth0", "eth1", ""]),
)


@given(CONFIGURATIONS, CONNECTIONS, st.lists(st.sampled_from(RULES), max_size=3))
def test_a_policy_that_only_accepts_refuses_nobody(before, connection, rules):
    rules = [rule for rule in rules if "accept" in rule]
    after = replace(before, policies={**before.policies, "k3s-own": policy(*rules)})
    if all(one["priority"] != -1 for one in before.policies.values()):
        if evaluate(before, connection).admitted is True:
            assert evaluate(after, connection).admitted is True
    elif evaluate(before, connection).admitted is True:
        # Another one of its priority may cost 2.x the order.
        assert evaluate(after, connection).admitted is not False


@given(
    CONFIGURATIONS,
    CONNECTIONS,
    st.sampled_from(["accept", "drop", "reject"]),
    st.integers(-32768, 32767),
)
def test_a_rule_on_another_source_changes_nothing(before, connection, action, priority):
    rule = f"rule priority={priority} family=ipv4 source address=198.51.100.7 {action}"
    public = before.zones["public"]
    with_rule = {**public, "rules_str": [*public["rules_str"], rule]}
    after = replace(before, zones={**before.zones, "public": with_rule})
    assert evaluate(after, connection) == evaluate(before, connection)


@given(CONFIGURATIONS, CONNECTIONS, st.booleans(), st.booleans())
def test_what_is_told_holds_whatever_the_unknown_turns_out_to_be(before, connection, same, member):
    told = evaluate(before, connection).admitted
    services = {**before.services, "unknown": {"ports": ["22/tcp"] if same else []}}
    ipsets = {**before.ipsets, "gone": ipset(*[SOURCE] * member)}
    after = replace(before, services=services, ipsets=ipsets)
    assert told in (None, evaluate(after, connection).admitted)


@given(CONFIGURATIONS, CONNECTIONS)
def test_what_is_told_without_the_interface_holds_for_every_interface(before, connection):
    told = evaluate(before, replace(connection, interface="")).admitted
    assert told in (None, evaluate(before, connection).admitted)


@given(st.text(max_size=40))
def test_no_text_of_a_rule_is_too_odd(text):
    for odd in (text, f"rule {text}", f"rule source {text} accept", f'rule port="{text}" drop'):
        objects = configuration({"public": zone(text, rules=[odd], sources=[text])})
        evaluate(objects, Connection(text, 22, text))
        services_needed(objects)


# Policies that can only admit


@pytest.mark.parametrize(
    ("policy", "accepts"),
    [
        ({"target": "CONTINUE", "rich_rules": []}, True),
        ({"target": "CONTINUE", "rich_rules": ['rule port port="1" protocol="tcp" accept']}, True),
        ({"target": "ACCEPT"}, True),
        ({"target": "DROP"}, False),
        ({"target": "REJECT"}, False),
        ({"target": "CONTINUE", "rich_rules": ['rule service name="ssh" drop']}, False),
        ({"target": "CONTINUE", "rich_rules": ['rule service name="ssh" reject']}, False),
        ({"rich_rules": ['rule forward-port port="22" protocol="tcp" to-port="1"']}, False),
        ({"rich_rules": ["nothing that can be read"]}, False),
        ({"forward_ports": [["22", "tcp", "2222", ""]]}, False),
    ],
)
def test_only_accepts_reads_target_and_rules(policy, accepts):
    assert only_accepts(policy) is accepts


def test_disabled_policy_has_no_effect():
    drop = {"ingress_zones": ["ANY"], "egress_zones": ["HOST"], "target": "DROP", "priority": -5}
    for disable, admitted in ((False, False), (True, True)):
        found = Configuration(
            "public",
            {"public": {"ports": ["22/tcp"]}},
            {"gateway": {**drop, "disable": disable}},
            {},
            {},
        )
        assert evaluate(found, Connection("198.51.100.9", 22, "eth0")).admitted is admitted
