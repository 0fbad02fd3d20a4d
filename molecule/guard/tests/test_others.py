# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""It owns only what it made: what others have on the node stays, also in the running firewalld."""

from __future__ import annotations

import pytest
from module_run import ABSENT, Node

NODE = "server2"
SEGREGATED = {
    "k3s_topology_mode": "segregated",
    "k3s_topology_cluster_interface": "eth0",
    "k3s_topology_external_interface": "eth1",
}
MODES = pytest.mark.parametrize(
    "extra",
    [
        pytest.param({}, marks=pytest.mark.also_on("bullseye")),
        pytest.param(SEGREGATED, marks=pytest.mark.also_on("trixie")),
    ],
    ids=["shared", "segregated"],
)
BAN = 'rule family="ipv4" source address="198.51.100.66" drop'


def succeed(run):
    assert run.returncode == 0, run.output
    return run


def prepare(playbook, *arguments, **extra):
    return playbook("prepare", "--tags", "firewall", "--limit", NODE, *arguments, **extra)


@pytest.fixture
def node(machine):
    """Hand a node that nothing of ours is on, and take back what a test does to it."""
    # By the module alone, which is quicker than the playbook.
    bare, host = Node(NODE), machine(NODE)
    assert "failed" not in bare.bring_to(ABSENT)
    yield host
    assert "failed" not in bare.bring_to(ABSENT)
    host.run(
        "rm -f /etc/firewalld/zones/*.xml* /etc/firewalld/policies/*.xml* "
        "/etc/firewalld/ipsets/*.xml* /etc/firewalld/direct.xml*; "
        "ip link delete engine0 2>/dev/null; "
        "for table in nat filter; do iptables -t $table -F; iptables -t $table -X; done; "
        "systemctl restart firewalld && firewall-cmd -q --state"
    )


def foreign(node):
    """Return what others have in the running firewalld and in iptables."""
    return node.run(
        # Zones are set apart by blank lines.
        "firewall-cmd --list-all-zones | awk -v RS= '!/^k3s-/'; "
        "firewall-cmd --direct --get-all-chains; "
        "firewall-cmd --direct --get-all-rules; firewall-cmd --ipset=blocked --get-entries; "
        "iptables-save | grep -v '^[#:]' | sed 's/^\\[[0-9:]*\\] //'; "
        "iptables-save | grep '^:' | cut -d' ' -f1"
    )


@MODES
def test_what_runs_only_survives_prepare_and_remove(node, playbook, extra):
    node.run(
        # Permanent, and then other entries in the running one.
        "firewall-cmd -q --permanent --new-ipset=blocked --type=hash:ip && "
        "firewall-cmd -q --reload && "
        "firewall-cmd -q --ipset=blocked --add-entry=198.51.100.77 && "
        f"firewall-cmd -q --zone=public --add-rich-rule='{BAN}' && "
        # A container engine's: an interface and a source in a zone, direct rules, rules of its own.
        "ip link add engine0 type bridge && "
        "firewall-cmd -q --zone=trusted --add-interface=engine0 && "
        "firewall-cmd -q --zone=trusted --add-source=172.30.0.0/16 && "
        "firewall-cmd -q --direct --add-chain ipv4 filter ENGINE && "
        "firewall-cmd -q --direct --add-rule ipv4 filter ENGINE 0 -s 172.30.0.0/16 -j ACCEPT && "
        "iptables -t nat -N ENGINE-NAT && iptables -t nat -I POSTROUTING -j ENGINE-NAT && "
        "iptables -t nat -A ENGINE-NAT -s 172.30.0.0/16 ! -o engine0 -j MASQUERADE"
    )
    before = foreign(node)
    succeed(prepare(playbook, "-v", **extra))
    after = foreign(node)
    if not extra:
        assert after == before
    for piece in (BAN, "engine0", "172.30.0.0/16", "198.51.100.77", "ENGINE-NAT"):
        assert piece in after
    assert succeed(prepare(playbook, **extra)).changed(NODE) == 0
    succeed(playbook("remove", "--limit", NODE))
    assert foreign(node) == before


@pytest.mark.also_on("bullseye")
def test_the_zone_of_the_user_admits_what_it_admitted(node, playbook, machine):
    node.run(
        "firewall-cmd -q --permanent --zone=public --add-port=9100/tcp && firewall-cmd -q --reload"
    )
    for extra in ({}, SEGREGATED):
        succeed(prepare(playbook, **extra))
        seen = machine("server1").nmap(node.address(), [("tcp", 9100), ("tcp", 9101)])
        assert seen[("tcp", 9100)] == "closed", "the path is open, nobody listens"
        assert seen[("tcp", 9101)] == "filtered"


@MODES
def test_a_ban_of_the_user_holds_for_our_ports(node, playbook, machine, extra):
    banned, other = machine("server1"), machine("agent1")
    rule = f'rule family="ipv4" source address="{banned.address()}" drop'
    node.run(f"firewall-cmd -q --zone=public --add-rich-rule='{rule}'")
    succeed(prepare(playbook, **extra))
    ports = [("tcp", 10250), ("tcp", 10000)]
    assert banned.nmap(node.address(), ports) == dict.fromkeys(ports, "filtered")
    assert other.nmap(node.address(), ports) == dict.fromkeys(ports, "closed")


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("DROP", marks=pytest.mark.also_on("bullseye")),
        pytest.param("REJECT", marks=pytest.mark.also_on("trixie")),
    ],
)
def test_nodes_reach_a_nic_in_a_zone_that_lets_nobody_in(node, playbook, machine, target):
    # SSH comes over the other NIC meanwhile.
    zone = {"DROP": "drop", "REJECT": "block"}[target]
    node.run(f"nmcli connection modify lab-eth1 connection.zone {zone}")
    address = node.address("eth1")
    succeed(prepare(playbook))
    ports = [("tcp", 443), ("tcp", 8125)]
    try:
        seen = machine("server1").nmap(address, [*ports, ("tcp", 2222)])
        assert seen == {**dict.fromkeys(ports, "closed"), ("tcp", 2222): "filtered"}
    finally:
        node.run("nmcli connection modify lab-eth1 connection.zone ''")


@MODES
def test_sources_that_are_bound_to_a_zone_stay_there(node, playbook, machine, extra):
    server1 = machine("server1")
    network = node.run("ip -4 route show dev eth0 proto kernel").split()[0]
    node.run(
        # As the K3s documentation tells users, and the nodes' own network by the user's choice.
        "firewall-cmd -q --permanent --zone=trusted --add-source=10.42.0.0/16 && "
        "firewall-cmd -q --permanent --zone=trusted --add-source=10.43.0.0/16 && "
        f"firewall-cmd -q --permanent --zone=internal --add-source={network} && "
        "firewall-cmd -q --reload"
    )
    succeed(prepare(playbook, **extra))
    for permanent in ("", "--permanent"):
        sources = node.run(f"firewall-cmd {permanent} --zone=trusted --list-sources").split()
        assert sorted(sources) == ["10.42.0.0/16", "10.43.0.0/16"]
        sources = node.run(f"firewall-cmd {permanent} --zone=internal --list-sources").split()
        assert sources == [network]
    ports = [("tcp", 6443), ("tcp", 2379), ("tcp", 10250), ("tcp", 2222)]
    seen = server1.nmap(node.address(), ports)
    assert seen == {**dict.fromkeys(ports, "closed"), ("tcp", 2222): "filtered"}
    assert succeed(prepare(playbook, **extra)).changed(NODE) == 0


@pytest.mark.also_on("trixie")
def test_what_waits_for_a_reload_is_not_brought_by_ours(node, playbook):
    node.run(
        "firewall-cmd -q --permanent --new-policy=strict && "
        "firewall-cmd -q --permanent --policy=strict --set-target=DROP && "
        "firewall-cmd -q --permanent --policy=strict --add-ingress-zone=ANY && "
        "firewall-cmd -q --permanent --policy=strict --add-egress-zone=HOST"
    )
    run = prepare(playbook)
    assert run.returncode != 0
    text = " ".join(run.output.split())
    assert "policy strict, which is not running yet, would become active" in text
    assert run.changed(NODE) == 0
    node.run("firewall-cmd -q --permanent --delete-policy=strict")
    # A rule that waits in a zone goes on waiting.
    node.run("firewall-cmd -q --permanent --zone=public --remove-service=ssh")
    succeed(prepare(playbook))
    assert "ssh" in node.run("firewall-cmd --zone=public --list-services")
    assert "ssh" not in node.run("firewall-cmd --permanent --zone=public --list-services")
    node.run("firewall-cmd -q --permanent --zone=public --add-service=ssh")


@pytest.mark.also_on("bullseye")
def test_remove_after_half_of_it_was_removed_by_hand(node, playbook):
    before = node.run(
        "find /etc/firewalld -type f | sort | xargs sha256sum; nft list ruleset | sort"
    )
    for extra in ({}, SEGREGATED):
        succeed(prepare(playbook, **extra))
        node.run(
            "firewall-cmd -q --permanent --delete-policy=k3s-from-nodes && "
            "rm -f /etc/firewalld/policies/k3s-overlay.xml && firewall-cmd -q --reload"
        )
        succeed(playbook("remove", "--limit", NODE))
        node.run("rm -f /etc/firewalld/policies/*.old")
        after = node.run(
            "find /etc/firewalld -type f | sort | xargs sha256sum; nft list ruleset | sort"
        )
        assert after == before


@pytest.mark.also_on("trixie")
def test_remove_after_an_upgrade_of_the_table(node, playbook):
    before = node.run(
        "find /etc/firewalld -type f | sort | xargs sha256sum; nft list ruleset | sort"
    )
    old, new = (
        {
            "name": "old",
            "port": port,
            "protocol": "tcp",
            "source": ["agent"],
            "destination": ["server", "agent"],
        }
        for port in (7001, 7002)
    )
    unrestricted = {"k3s_firewall_restrict_sources": False}
    upgrades = ((old, {}), (new, unrestricted), (old, SEGREGATED), (new, SEGREGATED))
    for row, extra in upgrades:
        succeed(prepare(playbook, k3s_topology_extra_ports=[row], **extra))
    succeed(playbook("remove", "--limit", NODE))
    after = node.run(
        "find /etc/firewalld -type f | sort | xargs sha256sum; nft list ruleset | sort"
    )
    assert after == before
