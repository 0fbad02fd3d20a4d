# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook preflight names what was really broken on nodes, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

NODES = ("server1", "server2", "agent1")
SNAPSHOT = (Path(__file__).parents[2] / "snapshot.sh").read_text()
STATE = "/var/lib/k3s-network/firewalld.json"
GUARD = (
    "table inet guard { chain input { type filter hook input priority 0; policy drop; "
    "ct state established,related accept; tcp dport 22 accept; }; }"
)
REJECTING = (
    "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-p tcp -m tcp --dport 22 -j ACCEPT",
    "-j REJECT --reject-with icmp-host-prohibited",
)


def _each(command: str) -> str:
    """Return a command for each rule of iptables."""
    return "\n".join(command.format(rule=rule) for rule in REJECTING)


TIMER = "/etc/systemd/system/nm-cloud-setup.timer"
BREAK = {
    # firewalld flushes the rules of iptables when it stops.
    "server1": f"""
systemctl stop firewalld.service
{_each("iptables -A INPUT {rule}")}
mount --bind /etc/systemd/system /etc/systemd/system
mount -o remount,bind,ro /etc/systemd/system
""",
    "server2": f"""
mv {STATE} {STATE}.away
firewall-cmd -q --permanent --ipset=k3s-servers --add-entry=192.0.2.99
systemctl enable -q nftables.service
systemd-run -q --unit=preflight-holder python3 -m http.server 6443
ip link set eth0 mtu 9000
ip route add 10.42.7.0/24 dev eth1
cp /etc/machine-id ~/machine-id
""",
    "agent1": f"""
nft '{GUARD}'
systemctl mask -q firewalld.service
printf '[Timer]\\nOnBootSec=1d\\n[Install]\\nWantedBy=timers.target\\n' >{TIMER}
systemctl enable -q nm-cloud-setup.timer
""",
}
MEND = {
    "server1": f"""
{_each("iptables -D INPUT {rule}")}
umount /etc/systemd/system
systemctl start firewalld.service
""",
    "server2": f"""
firewall-cmd -q --permanent --ipset=k3s-servers --remove-entry=192.0.2.99
mv {STATE}.away {STATE}
systemctl disable -q nftables.service
systemctl stop preflight-holder.service
ip link set eth0 mtu 1500
ip route del 10.42.7.0/24 dev eth1
cp ~/machine-id /etc/machine-id
rm ~/machine-id
""",
    "agent1": f"""
nft delete table inet guard
systemctl unmask -q firewalld.service
systemctl disable -q nm-cloud-setup.timer
rm {TIMER}
systemctl daemon-reload
""",
}


def snapshots(machine) -> dict[str, str]:
    return {name: machine(name).run(SNAPSHOT) for name in NODES}


@pytest.fixture
def broken(machine) -> Iterator[None]:
    for name, commands in BREAK.items():
        machine(name).run(f"set -e\n{commands}")
    identity = machine("agent1").run("cat /etc/machine-id").strip()
    machine("server2").run(f"echo {identity} >/etc/machine-id")
    try:
        yield
    finally:
        for name, commands in MEND.items():
            machine(name).run(f"set -e\n{commands}")


def test_a_prepared_cluster_has_no_error(machine, playbook) -> None:
    before = snapshots(machine)
    done = playbook("preflight")
    assert done.returncode == 0, done.output
    assert "Preflight ok" in done.output
    assert "prepare would change" not in done.output
    assert {name: done.changed(name) for name in NODES} == dict.fromkeys(NODES, 0)
    assert snapshots(machine) == before


def test_faults_are_reported_in_one_run_without_changes(machine, playbook, broken) -> None:
    before = snapshots(machine)
    done = playbook("preflight")
    assert done.returncode == 2, done.output
    assert snapshots(machine) == before
    told = " ".join(done.output.split())
    for words in (
        "server2: nftables.service wipes everybody's rules",
        "server2: port 6443/tcp is taken, which kubernetes-api",
        "differs: 1500 (agent1 server1), 9000 (server2)",
        "server2: its route to 10.42.7.0/24 by eth1 takes traffic",
        "agent1, server2: have the same machine-id",
        "agent1: nm-cloud-setup rewrites",
        "agent1: firewalld runs, but is masked",
        "server1: prepare would warn about the firewall: firewalld is not running",
        "server1: /etc/systemd/system is read-only",
        "would create, but did not: ipset k3s-servers",
        "server1: chain INPUT of table ip filter (iptables-nft, hook input) drops etcd",
        "iptables-nft -t filter -D INPUT -j REJECT --reject-with icmp-host-prohibited",
        "agent1: chain input of table inet guard (nft, hook input) drops flannel-vxlan",
        "nft 'chain inet guard input { policy accept; }'",
    ):
        assert words in told, done.output


def test_a_node_that_does_not_answer_is_a_finding(playbook, variables) -> None:
    hosts = {name: dict(variables(name)) for name in NODES}
    hosts["agent1"].update(ansible_port=9, k3s_topology_node_ip="192.0.2.99")
    inventory = {
        "k3s_cluster": {
            "children": {
                "server": {"hosts": {name: hosts[name] for name in NODES[:2]}},
                "agent": {"hosts": {"agent1": hosts["agent1"]}},
            }
        }
    }
    done = playbook("preflight", inventory=inventory)
    assert "agent1: could not be asked" in done.output, done.output
