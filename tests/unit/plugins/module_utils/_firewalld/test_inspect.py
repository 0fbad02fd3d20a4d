# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest
from ansible_collections.edgeops.k3s_network.tests.unit.support.fake_daemon import VERSIONS
from ansible_collections.edgeops.k3s_network.tests.unit.support.prepared_host import (
    MODES,
    managed_host,
    plain_host,
    wanted,
)


@pytest.fixture(params=VERSIONS)
def host(request):
    return plain_host(request.param)


def inspected(host, mode="shared"):
    writes = list(host.writes)
    found = host.inspect(wanted(mode))
    assert host.writes == writes
    return found


def brief(found):
    return {
        (one["configuration"], one["kind"], one["name"], one["state"])
        for one in found["differences"]
    }


@pytest.mark.parametrize("mode", MODES)
def test_prepared_host_has_no_differences(host, mode):
    host.run(wanted(mode))
    found = inspected(host, mode)
    assert found["differences"] == []
    assert (found["running"], found["prepared"], found["refused"]) == (True, True, "")


def test_host_that_was_never_prepared_lacks_every_object(host):
    found = inspected(host)
    assert found["prepared"] is False
    assert {
        ("runtime", "policy", "k3s-from-nodes", "missing"),
        ("permanent", "policy", "k3s-from-nodes", "missing"),
        ("runtime", "ipset", "k3s-nodes", "missing"),
    } <= brief(found)


def test_lost_state_file_is_no_difference(host):
    host.run(wanted("shared"))
    os.unlink(host.store.path)
    assert inspected(host)["differences"] == []


def test_rules_removed_at_runtime_are_a_difference_of_the_runtime(host):
    host.run(wanted("shared"))
    host.call(".policy", "setPolicySettings", "k3s-from-nodes", {"rich_rules": []})
    found = inspected(host)
    assert brief(found) == {("runtime", "policy", "k3s-from-nodes", "different")}
    assert found["differences"][0]["settings"] == ["rich_rules"]


def test_zone_of_a_source_that_a_policy_lacks_is_named(host):
    host.run(wanted("segregated"))
    host.create("zone", "office", sources=["192.0.2.20"])
    found = inspected(host, "segregated")["differences"]
    assert {(one["name"], *one["missing_zones"]) for one in found} == {("k3s-from-nodes", "office")}
    assert all(one["settings"] == ["ingress_zones"] for one in found)


def test_policy_with_another_zone_too_lacks_more_than_a_zone(host):
    host.run(wanted("segregated"))
    host.create("zone", "office", sources=["192.0.2.20"])
    host.call(".policy", "setPolicySettings", "k3s-from-nodes", {"ingress_zones": ["public"]})
    found = inspected(host, "segregated")["differences"]
    (one,) = [one for one in found if one["configuration"] == "runtime"]
    assert (one["settings"], one["missing_zones"]) == (["ingress_zones"], [])


def test_ports_that_the_user_opens_are_named_with_their_zone(host):
    host.run(wanted("shared"))
    host.call(".zone", "setZoneSettings2", "public", {"ports": [("2379", "tcp")]})
    found = inspected(host)
    assert {
        "object": "zone",
        "name": "public",
        "option": "port=2379/tcp",
        "ports": ["2379/tcp"],
    } in found["openings"]
    assert found["zones"]["public"]["target"] == "default"
    # Zones of this collection open what the topology wants.
    assert not any(one["name"].startswith("k3s-") for one in found["openings"])


ABOUT = {"version": "", "short": "", "description": ""}


def create_ipset(host, name, entries=(), **options):
    settings = {"type": "hash:ip", "options": {"family": "inet", **options}}
    host.create("ipset", name, **ABOUT, **settings, entries=list(entries))


def with_source_ipset(host, entries=("192.0.2.20",), **options):
    create_ipset(host, "office", entries, **options)
    host.create("zone", "offices", sources=["ipset:office"])
    return inspected(host)["ipsets"]


def test_ipset_that_is_a_source_of_a_zone_is_read_with_its_entries(host):
    assert with_source_ipset(host) == {
        "office": {"type": "hash:ip", "entries": ["192.0.2.20"], "complete": True}
    }


def test_large_ipset_is_read_in_part(host):
    entries = [f"198.51.{number // 250}.{number % 250}" for number in range(5000)]
    found = with_source_ipset(host, entries=entries)["office"]
    assert (len(found["entries"]), found["complete"]) == (200, False)


def test_ipset_whose_entries_expire_is_not_complete(host):
    found = with_source_ipset(host, entries=[], timeout="600")["office"]
    assert found == {"type": "hash:ip", "entries": [], "complete": False}


def test_ipsets_that_are_not_a_source_of_the_user_are_not_read(host):
    host.run(wanted("shared"))
    create_ipset(host, "unused")
    host.create("zone", "offices", sources=["ipset:k3s-nodes"])
    assert inspected(host)["ipsets"] == {}


def test_services_are_named_with_their_ports():
    found = inspected(managed_host("1.3.3"))
    services = [one for one in found["openings"] if one["option"] == "service=ssh"]
    assert services and all(one["ports"] == ["22/tcp"] for one in services)
