# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packet filters that a node has reported: validates them, names them, and says what to do. Pure.

What a node reports is not trusted. Its texts are part of commands that a person may run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any, Optional, cast

from ansible_collections.edgeops.k3s_network.plugins.module_utils._packet_filter.chains import (
    ALL,
    HOOKS,
    LONGEST,
    MOST_CHAINS,
    SOME,
    Chain,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._packet_filter.owners import (
    DOCKER,
    FAIL2BAN,
    FIREWALLD,
    OWNERS,
    UFW,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._packet_filter.rules import (
    ACCEPT,
    CONDITIONS,
    DROP,
    UNKNOWN,
    VERDICTS,
    Hit,
    Rule,
)

NFT = "nft"
_TOOLS = (
    NFT,
    *(f"{name}{kind}" for name in ("iptables", "ip6tables") for kind in ("", "-nft", "-legacy")),
)
_FAMILIES = ("ip", "ip6", "inet", "bridge", "netdev")
_MOST_RULES = 400
_MOST_VALUES = 200
_PORTS = 65535
_NUMBERS = 2**32
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*")
_TEXTS = ("tool", "family", "table", "chain", "hook", "policy", "drops", "rule", "rule_chain")
_FILES = {
    NFT: "/etc/nftables.conf or /etc/sysconfig/nftables.conf",
    "iptables": "/etc/iptables/rules.v4, /etc/sysconfig/iptables or a direct rule of firewalld",
    "ip6tables": "/etc/iptables/rules.v6, /etc/sysconfig/ip6tables or a direct rule of firewalld",
}
_COMMANDS = {
    UFW: "ufw disable",
    DOCKER: "docker network ls and docker network inspect name the network that it is for",
    FAIL2BAN: (
        "fail2ban-client unban --all, and add the networks of nodes and pods to ignoreip in "
        "/etc/fail2ban/jail.local"
    ),
    FIREWALLD: (
        "firewall-cmd --direct --get-all-rules names the direct rule; remove it with "
        "firewall-cmd --direct --remove-rule, and again with --permanent"
    ),
    "crowdsec": "cscli decisions list names the decision; cscli decisions delete --ip ADDRESS",
}


def read_chains(given: Any) -> list[Chain]:
    """Return the base chains of the fact C(packet_filters), without those of another form."""
    if not isinstance(given, list):
        return []
    found = [_chain(one) for one in given[:MOST_CHAINS] if isinstance(one, Mapping)]
    return [one for one in found if one]


def read_texts(given: Any) -> list[str]:
    """Return the texts of the fact C(packet_filters_unknown)."""
    if not isinstance(given, list):
        return []
    return [_clean(one) for one in given[:MOST_CHAINS] if isinstance(one, str)]


def title(chain: Chain) -> str:
    """Return how a message names a base chain."""
    devices = f" at {', '.join(chain['devices'])}" if chain["devices"] else ""
    return (
        f"chain {chain['chain']} of table {chain['family']} {chain['table']} "
        f"({chain['tool']}, hook {chain['hook']}{devices})"
    )


def with_hit(chain: Chain, hit: Hit) -> Chain:
    """Return a base chain with the rule that drops a packet."""
    if hit.rule is None:
        named = {"rule": f"policy {chain['policy']}", "owner": chain["policy_owner"], "handle": 0}
    else:
        named = {
            "rule": hit.rule.get("text", ""),
            "owner": hit.rule.get("owner", ""),
            "handle": hit.rule.get("handle", 0),
        }
    return cast(Chain, {**chain, **named, "rule_chain": hit.chain})


def remedy(chain: Chain) -> str:
    """Return what to do about the rule of a base chain that drops packets."""
    owner = chain["owner"]
    if owner == DOCKER and is_policy_of_iptables(chain):
        return (
            "nothing, if pods reach each other once K3s runs, because Flannel's rules accept their "
            f"packets; otherwise: {_command(chain)}"
        )
    if owner in _COMMANDS:
        return _COMMANDS[owner]
    known = f"it is of {owner}; " if owner in OWNERS else ""
    tool = chain["tool"].partition("-")[0]
    return (
        f"{known}accept the cluster's packets before it, or remove it: {_command(chain)}; then "
        f"change what loads it ({_FILES[tool]}, or the software that made it)"
    )


def is_policy_of_iptables(chain: Chain) -> bool:
    """Whether the packets are dropped by the policy of FORWARD, in front of which Flannel accepts.

    Flannel and kube-proxy add rules to this chain, if they use the same variant of iptables.
    """
    return (
        chain["tool"] != NFT
        and (chain["table"], chain["chain"]) == ("filter", "FORWARD")
        and is_policy(chain)
    )


def is_policy(chain: Chain) -> bool:
    """Whether the policy of the base chain drops the packets, and not a rule."""
    return chain["rule"] == f"policy {DROP}"


def _command(chain: Chain) -> str:
    """Return the command that removes the rule, or changes the policy."""
    table, name = chain["table"], chain["rule_chain"]
    if not _NAME.fullmatch(table) or not _NAME.fullmatch(name):
        return f"{chain['tool']} (the name of the table or chain needs quotes)"
    if chain["tool"] == NFT:
        at = f"{chain['family']} {table} {name}"
        if chain["handle"]:
            return f"nft delete rule {at} handle {chain['handle']}"
        if is_policy(chain):
            return f"nft 'chain {at} {{ policy accept; }}'"
        return f"nft -a list chain {at}, and nft delete rule {at} handle NUMBER"
    command = f"{chain['tool']} -t {table}"
    if is_policy(chain):
        return f"{command} -P {name} ACCEPT"
    words = _words(chain["rule"])
    if words[:2] != ["-A", name] or len(chain["rule"]) >= LONGEST:
        return f"{command} -L {name} -n --line-numbers, and {command} -D {name} NUMBER"
    return f"{command} {shlex.join(['-D', *words[1:]])}"


def _words(rule: str) -> list[str]:
    try:
        return shlex.split(rule)
    except ValueError:
        return []


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:LONGEST])


def _chain(given: Mapping[Any, Any]) -> Optional[Chain]:
    texts = {key: given.get(key) for key in (*_TEXTS, "owner", "policy_owner")}
    if not all(isinstance(one, str) for one in texts.values()):
        return None
    cleaned = {key: _clean(str(one)) for key, one in texts.items()}
    numbers = {key: given.get(key) for key in ("priority", "handle")}
    devices = _names(given.get("devices"))
    if (
        cleaned["tool"] not in _TOOLS
        or cleaned["family"] not in _FAMILIES
        or cleaned["hook"] not in HOOKS
        or cleaned["drops"] not in (ALL, SOME)
        or cleaned["policy"] not in (ACCEPT, DROP)
        or devices is None
        or not all(isinstance(one, int) and abs(one) < _NUMBERS for one in numbers.values())
    ):
        return None
    rules = _rules(given.get("rules"), cleaned["chain"])
    return cast(Chain, {**cleaned, **numbers, "devices": devices, "rules": rules})


def _rules(given: Any, first: str) -> dict[str, list[Rule]]:
    """Return the rules of each chain; what cannot be read may drop packets."""
    unreadable = {first: [Rule(verdict=UNKNOWN, text="a rule that cannot be read")]}
    if not isinstance(given, Mapping):
        return unreadable
    found: dict[str, list[Rule]] = {}
    left = _MOST_RULES
    for name, rules in given.items():
        if not isinstance(name, str) or not isinstance(rules, list) or len(rules) > left:
            return unreadable
        left -= len(rules) + 1
        if left < 0:
            return unreadable
        found[_clean(name)] = [_rule(one) for one in rules]
    return found


def _rule(given: Any) -> Rule:
    unreadable = Rule(verdict=UNKNOWN, text="a rule that cannot be read")
    if not isinstance(given, Mapping) or given.get("verdict") not in VERDICTS:
        return unreadable
    rule = Rule(verdict=given["verdict"])
    for key in ("target", "text", "owner"):
        if key in given:
            if not isinstance(given[key], str):
                return unreadable
            rule[key] = _clean(given[key])
    for key in (*CONDITIONS, "negated"):
        if key in given:
            values = _ranges(given[key]) if key == "ports" else _names(given[key])
            if values is None:
                return unreadable
            rule[key] = values  # type: ignore[literal-required]
    for key in ("local", "partial"):
        if key in given:
            rule[key] = bool(given[key])  # type: ignore[literal-required]
    handle = given.get("handle", 0)
    rule["handle"] = handle if isinstance(handle, int) and 0 <= handle < _NUMBERS else 0
    return rule


def _names(given: Any) -> Optional[list[str]]:
    if not isinstance(given, list) or len(given) > _MOST_VALUES:
        return None
    return [_clean(one) for one in given] if all(isinstance(one, str) for one in given) else None


def _ranges(given: Any) -> Optional[list[list[int]]]:
    if not isinstance(given, list) or len(given) > _MOST_VALUES:
        return None
    for one in given:
        if not isinstance(one, list) or len(one) != 2:
            return None
        if not all(isinstance(port, int) and 0 <= port <= _PORTS for port in one):
            return None
    return given
