# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records what this machine's firewalld answers over D-Bus: record_firewalld.py > FILE.

It starts the installed firewalld on a D-Bus, in a network namespace and on an /etc/firewalld of
its own, so the machine's firewalld is not touched. Run it as root. The package's firewalld.conf
has to be in /etc/firewalld.

The unit tests build their firewalld from these recordings (fake_daemon.py) and replay them on
it. Update a recording after a change to the script: run this file on a machine of each suite.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NAME = "org.fedoraproject.FirewallD1"
PATH = "/org/fedoraproject/FirewallD1"
PROPERTIES = "org.freedesktop.DBus.Properties"
ETC = "/etc/firewalld"
SIGNATURES = {"ports": "(ss)", "source_ports": "(ss)", "forward_ports": "(ssss)"}
GETTERS = {"zone": "getZoneByName", "policy": "getPolicyByName", "ipset": "getIPSetByName"}
LISTS = {"zone": "getZoneNames", "policy": "getPolicyNames", "ipset": "getIPSetNames"}
KINDS = ("ipset", "zone", "policy")
CONFIG_PROPERTIES = ("FirewallBackend", "FlushAllOnReload", "DefaultZone", "StrictForwardPorts")


# The script. A step is a call, or a change to the daemon itself ("do").


def call(what, *arguments, on="main"):
    """Call a method; C(what) is its interface without the prefix, and its name."""
    where = {} if on == "main" else {"on": on}
    return {**where, "call": what, "args": list(arguments)}


def config(method, *arguments):
    return call(f"config.{method}", *arguments, on="config")


def permanent(kind, name, method, *arguments):
    """Call a method of an object of the permanent configuration."""
    return call(f"config.{kind}.{method}", *arguments, on=f"{kind} {name}")


def get(interface, name, on="main"):
    return call(f"{PROPERTIES}.Get", NAME + interface, name, on=on)


def do(action):
    return {"do": action}


RESET, RESTART = do("reset"), do("restart")
RELOAD = call("reload")


def saved(kind, name):
    return permanent(kind, name, "getSettings2" if kind == "zone" else "getSettings")


def running(kind, name):
    return {
        "ipset": call("ipset.getIPSetSettings", name),
        "zone": call("zone.getZoneSettings2", name),
        "policy": call("policy.getPolicySettings", name),
    }[kind]


def look(kind, name):
    return [saved(kind, name), running(kind, name)]


def names():
    return [
        *(config(LISTS[kind]) for kind in KINDS),
        call("ipset.getIPSets"),
        call("zone.getZones"),
        call("policy.getPolicies"),
    ]


def active():
    return [call("zone.getActiveZones"), call("policy.getActivePolicies")]


def whole(kind, name):
    """Read what a reload or start made of the configuration."""
    return [
        get("", "state"),
        *names(),
        *active(),
        *look(kind, name),
        *look("ipset", "k3s-kept"),
        *look("zone", "k3s-other"),
        *look("zone", "public"),
        call("getDefaultZone"),
    ]


def create(kind, name, settings):
    return config({"zone": "addZone2", "policy": "addPolicy"}[kind], name, settings)


def update(kind, name, settings):
    return permanent(kind, name, "update2" if kind == "zone" else "update", settings)


def change(kind, name, settings):
    """Change a zone or policy of the running configuration."""
    method = {"zone": "zone.setZoneSettings2", "policy": "policy.setPolicySettings"}[kind]
    return call(method, name, settings)


def ipset(entries, kind="hash:ip", **options):
    return ("", "", "", kind, options or {"family": "inet"}, list(entries))


RULE = 'rule family="ipv4" source ipset="k3s-nodes" port port="{}" protocol="tcp" accept'
POD_RULE = 'rule family="ipv4" source address="10.42.0.0/16" accept'
INPUT = {"ingress_zones": ["ANY"], "egress_zones": ["HOST"]}
ZONE = {
    "target": "default",
    "services": ["ssh"],
    "ports": [("80", "tcp"), ("8000-8010", "udp")],
    "icmp_blocks": [],
    "forward_ports": [],
    "sources": [],
    "rules_str": [],
    "protocols": [],
    "source_ports": [],
    "forward": False,
    "masquerade": False,
    "icmp_block_inversion": False,
    "short": "k3s-cluster",
    "description": "described",
}
POLICY = {
    **INPUT,
    "target": "CONTINUE",
    "priority": 1010,
    "services": [],
    "ports": [],
    "icmp_blocks": [],
    "forward_ports": [],
    "rich_rules": [RULE.format("6443"), RULE.format("10000-30000")],
    "protocols": [],
    "source_ports": [],
    "masquerade": False,
    "short": "k3s-from-nodes",
    "description": "described",
}
NODES = config("addIPSet", "k3s-nodes", ipset(["192.0.2.11", "192.0.2.12"]))
BY_NODES = {**INPUT, "rich_rules": [RULE.format("6443")]}
USERS_OF_NODES = (
    ("policy", "k3s-from-nodes", BY_NODES),
    ("zone", "k3s-cluster", {"interfaces": ["eth9"], "rules_str": [RULE.format("6443")]}),
)

SCRIPT = {
    "unknown names": [
        *(config(getter, "nope") for getter in GETTERS.values()),
        *(running(kind, "nope") for kind in KINDS),
        config("getZoneOfInterface", "nope0"),
        call("zone.getZoneOfInterface", "nope0"),
        config("getZoneOfSource", "192.0.2.0/24"),
        call("getServiceSettings2", "nope"),
        change("zone", "nope", {"ports": []}),
        change("policy", "nope", {"rich_rules": []}),
        call("ipset.setEntries", "nope", []),
        call("ipset.addEntry", "nope", "192.0.2.1"),
        call("ipset.removeEntry", "nope", "192.0.2.1"),
        call("ipset.getEntries", "nope"),
        call("zone.changeZoneOfInterface", "nope", "eth7"),
        call("zone.addInterface", "nope", "eth7"),
        call("zone.removeInterface", "", "eth7"),
        call("zone.removeInterface", "public", "eth7"),
        call("zone.removeInterface", "nope", "eth7"),
        call("setDefaultZone", "nope"),
        get("", "nope"),
        get(".config", "nope", on="config"),
        get(".config.zone", "nope", on="zone public"),
        call("noSuchMethod"),
        call("zone.noSuchMethod"),
    ],
    "ipsets": [
        RESET,
        NODES,
        NODES,
        *names(),
        saved("ipset", "k3s-nodes"),
        running("ipset", "k3s-nodes"),
        RELOAD,
        *names(),
        running("ipset", "k3s-nodes"),
        # The running set.
        call("ipset.addEntry", "k3s-nodes", "192.0.2.13"),
        call("ipset.addEntry", "k3s-nodes", "192.0.2.13"),
        call("ipset.queryEntry", "k3s-nodes", "192.0.2.13"),
        call("ipset.removeEntry", "k3s-nodes", "192.0.2.11"),
        call("ipset.removeEntry", "k3s-nodes", "192.0.2.11"),
        call("ipset.queryEntry", "k3s-nodes", "192.0.2.11"),
        call("ipset.addEntry", "k3s-nodes", "not an address"),
        call("ipset.addEntry", "k3s-nodes", "2001:db8::1"),
        *look("ipset", "k3s-nodes"),
        call("ipset.getEntries", "k3s-nodes"),
        call("ipset.setEntries", "k3s-nodes", ["192.0.2.21", "192.0.2.22"]),
        call("ipset.getEntries", "k3s-nodes"),
        call("ipset.setEntries", "k3s-nodes", ["192.0.2.22", "not an address"]),
        call("ipset.getEntries", "k3s-nodes"),
        call("ipset.setEntries", "k3s-nodes", []),
        *look("ipset", "k3s-nodes"),
        RELOAD,
        running("ipset", "k3s-nodes"),
        # The permanent set.
        permanent("ipset", "k3s-nodes", "addEntry", "192.0.2.13"),
        permanent("ipset", "k3s-nodes", "addEntry", "192.0.2.13"),
        permanent("ipset", "k3s-nodes", "removeEntry", "192.0.2.12"),
        permanent("ipset", "k3s-nodes", "removeEntry", "192.0.2.12"),
        permanent("ipset", "k3s-nodes", "addEntry", "not an address"),
        permanent("ipset", "k3s-nodes", "getEntries"),
        permanent("ipset", "k3s-nodes", "update", ipset(["192.0.2.31", "192.0.2.32"])),
        *look("ipset", "k3s-nodes"),
        permanent("ipset", "k3s-nodes", "update", ipset(["not an address"])),
        permanent("ipset", "k3s-nodes", "update", ipset(["2001:db8::1"])),
        permanent("ipset", "k3s-nodes", "update", ipset(["192.0.2.0/24"], "hash:net")),
        *look("ipset", "k3s-nodes"),
        RELOAD,
        *look("ipset", "k3s-nodes"),
        permanent("ipset", "k3s-nodes", "update", ipset(["2001:db8::1"], family="inet6")),
        RELOAD,
        *look("ipset", "k3s-nodes"),
        # Names and types.
        config("addIPSet", "k3s-bad", ipset([], "hash:nope")),
        config("addIPSet", "k3s-bad", ipset([], nope="1")),
        config("addIPSet", "a name", ipset([])),
        config("addIPSet", "x" * 31, ipset([])),
        config("addIPSet", "x" * 32, ipset([])),
        *names(),
        get(".config.ipset", "builtin", on="ipset k3s-nodes"),
        permanent("ipset", "k3s-nodes", "loadDefaults"),
    ],
    "an entry that nftables may refuse": [
        RESET,
        NODES,
        RELOAD,
        call("ipset.addEntry", "k3s-nodes", "192.0.2.14/32"),
        running("ipset", "k3s-nodes"),
    ],
    "an ipset with entries that overlap": [
        RESET,
        config("addIPSet", "k3s-overlap", ipset(["10.0.0.0/8", "10.1.0.0/16"], "hash:net")),
        RELOAD,
        get("", "state"),
        *names(),
        saved("ipset", "k3s-overlap"),
        *look("zone", "public"),
        *look("policy", "allow-host-ipv6"),
        config("addIPSet", "k3s-other", ipset([])),
        create("zone", "k3s-cluster", {}),
        RESTART,
        get("", "state"),
        *names(),
    ],
    "ipsets of networks": [
        RESET,
        config("addIPSet", "k3s-sources", ipset(["10.0.0.0/8", "192.0.2.1"], "hash:net")),
        config("addIPSet", "k3s-bits", ipset(["10.1.2.3/8"], "hash:net")),
        config("addIPSet", "k3s-all", ipset(["0.0.0.0/0"], "hash:net")),
        config("addIPSet", "k3s-six", ipset(["2001:db8::/32"], "hash:net", family="inet6")),
        RELOAD,
        get("", "state"),
        *(one for name in ("k3s-sources", "k3s-six") for one in look("ipset", name)),
        call("ipset.addEntry", "k3s-sources", "10.1.0.0/16"),
        call("ipset.addEntry", "k3s-sources", "10.0.0.0/8"),
        call("ipset.addEntry", "k3s-sources", "10.0.0.0/7"),
        call("ipset.addEntry", "k3s-sources", "192.0.2.1"),
        call("ipset.addEntry", "k3s-sources", "192.0.2.1/32"),
        call("ipset.addEntry", "k3s-sources", "203.0.113.0/24"),
        call("ipset.addEntry", "k3s-sources", "203.0.113.7"),
        call("ipset.addEntry", "k3s-sources", "198.51.100.0/24"),
        call("ipset.removeEntry", "k3s-sources", "203.0.113.0/24"),
        call("ipset.setEntries", "k3s-sources", ["198.51.100.0/24", "198.51.100.128/25"]),
        call("ipset.getEntries", "k3s-sources"),
        permanent("ipset", "k3s-sources", "addEntry", "10.1.0.0/16"),
        permanent(
            "ipset", "k3s-sources", "update", ipset(["10.0.0.0/8", "10.1.0.0/16"], "hash:net")
        ),
        *look("ipset", "k3s-sources"),
    ],
    "an ipset that is removed": [
        step
        for flush in ("yes", "no")
        for step in (
            RESET,
            call(f"{PROPERTIES}.Set", f"{NAME}.config", "FlushAllOnReload", flush, on="config"),
            get(".config", "FlushAllOnReload", on="config"),
            NODES,
            config("addIPSet", "k3s-other", ipset(["192.0.2.99"])),
            RELOAD,
            call("ipset.addEntry", "k3s-nodes", "192.0.2.13"),
            call("ipset.addEntry", "k3s-other", "192.0.2.98"),
            call("zone.changeZoneOfInterface", "work", "eth7"),
            change("zone", "public", {"ports": [("9", "tcp")]}),
            call("zone.addSource", "trusted", "172.30.0.0/16"),
            permanent("ipset", "k3s-nodes", "remove"),
            permanent("ipset", "k3s-nodes", "remove"),
            *names(),
            RELOAD,
            *names(),
            running("ipset", "k3s-nodes"),
            running("ipset", "k3s-other"),
            call("ipset.getEntries", "k3s-nodes"),
            call("ipset.setEntries", "k3s-nodes", []),
            *active(),
            running("zone", "public"),
            running("zone", "trusted"),
            # As a set of another type, over one that may be left.
            config("addIPSet", "k3s-nodes", ipset(["192.0.2.0/24"], "hash:net")),
            RELOAD,
            get("", "state"),
            running("ipset", "k3s-nodes"),
            RESTART,
            *names(),
            *active(),
            running("ipset", "k3s-nodes"),
        )
    ],
    "bindings after a reload that flushes nothing": [
        RESET,
        call(f"{PROPERTIES}.Set", f"{NAME}.config", "FlushAllOnReload", "no", on="config"),
        create("zone", "k3s-cluster", {}),
        permanent("zone", "work", "addInterface", "eth9"),
        RELOAD,
        call("zone.changeZoneOfInterface", "k3s-cluster", "eth7"),
        call("zone.addInterface", "", "eth8"),
        *active(),
        RELOAD,
        *active(),
        permanent("zone", "work", "removeInterface", "eth9"),
        permanent("zone", "home", "addInterface", "eth9"),
        permanent("zone", "home", "addInterface", "eth7"),
        RELOAD,
        *active(),
        permanent("zone", "home", "removeInterface", "eth7"),
        permanent("zone", "k3s-cluster", "remove"),
        RELOAD,
        *active(),
        call("zone.changeZoneOfInterface", "work", "eth10"),
        create("zone", "k3s-cluster", {}),
        RELOAD,
        call("zone.changeZoneOfInterface", "k3s-cluster", "eth10"),
        permanent("zone", "k3s-cluster", "remove"),
        RELOAD,
        call("zone.getZoneOfInterface", "eth10"),
        *active(),
    ],
    "permanent zones": [
        RESET,
        create("zone", "k3s-cluster", ZONE),
        create("zone", "k3s-cluster", ZONE),
        create("zone", "k3s-pods", {}),
        create("zone", "k3s-partly", {"target": "ACCEPT", "sources": ["10.42.0.0/16"]}),
        *names(),
        *(saved("zone", name) for name in ("k3s-cluster", "k3s-pods", "k3s-partly")),
        running("zone", "k3s-cluster"),
        call("zone.changeZoneOfInterface", "k3s-cluster", "eth7"),
        get(".config.zone", "builtin", on="zone k3s-cluster"),
        get(".config.zone", "default", on="zone k3s-cluster"),
        get(".config.zone", "builtin", on="zone public"),
        get(".config.zone", "default", on="zone public"),
        # What is left out stays.
        update("zone", "k3s-cluster", {"ports": [("443", "tcp")]}),
        saved("zone", "k3s-cluster"),
        update("zone", "k3s-cluster", {}),
        update("zone", "k3s-cluster", {"services": [], "ports": [], "short": ""}),
        saved("zone", "k3s-cluster"),
        update("zone", "k3s-cluster", {"forward": True, "masquerade": True}),
        saved("zone", "k3s-cluster"),
        update("zone", "k3s-cluster", {"forward": False, "masquerade": False}),
        update("zone", "k3s-cluster", {"icmp_block_inversion": True, "target": "DROP"}),
        saved("zone", "k3s-cluster"),
        update("zone", "k3s-cluster", {"icmp_block_inversion": False, "target": "default"}),
        saved("zone", "k3s-cluster"),
        update("zone", "k3s-cluster", {"ingress_priority": 10, "egress_priority": 20}),
        saved("zone", "k3s-cluster"),
        update("zone", "k3s-cluster", {"ports": [("444", "tcp")]}),
        saved("zone", "k3s-cluster"),
        update("zone", "k3s-cluster", {"ingress_priority": 0}),
        saved("zone", "k3s-cluster"),
        update("zone", "k3s-cluster", {"egress_priority": 0}),
        *look("zone", "k3s-cluster"),
        RELOAD,
        *names(),
        *look("zone", "k3s-cluster"),
        running("zone", "k3s-partly"),
        *active(),
        # What is refused.
        update("zone", "k3s-cluster", {"nope": True}),
        update("zone", "k3s-cluster", {"target": "NOPE"}),
        update("zone", "k3s-cluster", {"services": ["nope"]}),
        update("zone", "k3s-cluster", {"ports": [("99999", "tcp")]}),
        update("zone", "k3s-cluster", {"ports": [("80", "nope")]}),
        update("zone", "k3s-cluster", {"ports": [("80", "tcp"), ("70-90", "tcp")]}),
        update("zone", "k3s-cluster", {"rules_str": ["no rule"]}),
        update("zone", "k3s-cluster", {"rules_str": [RULE.format("1")]}),
        update("zone", "k3s-cluster", {"sources": ["nope"]}),
        update("zone", "k3s-cluster", {"sources": ["10.42.0.0/16"]}),
        saved("zone", "k3s-cluster"),
        create("zone", "k" * 17, {}),
        create("zone", "k" * 18, {}),
        create("zone", "a zone", {}),
        create("zone", "k3s-bad", {"nope": True}),
        create("zone", "k3s-bad", {"ports": [("99999", "tcp")]}),
        create("zone", "k3s-bad", {"sources": ["10.42.0.0/16"]}),
        permanent("zone", "k3s-cluster", "loadDefaults"),
        *names(),
        # Removal.
        permanent("zone", "k3s-cluster", "remove"),
        permanent("zone", "k3s-cluster", "remove"),
        running("zone", "k3s-cluster"),
        RELOAD,
        *names(),
        running("zone", "k3s-cluster"),
    ],
    "a zone of the distribution": [
        RESET,
        permanent("zone", "public", "remove"),
        permanent("zone", "public", "loadDefaults"),
        permanent("zone", "public", "setPorts", [("80", "tcp"), ("443", "tcp")]),
        *look("zone", "public"),
        get(".config.zone", "builtin", on="zone public"),
        get(".config.zone", "default", on="zone public"),
        RELOAD,
        *look("zone", "public"),
        get(".config.zone", "builtin", on="zone public"),
        permanent("zone", "public", "remove"),
        permanent("zone", "public", "loadDefaults"),
        saved("zone", "public"),
        get(".config.zone", "builtin", on="zone public"),
        get(".config.zone", "default", on="zone public"),
        permanent("zone", "public", "loadDefaults"),
        running("zone", "public"),
        permanent("zone", "public", "setPorts", [("80", "tcp")]),
        RESTART,
        *look("zone", "public"),
        get(".config.zone", "builtin", on="zone public"),
        get(".config.zone", "default", on="zone public"),
        permanent("zone", "public", "loadDefaults"),
        *look("zone", "public"),
        get(".config.zone", "builtin", on="zone public"),
        RELOAD,
        running("zone", "public"),
        update("zone", "public", {"ports": []}),
        get(".config.zone", "builtin", on="zone public"),
        saved("zone", "public"),
        permanent("zone", "public", "setPorts", [("99999", "tcp")]),
        permanent("zone", "public", "setPorts", []),
        permanent("zone", "public", "loadDefaults"),
        saved("zone", "public"),
    ],
    "permanent interfaces and sources": [
        RESET,
        create("zone", "k3s-pods", {}),
        permanent("zone", "k3s-pods", "addInterface", "cni0"),
        permanent("zone", "k3s-pods", "addInterface", "cni0"),
        permanent("zone", "work", "addInterface", "cni0"),
        config("getZoneOfInterface", "cni0"),
        update("zone", "work", {"interfaces": ["cni0"]}),
        update("zone", "k3s-pods", {"interfaces": ["cni0", "flannel.1"]}),
        update("zone", "k3s-pods", {"ports": []}),
        saved("zone", "k3s-pods"),
        update("zone", "k3s-pods", {"interfaces": ["a name that is too long"]}),
        update("zone", "k3s-pods", {"sources": ["10.42.0.0/16", "ipset:nope"]}),
        update("zone", "k3s-pods", {"sources": ["10.42.0.0/16"]}),
        update("zone", "work", {"sources": ["10.42.0.0/16"]}),
        config("getZoneOfSource", "10.42.0.0/16"),
        call("zone.getZoneOfInterface", "cni0"),
        *active(),
        RELOAD,
        call("zone.getZoneOfInterface", "cni0"),
        call("zone.getZoneOfInterface", "flannel.1"),
        *active(),
        *look("zone", "k3s-pods"),
        permanent("zone", "k3s-pods", "removeInterface", "cni0"),
        permanent("zone", "k3s-pods", "removeInterface", "cni0"),
        config("getZoneOfInterface", "cni0"),
        RELOAD,
        # A running binding survives.
        call("zone.getZoneOfInterface", "cni0"),
        *active(),
        permanent("zone", "k3s-pods", "remove"),
        RELOAD,
        call("zone.getZoneOfInterface", "cni0"),
        call("zone.getZoneOfInterface", "flannel.1"),
        *active(),
        RESTART,
        call("zone.getZoneOfInterface", "cni0"),
        *active(),
    ],
    "running zones": [
        RESET,
        create("zone", "k3s-cluster", ZONE),
        create("zone", "k3s-external", {}),
        RELOAD,
        *active(),
        call("zone.addInterface", "k3s-cluster", "eth7"),
        call("zone.addInterface", "k3s-cluster", "eth7"),
        call("zone.addInterface", "k3s-external", "eth7"),
        *active(),
        call("zone.getZoneOfInterface", "eth7"),
        config("getZoneOfInterface", "eth7"),
        *look("zone", "k3s-cluster"),
        call("zone.changeZoneOfInterface", "k3s-external", "eth7"),
        call("zone.changeZoneOfInterface", "k3s-external", "eth7"),
        call("zone.getZoneOfInterface", "eth7"),
        call("zone.removeInterface", "k3s-cluster", "eth7"),
        call("zone.removeInterface", "k3s-external", "eth7"),
        call("zone.getZoneOfInterface", "eth7"),
        call("zone.addInterface", "", "eth8"),
        call("zone.getZoneOfInterface", "eth8"),
        call("zone.changeZoneOfInterface", "k3s-cluster", "eth8"),
        call("zone.changeZoneOfInterface", "", "eth8"),
        call("zone.getZoneOfInterface", "eth8"),
        *active(),
        call("zone.removeInterface", "", "eth8"),
        call("zone.changeZoneOfInterface", "k3s-cluster", "eth9"),
        call("zone.addSource", "k3s-cluster", "198.51.100.0/24"),
        call("zone.addSource", "k3s-cluster", "198.51.100.0/24"),
        call("zone.addSource", "work", "198.51.100.0/24"),
        call("zone.addSource", "work", "nope"),
        call("zone.addSource", "trusted", "172.30.0.0/16"),
        call("zone.getZoneOfSource", "198.51.100.0/24"),
        *active(),
        call("zone.removeSource", "trusted", "172.30.0.0/16"),
        call("zone.removeSource", "trusted", "172.30.0.0/16"),
        # Settings.
        change("zone", "k3s-cluster", {"ports": [("443", "tcp")]}),
        *look("zone", "k3s-cluster"),
        change("zone", "k3s-cluster", {}),
        change("zone", "k3s-cluster", {"services": ["ssh", "http"], "masquerade": True}),
        change("zone", "k3s-cluster", {"forward": True, "icmp_block_inversion": True}),
        running("zone", "k3s-cluster"),
        change("zone", "k3s-cluster", {"forward": False, "masquerade": False}),
        change("zone", "k3s-cluster", {"rules_str": [POD_RULE], "icmp_block_inversion": False}),
        running("zone", "k3s-cluster"),
        change("zone", "k3s-cluster", {"sources": ["198.51.100.0/24", "203.0.113.0/24"]}),
        change("zone", "work", {"sources": ["203.0.113.0/24"]}),
        change("zone", "k3s-cluster", {"interfaces": ["eth9", "eth10"]}),
        change("zone", "work", {"interfaces": ["eth9"]}),
        running("zone", "k3s-cluster"),
        *active(),
        change("zone", "k3s-cluster", {"ports": [], "services": [], "rules_str": []}),
        change("zone", "k3s-cluster", {"sources": [], "interfaces": []}),
        running("zone", "k3s-cluster"),
        change("zone", "k3s-cluster", {"target": "ACCEPT"}),
        change("zone", "k3s-cluster", {"target": "default"}),
        change("zone", "k3s-cluster", {"short": "short"}),
        change("zone", "k3s-cluster", {"ingress_priority": 5}),
        change("zone", "k3s-cluster", {"nope": True}),
        change("zone", "k3s-cluster", {"services": ["nope"]}),
        change("zone", "k3s-cluster", {"ports": [("99999", "tcp")]}),
        change("zone", "k3s-cluster", {"rules_str": ["no rule"]}),
        change("zone", "k3s-cluster", {"rules_str": [RULE.format("1")]}),
        change("zone", "k3s-cluster", {"sources": ["nope"]}),
        *look("zone", "k3s-cluster"),
        change("zone", "k3s-cluster", {"ports": [("82", "tcp")]}),
        RELOAD,
        running("zone", "k3s-cluster"),
        *active(),
    ],
    "permanent policies": [
        RESET,
        create("policy", "k3s-from-nodes", POLICY),
        NODES,
        create("policy", "k3s-from-nodes", POLICY),
        create("policy", "k3s-from-nodes", POLICY),
        create("policy", "k3s-partly", INPUT),
        create("policy", "k3s-empty", {}),
        *names(),
        *(saved("policy", name) for name in ("k3s-from-nodes", "k3s-partly", "k3s-empty")),
        running("policy", "k3s-from-nodes"),
        get(".config.policy", "builtin", on="policy k3s-partly"),
        # What is left out stays.
        update("policy", "k3s-partly", {"rich_rules": [POD_RULE], "priority": 5}),
        update("policy", "k3s-partly", {"target": "ACCEPT"}),
        saved("policy", "k3s-partly"),
        update("policy", "k3s-partly", {"rich_rules": [], "masquerade": False}),
        update("policy", "k3s-partly", {"priority": -1, "target": "CONTINUE"}),
        saved("policy", "k3s-partly"),
        update("policy", "k3s-partly", {"disable": True}),
        saved("policy", "k3s-partly"),
        update("policy", "k3s-partly", {"ports": [("1", "tcp")]}),
        saved("policy", "k3s-partly"),
        update("policy", "k3s-partly", {"disable": False, "ports": []}),
        saved("policy", "k3s-partly"),
        RELOAD,
        *names(),
        *active(),
        *look("policy", "k3s-from-nodes"),
        *look("policy", "k3s-partly"),
        running("policy", "k3s-empty"),
        # Disabled ones.
        update("policy", "k3s-partly", {"disable": True}),
        RELOAD,
        *names(),
        *active(),
        *look("policy", "k3s-partly"),
        update("policy", "k3s-partly", {"disable": False}),
        # What is refused.
        update("policy", "k3s-partly", {"priority": 0}),
        update("policy", "k3s-partly", {"priority": 99999}),
        update("policy", "k3s-partly", {"nope": True}),
        update("policy", "k3s-partly", {"target": "NOPE"}),
        update("policy", "k3s-partly", {"services": ["nope"]}),
        update("policy", "k3s-partly", {"ports": [("99999", "tcp")]}),
        update("policy", "k3s-partly", {"rich_rules": ["no rule"]}),
        update("policy", "k3s-partly", {"rich_rules": [RULE.format("1").replace("nodes", "nope")]}),
        update("policy", "k3s-partly", {"ingress_zones": ["nope"]}),
        update("policy", "k3s-partly", {"ingress_zones": ["HOST"], "egress_zones": ["HOST"]}),
        update("policy", "k3s-partly", {"ingress_zones": ["ANY", "public"]}),
        update("policy", "k3s-partly", {"ingress_zones": ["public", "work"]}),
        *look("policy", "k3s-partly"),
        create("policy", "k" * 17, INPUT),
        create("policy", "k" * 18, INPUT),
        create("policy", "a policy", INPUT),
        create("policy", "public", INPUT),
        create("policy", "k3s-bad", {**INPUT, "ingress_zones": ["nope"]}),
        create("policy", "k3s-bad", {**INPUT, "nope": True}),
        create("zone", "k3s-partly", {}),
        permanent("policy", "k3s-partly", "loadDefaults"),
        *names(),
        permanent("policy", "k3s-partly", "remove"),
        permanent("policy", "k3s-partly", "remove"),
        permanent("policy", "allow-host-ipv6", "remove"),
        running("policy", "k3s-partly"),
        RELOAD,
        *names(),
        running("policy", "k3s-partly"),
        update("policy", "allow-host-ipv6", {"priority": -14999}),
        get(".config.policy", "builtin", on="policy allow-host-ipv6"),
        permanent("policy", "allow-host-ipv6", "loadDefaults"),
        saved("policy", "allow-host-ipv6"),
    ],
    "running policies": [
        RESET,
        NODES,
        create("policy", "k3s-from-nodes", POLICY),
        RELOAD,
        change("policy", "k3s-from-nodes", {"rich_rules": [RULE.format("6443")]}),
        *look("policy", "k3s-from-nodes"),
        change("policy", "k3s-from-nodes", {}),
        change("policy", "k3s-from-nodes", {"rich_rules": [POD_RULE], "ports": [("1", "tcp")]}),
        change("policy", "k3s-from-nodes", {"services": ["ssh"], "masquerade": False}),
        running("policy", "k3s-from-nodes"),
        change("policy", "k3s-from-nodes", {"rich_rules": [], "ports": [], "services": []}),
        running("policy", "k3s-from-nodes"),
        change("policy", "k3s-from-nodes", {"ingress_zones": ["public", "work"]}),
        *look("policy", "k3s-from-nodes"),
        *active(),
        change("policy", "k3s-from-nodes", {"ingress_zones": ["nope"]}),
        running("policy", "k3s-from-nodes"),
        change("policy", "k3s-from-nodes", {"ingress_zones": ["ANY"]}),
        running("policy", "k3s-from-nodes"),
        change("policy", "k3s-from-nodes", {"priority": 7}),
        change("policy", "k3s-from-nodes", {"target": "ACCEPT"}),
        change("policy", "k3s-from-nodes", {"disable": True}),
        change("policy", "k3s-from-nodes", {"short": "short"}),
        change("policy", "k3s-from-nodes", {"nope": True}),
        change("policy", "k3s-from-nodes", {"services": ["nope"]}),
        change("policy", "k3s-from-nodes", {"ports": [("99999", "tcp")]}),
        change("policy", "k3s-from-nodes", {"rich_rules": ["no rule"]}),
        change(
            "policy", "k3s-from-nodes", {"rich_rules": [RULE.format("1").replace("nodes", "nope")]}
        ),
        running("policy", "k3s-from-nodes"),
        RELOAD,
        running("policy", "k3s-from-nodes"),
    ],
    "removal of what a policy names": [
        RESET,
        NODES,
        create("zone", "k3s-cluster", {}),
        create(
            "policy",
            "k3s-from-nodes",
            {**INPUT, "ingress_zones": ["k3s-cluster"], "rich_rules": [RULE.format("6443")]},
        ),
        RELOAD,
        call("zone.changeZoneOfInterface", "k3s-cluster", "eth7"),
        *active(),
        permanent("zone", "k3s-cluster", "remove"),
        permanent("ipset", "k3s-nodes", "remove"),
        *names(),
        RELOAD,
        get("", "state"),
        *names(),
        permanent("policy", "k3s-from-nodes", "remove"),
        RELOAD,
        get("", "state"),
        *names(),
        *active(),
    ],
    "reload after the removal of an ipset in use": [
        step
        for flush, (kind, name, settings) in (
            ("yes", USERS_OF_NODES[0]),
            ("no", USERS_OF_NODES[0]),
            ("yes", USERS_OF_NODES[1]),
            # Not active: no interface is in the zone.
            ("yes", ("policy", "k3s-from-nodes", {**BY_NODES, "ingress_zones": ["work"]})),
        )
        for step in (
            RESET,
            call(f"{PROPERTIES}.Set", f"{NAME}.config", "FlushAllOnReload", flush, on="config"),
            NODES,
            config("addIPSet", "k3s-kept", ipset(["192.0.2.99"])),
            create("zone", "k3s-other", {"interfaces": ["eth8"], "ports": [("81", "tcp")]}),
            create(kind, name, settings),
            RELOAD,
            *active(),
            permanent("ipset", "k3s-nodes", "remove"),
            RELOAD,
            *whole(kind, name),
            RELOAD,
            get("", "state"),
            # What the daemon accepts in this state, and what it makes of it.
            update("zone", "k3s-other", {"services": ["ssh"]}),
            saved("zone", "k3s-other"),
            permanent("ipset", "k3s-kept", "addEntry", "192.0.2.98"),
            saved("ipset", "k3s-kept"),
            permanent("ipset", "k3s-kept", "update", ipset(["192.0.2.97"])),
            permanent(kind, name, "remove"),
            RELOAD,
            *whole(kind, name),
            RESTART,
            *whole(kind, name),
        )
    ],
    "start after the removal of an ipset in use": [
        step
        for kind, name, settings in USERS_OF_NODES
        for step in (
            RESET,
            NODES,
            config("addIPSet", "k3s-kept", ipset(["192.0.2.99"])),
            create("zone", "k3s-other", {"interfaces": ["eth8"], "ports": [("81", "tcp")]}),
            create(kind, name, settings),
            permanent("ipset", "k3s-nodes", "remove"),
            RESTART,
            *whole(kind, name),
            permanent(kind, name, "remove"),
            RELOAD,
            *whole(kind, name),
        )
    ],
    "reload after the removal of a zone in use": [
        step
        for end in ("ingress_zones", "egress_zones")
        for step in (
            RESET,
            create("zone", "k3s-cluster", {}),
            create(
                "policy",
                "k3s-from-nodes",
                {
                    **POLICY,
                    "rich_rules": [POD_RULE],
                    "ports": [("1", "tcp")],
                    end: ["k3s-cluster"],
                },
            ),
            RELOAD,
            permanent("zone", "k3s-cluster", "remove"),
            RELOAD,
            get("", "state"),
            *names(),
            running("policy", "k3s-from-nodes"),
            permanent("policy", "k3s-from-nodes", "remove"),
            RELOAD,
            get("", "state"),
            *names(),
        )
    ],
    "direct rules": [
        RESET,
        *(call(f"direct.{method}") for method in ("getAllChains", "getAllRules")),
        call("direct.getAllPassthroughs"),
        call("direct.addChain", "ipv4", "filter", "ENGINE"),
        call("direct.addChain", "ipv4", "filter", "ENGINE"),
        call("direct.addRule", "ipv4", "filter", "ENGINE", 0, ["-s", "172.30.0.0/16"]),
        call("direct.addRule", "ipv4", "filter", "ENGINE", 0, ["-s", "172.30.0.0/16"]),
        call("direct.addRule", "nope", "filter", "ENGINE", 0, ["-s", "172.30.0.0/16"]),
        call("direct.addPassthrough", "ipv4", ["-A", "ENGINE", "-s", "172.31.0.0/16"]),
        *(call(f"direct.{method}") for method in ("getAllChains", "getAllRules")),
        call("direct.getAllPassthroughs"),
        call("direct.removeRule", "ipv4", "filter", "ENGINE", 0, ["-s", "172.30.0.0/16"]),
        call("direct.removeRule", "ipv4", "filter", "ENGINE", 0, ["-s", "172.30.0.0/16"]),
        call("direct.removePassthrough", "ipv4", ["-A", "ENGINE", "-s", "172.31.0.0/16"]),
        call("direct.removePassthrough", "ipv4", ["-A", "ENGINE", "-s", "172.31.0.0/16"]),
        call("direct.removeChain", "ipv4", "filter", "ENGINE"),
        call("direct.removeChain", "ipv4", "filter", "ENGINE"),
        call("direct.addChain", "ipv4", "filter", "ENGINE"),
        RELOAD,
        call("direct.getAllChains"),
    ],
    "state and default zone": [
        RESET,
        call("queryPanicMode"),
        call("enablePanicMode"),
        call("queryPanicMode"),
        call("disablePanicMode"),
        call("queryPanicMode"),
        call("zone.addInterface", "", "eth7"),
        call("setDefaultZone", "work"),
        call("getDefaultZone"),
        call("zone.getZoneOfInterface", "eth7"),
        *active(),
        RELOAD,
        call("getDefaultZone"),
        *active(),
        call("setDefaultZone", "public"),
        RESTART,
        call("getDefaultZone"),
        get("", "state"),
    ],
}


class Daemon:
    """A firewalld on a D-Bus, in namespaces and on an /etc/firewalld of its own."""

    def __init__(self, directory):
        self._etc = Path(directory) / "etc"
        self._etc.mkdir()
        shutil.copy(f"{ETC}/firewalld.conf", directory)
        self._stock = Path(directory) / "firewalld.conf"
        for command in (
            ["mount", "--bind", str(self._etc), ETC],
            # A firewalld of this name is running on the machine.
            ["mount", "-t", "tmpfs", "tmpfs", "/run"],
            ["mount", "-t", "tmpfs", "tmpfs", "/var/log"],
            ["ip", "link", "set", "lo", "up"],
        ):
            subprocess.run(command, check=True)
        self._address = f"unix:path={directory}/bus"
        configuration = Path(directory) / "bus.conf"
        configuration.write_text(
            f"<busconfig><listen>{self._address}</listen><auth>EXTERNAL</auth>"
            '<policy context="default"><allow user="*"/><allow own="*"/>'
            '<allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>'
        )
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = self._address
        self._log = open(f"{directory}/log", "w")  # noqa: SIM115
        self._bus = self._run(["dbus-daemon", f"--config-file={configuration}", "--nofork"])
        while not os.path.exists(f"{directory}/bus"):
            time.sleep(0.05)
        self._process = None
        self.connection = None

    def _run(self, command):
        return subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def start(self):
        import dbus  # noqa: PLC0415

        self._process = self._run(["/usr/sbin/firewalld", "--nofork", "--nopid"])
        if self.connection is None:
            self.connection = dbus.SystemBus()
        for _attempt in range(300):
            if self.connection.name_has_owner(NAME):
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise SystemExit(f"firewalld does not start: {Path(self._log.name).read_text()}")

    def stop(self):
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)

    def restart(self):
        self.stop()
        self.start()

    def reset(self):
        """Start from an empty configuration."""
        self.stop()
        for path in self._etc.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copy(self._stock, self._etc)
        for name in ("helpers", "icmptypes", "ipsets", "policies", "services", "zones"):
            (self._etc / name).mkdir()
        self.start()

    def end(self):
        self.stop()
        self._bus.terminate()
        self._bus.wait()


class Player:
    """Plays steps, and notes the answers."""

    def __init__(self, daemon):
        self._daemon = daemon

    def play(self, step):
        """Return a step with its answer or error."""
        import dbus  # noqa: PLC0415

        if "do" in step:
            getattr(self._daemon, step["do"])()
            return step
        interface, _dot, method = step["call"].rpartition(".")
        if not interface.startswith("org."):
            interface = f"{NAME}.{interface}" if interface else NAME
        try:
            target = getattr(self._object(step.get("on", "main")), method)
            arguments = [to_dbus(one) for one in step["args"]]
            answer = target(*arguments, dbus_interface=interface, timeout=60)
        except dbus.exceptions.DBusException as error:
            return {**step, "error": [error.get_dbus_name(), one_line(error)]}
        return {**step, "answer": to_json(answer)}

    def _object(self, name):
        bus, owner = self._daemon.connection, NAME
        if name == "main":
            return bus.get_object(owner, PATH, introspect=False)
        config_object = bus.get_object(owner, f"{PATH}/config", introspect=False)
        if name == "config":
            return config_object
        kind, _space, name = name.partition(" ")
        getter = getattr(config_object, GETTERS[kind])
        path = getter(name, dbus_interface=f"{NAME}.config")
        return bus.get_object(owner, path, introspect=False)


def one_line(error):
    """Return what an error says, without a traceback, and without the JSON given to nftables."""
    lines = [line for line in (error.get_dbus_message() or "").splitlines() if line.strip()] or [""]
    return lines[-1] if lines[0].startswith("Traceback") else lines[0]


def to_dbus(value, key=""):
    """Turn plain values into what D-Bus can send; an empty list has no type of its own."""
    import dbus  # noqa: PLC0415

    if isinstance(value, tuple):
        if len(value) == 6:
            *texts, options, entries = value
            parts = (*texts, dbus.Dictionary(options, signature="ss"), to_dbus(entries))
            return dbus.Struct(parts, signature="ssssa{ss}as")
        return dbus.Struct(value)
    if isinstance(value, list):
        signature = SIGNATURES.get(key, "s")
        if value and isinstance(value[0], tuple):
            signature = SIGNATURES["ports"] if len(value[0]) == 2 else "(ssss)"
        return dbus.Array([to_dbus(one) for one in value], signature=signature)
    if isinstance(value, dict):
        items = {name: to_dbus(one, name) for name, one in value.items()}
        return dbus.Dictionary(items, signature="sv")
    return value


def to_json(value):
    """Turn a value into what JSON holds. Arrays are sorted, since firewalld keeps some in sets."""
    kind = type(value).__name__
    if kind == "ObjectPath":
        # The numbers of objects count what was loaded before.
        return {"path": "/".join(str(value).split("/")[:-1])}
    if isinstance(value, dict):
        return {str(name): to_json(one) for name, one in sorted(value.items())}
    if isinstance(value, tuple):
        # The entries of an ipset and the arguments of a direct rule keep their order.
        parts = ([to_json(a) for a in b] if isinstance(b, list) else to_json(b) for b in value)
        return {"()": list(parts)}
    if isinstance(value, list):
        return sorted((to_json(one) for one in value), key=json.dumps)
    if kind in ("Boolean", "bool"):
        return bool(value)
    return int(value) if isinstance(value, int) else value if value is None else str(value)


def initial(player):
    """Yield the steps that read the whole of an untouched firewalld."""
    answers = {}

    def ask(step):
        played = player.play(step)
        answers[step["call"]] = played.get("answer", [])
        return played

    yield player.play(RESET)
    for name in ("version", "state"):
        yield ask(get("", name))
    for name in CONFIG_PROPERTIES:
        yield ask(get(".config", name, on="config"))
    first = (call("getDefaultZone"), call("queryPanicMode"), call("listServices"))
    for step in (*first, *names(), *active()):
        yield ask(step)
    services = set()
    for kind in KINDS:
        for name in answers[f"config.{LISTS[kind]}"]:
            yield from (ask(step) for step in look(kind, name))
            settings = answers[saved(kind, name)["call"]]
            services.update(settings.get("services", ()) if kind != "ipset" else ())
            yield ask(get(f".config.{kind}", "builtin", on=f"{kind} {name}"))
    for name in sorted(services | {"http"}):
        yield ask(call("getServiceSettings2", name))


def transcript(daemon):
    """Return all steps by section, with what the daemon answered."""
    player = Player(daemon)
    sections = {"initial": list(initial(player))}
    for section, steps in SCRIPT.items():
        sections[section] = [player.play(step) for step in steps]
    return json.loads(json.dumps({name: encode(steps) for name, steps in sections.items()}))


def encode(steps):
    return [
        {**step, "args": [from_plain(one) for one in step["args"]]} if "args" in step else step
        for step in steps
    ]


def from_plain(value):
    """Mark structs in arguments as to_json does in answers."""
    if isinstance(value, tuple):
        return {"()": [from_plain(one) for one in value]}
    if isinstance(value, list):
        return [from_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: from_plain(one) for name, one in value.items()}
    return value


def differences(expected, seen):
    """Return the steps of two recordings that differ, as text."""
    if list(expected) != list(seen):
        return [f"sections {list(expected)}, not {list(seen)}; record again"]
    found = []
    for section, steps in expected.items():
        if len(steps) != len(seen[section]):
            found.append(f"{section}: {len(steps)} steps, not {len(seen[section])}")
        for number, (one, other) in enumerate(zip(steps, seen[section])):
            if one != other:
                found.append(f"{section} {number}: {json.dumps(one)}\n  not {json.dumps(other)}")
    return found


def dump(sections):
    """Return a recording as text, one step a line."""
    parts = [
        f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(step) for step in steps) + "\n]"
        for name, steps in sections.items()
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main():
    if "--inside" not in sys.argv:
        unshare = ["unshare", "--mount", "--net", "--propagation", "private"]
        os.execvp(unshare[0], [*unshare, sys.executable, "-B", __file__, "--inside"])
    with tempfile.TemporaryDirectory(prefix="k3s-recording-") as directory:
        daemon = Daemon(directory)
        try:
            print(dump(transcript(daemon)), end="")
        finally:
            daemon.end()
            subprocess.run(["umount", ETC], check=False)


if __name__ == "__main__":
    main()
