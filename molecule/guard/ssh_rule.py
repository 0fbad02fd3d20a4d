# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node whose SSH is admitted by nothing but a rule of this collection."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from module_run import ABSENT, Node, policy, shared

ELSEWHERE = "198.51.100.0/24"
REFUSAL = (
    "No changes were made. The change would block Ansible's own SSH connection",
    "to port 22/tcp",
    "It is admitted now by: policy k3s-from-clients",
    "firewall-cmd --permanent --zone=ZONE --add-service=ssh",
)


def with_ssh(sources: Sequence[str] = ()) -> dict[str, Any]:
    """Return a state in which a rule for clients, or for some of them, admits SSH."""
    wanted = shared()
    source = 'family="ipv4" source ipset="k3s-clients" ' if sources else ""
    rule = f'rule {source}port port="22" protocol="tcp" accept'
    wanted["policies"][-1] = policy("k3s-from-clients", 1030, "ANY", [rule])
    if sources:
        clients = {"name": "k3s-clients", "type": "hash:net", "family": "inet"}
        wanted["ipsets"].append({**clients, "entries": list(sources)})
    return wanted


@contextlib.contextmanager
def ssh_by_rule(node: Node) -> Iterator[None]:
    """Remove SSH from the default zone of a node; restore the node without the collection."""
    where = "for where in '' --permanent; do firewall-cmd -q $where"
    service = where + " --zone=public --{}-service=ssh; done"
    node.apply(ABSENT)
    node.apply(with_ssh())
    node.run(service.format("remove"))
    yield
    node.run(service.format("add"))
    node.apply(ABSENT)
    node.run("rm -f /etc/firewalld/zones/public.xml* && firewall-cmd -q --reload")
    assert node.connect()
