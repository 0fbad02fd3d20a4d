# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Third-party configuration stays in force, in the runtime and the permanent configuration."""

from __future__ import annotations

import pytest
from wanted import SEGREGATED, UNRESTRICTED, address, prepare, remove, wanted

NODE = "server2"
BOTH_MODES = ({}, SEGREGATED)
MODES = pytest.mark.parametrize("mode", BOTH_MODES, ids=["shared", "segregated"])
BAN = 'rule family="ipv4" source address="198.51.100.66" drop'
FIREWALLD = "org.fedoraproject.FirewallD1"
# firewall-cmd takes a third of a second to start.
CALL = f"busctl call {FIREWALLD} /{FIREWALLD.replace('.', '/')} {FIREWALLD}"
PROFILE = "/etc/NetworkManager/system-connections/lab-eth1.nmconnection"
REMOVE_USER_FILES = "rm -f /etc/firewalld/{zones,policies,ipsets}/*.xml* /etc/firewalld/direct.xml*"


@pytest.fixture
def node(node):
    """Return a node on which the user's configuration is removed after the test."""
    yield node
    remove(node)
    node.run(f"bash -c '{REMOVE_USER_FILES}'; firewall-cmd -q --reload")


# The runtime configuration


# An ipset whose runtime entries differ from the permanent ones, a ban, and a container engine with
# an interface, a source, direct rules and rules of iptables.
RUNTIME = f"""
from firewall.client import FirewallClient
client = FirewallClient()
client.addEntry("blocked", "198.51.100.77")
client.addRichRule("public", '{BAN}')
client.addInterface("trusted", "engine0")
client.addSource("trusted", "172.30.0.0/16")
client.addChain("ipv4", "filter", "ENGINE")
client.addRule("ipv4", "filter", "ENGINE", 0, ["-s", "172.30.0.0/16", "-j", "ACCEPT"])
"""
IPTABLES = (
    "iptables -t nat -N ENGINE-NAT && iptables -t nat -I POSTROUTING -j ENGINE-NAT && "
    "iptables -t nat -A ENGINE-NAT -s 172.30.0.0/16 ! -o engine0 -j MASQUERADE"
)


@pytest.fixture
def runtime(node):
    """Return a node with third-party configuration that only the runtime has."""
    node.run(
        "firewall-cmd -q --permanent --new-ipset=blocked --type=hash:ip && "
        "firewall-cmd -q --reload && ip link add engine0 type bridge"
    )
    node.run("python3 -", RUNTIME)
    node.run(IPTABLES)
    yield node
    node.run(
        "ip link delete engine0; "
        "systemctl stop firewalld; nft flush ruleset; systemctl start firewalld"
    )


def third_party(node):
    """Return the third-party configuration in the running firewalld and in iptables."""
    return node.run(
        # A blank line between zones is missing in 2.5.
        "firewall-cmd --list-all-zones | awk '/^[^ \\t]/ { ours = /^k3s-/ } NF && !ours'; "
        f"{CALL}.direct getAllChains; {CALL}.direct getAllRules; "
        f"{CALL}.ipset getEntries s blocked; "
        "iptables-save | grep -v '^[#:]' | sed 's/^\\[[0-9:]*\\] //'; "
        "iptables-save | grep '^:' | cut -d' ' -f1"
    )


@MODES
def test_runtime_configuration_survives_prepare_and_remove(runtime, mode):
    before = third_party(runtime)
    prepare(runtime, **mode)
    after = third_party(runtime)
    if not mode:
        assert after == before
    for piece in (BAN, "engine0", "172.30.0.0/16", "198.51.100.77", "ENGINE-NAT"):
        assert piece in after
    assert prepare(runtime, **mode)["changed"] is False
    remove(runtime)
    assert third_party(runtime) == before


# Zones


def test_zone_of_the_user_stays_in_force_in_every_mode(node, observer):
    banned, other = observer("server1"), observer("agent1")
    ban = f'rule family="ipv4" source address="{address("server1")}" drop'
    node.run(
        # The second one is within a range of the port table.
        "firewall-cmd -q --permanent --zone=public --add-port=9100/tcp --add-port=10100/tcp && "
        f"firewall-cmd -q --permanent --zone=public --add-rich-rule='{ban}' && "
        "firewall-cmd -q --reload"
    )
    opened = [("tcp", port) for port in (9100, 10250, 10000)]
    for mode in (*BOTH_MODES, UNRESTRICTED):
        prepare(node, **mode)
        seen = banned.nmap(address(NODE), opened)
        assert seen == dict.fromkeys(opened, "filtered")
        # Nobody listens: a closed port is an open path.
        seen = other.nmap(address(NODE), [*opened, ("tcp", 9101)])
        assert seen == {**dict.fromkeys(opened, "closed"), ("tcp", 9101): "filtered"}
    # Between prepare and remove.
    node.run("firewall-cmd -q --permanent --zone=public --add-port=2222/tcp")
    remove(node)
    for permanent in ("", "--permanent"):
        ports = node.run(f"firewall-cmd {permanent} --zone=public --list-ports").split()
        assert {"9100/tcp", "10100/tcp"} <= set(ports) <= {"9100/tcp", "10100/tcp", "2222/tcp"}
    assert "2222/tcp" in ports


def test_settings_removed_from_the_zone_are_removed_from_its_copy(node):
    zone = "firewall-cmd -q --permanent --zone=public"
    node.run(f"{zone} --add-masquerade && {zone} --add-port=9100/tcp && firewall-cmd -q --reload")
    prepare(node, **SEGREGATED)
    copy = node.run("firewall-cmd --zone=k3s-cluster --list-all")
    for setting in ("ports: 9100/tcp", "masquerade: yes"):
        assert setting in copy
    # firewalld 0.9 does not know forward.
    node.run(f"{zone} --remove-masquerade && ({zone} --remove-forward; firewall-cmd -q --reload)")
    assert prepare(node, **SEGREGATED)["changed"] is True
    for permanent in ("", "--permanent"):
        copy = node.run(f"firewall-cmd {permanent} --zone=k3s-cluster --list-all")
        assert "ports: 9100/tcp" in copy
        for setting in ("masquerade: yes", "forward: yes"):
            assert setting not in copy
    assert prepare(node, **SEGREGATED)["changed"] is False


def set_zone(node, zone, running):
    """Set the zone of eth1 and wait for firewalld, which NetworkManager tells of it later."""
    node.run(
        f"nmcli connection modify lab-eth1 connection.zone '{zone}' && "
        f"timeout 60 sh -c 'until {CALL}.zone getZoneOfInterface s eth1 | grep -qw {running}; "
        "do sleep 0.1; done'"
    )


@pytest.mark.parametrize("zone", ["drop", "block"])
def test_nodes_reach_a_nic_in_a_zone_that_admits_nobody(node, observer, zone):
    # SSH uses the other NIC.
    node.run(f"cp -p {PROFILE} /run/profile")
    set_zone(node, zone, zone)
    try:
        prepare(node)
        ports = [("tcp", 443), ("tcp", 8125)]
        seen = observer("server1").nmap(address(NODE, "eth1"), [*ports, ("tcp", 2222)])
        assert seen == {**dict.fromkeys(ports, "closed"), ("tcp", 2222): "filtered"}
    finally:
        set_zone(node, "", "public")
        node.run(f"mv /run/profile {PROFILE} && nmcli connection load {PROFILE}")


def test_sources_bound_to_a_zone_stay_there(node, observer):
    network = node.run("ip -4 route show dev eth0 proto kernel").split()[0]
    pods, services = "10.42.0.0/16", "10.43.0.0/16"
    node.run(
        # As the K3s documentation tells users, and the nodes' own network by the user's choice.
        f"firewall-cmd -q --permanent --zone=trusted --add-source={pods} --add-source={services} "
        f"&& firewall-cmd -q --permanent --zone=internal --add-source={network} "
        "&& firewall-cmd -q --reload"
    )
    ports = [("tcp", 6443), ("tcp", 2379), ("tcp", 10250), ("tcp", 2222)]
    for mode in BOTH_MODES:
        prepare(node, **mode)
        assert prepare(node, **mode)["changed"] is False
        for permanent in ("", "--permanent"):
            sources = node.run(f"firewall-cmd {permanent} --zone=trusted --list-sources").split()
            assert sorted(sources) == [pods, services]
            sources = node.run(f"firewall-cmd {permanent} --zone=internal --list-sources").split()
            assert sources == [network]
        seen = observer("server1").nmap(address(NODE), ports)
        assert seen == {**dict.fromkeys(ports, "closed"), ("tcp", 2222): "filtered"}


# Policies, and what waits for a reload


def test_policy_of_the_user_for_the_zone_of_a_nic_is_refused(node):
    node.run(
        "firewall-cmd -q --permanent --new-policy=admin && "
        "firewall-cmd -q --permanent --policy=admin --add-ingress-zone=public && "
        "firewall-cmd -q --permanent --policy=admin --add-egress-zone=HOST && "
        "firewall-cmd -q --permanent --policy=admin --add-port=2222/tcp && firewall-cmd -q --reload"
    )
    before = node.snapshot()
    told = node.bring_to(wanted(NODE, **SEGREGATED))
    assert "No changes were made. The firewalld policies admin" in told["failed"]
    assert node.snapshot() == before
    prepare(node)


def test_policy_that_waits_for_a_reload_is_refused(node):
    node.run(
        "firewall-cmd -q --permanent --new-policy=strict && "
        "firewall-cmd -q --permanent --policy=strict --set-target=DROP && "
        "firewall-cmd -q --permanent --policy=strict --add-ingress-zone=ANY && "
        "firewall-cmd -q --permanent --policy=strict --add-egress-zone=HOST"
    )
    try:
        before = node.snapshot()
        told = node.bring_to(wanted(NODE))
        for words in (
            "No changes were made",
            "policy strict, which is not running yet, would become active",
        ):
            assert words in told["failed"]
        assert node.snapshot() == before
    finally:
        node.run("firewall-cmd -q --permanent --delete-policy=strict")


def test_pending_zone_change_stays_pending(node):
    node.run("firewall-cmd -q --permanent --zone=public --remove-service=ssh")
    prepare(node)
    assert "ssh" in node.run("firewall-cmd --zone=public --list-services")
    assert "ssh" not in node.run("firewall-cmd --permanent --zone=public --list-services")
    node.run("firewall-cmd -q --permanent --zone=public --add-service=ssh")


# Incomplete or older configuration of this collection


@MODES
def test_remove_after_partial_removal_by_hand_restores_the_node(node, mode):
    before = node.snapshot()
    prepare(node, **mode)
    node.run(
        "firewall-cmd -q --permanent --delete-policy=k3s-from-nodes && "
        "rm -f /etc/firewalld/policies/k3s-overlay.xml && firewall-cmd -q --reload"
    )
    remove(node)
    assert node.snapshot() == before


def test_remove_after_an_upgrade_of_the_port_table_restores_the_node(node):
    before = node.snapshot()
    ends = {"source": ["agent"], "destination": ["server", "agent"]}
    old, new = ({"name": "old", "port": port, "protocol": "tcp", **ends} for port in (7001, 7002))
    for rule, mode in ((old, {}), (new, UNRESTRICTED), (old, SEGREGATED), (new, SEGREGATED)):
        prepare(node, k3s_topology_extra_ports=[rule], **mode)
    remove(node)
    assert node.snapshot() == before
