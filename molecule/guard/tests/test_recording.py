# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the unit tests have recorded of firewalld holds on this machine."""

from __future__ import annotations

import functools
import json
import subprocess
import time
from pathlib import Path

import record_firewalld
from module_run import SSH, Node

RECORDINGS = Path(__file__).parents[3] / "tests" / "unit" / "support" / "recordings"
# The file is given to Python on its standard input, and starts itself anew, so it has to be kept.
RECORD = "f=$(mktemp) && cat > $f && timeout 600 python3 -B $f; r=$?; rm -f $f; exit $r"


def test_firewalld_answers_as_recorded():
    node = Node("agent1")
    version = node.run("firewall-cmd --version").strip()
    before = node.snapshot()
    played = subprocess.run(
        [*SSH, "agent1", RECORD],
        input=Path(record_firewalld.__file__).read_text(),
        capture_output=True,
        text=True,
        check=True,
        timeout=660,
    ).stdout
    # It plays on a firewalld of its own.
    assert node.snapshot() == before
    path = RECORDINGS / f"firewalld-{version}.json"
    assert path.exists(), f"no recording of firewalld {version}; save what this run printed there"
    found = record_firewalld.differences(json.loads(path.read_text()), json.loads(played))
    assert not found, "\n".join(found)


DO = {
    "profile": "nmcli connection modify lab-eth1 connection.zone '{}'",
    "running": "firewall-cmd -q --zone={} --change-interface=eth1",
    "reload": "firewall-cmd -q --reload",
    "restart": "systemctl restart firewalld",
}
ZONE = (
    "busctl call org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 "
    "org.fedoraproject.FirewallD1.zone getZoneOfInterface s eth1 | cut -d'\"' -f2"
)
# NetworkManager notifies firewalld in its own time, and logs only what firewalld refuses.
REFUSED = "journalctl -q -b -u NetworkManager | grep -c 'INVALID_ZONE: nope' || true"


def refuses_more_than(node, count):
    return int(node.run(REFUSED)) > count


def wait_for(ask, wanted):
    deadline = time.monotonic() + 120
    while True:
        found = ask()
        if found == wanted or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def test_network_manager_binds_as_recorded():
    node = Node("agent1")
    before = node.snapshot()
    # Older ones do not react to a reload of firewalld.
    reacts = not node.run("nmcli --version").split()[-1].startswith("1.30.")
    steps = json.loads((RECORDINGS / "networkmanager-zones.json").read_text())
    profile = ""
    for number, step in enumerate(steps):
        refused = int(node.run(REFUSED))
        node.run(DO[step["do"]].format(step.get("to")))
        if step["do"] == "profile":
            profile = step["to"]
        if profile == "nope" and (reacts or step["do"] != "reload"):
            more = functools.partial(refuses_more_than, node, refused)
            assert wait_for(more, True), (number, step)
        zone = wait_for(lambda: node.run(ZONE).strip(), step["zone"])
        assert zone == step["zone"], (number, step)
    assert node.snapshot() == before
