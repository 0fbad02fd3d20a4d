# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ways by which Ansible reaches nodes, several at once: each change is confirmed over the same."""

from __future__ import annotations

import contextlib

import pytest
import yaml
from controller import LAB_INVENTORY, Controller, converges
from ways import BEHIND, JUMP_HOST, SSH_PORT, ULA, WAYS, filled, variables

NUMBERS = {"server1": 11, "server2": 12, "agent1": 13, "client1": 14}
GROUPS = {
    "server": ("server1", "server2"),
    "agent": ("agent1",),
    "external_clients": ("client1",),
}
ROTATED = [
    {
        "server1": ("jump host", "sudo with a password", "hardened"),
        "server2": ("another port", "a Python of its own"),
        "agent1": ("IPv6", "su", "no shared connection"),
        "client1": ("by name", "a Python of its own"),
    },
    {
        "server1": ("another port", "su", "a Python of its own"),
        "server2": ("IPv6", "sudo with a password", "hardened", "a Python of its own"),
        "agent1": ("jump host", "no shared connection"),
        "client1": ("direct", "sudo with a password", "hardened"),
    },
]
ROW = {
    "name": "ssh-elsewhere",
    "port": SSH_PORT,
    "protocol": "tcp",
    "source": ["external"],
    "destination": ["server", "agent"],
}


@pytest.fixture(scope="module")
def controller():
    with Controller() as one:
        yield one


@pytest.fixture
def reached(controller, tmp_path):
    """Make machines reachable by ways, and return what plays need to know; undone afterwards."""
    ipv6 = "/proc/sys/net/ipv6/conf/cluster/disable_ipv6"

    problems = []

    def attempt(run, *arguments):
        """Undo one thing; a failure doesn't keep the others from being undone."""
        try:
            run(*arguments)
        except AssertionError as problem:
            problems.append(str(problem))

    with contextlib.ExitStack() as undo:

        def make(ways):
            hosts = {}
            for name, its_ways in ways.items():
                number = NUMBERS[name]
                address = f"10.89.0.{number}"
                # The port comes last, since nothing gets through to 22 after it.
                for way in sorted(its_ways, key=lambda one: one == "another port"):
                    port = SSH_PORT if way == "another port" else 22
                    undoing = filled(WAYS[way].undo, name, number)
                    controller.ssh(address, filled(WAYS[way].make, name, number))
                    undo.callback(attempt, controller.ssh, address, undoing, port)
                hosts[name] = {"k3s_topology_node_ip": address, **variables(its_ways, name, number)}
            inventory = {
                group: {"hosts": {name: hosts[name] for name in names}}
                for group, names in GROUPS.items()
            }
            path = tmp_path / "inventory.yml"
            path.write_text(yaml.safe_dump(inventory))
            names = {
                f"{name}.cluster.example": f"10.89.0.{number}" for name, number in NUMBERS.items()
            }
            return {"inventory": path, "names": names}

        controller.ssh(JUMP_HOST, f"ip address add {BEHIND}.14/24 dev eth0")
        undo.callback(attempt, controller.ssh, JUMP_HOST, f"ip address del {BEHIND}.14/24 dev eth0")
        # Takes the address as well.
        undo.callback(attempt, controller.run, "sh", "-c", f"echo 1 >{ipv6}")
        controller.run("sh", "-c", f"echo 0 >{ipv6} && ip address add {ULA}:1/64 dev cluster nodad")
        yield make
    assert not problems
    assert controller.play("prepare", inventory=LAB_INVENTORY).returncode == 0


# Each way, and nearly each with pipelining and without.
@pytest.mark.parametrize(
    ("ways", "pipelining"),
    [
        (ROTATED[0], False),
        (ROTATED[1], True),
    ],
    ids=["first", "second-pipelining"],
)
def test_each_way_confirms_its_change_and_is_validated(controller, reached, ways, pipelining):
    plays = {
        **reached(ways),
        "environment": {"ANSIBLE_PIPELINING": str(pipelining)},
    }
    first = converges(controller, ("-v",), **plays, k3s_topology_extra_ports=[ROW])
    assert first.changed() == {"server1": 1, "server2": 1, "agent1": 1, "client1": 0}
    assert first.output.count('"confirmed": true') == 3

    # Whoever has come through the jump host has come from it.
    behind = next(name for name, its_ways in ways.items() if "jump host" in its_ways)
    if "no shared connection" not in ways[behind]:
        node = f"10.89.0.{NUMBERS[behind]}"
        peers = controller.ssh(node, "ss -Htn state established sport = :22")
        assert f"{BEHIND}.{NUMBERS[behind]}:22" in peers
        assert f"{BEHIND}.14:" in peers

    # Only our rule still admits the other port, so it can't be taken away.
    there = next(name for name, its_ways in ways.items() if "another port" in its_ways)
    zone = f"firewall-cmd -q --zone=public --{{}}-port={SSH_PORT}/tcp"
    both = f"{zone} && {zone} --permanent"
    controller.ssh(f"10.89.0.{NUMBERS[there]}", both.format("remove", "remove"), SSH_PORT)
    refused = controller.play("prepare", "--limit", there, **plays)
    controller.ssh(f"10.89.0.{NUMBERS[there]}", both.format("add", "add"), SSH_PORT)
    assert refused.returncode != 0, refused.output
    text = " ".join(refused.output.split())
    assert f"to port {SSH_PORT}/tcp" in text
    assert f"--add-port={SSH_PORT}/tcp" in text
