# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inventories as users have them: of k3s-ansible, static ones, and one that is constructed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from controller import LAB_INVENTORY, Controller, converges

INVENTORIES = Path(__file__).parents[1] / "inventories"
SECRET = "K10f00::server:not-for-any-log"
NODES = ("server1", "server2", "agent1")
# As the sample of k3s-ansible has them.
SAMPLE_ADDRESSES = dict(zip(NODES, ("192.16.35.11", "192.16.35.12", "192.16.35.13")))


@pytest.fixture(scope="module")
def controller():
    with Controller() as one:
        yield one
        assert one.play("prepare", inventory=LAB_INVENTORY).returncode == 0


@pytest.fixture
def sample_machines(machine, controller):
    """Give the machines the addresses of k3s-ansible's sample, and its user."""
    controller.run("ip", "address", "add", "192.16.35.1/24", "dev", "cluster")
    for name, address in SAMPLE_ADDRESSES.items():
        machine(name).run(
            f"ip address add {address}/24 dev eth0 && "
            "useradd --create-home debian && "
            "cp -r ~/.ssh /home/debian/ && chown -R debian: /home/debian/.ssh && "
            "echo 'debian ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/debian"
        )
    yield
    for name, address in SAMPLE_ADDRESSES.items():
        # Its connections are kept open for a while.
        machine(name).run(
            f"ip address del {address}/24 dev eth0; rm /etc/sudoers.d/debian; "
            "pkill -KILL -u debian; userdel --force --remove debian 2>/dev/null; true"
        )
    controller.run("ip", "address", "del", "192.16.35.1/24", "dev", "cluster")


def members(node, ipset="k3s-nodes"):
    return node.run(f"firewall-cmd --ipset={ipset} --get-entries").split()


def test_sample_of_k3s_ansible_as_it_is(machine, controller, sample_machines):
    sample = INVENTORIES / "k3s-ansible" / "inventory-sample.yml"
    before = members(machine("server1"))
    check = controller.play("prepare", "--check", "--diff", inventory=sample)
    assert check.returncode == 0, check.output
    assert "192.16.35.13" in "".join(
        line for line in check.output.splitlines() if line.startswith("+")
    )
    assert members(machine("server1")) == before

    first = converges(controller, inventory=sample)
    assert first.changed() == dict.fromkeys(SAMPLE_ADDRESSES.values(), 1)
    assert members(machine("server1")) == sorted(SAMPLE_ADDRESSES.values())
    assert members(machine("server1"), "k3s-servers") == ["192.16.35.11"]
    assert "changeme!" not in first.output, "its token concerns nobody"


@pytest.fixture
def addresses_of_k3s(request, machine, controller):
    """Give each machine a further address, on a network that only K3s is told."""
    network = request.param
    controller.run("ip", "address", "add", f"{network}.1/24", "dev", "cluster")
    machines = (*NODES, "client1")
    found = {name: f"{network}.{number}" for number, name in enumerate(machines, start=11)}
    for name, address in found.items():
        machine(name).run(f"ip address add {address}/24 dev eth0")
    yield {name: found[name] for name in NODES}
    for name, address in found.items():
        machine(name).run(f"ip address del {address}/24 dev eth0")
    controller.run("ip", "address", "del", f"{network}.1/24", "dev", "cluster")


@pytest.mark.parametrize("addresses_of_k3s", ["10.99.0"], indirect=True)
def test_nodes_have_the_addresses_that_k3s_is_told(machine, controller, addresses_of_k3s, tmp_path):
    told = tmp_path / "k3s.yml"
    groups = {
        "server": {
            "vars": {
                "server_config_yaml": f"token: {SECRET}\nnode-ip: '{{{{ k3s_address }}}}'\n"
                "flannel-iface: eth0\nflannel-backend: wireguard-native\n"
            },
        },
        "agent": {"vars": {"extra_agent_args": "--node-ip {{ k3s_address }} -v 2"}},
        "all": {
            "hosts": {name: {"k3s_address": one} for name, one in addresses_of_k3s.items()},
        },
    }
    told.write_text(yaml.safe_dump(groups))
    sources = [LAB_INVENTORY, told]
    first = converges(controller, ("-vvvv",), inventory=sources)
    assert SECRET not in first.output
    for name in NODES:
        assert members(machine(name)) == sorted(addresses_of_k3s.values())
        rules = machine(name).run("firewall-cmd --info-policy=k3s-from-nodes")
        assert 'port="51820-51821"' in rules
        assert 'port="8472"' not in rules

    refused = controller.play("prepare", "-e", "k3s_topology_node_ip=10.89.0.11", inventory=sources)
    text = " ".join(refused.output.split())
    assert refused.returncode != 0
    assert "k3s_topology_node_ip is 10.89.0.11" in text
    assert "node-ip in server_config_yaml is 10.99.0.11" in text
    assert "node-ip in extra_agent_args is 10.99.0.13" in text


K3S_FILES = f"""
mkdir -p /etc/rancher/k3s &&
cat >/etc/rancher/k3s/config.yaml <<'END' &&
token: {SECRET}
# {SECRET}
flannel-iface: eth0  # {SECRET}
disable:
  - traefik
END
cat >/etc/systemd/system/{{unit}}.service <<'END'
[Service]
Environment=K3S_TOKEN={SECRET}
ExecStart=/usr/local/bin/k3s \\
    {{command}} \\
    '--token' '{SECRET}' \\
    '--node-ip' '{{address}}'
END
"""


@pytest.fixture
def files_of_k3s(machine, addresses_of_k3s):
    """Give the nodes files of K3s as its installation script leaves them."""
    for name, address in addresses_of_k3s.items():
        unit, command = ("k3s-agent", "agent") if name == "agent1" else ("k3s", "server")
        machine(name).run(K3S_FILES.format(unit=unit, command=command, address=address))
    yield
    for name in addresses_of_k3s:
        machine(name).run("rm -r /etc/rancher /etc/systemd/system/k3s*.service")


@pytest.mark.parametrize("addresses_of_k3s", ["10.98.0"], indirect=True)
def test_nodes_have_the_addresses_that_their_files_tell_k3s(
    controller, addresses_of_k3s, files_of_k3s
):
    check = controller.play("prepare", "--check", "--diff", "-vvvv", inventory=LAB_INVENTORY)
    assert check.returncode == 0, check.output
    added = "".join(line for line in check.output.splitlines() if line.startswith("+"))
    assert all(address in added for address in addresses_of_k3s.values())
    assert SECRET not in check.output
    other = ("-e", "k3s_topology_cluster_interface=eth1")
    refused = controller.play("prepare", *other, inventory=LAB_INVENTORY)
    text = " ".join(refused.output.split())
    source = "flannel-iface in /etc/rancher/k3s/config.yaml is eth0"
    assert f"k3s_topology_cluster_interface is eth1, and {source}" in text


def test_static_ini_with_ranges_names_and_variables_that_are_text(
    machine, variables, controller, tmp_path
):
    first = converges(
        controller,
        inventory=INVENTORIES / "ini" / "hosts.ini",
        names={name: variables(name)["ansible_host"] for name in (*NODES, "client1")},
        environment={"REPORT_DIR": str(tmp_path)},
    )
    assert first.changed() == {"server1": 1, "server2": 1, "agent1": 1, "client1": 0}
    node = machine("agent1")
    ports = node.run("firewall-cmd --zone=public --list-ports").split()
    assert "10000-30000/tcp" in ports, "k3s_topology_restrict_sources=false"
    assert {one.name for one in tmp_path.iterdir()} == {"report.html", "report.json", "report.xml"}
    assert 'port="80"' not in node.run("firewall-cmd --info-policy=k3s-from-clients")


def test_static_yaml_with_groups_of_other_names_and_variables_beside_it(machine, controller):
    converges(controller, inventory=INVENTORIES / "yaml" / "hosts.yml")
    rules = machine("agent1").run("firewall-cmd --info-policy=k3s-from-nodes").splitlines()
    exporter = [rule for rule in rules if 'port="9100"' in rule]
    assert len(exporter) == 1
    assert 'ipset="k3s-servers"' in exporter[0]


def test_groups_constructed_of_variables_by_a_second_source(machine, controller):
    sources = [INVENTORIES / "constructed" / name for name in ("machines.yml", "constructed.yml")]
    assert controller.play("prepare", inventory=LAB_INVENTORY).returncode == 0
    run = controller.play("site", inventory=sources)
    assert run.returncode == 0, run.output
    assert "Connectivity ok" in run.output
    # The same cluster by other names: nothing to change.
    assert run.changed() == {"rack1-u01": 0, "rack1-u02": 0, "rack2-u01": 0, "rack9-u01": 0}
