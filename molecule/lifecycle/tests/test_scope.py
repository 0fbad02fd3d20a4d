# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Part of a cluster, a cluster of one machine, and a node without a default route."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.also_on("bullseye")


def ipset(node, name="k3s-nodes"):
    return sorted(node.run(f"firewall-cmd --ipset={name} --get-entries").split())


def test_limit_drops_nobody(machine, playbook):
    assert playbook("prepare").returncode == 0
    everyone = sorted(machine(name).address() for name in ("server1", "server2", "agent1"))
    run = playbook("prepare", "--limit", "agent1")
    assert run.returncode == 0, run.output
    assert run.changed("agent1") == 0
    assert ipset(machine("agent1")) == everyone


def test_one_machine_is_a_whole_cluster(machine, playbook, variables, tmp_path):
    one = {"server": {"hosts": {"server1": variables("server1")}}}
    run = playbook("site", inventory=one, k3s_connectivity_report_dir=str(tmp_path))
    assert run.returncode == 0, run.output
    assert ipset(machine("server1")) == [machine("server1").address()]
    assert json.loads((tmp_path / "report.json").read_text())["ok"] is True
    assert "a single node" in run.output
    again = playbook("site", inventory=one)
    assert (again.returncode, again.changed("server1")) == (0, 0)


def test_validation_of_one_node_of_many_proves_nothing_and_says_so(playbook):
    run = playbook("validate", "--limit", "server1")
    assert run.returncode != 0
    assert "without --limit" in run.output


@pytest.mark.parametrize("check", [[], ["--check"]], ids=["real", "check"])
def test_missing_dummy_driver_is_said_plainly(machine, playbook, variables, check):
    node = machine("bare1")
    if node.host.run("modinfo dummy || test -d /sys/module/dummy").rc == 0:
        pytest.skip("this kernel has the driver")
    inventory = {"server": {"hosts": {"bare1": variables("bare1")}}}
    before = node.run("nft list ruleset; nmcli -t connection show")
    run = playbook("prepare", *check, inventory=inventory)
    assert run.returncode != 0
    text = " ".join(run.output.split())
    release = node.run("uname -r").strip()
    for words in (
        "no default route",
        f"({release}) has no driver 'dummy'",
        "install",
        "linux-image",
    ):
        assert words in text
    assert run.changed("bare1") == 0
    assert node.run("nft list ruleset; nmcli -t connection show") == before


def test_node_with_a_default_route_keeps_it_as_it_is(machine, playbook):
    before = machine("server1").run("ip route show")
    run = playbook("prepare", "--tags", "default_route")
    assert (run.returncode, run.changed("server1")) == (0, 0), run.output
    assert machine("server1").run("ip route show") == before
