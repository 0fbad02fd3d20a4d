# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.utils.display import Display
from ansible_collections.edgeops.k3s_network.plugins.action import (
    cluster_inventory,
    cluster_topology,
)
from ansible_collections.edgeops.k3s_network.plugins.modules import (
    cluster_inventory as inventory_docs,
)
from ansible_collections.edgeops.k3s_network.plugins.modules import (
    cluster_topology as topology_docs,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.hostvars import (
    GROUP_NAMES,
    SHARED,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import entry

FACTS, PEERS = "k3s_topology_facts", "k3s_topology_peers"
ROLE = Path(__file__).parents[4] / "roles" / "k3s_topology"
GROUPS = {"server": ["s1"], "agent": ["a1"], "external_clients": ["c1"], "all": ["s1", "a1", "c1"]}


class BrokenVars(dict):
    """The variables of a host, one of which has a template that fails."""

    def get(self, key, default=None):
        if key == "k3s_topology_node_ip":
            raise AnsibleError("'nowhere' is undefined")
        return super().get(key, default)


def asked(*addresses, connection=""):
    """Return what node_facts answers for a host."""
    interfaces = {f"eth{number}": [address] for number, address in enumerate(addresses)}
    network = {"interfaces": interfaces, "connection_address": connection}
    return {"ansible_facts": {"k3s_network": network}}


def run_action(action_class, task_vars, arguments, connection="ssh"):
    task = MagicMock(check_mode=True, async_val=0, diff=False, connection=connection)
    task.args = arguments
    action = action_class(task, MagicMock(), MagicMock(), MagicMock(), MagicMock(), MagicMock())
    return action.run(task_vars=task_vars)


def run(
    hostvars=None,
    groups=None,
    first="s1",
    injected=None,
    stage="full",
    connection="ssh",
    **arguments,
):
    """Run the actions one after the other, as the role does, up to a stage or a failure."""
    given = hostvars or {}
    names = {"s1", "a1", "c1", "s2", *(name for group in (groups or {}).values() for name in group)}
    task_vars = {
        "groups": groups or GROUPS,
        "hostvars": {name: given.get(name, {}) for name in names},
        "inventory_hostname": first,
        "ansible_play_hosts_all": ["s1", "c1"],
        **(injected or {}),
    }
    members_only = {"members_only": True} if stage == "members" else {}
    result = run_action(
        cluster_inventory.ActionModule,
        task_vars,
        {"ports": [entry()], **members_only, **arguments},
        connection,
    )
    if stage != "full" or result.get("failed"):
        return result
    variables = {"facts_variable": FACTS, "peers_variable": PEERS}
    return run_action(
        cluster_topology.ActionModule, task_vars, {"inventory": result["inventory"], **variables}
    )


@pytest.fixture(autouse=True)
def resolver(monkeypatch):
    """Resolve names as a test says, none by default, and record them."""
    known, given = {}, []

    def getaddrinfo(name, *_arguments, **_options):
        given.append(name)
        if name not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (address, 0)) for address in known[name]]

    monkeypatch.setattr(cluster_inventory.socket, "getaddrinfo", getaddrinfo)
    return SimpleNamespace(known=known, given=given)


ASKED = {
    "s1": {FACTS: asked("192.0.2.11/24")},
    "a1": {FACTS: asked("192.0.2.21/24")},
}


def test_members_are_told_from_the_groups_alone():
    result = run(stage="members")
    assert result["members"] == {"s1": "server", "a1": "agent"}
    assert result["changed"] is False


def test_groups_may_have_other_names():
    result = run(
        stage="members",
        groups={"masters": ["s1"], "workers": ["s2"]},
        server_group="masters",
        agent_group="workers",
    )
    assert result["members"] == {"s1": "server", "s2": "agent"}


def test_the_inventory_tells_which_nodes_have_to_be_asked():
    assert run(stage="inventory")["unknown"] == ["a1"]
    known = {"a1": {"k3s_topology_node_ip": "192.0.2.21"}}
    assert run(known, stage="inventory")["unknown"] == []
    # A server's files decide the cluster's networks.
    server = {"s1": {"k3s_topology_node_ip": "192.0.2.11"}, **known}
    injected = {"ansible_play_hosts_all": ["a1"]}
    assert run(server, stage="inventory", first="a1", injected=injected)["unknown"] == ["s1"]


def test_problems_fail_the_task_with_their_number_and_all_of_them():
    result = run({"a1": {"k3s_topology_node_ip": "::1"}}, stage="inventory", pod_cidr="pods")
    assert result["failed"] is True
    assert result["msg"].startswith("No changes were made. 2 problems: ")
    assert "k3s_topology_pod_cidr" in result["msg"]
    assert "host a1" in result["msg"]


def test_option_of_the_wrong_type_names_the_variable():
    message = run(stage="inventory", extra_ports=7)["msg"]
    assert message.startswith("No changes were made. 1 problem: ")
    assert "k3s_topology_extra_ports" in message


def test_one_problem_is_one_thing():
    assert "1 problem: " in run(stage="inventory", pod_cidr="pods")["msg"]


def test_the_topology_holds_nodes_and_clients():
    result = run(ASKED, external_sources=["198.51.100.0/24"], restrict_sources=False)
    topology = result["topology"]
    assert [(one["name"], one["group"], one["address"]) for one in topology["nodes"]] == [
        ("s1", "server", "192.0.2.11"),
        ("a1", "agent", "192.0.2.21"),
    ]
    assert topology["external_clients"] == ["c1"]
    assert topology["restrict_sources"] is False
    assert [one["name"] for one in topology["rules"]] == ["api"]


def test_a_peer_outside_the_play_that_was_not_asked_is_named():
    result = run({"s1": ASKED["s1"]})
    assert result["failed"]
    assert "host a1" in result["msg"]
    assert "k3s_topology_node_ip" in result["msg"]


NO_ANSWER = {"unreachable": True, "msg": "Failed to connect to the host via ssh"}


@pytest.mark.parametrize(
    "asked_by",
    [
        {"a1": {FACTS: NO_ANSWER}},
        {"s1": {PEERS: {"results": [{"item": "a1", **NO_ANSWER}]}}},
    ],
    ids=["in the play", "outside the play"],
)
def test_facts_of_an_earlier_run_do_not_count(asked_by):
    cached = {"s1": ASKED["s1"], "a1": asked("192.0.2.99/24")}
    result = run({name: {**facts, **asked_by.get(name, {})} for name, facts in cached.items()})
    assert result["failed"]
    assert "host a1: its address can't be had" in result["msg"]
    assert NO_ANSWER["msg"] in result["msg"]


def test_peers_that_answered_are_in_the_topology():
    answers = {"results": [{"item": "a1", **asked("192.0.2.21/24")}]}
    result = run({"s1": {**ASKED["s1"], PEERS: answers}})
    assert [node["address"] for node in result["topology"]["nodes"]] == ["192.0.2.11", "192.0.2.21"]


def test_own_facts_count_more_than_what_an_earlier_batch_was_told():
    silence = {"results": [{"item": "a1", **NO_ANSWER}]}
    result = run({"s1": {**ASKED["s1"], PEERS: silence}, "a1": ASKED["a1"]})
    assert result["topology"]["nodes"][1]["address"] == "192.0.2.21"


@pytest.mark.parametrize("first", ["s1", "c1"])
def test_peer_that_answered_one_host_of_the_play_counts(first):
    answers = {"results": [{"item": "a1", **asked("192.0.2.21/24")}]}
    silence = {"results": [{"item": "a1", **NO_ANSWER}]}
    of_askers = {name: answers if name == first else silence for name in ("s1", "c1")}
    hostvars = {"s1": {**ASKED["s1"], PEERS: of_askers["s1"]}, "c1": {PEERS: of_askers["c1"]}}
    assert run(hostvars)["topology"]["nodes"][1]["address"] == "192.0.2.21"


def test_segregated_node_without_a_cluster_interface_has_to_be_read():
    segregated = {
        "k3s_topology_node_ip": "192.0.2.21",
        "k3s_topology_mode": "segregated",
        "k3s_topology_external_interface": "eth1",
    }
    hostvars = {**ASKED, "a1": segregated}
    assert run(hostvars, stage="inventory")["unknown"] == ["a1"]
    message = run({**hostvars, "a1": {**segregated, FACTS: NO_ANSWER}})["msg"]
    assert "k3s_topology_cluster_interface is not set, and its files could not be read" in message
    assert NO_ANSWER["msg"] in message


def test_each_nodes_own_values_count():
    two = {FACTS: asked("192.0.2.11/24", "198.51.100.11/24")}
    hostvars = {
        "s1": {
            **two,
            "k3s_topology_mode": "segregated",
            "k3s_topology_cluster_interface": "eth0",
            "k3s_topology_external_interface": "eth1",
        },
        "a1": ASKED["a1"],
    }
    server, agent = run(hostvars)["topology"]["nodes"]
    assert (server["mode"], server["external_address"]) == ("segregated", "198.51.100.11")
    assert (agent["mode"], agent["cluster_interface"]) == ("shared", "eth0")


def test_values_of_the_play_hold_for_every_node():
    facts = {FACTS: asked("192.0.2.11/24", "198.51.100.11/24")}
    other = {FACTS: asked("192.0.2.21/24", "198.51.100.21/24")}
    result = run(
        {"s1": facts, "a1": other},
        mode="segregated",
        cluster_interface="eth1",
        external_interface="eth0",
    )
    assert [one["address"] for one in result["topology"]["nodes"]] == [
        "198.51.100.11",
        "198.51.100.21",
    ]


def test_the_connection_tells_the_interface():
    facts = asked("192.0.2.11/24", "198.51.100.11/24", connection="198.51.100.11")
    result = run({"s1": {FACTS: facts}, "a1": ASKED["a1"]})
    assert result["topology"]["nodes"][0]["cluster_interface"] == "eth1"


def test_a_variable_that_can_not_be_read_names_host_and_variable():
    result = run({**ASKED, "a1": BrokenVars(ASKED["a1"])})
    assert result["failed"]
    assert "host a1: k3s_topology_node_ip can't be read: 'nowhere' is undefined" in result["msg"]


def of_nodes(**own):
    """Return host variables of which no client outside has any."""
    return {name: {**facts, **own} for name, facts in ASKED.items()}


def test_what_holds_for_the_nodes_counts_where_a_client_comes_first():
    extra = [entry(name="exporter", port=9100)]
    hostvars = of_nodes(
        k3s_topology_restrict_sources="false",
        k3s_topology_external_sources=["198.51.100.0/24"],
        k3s_topology_extra_ports=extra,
        k3s_topology_pod_cidr="10.52.0.0/16",
    )
    topology = run(hostvars, first="c1")["topology"]
    assert topology["restrict_sources"] is False
    assert topology["external_sources"] == ["198.51.100.0/24"]
    assert topology["pod_cidr"] == "10.52.0.0/16"
    assert [one["name"] for one in topology["rules"]] == ["api", "exporter"]


def test_what_the_play_says_counts_where_a_client_comes_first_and_nodes_say_nothing():
    topology = run(ASKED, first="c1", pod_cidr="10.52.0.0/16")["topology"]
    assert topology["pod_cidr"] == "10.52.0.0/16"


def test_groups_that_the_nodes_name_count_where_a_client_comes_first():
    names = {"k3s_topology_server_group": "masters", "k3s_topology_agent_group": "workers"}
    groups = {"masters": ["s1"], "workers": ["a1"], "server": ["c1"]}
    result = run(of_nodes(**names), groups, first="c1", stage="members")
    assert result["members"] == {"s1": "server", "a1": "agent"}


def test_two_clusters_in_one_play_are_refused():
    hostvars = {
        "s1": {"k3s_topology_server_group": "north"},
        "c1": {"k3s_topology_server_group": "south"},
    }
    groups = {"north": ["s1"], "south": ["c1"], "server": ["s2"]}
    result = run(hostvars, groups, first="a1", stage="members")
    assert result["failed"]
    assert "k3s_topology_server_group is north and south" in result["msg"]
    assert "--limit" in result["msg"]


def test_two_clusters_in_one_play_are_refused_whoever_comes_first():
    hostvars = {
        "s1": {"k3s_topology_server_group": "north"},
        "c1": {"k3s_topology_server_group": "south"},
    }
    groups = {"north": ["s1"], "south": ["c1"]}
    result = run(hostvars, groups, first="s1", stage="members", server_group="north")
    assert "k3s_topology_server_group is north and south" in result["msg"]


def test_what_a_later_role_would_refuse_is_refused_before_a_change():
    hostvars = {"a1": {"k3s_firewall_confirm_timeout": -1}}
    message = run(hostvars, stage="inventory")["msg"]
    assert message.startswith("No changes were made. 1 problem: host a1: k3s_firewall_confirm")


def test_what_can_not_be_told_yet_is_left_to_its_role():
    hostvars = {"a1": {"k3s_firewall_confirm_timeout": "{{ found_later }}"}}
    assert run(hostvars, stage="inventory")["members"] == {"s1": "server", "a1": "agent"}


def test_a_slice_without_servers_has_members():
    groups = {"server": [], "agent": ["a1"]}
    assert run(groups=groups, stage="members")["members"] == {"a1": "agent"}
    assert "that group is empty" in run(groups=groups, stage="inventory")["msg"]


def test_with_serial_the_hosts_of_other_batches_are_asked_as_peers():
    injected = {
        "ansible_play_hosts_all": ["s1", "a1"],
        "ansible_play_hosts": ["s1", "a1"],
        "ansible_play_batch": ["s1"],
    }
    assert run(stage="inventory", injected=injected)["unknown"] == ["a1"]
    # Whoever failed before has been asked.
    injected["ansible_play_hosts"] = ["s1"]
    assert run(stage="inventory", injected=injected)["unknown"] == []


def test_a_client_may_not_have_the_name_of_the_controller_in_reports():
    groups = {**GROUPS, "external_clients": ["external"]}
    assert "host external: reports call the controller so" in run(ASKED, groups)["msg"]


@pytest.mark.parametrize("first", ["s1", "a1", "c1"])
def test_nodes_that_differ_in_what_holds_for_the_cluster_are_refused(first):
    hostvars = {**ASKED, "s1": {**ASKED["s1"], "k3s_topology_http_redirect": False}}
    own = hostvars.get(first, {}).get("k3s_topology_http_redirect", True)
    result = run(hostvars, first=first, stage="inventory", http_redirect=own)
    assert result["failed"]
    assert "hosts s1, a1: k3s_topology_http_redirect is not the same" in result["msg"]
    assert "k3s_cluster" in result["msg"]


def test_what_reads_the_same_is_no_difference():
    hostvars = {
        "s1": {**ASKED["s1"], "k3s_topology_http_redirect": "false"},
        "a1": {**ASKED["a1"], "k3s_topology_http_redirect": False},
    }
    assert "failed" not in run(hostvars, http_redirect=False)


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_value_is_as_good_as_none(empty):
    hostvars = {**ASKED, "a1": {**ASKED["a1"], "k3s_topology_node_ip": empty}}
    assert run(hostvars)["topology"]["nodes"][1]["address"] == "192.0.2.21"


@pytest.mark.parametrize(
    ("docs", "spec"),
    [
        (inventory_docs, cluster_inventory.ARGUMENT_SPEC),
        (topology_docs, cluster_topology.ARGUMENT_SPEC),
    ],
    ids=["inventory", "topology"],
)
def test_the_documented_options_are_those_that_it_takes(docs, spec):
    documented = yaml.safe_load(docs.DOCUMENTATION)["options"]
    assert set(documented) == set(spec)
    for name, option in spec.items():
        assert documented[name]["type"] == option["type"], name
        assert documented[name].get("default") == option.get("default"), name


def test_the_role_hands_over_each_option_from_the_variable_that_the_nodes_are_asked_for():
    tasks = yaml.safe_load((ROLE / "tasks" / "main.yml").read_text())
    handed = tasks[0]["edgeops.k3s_network.cluster_inventory"]
    for option, variable in {**GROUP_NAMES, **SHARED}.items():
        assert variable in handed[option]


@pytest.mark.parametrize(
    "given",
    [
        "10.0.0.0/8\n192.168.0.0/16",
        "10.0.0.0/8, 192.168.0.0/16\n",
        ["10.0.0.0/8", "192.168.0.0/16"],
    ],
)
def test_external_sources_may_be_the_lines_of_a_survey(given):
    topology = run(ASKED, external_sources=given)["topology"]
    assert topology["external_sources"] == ["10.0.0.0/8", "192.168.0.0/16"]


@pytest.mark.parametrize("given", ["", "\n", []])
def test_an_empty_answer_admits_anyone(given):
    assert run(ASKED, external_sources=given)["topology"]["external_sources"] == []


@pytest.mark.parametrize("prefix", ["awx", "tower"])
@pytest.mark.parametrize("stage", ["inventory", "full"])
def test_a_slice_of_a_job_is_refused(prefix, stage):
    injected = {f"{prefix}_job_template_name": "Prepare", f"{prefix}_workflow_job_name": "Prepare"}
    message = run(ASKED, injected=injected, stage=stage)["msg"]
    assert "job template Prepare runs in slices" in message
    assert "job_slice_count" in message


def test_slice_without_servers_is_refused_as_a_slice():
    injected = {"awx_job_template_name": "Prepare", "awx_workflow_job_name": "Prepare"}
    groups = {"server": [], "agent": ["a1"]}
    message = run(groups=groups, injected=injected, stage="inventory")["msg"]
    assert "job template Prepare runs in slices" in message
    assert "that group is empty" not in message


def test_a_job_and_a_node_of_a_workflow_are_no_slices():
    job = {"awx_job_template_name": "Prepare", "awx_job_id": 7}
    assert "failed" not in run(ASKED, injected=job)
    assert "failed" not in run(ASKED, injected={**job, "awx_workflow_job_name": "Network"})
    assert "failed" not in run(ASKED, injected={"awx_workflow_job_name": "Network"})


def test_what_asks_for_members_alone_may_be_sliced():
    names = {"awx_job_template_name": "Remove", "awx_workflow_job_name": "Remove"}
    assert "failed" not in run(injected=names, stage="members")


@pytest.mark.parametrize(
    "option", ["pod_cidr", "ports", "http_redirect", "mode", "external_sources"]
)
@pytest.mark.parametrize("empty", ["", " "])
def test_empty_answer_leaves_each_option_to_its_default(option, empty):
    hostvars = of_nodes(**{f"k3s_topology_{option}": empty})
    topology = run(hostvars, **{option: empty})["topology"]
    names = [rule["name"] for rule in topology["rules"]]
    assert ("etcd" in names) is (option == "ports")
    assert topology["pod_cidr"] == "10.42.0.0/16"
    assert topology["nodes"][0]["mode"] == "shared"


def test_rules_may_be_the_text_of_a_survey():
    text = "- {name: exporter, port: 9100, protocol: tcp, source: [server], destination: [agent]}"
    hostvars = of_nodes(k3s_topology_extra_ports=text)
    topology = run(hostvars, extra_ports=text)["topology"]
    assert [rule["name"] for rule in topology["rules"]] == ["api", "exporter"]
    message = run(of_nodes(k3s_topology_extra_ports="exporter"), extra_ports="exporter")["msg"]
    assert message == (
        "No changes were made. 1 problem: hosts s1, a1: k3s_topology_extra_ports is text, expected "
        "a list; give a list, or a text that is one in YAML or JSON"
    )


def test_node_that_is_an_external_client_is_refused():
    message = run(ASKED, {**GROUPS, "external_clients": ["c1", "a1"]})["msg"]
    assert (
        "1 problem: host a1: it is a node of the cluster and in group 'external_clients'" in message
    )


def test_addresses_of_another_ip_version_than_the_networks_are_refused():
    ipv6 = {"s1": {FACTS: asked("2001:db8::1/64")}, "a1": {FACTS: asked("2001:db8::2/64")}}
    message = run(ipv6)["msg"]
    assert "are IPv4, and the nodes have IPv6 addresses" in message
    networks = {"pod_cidr": "fd42::/56", "service_cidr": "fd43::/112"}
    given = {f"k3s_topology_{option}": value for option, value in networks.items()}
    hostvars = {name: {**one, **given} for name, one in ipv6.items()}
    assert run(hostvars, **networks)["topology"]["nodes"][0]["address"] == "2001:db8::1"


def test_problem_of_many_hosts_is_named_once():
    hostvars = of_nodes(k3s_topology_mode="both")
    message = run(hostvars, mode="both")["msg"]
    assert message.startswith("No changes were made. 1 problem: hosts s1, a1: k3s_topology_mode is")


# What the inventory tells K3s


TWO_NICS = {
    "s1": {FACTS: asked("192.0.2.11/24", "10.99.0.1/24", connection="192.0.2.11")},
    "a1": {FACTS: asked("192.0.2.21/24", "10.99.0.2/24", connection="192.0.2.21")},
}


def with_k3s(**variables):
    """Return the variables of two nodes with two NICs; those named s1_... are of s1 alone."""
    agent = {name: value for name, value in variables.items() if "agent" in name}
    server = {name: value for name, value in variables.items() if "agent" not in name}
    return {"s1": {**TWO_NICS["s1"], **server}, "a1": {**TWO_NICS["a1"], **agent}}


@pytest.mark.parametrize(
    "variables",
    [
        {
            "extra_server_args": "--node-ip 10.99.0.1 --flannel-iface eth1",
            "extra_agent_args": "--node-ip 10.99.0.2 --flannel-iface eth1",
        },
        {
            "server_config_yaml": "node-ip: 10.99.0.1\nflannel-iface: eth1\n",
            "agent_config_yaml": "node-ip: 10.99.0.2\nflannel-iface: eth1\n",
        },
        {"extra_server_args": "-i 10.99.0.1", "extra_agent_args": "-i 10.99.0.2"},
        {"extra_server_args": "--flannel-iface eth1", "extra_agent_args": "--flannel-iface=eth1"},
    ],
    ids=["command-line", "file", "address", "interface"],
)
def test_address_and_nic_of_k3s_are_those_of_the_node(variables):
    result = run(with_k3s(**variables))
    nodes = result["topology"]["nodes"]
    assert [(node["address"], node["cluster_interface"]) for node in nodes] == [
        ("10.99.0.1", "eth1"),
        ("10.99.0.2", "eth1"),
    ]
    assert set(nodes[0]["k3s"]["settings"]) <= {"node-ip", "flannel-iface"}


def test_networks_and_backend_of_k3s_are_those_of_the_cluster():
    config = "cluster-cidr: 10.44.0.0/16\nservice-cidr: 10.45.0.0/16\nflannel-backend: {}\n"
    vxlan = entry(name="flannel-vxlan", port=8472, protocol="udp")
    result = run(
        with_k3s(server_config_yaml=config.format("wireguard-native")), ports=[entry(), vxlan]
    )
    topology = result["topology"]
    assert (topology["pod_cidr"], topology["service_cidr"]) == ("10.44.0.0/16", "10.45.0.0/16")
    ports = [(rule["name"], rule["first"], rule["last"]) for rule in topology["rules"]]
    assert ("flannel-wireguard", 51820, 51821) in ports
    assert "flannel-vxlan" not in [name for name, _first, _last in ports]


@pytest.mark.parametrize(
    ("variables", "both"),
    [
        (
            {"extra_server_args": "-i 10.99.0.1", "k3s_topology_node_ip": "192.0.2.11"},
            ("k3s_topology_node_ip is 192.0.2.11", "node-ip in extra_server_args is 10.99.0.1"),
        ),
        (
            {
                "server_config_yaml": "flannel-iface: eth1",
                "k3s_topology_cluster_interface": "eth0",
            },
            (
                "k3s_topology_cluster_interface is eth0",
                "flannel-iface in server_config_yaml is eth1",
            ),
        ),
        (
            {
                "server_config_yaml": "cluster-cidr: 10.44.0.0/16",
                "k3s_topology_pod_cidr": "10.42.0.0/16",
            },
            ("k3s_topology_pod_cidr is 10.42.0.0/16", "cluster-cidr in server_config_yaml"),
        ),
    ],
)
@pytest.mark.parametrize("stage", ["inventory", "full"])
def test_contradiction_names_both_sources(stage, variables, both):
    result = run(with_k3s(**variables), stage=stage, pod_cidr="10.42.0.0/16")
    assert result["failed"]
    for part in both:
        assert part in result["msg"]


def test_address_of_k3s_that_no_nic_holds_is_named_by_its_source():
    result = run(with_k3s(extra_server_args="--node-ip 203.0.113.9"))
    assert "node-ip in extra_server_args is 203.0.113.9" in result["msg"]


class NoTemplates(dict):
    """The variables of a host, in which a template needs what only K3s's own role has."""

    def get(self, key, default=None):
        if key == "extra_server_args":
            raise AnsibleError("'k3s_server_location' is undefined")
        return super().get(key, default)


def test_variable_of_k3s_that_cannot_be_worked_out_is_a_warning(monkeypatch):
    told = []
    monkeypatch.setattr(Display, "warning", lambda _self, text: told.append(text))
    hostvars = {"s1": NoTemplates(TWO_NICS["s1"]), "a1": TWO_NICS["a1"]}
    assert not run(hostvars, stage="inventory").get("failed")
    assert len(told) == 1
    assert "host s1: extra_server_args can't be worked out here" in told[0]
    assert run(hostvars)["topology"]["nodes"][0]["address"] == "192.0.2.11"


def test_variable_of_many_hosts_that_cannot_be_worked_out_is_one_warning(monkeypatch):
    told = []
    monkeypatch.setattr(Display, "warning", lambda _self, text: told.append(text))
    names = [f"s{number}" for number in range(1, 21)]
    hostvars = {name: NoTemplates() for name in names}
    run(hostvars, {"server": names, "agent": []}, stage="inventory")
    assert len(told) == 1
    assert told[0].startswith("hosts s1, s2, s3, s4, s5, s6, s7, s8, s9, s10 and 10 more: extra_")


# What K3s is told by the files of a node


def in_file(**settings):
    """Return the facts of a node whose config.yaml has these settings."""
    return {
        "settings": [
            {
                "source": "/etc/rancher/k3s/config.yaml",
                "key": key.replace("_", "-"),
                "kind": "file",
                "append": False,
                "text": f"value: {value}",
            }
            for key, value in settings.items()
        ],
        "unreadable": [],
        "config": "",
        "certificate": "",
        "has_run": False,
        "version": "",
    }


def with_files(server, agent=None, **variables):
    """Return two nodes with these facts of K3s, and variables of the server."""
    found = {}
    for name, k3s in (("s1", server), ("a1", agent)):
        network = {**TWO_NICS[name][FACTS]["ansible_facts"]["k3s_network"], "k3s": k3s}
        found[name] = {FACTS: {"ansible_facts": {"k3s_network": network}}}
    found["s1"].update(variables)
    return found


def test_files_of_a_node_decide_its_address_nic_and_networks():
    server = in_file(flannel_iface="eth1", cluster_cidr="10.44.0.0/16", flannel_backend="host-gw")
    vxlan = entry(name="flannel-vxlan", port=8472, protocol="udp")
    result = run(with_files(server, in_file(node_ip="10.99.0.2")), ports=[entry(), vxlan])
    topology = result["topology"]
    assert [node["address"] for node in topology["nodes"]] == ["10.99.0.1", "10.99.0.2"]
    assert topology["pod_cidr"] == "10.44.0.0/16"
    assert [rule["name"] for rule in topology["rules"]] == ["api"]


@pytest.mark.parametrize(
    ("server", "variables", "parts"),
    [
        (
            in_file(node_ip="10.99.0.1"),
            {"k3s_topology_node_ip": "192.0.2.11"},
            ("k3s_topology_node_ip is 192.0.2.11", "node-ip in /etc/rancher/k3s/config.yaml is 10"),
        ),
        (
            in_file(service_cidr="10.45.0.0/16"),
            {"k3s_topology_service_cidr": "10.46.0.0/16"},
            ("k3s_topology_service_cidr is 10.46.0.0/16", "service-cidr in /etc/rancher"),
        ),
        (
            in_file(cluster_cidr="10.42.0.0/16,fd42::/56"),
            {},
            ("dual-stack", "cluster-cidr in /etc"),
        ),
        (in_file(node_ip="10.99.0.1,fd00::1"), {}, ("dual-stack", "node-ip in /etc")),
        ({"settings": 7}, {}, ("host s1: its facts about K3s are not valid", "settings")),
    ],
)
def test_contradiction_with_files_of_a_node_names_both(server, variables, parts):
    hostvars = with_files(server, **variables)
    for name, value in variables.items():
        if name.endswith("cidr"):
            hostvars["a1"][name] = value
    options = {
        name.removeprefix("k3s_topology_"): value
        for name, value in variables.items()
        if name.endswith("cidr")
    }
    message = run(hostvars, **options)["msg"]
    for part in parts:
        assert part in message


def test_files_of_a_node_and_inventory_that_differ_are_recorded():
    hostvars = with_files(in_file(node_ip="10.99.0.1"), extra_server_args="--node-ip 192.0.2.11")
    node = run(hostvars)["topology"]["nodes"][0]
    assert node["address"] == "10.99.0.1"
    assert node["k3s"]["differences"] == [
        "node-ip in /etc/rancher/k3s/config.yaml is 10.99.0.1, and node-ip in extra_server_args is "
        "192.0.2.11"
    ]


def test_file_of_a_node_that_is_not_readable_is_a_warning(monkeypatch):
    told = []
    monkeypatch.setattr(Display, "warning", lambda _self, text: told.append(text))
    facts = {
        **in_file(),
        "unreadable": [{"path": "/etc/rancher/k3s/config.yaml", "reason": "it has tabs"}],
    }
    assert "topology" in run(with_files(facts, facts))
    assert len(told) == 1
    assert told[0].startswith("hosts s1, a1: /etc/rancher/k3s/config.yaml: it has tabs. ")


# The address to which Ansible connects

FALSE = "203.0.113.77"


def with_false_address(**variables):
    """Return two nodes, of which a1 reports an address that is not its own."""
    return {"s1": ASKED["s1"], "a1": {FACTS: asked(f"{FALSE}/24", connection=FALSE), **variables}}


@pytest.mark.parametrize(
    "variables",
    [
        {"ansible_host": "192.0.2.21"},
        {"ansible_ssh_host": "192.0.2.21", "ansible_host": FALSE},
        {"ansible_host": "192.0.2.21", "ansible_connection": "ansible.builtin.ssh"},
        {"ansible_host": "192.0.2.21", "ansible_connection": "paramiko_ssh"},
        {"ansible_host": "agent.example"},
    ],
)
def test_node_that_reports_a_false_address_is_refused(resolver, variables):
    resolver.known["agent.example"] = ["192.0.2.21"]
    message = run(with_false_address(**variables))["msg"]
    assert message.startswith("No changes were made. 1 problem: host a1: Ansible connects to ")
    assert "192.0.2.21, and the node reports a connection to 203.0.113.77" in message
    assert "set k3s_topology_node_ip" in message


def test_inventory_name_is_the_address_if_there_is_no_other(resolver):
    groups = {"server": ["192.0.2.11"], "agent": ["192.0.2.21"]}
    false = {FACTS: asked(f"{FALSE}/24", connection=FALSE)}
    own = {FACTS: asked("192.0.2.11/24", connection="192.0.2.11")}
    injected = {"ansible_play_hosts_all": ["192.0.2.11"]}
    result = run({"192.0.2.11": own, "192.0.2.21": false}, groups, "192.0.2.11", injected)
    assert "1 problem: host 192.0.2.21: Ansible connects to 192.0.2.21" in result["msg"]
    assert resolver.given == []


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"ansible_host": "alias-of-ssh-config"},
        {"ansible_host": "{{ found_later }}"},
        {"ansible_host": "192.0.2.21", "ansible_connection": "local"},
        {"ansible_host": "192.0.2.21", "ansible_connection": "community.docker.docker"},
        # A port that is forwarded.
        {"ansible_host": "127.0.0.1", "ansible_port": 2222},
    ],
)
def test_nothing_is_compared_if_the_address_is_not_known(variables):
    assert run(with_false_address(**variables))["topology"]["nodes"][1]["address"] == FALSE


def test_connection_of_the_play_counts():
    hostvars = with_false_address(ansible_host="192.0.2.21")
    assert "failed" not in run(hostvars, connection="local")
    hostvars["a1"]["ansible_connection"] = "ssh"
    assert run(hostvars, connection="local")["failed"]


def test_names_are_resolved_only_for_nodes_that_report_their_address(resolver):
    run(with_false_address(k3s_topology_node_ip=FALSE), stage="inventory")
    assert sorted(resolver.given) == ["c1", "s1"]
    resolver.given.clear()
    given = {"s1": {"k3s_topology_node_ip": "192.0.2.11"}, "a1": {"k3s_topology_node_ip": FALSE}}
    run(given, stage="inventory")
    assert resolver.given == []


def test_node_with_the_address_of_an_external_client_is_refused():
    hostvars = {**with_false_address(), "c1": {"ansible_host": FALSE}}
    message = run(hostvars)["msg"]
    assert f"host a1: its address is {FALSE}, to which Ansible connects as host c1" in message


def test_look_up_survives_names_that_are_not_valid(monkeypatch):
    monkeypatch.undo()
    assert cluster_inventory.look_up(["a..b", "a" * 64 + ".invalid", "null\0byte", ""]) is not None
    assert cluster_inventory.look_up(["127.0.0.1", "::1"]) == [["127.0.0.1"], ["::1"]]


def test_look_up_that_takes_too_long_ends_with_a_warning(monkeypatch, resolver):
    told = []
    monkeypatch.setattr(Display, "warning", lambda _self, text: told.append(text))
    monkeypatch.setattr(cluster_inventory, "LOOKUP_SECONDS", -1)
    assert cluster_inventory.look_up(["n1", "n2"]) == [[], []]
    assert resolver.given == []
    assert "The names of 2 hosts, such as n1, were not resolved within" in told[0]


@pytest.mark.parametrize(
    "network",
    [
        {"interfaces": {"eth0": "192.0.2.21/24"}},
        {"interfaces": ["eth0"]},
        {"interfaces": {"eth0": ["nonsense"]}},
        {"connection_address": "192.0.2.21"},
        ["eth0"],
    ],
)
def test_facts_of_the_wrong_type_name_the_host(network):
    facts = {"ansible_facts": {"k3s_network": network}}
    message = run({"s1": ASKED["s1"], "a1": {FACTS: facts}})["msg"]
    assert "host a1: its facts about the network are not valid" in message
