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
    """Return the rows of the port table, cut to what has services here."""
    defaults = yaml.safe_load((ROLES / "k3s_topology/defaults/main.yml").read_text())
    rows = {row["name"]: row for row in defaults["k3s_topology_ports"]}
    rows["longhorn-data"]["port"] = HELD_RANGE
    return list(rows.values())


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


@pytest.fixture
def live(report):
    """Validate the rows that have services."""
    return lambda: report(k3s_connectivity_mode="live", k3s_topology_ports=served())


@contextlib.contextmanager
def broken(node, breaking, mending):
    """Run a command on a node, and afterwards another one."""
    node.run(breaking)
    try:
        yield
    finally:
        node.run(mending)


def rich_rule(ipset, port, protocol="tcp"):
    """Return the rule with which a policy of ours admits nodes to a port."""
    rule = f'family="ipv4" source ipset="{ipset}" port port="{port}" protocol="{protocol}"'
    return f"'rule {rule} accept'"


def failures(found):
    """Return the failed checks, and whom and what they concern."""
    failed = [check for check in found["checks"] if not check["ok"]]
    named = {
        (check["source"], check["destination"], check["port"], check["protocol"])
        for check in failed
    }
    assert len(named) == len(failed)
    return failed, named


def test_running_services_are_reachable(live):
    run, found = live()
    assert run.returncode == 0, run.output
    assert found["ok"]
    opened = [check for check in found["checks"] if check["expected"] == "open"]
    assert {check["rule"] for check in opened} == {row["name"] for row in served()}
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


def test_stopped_service_is_refused_and_to_be_started(machine, live):
    with broken(machine("agent1"), "systemctl stop tgt", "systemctl start tgt"):
        run, found = live()
    assert run.returncode != 0
    failed, named = failures(found)
    assert named == {(source, "agent1", "3260", "tcp") for source in ("server1", "server2")}
    for check in failed:
        assert (check["expected"], check["observed"]) == ("open", "refused")
        assert "agent1: start the service" in check["detail"]
    assert "agent1: start the service" in run.output
    assert found["summary"]["blocked"] == 2
    assert found["summary"]["unexpectedly_open"] == 0


def test_service_on_the_loopback_alone_is_refused(machine, live):
    restart = "systemctl restart redis-server"
    path = "/etc/redis/redis.conf"
    with broken(
        machine("server2"),
        f"sed -i.kept 's/^bind .*/bind 127.0.0.1/' {path} && {restart}",
        f"mv {path}.kept {path} && {restart}",
    ):
        run, found = live()
    assert run.returncode != 0
    failed, named = failures(found)
    sources = ("server1", "agent1", "client1")
    assert named == {(source, "server2", "6379", "tcp") for source in sources}
    assert {(check["expected"], check["observed"]) for check in failed} == {("open", "refused")}
    assert all("server2's service listens on 127.0.0.1 alone" in one["detail"] for one in failed)


def test_missing_rules_are_no_missing_services(machine, live):
    policy = "firewall-cmd --policy=k3s-from-nodes"
    api, vxlan = rich_rule("k3s-nodes", "6443"), rich_rule("k3s-nodes", "8472", "udp")
    with contextlib.ExitStack() as stack:
        for name, rule in (("server1", api), ("agent1", vxlan)):
            remove, add = (f"{policy} --{what}-rich-rule={rule}" for what in ("remove", "add"))
            stack.enter_context(broken(machine(name), remove, add))
        run, found = live()
    assert run.returncode != 0
    failed, named = failures(found)
    assert named == {
        ("server2", "server1", "6443", "tcp"),
        ("agent1", "server1", "6443", "tcp"),
        # No echo comes back through an overlay of which one end is closed.
        *(("agent1", name, "8472", "udp") for name in ("server1", "server2")),
        *((name, "agent1", "8472", "udp") for name in ("server1", "server2")),
    }
    for check in failed:
        assert check["observed"] in ("rejected", "timeout")
        assert "k3s-from-nodes" in check["detail"]
        assert ("server1" if check["protocol"] == "tcp" else "agent1") in check["detail"]
    assert found["summary"]["blocked"] == len(failed)


def test_silent_service_behind_a_closed_port_is_blocked(machine, live):
    rule = '\'rule port port="8125" protocol="udp" accept\''
    policy = "firewall-cmd --policy=k3s-from-clients"
    with broken(
        machine("server1"),
        f"{policy} --remove-rich-rule={rule}",
        f"{policy} --add-rich-rule={rule}",
    ):
        run, found = live()
    assert run.returncode != 0
    failed, named = failures(found)
    assert named == {("client1", "server1", "8125", "udp")}
    assert failed[0]["observed"] in ("rejected", "timeout")
    assert "k3s-from-clients" in failed[0]["detail"]


def test_rule_too_wide_lets_an_agent_into_etcd(machine, live):
    policy, rule = "firewall-cmd --policy=k3s-from-nodes", rich_rule("k3s-nodes", "2379")
    with broken(
        machine("server1"),
        f"{policy} --add-rich-rule={rule}",
        f"{policy} --remove-rich-rule={rule}",
    ):
        run, found = live()
    assert run.returncode != 0
    failed, named = failures(found)
    assert named == {("agent1", "server1", "2379", "tcp")}
    assert (failed[0]["expected"], failed[0]["observed"]) == ("closed", "open")
    assert found["summary"]["unexpectedly_open"] == 1
    assert found["summary"]["blocked"] == 0


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
    tcp = {row["name"] for row in served() if row["protocol"] == "tcp"}
    assert {rule for rule, _port in by_service} == tcp
    assert ("longhorn-data", "10000") in by_service
    assert ("longhorn-data", "30000") in by_listener


def test_listen_names_the_ports_that_services_hold(report):
    run, found = report(k3s_connectivity_mode="listen")
    assert run.returncode != 0
    failed, named = failures(found)
    assert {(check["observed"], "stop it" in check["detail"]) for check in failed} == {
        ("error", True)
    }
    assert all(check["destination"] in check["detail"] for check in failed)
    assert {(destination, port) for _source, destination, port, _protocol in named} >= {
        ("server1", "2379-2380"),
        ("server2", "6443"),
        *((node, port) for node in NODES for port in ("8472", "8125", "10250", "6379", "443")),
    }
    free = [check for check in found["checks"] if check["port"].endswith("-30000")]
    assert free and all(check["ok"] for check in free)
