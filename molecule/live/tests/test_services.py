# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validation with real services on the ports, as after the installation of K3s."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import overlay
import pytest
import yaml

NODES = ("server1", "server2", "agent1")
ROLES = Path(__file__).parents[3] / "roles"
ANSWERED = {
    "flannel-vxlan": "through the overlay",
    "external-telegraf-udp": "beside it the datagram was seen behind the firewall",
}
ACCEPTED = "a service answered (TCP accept), not our listener"
# Stands for a statsd, as Telegraf has it on 8125/udp, which Debian does not have: silent as well.
STATSD = (
    "systemd-run --quiet --unit=statsd python3 -c 'import socket, time; "
    "held = socket.socket(type=socket.SOCK_DGRAM); held.bind((str(), 8125)); time.sleep(3600)'"
)
# Of the range, nginx holds the first ports.
HELD_RANGE = "10000-10003"


def served():
    """Return the rules of the port table, cut to what has services here."""
    defaults = yaml.safe_load((ROLES / "k3s_topology/defaults/main.yml").read_text())
    rules = {rule["name"]: rule for rule in defaults["k3s_topology_ports"]}
    rules["longhorn-data"]["port"] = HELD_RANGE
    return list(rules.values())


@pytest.fixture(scope="module", autouse=True)
def flannel(machine):
    """Have a VXLAN device on each node's 8472, as Flannel makes it."""
    with overlay.pods([machine(name) for name in NODES], answering=False):
        yield


@pytest.fixture(scope="module", autouse=True)
def statsd(machine):
    """Have a process on each node's 8125/udp that answers nobody."""
    for name in NODES:
        machine(name).run(STATSD)
    yield
    for name in NODES:
        machine(name).run("systemctl stop statsd")


@pytest.fixture(scope="module")
def live(report):
    """Validate the rules that have services."""
    return lambda: report(k3s_connectivity_mode="live", k3s_topology_ports=served())


@pytest.fixture
def prepared_for_served(playbook):
    """Prepare the nodes for these rules: a firewall that admits more is a finding."""
    for variables in ({"k3s_topology_ports": served()}, {}):
        done = playbook("prepare", **variables)
        assert done.returncode == 0, done.output
        if variables:
            yield


def rich_rule(ipset, port, protocol="tcp"):
    """Return the rule with which a policy of the collection admits nodes to a port."""
    rule = f'family="ipv4" source ipset="{ipset}" port port="{port}" protocol="{protocol}"'
    return f"'rule {rule} accept'"


def failures(found):
    """Return the failed checks, by source, destination, port and protocol."""
    failed = [check for check in found["checks"] if not check["ok"]]
    named = {
        (check["source"], check["destination"], check["port"], check["protocol"]): check
        for check in failed
    }
    assert len(named) == len(failed)
    return named


def test_running_services_are_reachable(prepared_for_served, live):
    run, found = live()
    assert run.returncode == 0, run.output
    assert found["ok"]
    opened = [check for check in found["checks"] if check["expected"] == "open"]
    assert {check["rule"] for check in opened} == {rule["name"] for rule in served()}
    assert {check["observed"] for check in opened} == {"open"}
    for check in opened:
        assert ANSWERED.get(check["rule"], ACCEPTED) in check["detail"], check
    closed = [check for check in found["checks"] if check["expected"] == "closed"]
    assert ("agent1", "server1", "2379-2380") in {
        (check["source"], check["destination"], check["port"]) for check in closed
    }


@pytest.mark.parametrize("name", ["server1", "server2"])
def test_etcd_has_its_quorum_through_the_firewall(machine, name):
    url = "http://127.0.0.1:2379/health"
    ask = f"import urllib.request; print(urllib.request.urlopen('{url}').read().decode())"
    assert json.loads(machine(name).run(f'python3 -c "{ask}"'))["health"] == "true"


REDIS = "/etc/redis/redis.conf"
RESTART = "systemctl restart redis-server"
NODES_POLICY = "firewall-cmd --policy=k3s-from-nodes --{}-rich-rule="
API = NODES_POLICY + rich_rule("k3s-nodes", "6443")
OVERLAY = NODES_POLICY + rich_rule("k3s-nodes", "8472", "udp")
ETCD = NODES_POLICY + rich_rule("k3s-nodes", "2379")
SILENT = (
    "firewall-cmd --policy=k3s-from-clients "
    """--{}-rich-rule='rule port port="8125" protocol="udp" accept'"""
)
# Faults that have nothing to do with each other: the node, how to cause one and how to end it.
FAULTS = [
    ("agent1", "systemctl stop tgt", "systemctl start tgt"),
    (
        "server2",
        f"sed -i.kept 's/^bind .*/bind 127.0.0.1/' {REDIS} && {RESTART}",
        f"mv {REDIS}.kept {REDIS} && {RESTART}",
    ),
    ("server1", API.format("remove"), API.format("add")),
    ("agent1", OVERLAY.format("remove"), OVERLAY.format("add")),
    ("server1", SILENT.format("remove"), SILENT.format("add")),
    ("server1", ETCD.format("add"), ETCD.format("remove")),
]
# The checks that fail for each of them.
STOPPED = {(source, "agent1", "3260", "tcp") for source in ("server1", "server2")}
LOOPBACK = {(source, "server2", "6379", "tcp") for source in ("server1", "agent1", "client1")}
MISSING = {
    ("server2", "server1", "6443", "tcp"),
    ("agent1", "server1", "6443", "tcp"),
    # No echo comes back through an overlay of which one end is closed.
    *(("agent1", name, "8472", "udp") for name in ("server1", "server2")),
    *((name, "agent1", "8472", "udp") for name in ("server1", "server2")),
}
BLOCKED_SILENT = ("client1", "server1", "8125", "udp")
TOO_WIDE = ("agent1", "server1", "2379", "tcp")


@pytest.fixture(scope="module")
def broken(machine, live):
    """Return a run of validate with all the faults, its report and the checks that failed."""
    with contextlib.ExitStack() as stack:
        for name, breaking, mending in FAULTS:
            machine(name).run(breaking)
            stack.callback(machine(name).run, mending)
        run, found = live()
    return run, found, failures(found)


def test_every_fault_is_found_and_nothing_else(broken):
    run, found, failed = broken
    assert run.returncode != 0
    blocked = STOPPED | LOOPBACK | MISSING | {BLOCKED_SILENT}
    assert set(failed) == blocked | {TOO_WIDE}
    assert found["summary"]["blocked"] == len(blocked)
    assert found["summary"]["unexpectedly_open"] == 1


def test_stopped_service_is_refused_and_to_be_started(broken):
    run, _found, failed = broken
    for one in STOPPED:
        assert (failed[one]["expected"], failed[one]["observed"]) == ("open", "refused")
        assert "agent1: start the service" in failed[one]["detail"]
    assert "agent1: start the service" in run.output


def test_service_on_the_loopback_alone_is_refused(broken):
    _run, _found, failed = broken
    for one in LOOPBACK:
        assert (failed[one]["expected"], failed[one]["observed"]) == ("open", "refused")
        assert "server2's service listens on 127.0.0.1 alone" in failed[one]["detail"]


def test_missing_rules_are_no_missing_services(broken):
    _run, _found, failed = broken
    for one in MISSING:
        assert failed[one]["observed"] in ("rejected", "timeout")
        assert "k3s-from-nodes" in failed[one]["detail"]
        node = "server1" if failed[one]["protocol"] == "tcp" else "agent1"
        assert node in failed[one]["detail"]


def test_silent_service_behind_a_closed_port_is_blocked(broken):
    _run, _found, failed = broken
    assert failed[BLOCKED_SILENT]["observed"] in ("rejected", "timeout")
    assert "k3s-from-clients" in failed[BLOCKED_SILENT]["detail"]


def test_rule_too_wide_lets_an_agent_into_etcd(broken):
    _run, _found, failed = broken
    assert (failed[TOO_WIDE]["expected"], failed[TOO_WIDE]["observed"]) == ("closed", "open")


def test_auto_proves_held_ports_by_services_and_the_rest_by_listeners(report):
    run, found = report()
    assert run.returncode == 0, run.output
    assert found["ok"]
    by_service = {
        (check["rule"], port)
        for check in found["checks"]
        if check["expected"] == "open" and "a service answered" in check["detail"]
        for port in check["port"].split("-")
    }
    by_listener = {
        (check["rule"], port)
        for check in found["checks"]
        if check["expected"] == "open" and check["protocol"] == "tcp"
        if "service" not in check["detail"]
        for port in check["port"].split("-")
    }
    assert not by_service & by_listener
    tcp = {rule["name"] for rule in served() if rule["protocol"] == "tcp"}
    assert {rule for rule, _port in by_service} == tcp
    assert ("longhorn-data", "10000") in by_service
    assert ("longhorn-data", "30000") in by_listener


def test_auto_leaves_the_port_of_a_stopped_service_free(machine, report):
    rules = [rule for rule in served() if rule["port"] == 6379]
    machine("agent1").run("systemctl enable --quiet redis-server && systemctl stop redis-server")
    try:
        run, found = report(k3s_topology_ports=rules)
    finally:
        machine("agent1").run(
            "systemctl start redis-server && systemctl disable --quiet redis-server"
        )
    assert run.returncode != 0
    failed = failures(found)
    assert set(failed) == {
        (source, "agent1", "6379", "tcp") for source in ("server1", "server2", "client1")
    }
    for check in failed.values():
        assert check["observed"] == "error"
        assert "systemctl start redis-server.service" in check["detail"]
    assert found["summary"]["not_determined"] == len(failed)


def test_listen_names_the_ports_that_services_hold(report):
    run, found = report(k3s_connectivity_mode="listen")
    assert run.returncode != 0
    failed = failures(found)
    assert {(check["observed"], "stop it" in check["detail"]) for check in failed.values()} == {
        ("error", True)
    }
    assert all(check["destination"] in check["detail"] for check in failed.values())
    assert {(destination, port) for _source, destination, port, _protocol in failed} >= {
        ("server1", "2379-2380"),
        ("server2", "6443"),
        *((node, port) for node in NODES for port in ("8472", "8125", "10250", "6379", "443")),
    }
    free = [check for check in found["checks"] if check["port"].endswith("-30000")]
    assert free and all(check["ok"] for check in free)
