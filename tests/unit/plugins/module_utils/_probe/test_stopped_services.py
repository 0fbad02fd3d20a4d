# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.stopped_services import (
    UNITS,
    parse,
)

SERVER = {("tcp", 6443), ("tcp", 2379), ("tcp", 2380)}
AGENT = {("tcp", 10250), ("tcp", 5001), ("udp", 8472), ("udp", 51820), ("udp", 51821)}


def shown(**units):
    """Return what systemctl show prints: C(unit=(load, active, file)), without the suffix."""
    return "\n\n".join(
        f"Id={name.replace('_', '-')}.service\nLoadState={load}\nActiveState={active}\n"
        f"UnitFileState={file}"
        for name, (load, active, file) in units.items()
    )


@pytest.mark.parametrize("active", ["inactive", "failed", "activating", "deactivating"])
@pytest.mark.parametrize("file", ["enabled", "disabled"])
def test_k3s_that_does_not_run_needs_its_ports(active, file):
    assert set(parse(shown(k3s=("loaded", active, file)))) == SERVER | AGENT
    agent = parse(shown(k3s_agent=("loaded", active, file)))
    assert agent == dict.fromkeys(AGENT, "k3s-agent.service")


@pytest.mark.parametrize(
    "state",
    [
        ("loaded", "active", "enabled"),
        ("loaded", "reloading", "enabled"),
        ("not-found", "inactive", ""),
        ("masked", "inactive", "masked"),
    ],
)
@pytest.mark.parametrize("name", ["k3s", "redis_server"])
def test_service_that_runs_or_cannot_start_needs_nothing(name, state):
    assert parse(shown(**{name: state})) == {}


@pytest.mark.parametrize(
    ("active", "file", "counts"),
    [
        ("inactive", "enabled", True),
        ("failed", "enabled-runtime", True),
        ("activating", "disabled", True),
        # Installed with a package, and nobody wants it.
        ("inactive", "disabled", False),
        ("inactive", "static", False),
    ],
)
def test_other_service_counts_if_it_is_to_start(active, file, counts):
    found = parse(shown(redis_server=("loaded", active, file)))
    assert found == ({("tcp", 6379): "redis-server.service"} if counts else {})


def test_k3s_with_both_units_names_the_enabled_one():
    server, agent = ("loaded", "failed", "enabled"), ("loaded", "inactive", "disabled")
    found = parse(shown(k3s=server, k3s_agent=agent))
    assert found == dict.fromkeys(SERVER | AGENT, "k3s.service")
    assert parse(shown(k3s=agent, k3s_agent=server)) == dict.fromkeys(AGENT, "k3s-agent.service")


def test_k3s_with_both_units_and_none_enabled_names_both():
    stopped = ("loaded", "inactive", "disabled")
    found = parse(shown(k3s=stopped, k3s_agent=stopped))
    assert found == dict.fromkeys(SERVER | AGENT, "k3s-agent.service or k3s.service")


def test_k3s_unit_that_is_masked_does_not_count():
    found = parse(
        shown(k3s=("masked", "inactive", "masked"), k3s_agent=("loaded", "failed", "enabled"))
    )
    assert found == dict.fromkeys(AGENT, "k3s-agent.service")


def test_k3s_that_runs_needs_nothing_for_its_other_unit():
    running, stopped = ("loaded", "active", "enabled"), ("loaded", "inactive", "disabled")
    assert parse(shown(k3s=running, k3s_agent=stopped)) == {}
    assert parse(shown(k3s=stopped, k3s_agent=running)) == {}


def test_units_of_all_services_are_asked_for():
    assert {"k3s.service", "k3s-agent.service", "redis.service"} < set(UNITS)
    assert all(unit.endswith(".service") for unit in UNITS)
