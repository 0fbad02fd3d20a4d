# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration of other software that breaks nothing in a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from .cluster import SHARED
from .firewall import ACCEPT, PUBLIC, Rule
from .mutation import Commands, Mutation
from .world import World

_BANNED = "203.0.113.5"
# As the daemon of Docker 24 leaves them, with one container that publishes a port.
_DOCKER = """
*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 18080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
"""
# As fail2ban 1.0 does with banaction nftables.
_FAIL2BAN = (
    "table inet f2b-table { set addr-set-sshd { type ipv4_addr; elements = { "
    f"{_BANNED}, 203.0.113.77 }}; }}; chain f2b-chain {{ type filter hook input priority -1; "
    "policy accept; tcp dport 22 ip saddr @addr-set-sshd reject with icmp port-unreachable; }; }"
)


def docker(world: World) -> Mutation:
    """Docker runs on each node, with the policy DROP in FORWARD."""
    return _on_all_nodes(
        "docker",
        world,
        [
            "ip link add docker0 type bridge; ip address add 172.17.0.1/16 dev docker0",
            f"iptables-restore --noflush <<'EOF'{_DOCKER}EOF",
        ],
        [
            "ip link delete docker0",
            "nft delete table ip filter",
            "nft delete table ip nat",
        ],
    )


def fail2ban(world: World) -> Mutation:
    """fail2ban has banned two addresses from SSH, by nft."""
    return _on_all_nodes(
        "fail2ban", world, [f"nft '{_FAIL2BAN}'"], ["nft delete table inet f2b-table"]
    )


def banned(world: World) -> Mutation:
    """fail2ban has banned an address, by a rich rule in the zone of the NICs."""
    rule = f'rule family="ipv4" source address="{_BANNED}" reject'
    changed = f"firewall-cmd --zone={PUBLIC} --{{}}-rich-rule='{rule}'"
    return _on_all_nodes("banned", world, [changed.format("add")], [changed.format("remove")])


def k3s_ansible(world: World) -> Mutation:
    """k3s-ansible has opened ports in the default zone, and trusts pods and services.

    In a shared topology this opens the ports to external clients as well, which no rule admits: the
    failed checks are true.
    """
    ports = (6443, 10250)
    networks = ("10.42.0.0/16", "10.43.0.0/16")
    options = [f"--zone={PUBLIC} --{{}}-port={port}/tcp" for port in ports]
    options += [f"--zone=trusted --{{}}-source={network}" for network in networks]
    mutation = _on_all_nodes(
        "k3s-ansible",
        world,
        [f"firewall-cmd {one.format('add')}" for one in options],
        [f"firewall-cmd {one.format('remove')}" for one in options],
    )
    if world.cluster.mode != SHARED:
        return mutation
    opened = frozenset(Rule(ACCEPT, "tcp", port, port, option=f"port={port}/tcp") for port in ports)
    firewalls = {
        name: replace(one, rules={**one.rules, PUBLIC: one.rules[PUBLIC] | opened})
        for name, one in world.firewalls.items()
    }
    return replace(mutation, world=replace(world, firewalls=firewalls), harmless=False)


CONFIGURATIONS: tuple[Callable[[World], Mutation], ...] = (docker, fail2ban, banned, k3s_ansible)
BESIDE = (fail2ban, banned)
"""Those that any mutation may have besides."""


def beside(mutation: Mutation, configuration: Mutation) -> Mutation:
    """Return a mutation with a configuration that breaks nothing besides."""
    # A mutation may depend on the order of its machines.
    names = dict.fromkeys((*mutation.breaks, *configuration.breaks))
    reverse = dict.fromkeys((*mutation.mends, *configuration.mends))

    def merged(names: Iterable[str], first: Commands, second: Commands) -> Commands:
        return {name: [*first.get(name, ()), *second.get(name, ())] for name in names}

    return replace(
        mutation,
        text=f"{mutation.text}; with {configuration.kind}",
        breaks=merged(names, configuration.breaks, mutation.breaks),
        mends=merged(reverse, mutation.mends, configuration.mends),
        remedy=None,
    )


def _on_all_nodes(kind: str, world: World, breaks: list[str], mends: list[str]) -> Mutation:
    names = [node.name for node in world.cluster.nodes]
    return Mutation(
        f"healthy-{kind}",
        "all nodes",
        world,
        dict.fromkeys(names, breaks),
        dict.fromkeys(names, mends),
        harmless=True,
        measured=True,
    )
