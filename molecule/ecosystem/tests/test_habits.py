# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people who know Ansible expect: tags, check mode, defaults of a group, a quiet -v."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from controller import LAB_INVENTORY, Controller

SNAPSHOT = (Path(__file__).parents[2] / "snapshot.sh").read_text()
NODES = ("server1", "server2", "agent1")
ROW = {
    "name": "habit",
    "port": 7010,
    "protocol": "tcp",
    "source": ["agent"],
    "destination": ["server", "agent"],
}
ROUTE = "Ensure a default route exists"
FIREWALL = "Configure firewalld policies"
PROOF = "Run connectivity probes"


@pytest.fixture(scope="module")
def controller():
    with Controller() as one:
        yield one


@pytest.fixture
def restored(controller):
    yield
    assert controller.play("prepare", inventory=LAB_INVENTORY).returncode == 0


@pytest.fixture
def snapshots(machine):
    return lambda: [machine(name).run(SNAPSHOT) for name in NODES]


@pytest.mark.parametrize(
    ("arguments", "done"),
    [
        (("--tags", "default_route"), {ROUTE}),
        (("--tags", "firewall"), {FIREWALL}),
        (("--tags", "connectivity"), {PROOF}),
        (("--skip-tags", "connectivity"), {ROUTE, FIREWALL}),
        (("--skip-tags", "firewall,default_route"), {PROOF}),
        (("--tags", "firewall,connectivity"), {FIREWALL, PROOF}),
    ],
    ids=" ".join,
)
def test_tags_name_the_parts_of_site(controller, arguments, done):
    run = controller.play("site", "--list-tasks", *arguments, inventory=LAB_INVENTORY)
    assert run.returncode == 0, run.output
    assert {part for part in (ROUTE, FIREWALL, PROOF) if part in run.output} == done


def test_tag_runs_only_its_part(machine, controller, restored):
    extra = {"inventory": LAB_INVENTORY, "k3s_topology_extra_ports": [ROW]}
    for arguments in (("--tags", "default_route"), ("--skip-tags", "firewall")):
        run = controller.play("prepare", *arguments, **extra)
        assert run.returncode == 0, run.output
        assert not any(run.changed().values())
    run = controller.play("prepare", "--tags", "firewall", **extra)
    assert run.changed() == {"server1": 1, "server2": 1, "agent1": 1, "client1": 0}
    assert ROUTE not in run.output
    assert 'port="7010"' in machine("server2").run("firewall-cmd --info-policy=k3s-from-nodes")
    proof = controller.play("validate", "--tags", "connectivity", **extra)
    assert proof.returncode == 0, proof.output
    assert "Connectivity ok" in proof.output


def test_check_mode_of_a_prepared_cluster(controller, snapshots):
    before = snapshots()
    site = controller.play("site", "--check", "--diff", inventory=LAB_INVENTORY)
    assert site.returncode == 0, site.output
    assert "Connectivity ok" in site.output
    assert not any(site.changed().values()), site.output
    remove = controller.play("remove", "--check", "--diff", inventory=LAB_INVENTORY)
    assert remove.returncode == 0, remove.output
    assert "k3s-from-nodes" in removed_lines(remove.output)
    assert remove.changed() == {"server1": 1, "server2": 1, "agent1": 1, "client1": 0}
    assert snapshots() == before


def test_check_mode_of_a_cluster_that_is_not_prepared(controller, snapshots, restored):
    assert controller.play("remove", inventory=LAB_INVENTORY).returncode == 0
    before = snapshots()
    # It tells what it finds without failing.
    site = controller.play("site", "--check", "--diff", inventory=LAB_INVENTORY)
    assert site.returncode == 0, site.output
    assert "k3s-from-nodes" in added_lines(site.output)
    assert "Connectivity FAILED" in site.output
    assert site.changed() == {"server1": 1, "server2": 1, "agent1": 1, "client1": 0}
    again = controller.play("remove", "--check", "--diff", inventory=LAB_INVENTORY)
    assert not any(again.changed().values()), again.output
    assert snapshots() == before


def removed_lines(output):
    return "\n".join(line for line in output.splitlines() if line.startswith("-"))


def added_lines(output):
    return "\n".join(line for line in output.splitlines() if line.startswith("+"))


def test_defaults_of_the_group_reach_its_modules(controller, tmp_path):
    plays = [
        {
            "name": "Set defaults for a group of modules",
            "hosts": "server1",
            "gather_facts": False,
            "module_defaults": {
                # What only one of them knows is for that one alone; a group is for what all know.
                "group/edgeops.k3s_network.all": {"state": "absent"},
            },
            "tasks": [
                {
                    "name": "Ask what would become of the firewall",
                    "edgeops.k3s_network.firewalld_state": {},
                    "check_mode": True,
                    "register": "firewall",
                },
                {
                    "name": "Ask what would become of the route",
                    "edgeops.k3s_network.default_route": {},
                    "check_mode": True,
                    "register": "route",
                },
                {
                    "name": "Show it",
                    "ansible.builtin.assert": {
                        "that": ["firewall is changed", "route is not changed"]
                    },
                },
            ],
        }
    ]
    path = tmp_path / "defaults.yml"
    path.write_text(yaml.safe_dump(plays))
    run = controller.play(str(path), inventory=LAB_INVENTORY)
    assert run.returncode == 0, run.output


def test_one_v_prints_no_internal_data(controller):
    run = controller.play("site", "-v", inventory=LAB_INVENTORY)
    assert run.returncode == 0, run.output
    lines = [line for line in run.output.splitlines() if not line.startswith("TASK")]
    # The compressed plan is what is longest.
    assert max(map(len, lines)) < 1500, max(lines, key=len)[:2000]
    for internal in ('"rules": [', '"interfaces": {', '"observed": '):
        assert internal not in run.output
    # The table stands there once.
    assert run.output.count("etcd cluster communication") == 1
    # What a change came to is told.
    assert run.output.count('"firewalld_version"') == len(NODES)


def test_three_v_print_internal_data(controller):
    run = controller.play("validate", "-vvv", inventory=LAB_INVENTORY)
    assert run.returncode == 0, run.output
    for internal in ('"rules": [', '"interfaces": {', '"observed": '):
        assert internal in run.output
