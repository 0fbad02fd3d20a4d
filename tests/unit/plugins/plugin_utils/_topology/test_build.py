# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.build import build
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import (
    host,
    settings,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.problems import only, problems_of


def test_an_address_that_two_hosts_found_on_their_interfaces_names_both():
    only(
        problems_of(build, settings(), [host("a"), host("b")]),
        "hosts a, b",
        "192.0.2.11",
        "k3s_topology_cluster_interface",
        "give each node one of its own",
    )


def test_an_address_that_one_host_was_given_and_another_found_names_both():
    peer = host("b", node_ip="192.0.2.11", interfaces=None)
    only(problems_of(build, settings(), [host("a"), peer]), "hosts a, b", "192.0.2.11")


def test_a_node_subnet_that_overlaps_with_the_pods_is_refused():
    inside = host(interfaces={"eth0": ["10.40.0.5/13"]})
    problems = problems_of(build, settings(), [inside])
    assert any("k3s_topology_pod_cidr (10.42.0.0/16)" in text for text in problems)
    assert all("host server1: its address 10.40.0.5/13" in text for text in problems)


def test_several_problems_are_all_named_at_once():
    problems = problems_of(
        build,
        settings(pod_cidr="pods"),
        [host("a", node_ip="node"), host("b", node_ip="::1")],
    )
    text = " ".join(problems)
    for part in ("k3s_topology_pod_cidr", "host a", "host b"):
        assert part in text


def test_several_hosts_with_problems_are_all_named_at_once():
    hosts = [host(name, interfaces={}) for name in ("a", "b", "c")]
    (problem,) = problems_of(build, settings(), hosts)
    assert problem.startswith("hosts a, b, c: which of its interfaces")


def test_a_single_server_is_a_cluster():
    result = build(settings(external_sources=["198.51.100.0/24"]), [host()], ["client1"])
    assert [one["name"] for one in result["nodes"]] == ["server1"]
    assert result["external_clients"] == ["client1"]
    assert result["external_sources"] == ["198.51.100.0/24"]
    assert result["restrict_sources"] is True


def test_overlay_interfaces_are_part_of_the_node():
    one = host(overlay_interfaces=["cni0", "eth0", "cni0"])
    assert build(settings(), [one])["nodes"][0]["overlay_interfaces"] == ["cni0", "eth0"]
