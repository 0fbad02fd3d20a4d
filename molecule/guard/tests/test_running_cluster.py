# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster that runs keeps running: a node with the rules and the processes of K3s."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import subprocess

import k3s_rules
import pytest
from module_run import ABSENT, RULE, SSH, Node, policy, shared

NODE, PEER = "server2", "server1"
PORT = 6443
CONSENT = "k3s_firewall_allow_disruptive_reload: true"
COUNTERS = re.compile(r"\[\d+:\d+\]|counter packets \d+ bytes \d+|^#.*$", re.MULTILINE)

CLEAN_UP = f"""
{k3s_rules.CLEAN_UP}
if [ -e /etc/firewalld/direct.xml ]; then
  rm -f /etc/firewalld/direct.xml*
  firewall-cmd -q --reload
fi
for family in ip ip6; do
  for table in filter mangle nat; do nft delete table $family $table; done
done 2>/dev/null
true
"""
DIRECT_RULE = "--direct --add-rule ipv4 filter INPUT 0 -s 198.51.100.99 -j DROP"

# Connects every millisecond until its input ends, and prints how often it saw what. Nobody listens:
# the port is admitted if the node answers that it is closed. A SYN is sent again after a second, so
# that a lost one is seen if no connection may take that long.
CLIENT = """
import errno, json, select, socket, sys, time
where = sys.argv[1], int(sys.argv[2])
seen, connecting = {}, {}
ready = select.poll()
ready.register(0)
def count(what):
    seen[what] = seen.get(what, 0) + 1
def leave(number):
    ready.unregister(number)
    return connecting.pop(number)[0]
def start():
    one = socket.socket()
    one.setblocking(False)
    if one.connect_ex(where) == errno.EINPROGRESS:
        connecting[one.fileno()] = one, time.monotonic()
        ready.register(one, select.POLLOUT)
    else:
        count("not started")
ending, started, following = False, False, time.monotonic()
while connecting or not ending:
    now = time.monotonic()
    if not ending and now >= following:
        start()
        following = max(following + 0.001, now)
    for number, _event in ready.poll(1):
        if number == 0:
            ending = True
            ready.unregister(0)
            continue
        with leave(number) as one:
            result = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            count("admitted" if result == errno.ECONNREFUSED else errno.errorcode[result])
    if seen and not started:
        started = True
        print("started", flush=True)
    for number, (_one, since) in list(connecting.items()):
        if now - since > 0.9:
            leave(number).close()
            count("lost")
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def peer():
    """Return the machine that connects to the node."""
    return Node(PEER)


@pytest.fixture
def node():
    """Return a node without K3s and without the collection, before and after."""
    node = Node(NODE)
    node.run(CLEAN_UP)
    assert "failed" not in change(node, ABSENT)
    yield node
    node.run(CLEAN_UP)
    assert "failed" not in change(node, ABSENT)


@pytest.fixture
def flushing(node):
    """Return a node whose firewalld flushes every rule of iptables when it is reloaded."""
    if int(node.run("firewall-cmd --version").split(".")[0]) >= 2:
        # Only with direct rules.
        node.run(
            f"firewall-cmd -q --permanent {DIRECT_RULE} && firewall-cmd -q --reload && "
            "iptables-save | grep -q 198.51.100.99"
        )
    return node


def change(node, wanted, consent=False):
    """Apply a state to the node's firewalld and return the module's result."""
    return node.bring_to(wanted, allow_disruptive_reload=consent)


def load_rules(node, variant=""):
    """Load the rules of K3s on the node, kube-proxy's also as native rules of nftables."""
    for family, command in ((4, "iptables"), (6, "ip6tables")):
        node.run(f"{command}{variant}-restore --noflush", k3s_rules.iptables(family))
        node.run("nft -f -", k3s_rules.nftables(family))


def rules(node, variant=""):
    """Return all rules of iptables, and kube-proxy's of nftables, with their order."""
    text = node.run(
        f"iptables{variant}-save; ip6tables{variant}-save; "
        "for family in ip ip6; do nft list table $family kube-proxy; done"
    )
    assert text.count("-A KUBE-") > 1000
    return COUNTERS.sub("", text)


def everything(node):
    # The counters have a part in the order of the lines.
    return sorted(COUNTERS.sub("", line) for line in node.snapshot())


def assert_refused(node, result, before, *words):
    """Check that the run was refused with these words and changed nothing."""
    text = result.get("failed", "")
    assert text, "the run was not refused"
    assert [word for word in (*words, CONSENT) if word not in text] == [], text
    assert everything(node) == before


def test_flushing_reload_with_running_k3s_is_refused(flushing):
    load_rules(flushing)
    flushing.run(k3s_rules.START)
    before = everything(flushing)
    words = ("k3s-killall.sh", "seconds", "iptables")
    assert_refused(flushing, change(flushing, shared()), before, "a running Kubernetes", *words)
    # Its pods run on.
    flushing.run(k3s_rules.STOP)
    before = everything(flushing)
    assert_refused(flushing, change(flushing, shared()), before, "containerd-shim", *words)


def test_flushing_reload_after_killall_keeps_leftovers(flushing):
    load_rules(flushing)
    flushing.run(k3s_rules.START)
    assert "failed" in change(flushing, shared())
    # The remedy that the message names.
    flushing.run(k3s_rules.KILLALL)
    before = COUNTERS.sub("", flushing.run("iptables-save; ip6tables-save"))
    assert "KUBE-SVC-" in before
    result = change(flushing, shared())
    assert "failed" not in result, result["failed"]
    assert result["reloaded"]
    assert COUNTERS.sub("", flushing.run("iptables-save; ip6tables-save")) == before


@pytest.mark.parametrize("variant", ["", "-legacy"], ids=["nft", "legacy"])
def test_flushing_reload_with_consent_keeps_rules(flushing, variant):
    load_rules(flushing, variant)
    flushing.run(k3s_rules.START)
    before = rules(flushing, variant)
    result = change(flushing, shared(), consent=True)
    assert "failed" not in result, result["failed"]
    assert result["reloaded"]
    assert rules(flushing, variant) == before


def test_remove_with_running_k3s_needs_consent(node):
    assert "failed" not in change(node, shared())
    load_rules(node)
    node.run(k3s_rules.START)
    before = everything(node)
    assert_refused(
        node, change(node, ABSENT), before, "a running Kubernetes", "k3s-killall.sh", "pods"
    )
    before = rules(node)
    result = change(node, ABSENT, consent=True)
    assert "failed" not in result, result["failed"]
    assert result["changed"]
    assert "k3s-" not in node.run("firewall-cmd --get-policies")
    assert rules(node) == before
    # Nothing is left to remove, so that no consent is needed.
    result = change(node, ABSENT)
    assert "failed" not in result, result["failed"]
    assert not result["changed"]


def test_external_sources_emptied_needs_no_reload(flushing):
    everybody = shared()
    some = shared()
    some["ipsets"].append(
        {
            "name": "k3s-clients",
            "type": "hash:net",
            "family": "inet",
            "entries": ["198.51.100.0/24"],
        }
    )
    rule = RULE.format("443").replace("k3s-nodes", "k3s-clients")
    some["policies"][-1] = policy("k3s-from-clients", 1030, "ANY", [rule])
    assert "failed" not in change(flushing, some)
    load_rules(flushing)
    flushing.run(k3s_rules.START)
    before = rules(flushing)
    result = change(flushing, everybody)
    assert "failed" not in result, result["failed"]
    assert (result["changed"], result["reloaded"]) == (True, False)
    assert not change(flushing, everybody)["changed"]
    clients = "--policy=k3s-from-clients --list-rich-rules"
    for which in ("", "--permanent"):
        assert "k3s-clients" not in flushing.run(f"firewall-cmd {which} {clients}")
    assert "k3s-clients" not in flushing.run("firewall-cmd --permanent --get-ipsets")
    assert rules(flushing) == before
    # The ipset may stay in the running firewalld, and is not in the way of a later reload.
    flushing.run(k3s_rules.KILLALL)
    result = change(flushing, ABSENT)
    assert "failed" not in result, result["failed"]


@contextlib.contextmanager
def connecting(client, address):
    """Have a machine connect all the time; the list that this returns gets what it saw at last."""
    command = f"python3 -c {shlex.quote(CLIENT)} {address} {PORT}"
    seen = []
    with subprocess.Popen(
        [*SSH, client.name, command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "started\n"
        yield seen
        out, _err = process.communicate(timeout=60)
    seen.append(json.loads(out.splitlines()[-1]))


def test_members_change_without_a_rejected_connection(node, peer, machine):
    """A node joins and another leaves, 6 times; each flush would reject connections for 10 ms."""
    address = machine(NODE).address()
    always = [machine(PEER).address(), address, *(f"192.0.2.{host}" for host in range(1, 31))]
    assert "failed" not in change(node, shared(nodes=[*always, "198.51.100.1"]))
    with connecting(peer, address) as seen:
        for host in range(2, 8):
            result = change(node, shared(nodes=[*always, f"198.51.100.{host}"]))
            assert result.get("changed"), result
            assert not result["reloaded"]
    members = node.run("firewall-cmd --ipset=k3s-nodes --get-entries").split()
    assert sorted(members) == sorted([*always, "198.51.100.7"])
    assert seen[0].pop("admitted") > 500
    assert seen == [{}]
