# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which software made a table or chain, by the names that it gives them. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable

UFW, DOCKER, FAIL2BAN, FIREWALLD = "ufw", "docker", "fail2ban", "firewalld"

# Chains and tables of nft, and chains of iptables. The rules in DOCKER-USER are the user's.
_OWNERS = (
    (UFW, re.compile(r"ufw6?-")),
    (FAIL2BAN, re.compile(r"f2b-|fail2ban")),
    (DOCKER, re.compile(r"DOCKER(?!-USER$)|docker-")),
    ("libvirt", re.compile(r"LIBVIRT_|libvirt")),
    ("podman", re.compile(r"NETAVARK|netavark|CNI-ADMIN")),
    ("crowdsec", re.compile(r"CROWDSEC|crowdsec")),
)
OWNERS = frozenset({*(name for name, _pattern in _OWNERS), FIREWALLD})
_KUBERNETES = re.compile(
    r"KUBE-|CNI-(?!ADMIN)|(?:OLD_)?CILIUM_|cali[-:]|kube-|kubernetes|flannel|cilium|calico"
)
# firewalld has a second table while it reloads or is in panic mode.
_FIREWALLD = re.compile(r"firewalld(?:_policy_drop)?")


def owner_of(*names: str) -> str:
    """Return the software that has a table or chain of one of these names, or an empty text."""
    for owner, pattern in _OWNERS:
        if any(pattern.match(name) for name in names):
            return owner
    return ""


def owner_of_policy(hook: str, chains: Iterable[str]) -> str:
    """Return the software that has set the policy of a base chain of iptables, if it is known.

    C(chains) are those that the base chain reaches.
    """
    owners = {owner_of(name) for name in chains}
    if UFW in owners:
        return UFW
    return DOCKER if DOCKER in owners and hook == "forward" else ""


def is_kubernetes(name: str) -> bool:
    """Whether Kubernetes, K3s or a network plugin has a table or chain of that name.

    Flannel's chains of iptables are not among them: they accept the packets of pods.
    """
    return _KUBERNETES.match(name) is not None


def is_firewalld(family: str, table: str) -> bool:
    """Whether a table of nft is firewalld's."""
    return family in ("inet", "ip", "ip6") and _FIREWALLD.fullmatch(table) is not None
