# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A part of a cluster, a cluster of one machine, and a node without the kernel's driver."""

from __future__ import annotations

import json

import pytest


def test_validate_with_a_limit_of_one_node_fails(playbook):
    run = playbook("validate", "--limit", "server1")
    assert run.returncode != 0
    assert "without --limit" in run.output


def test_cluster_of_one_machine_is_valid(machine, playbook, variables, tmp_path):
    one = {"server": {"hosts": {"server1": variables("server1")}}}
    run = playbook("site", inventory=one, k3s_connectivity_report_dir=str(tmp_path))
    assert run.returncode == 0, run.output
    members = machine("server1").run("firewall-cmd --ipset=k3s-nodes --get-entries").split()
    assert members == [machine("server1").address()]
    assert json.loads((tmp_path / "report.json").read_text())["ok"] is True
    assert "a single node" in run.output
    again = playbook("site", inventory=one)
    assert (again.returncode, again.changed("server1")) == (0, 0)


def test_missing_dummy_driver_is_reported(machine, playbook, variables):
    node = machine("bare1")
    if node.host.run("modinfo dummy || test -d /sys/module/dummy").rc == 0:
        pytest.skip("this kernel has the driver")
    inventory = {"server": {"hosts": {"bare1": variables("bare1")}}}
    before = node.run("nft list ruleset; nmcli -t connection show")
    run = playbook("prepare", inventory=inventory)
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
