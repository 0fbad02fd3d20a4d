# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.model import (
    BINDING,
    IPSET,
    POLICY,
    PORTS,
    ZONE,
    AddedPorts,
    PreviousBinding,
    Record,
    State,
    owned_keys,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.obstacles import (
    conflicts,
    references,
    unbound_interfaces,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.plan import (
    changes,
    printable,
    runtime_changes,
    subtract_ports,
    target_absent,
    target_present,
    unite_ports,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.files import FileCopy
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.networkmanager import (
    Profile,
)
from hypothesis import given
from hypothesis import strategies as st

IPSETS = [{"name": "k3s-nodes", "type": "hash:ip", "family": "inet", "entries": ["192.0.2.1"]}]
POLICIES = [
    {
        "name": "k3s-from-nodes",
        "priority": 1010,
        "ingress_zones": ["ANY"],
        "egress_zones": ["HOST"],
        "rules": ["r"],
    }
]
CLUSTER_ZONE = {"name": "k3s-cluster", "interface": "eth0", "ports": []}
ETH0 = [{"interface": "eth0", "ports": ["6443/tcp", "10000-30000/tcp"]}]
OURS = [(IPSET, "k3s-nodes"), (ZONE, "k3s-cluster"), (POLICY, "k3s-from-nodes")]
NOT_OWNED = [(BINDING, "k3s-eth0"), (PORTS, "k3s-zone")]
ZONES = frozenset((ZONE, name) for name in ("public", "internal", "work", "k3s-cluster"))
OVERLAY = [{"name": "k3s-pods", "interfaces": ["flannel.1", "cni0"]}]


def state(permanent="", runtime="", ports=None, **others):
    """Return the state of a node whose eth0 is bound to these zones."""
    given = {
        "permanent": {(BINDING, "eth0"): {"zone": permanent}},
        "runtime": {(BINDING, "eth0"): {"zone": runtime}},
        "default_zone": "public",
        "permanent_keys": ZONES,
        **others,
    }
    for zone, open_ports in (ports or {}).items():
        given["permanent"][PORTS, zone] = {"ports": open_ports}
        given["runtime"][PORTS, zone] = {"ports": open_ports}
    return State(**given)


def present(of, record=None, zones=(), interface_ports=(), overlay_zones=()):
    return target_present(
        of, record or Record(), IPSETS, POLICIES, zones, overlay_zones, interface_ports
    )


# The steps


def test_objects_are_made_before_others_refer_to_them():
    after = {key: {"x": 1} for key in [*reversed(OURS), (PORTS, "public"), (BINDING, "eth0")]}
    kinds = [change.key[0] for change in changes({}, after)]
    assert kinds == [IPSET, ZONE, PORTS, BINDING, POLICY]


def test_objects_go_after_those_that_refer_to_them():
    steps = changes({key: {} for key in OURS}, {})
    assert [change.key[0] for change in steps] == [POLICY, ZONE, IPSET]
    assert all(change.after is None for change in steps)


def test_what_is_new_comes_before_what_goes():
    steps = changes({(IPSET, "k3s-old"): {}}, {(POLICY, "k3s-new"): {}})
    assert [change.key[1] for change in steps] == ["k3s-new", "k3s-old"]


def test_equal_states_need_no_steps():
    objects = {key: {"x": [1]} for key in OURS + NOT_OWNED}
    assert changes(objects, {key: dict(value) for key, value in objects.items()}) == []


@pytest.mark.parametrize("key", NOT_OWNED)
def test_bindings_and_ports_are_never_removed(key):
    assert owned_keys([key]) == frozenset()
    assert changes({key: {}}, {}) == []


def test_an_unwanted_ipset_stays_in_the_runtime():
    before = {key: {} for key in OURS}
    assert (IPSET, "k3s-nodes") in [change.key for change in changes(before, {})]
    kept = [change.key for change in runtime_changes(before, {})]
    assert kept == [(POLICY, "k3s-from-nodes"), (ZONE, "k3s-cluster")]


KEYS = st.sampled_from(OURS + NOT_OWNED)
OBJECTS = st.dictionaries(KEYS, st.dictionaries(st.sampled_from("ab"), st.integers(0, 2)))


@given(OBJECTS, OBJECTS)
def test_the_steps_lead_from_one_state_to_the_other(before, after):
    objects = dict(before)
    for change in changes(before, after):
        assert objects.get(change.key) == change.before
        if change.after is None:
            del objects[change.key]
        else:
            objects[change.key] = change.after
    kept = {key: one for key, one in before.items() if key in NOT_OWNED}
    assert objects == {**kept, **after}
    assert changes(objects, after) == []


def test_printable_nests_the_named_objects_only():
    objects = {(IPSET, "k3s-nodes"): {"entries": []}, (ZONE, "k3s-cluster"): {}}
    assert printable(objects, [(IPSET, "k3s-nodes"), (ZONE, "gone")]) == {
        "ipset": {"k3s-nodes": {"entries": []}}
    }


# Lists of ports


def test_ports_are_united_as_firewalld_coalesces_them():
    assert unite_ports(["10250/tcp", "53/udp"], ["10000-30000/tcp", "53/tcp"]) == [
        "10000-30000/tcp",
        "53/tcp",
        "53/udp",
    ]


def test_ports_are_subtracted_by_protocol():
    assert subtract_ports(["80-90/tcp", "85/udp"], ["85/tcp"]) == [
        "80-84/tcp",
        "85/udp",
        "86-90/tcp",
    ]


# What shall be there


def test_policies_continue_so_that_the_zones_rules_still_count():
    target = present(state())
    assert target.permanent[POLICY, "k3s-from-nodes"] == {
        "target": "CONTINUE",
        "priority": 1010,
        "ingress_zones": ["ANY"],
        "egress_zones": ["HOST"],
        "rich_rules": ["r"],
    }
    assert target.permanent[IPSET, "k3s-nodes"]["entries"] == ["192.0.2.1"]


def test_both_configurations_get_the_same_objects():
    target = present(state(), zones=[CLUSTER_ZONE])
    assert target.permanent == target.runtime


def test_a_zone_of_ours_starts_as_a_copy_of_the_one_that_held_the_interface():
    internal = {
        "services": ["cockpit", "ssh"],
        "ports": ["9100/tcp"],
        "target": "DROP",
        "sources": ["203.0.113.0/24"],
        "interfaces": ["eth0"],
    }
    found = state("internal", "internal", zones={"internal": internal, "public": {}})
    target = present(found, zones=[CLUSTER_ZONE])
    assert target.permanent[ZONE, "k3s-cluster"] == {
        "services": ["cockpit", "ssh"],
        "ports": ["9100/tcp"],
        "target": "DROP",
    }
    assert target.permanent[BINDING, "eth0"] == {"zone": "k3s-cluster"}


def test_plain_ports_are_added_to_those_of_the_former_zone():
    found = state(zones={"public": {"ports": ["10250/tcp", "80/tcp"]}})
    target = present(found, zones=[{**CLUSTER_ZONE, "ports": ["10000-30000/tcp"]}])
    assert target.permanent[ZONE, "k3s-cluster"]["ports"] == ["10000-30000/tcp", "80/tcp"]


def test_the_record_says_how_the_interface_was_bound():
    profile = Profile("uuid", "/etc/x.nmconnection", FileCopy("/etc/x.nmconnection", b"text"))
    found = state("internal", "work", zones={"work": {}}, profiles={"eth0": profile})
    target = present(found, zones=[CLUSTER_ZONE])
    assert target.record.bindings == {"eth0": PreviousBinding("internal", "work", profile)}


@pytest.mark.parametrize(
    ("bound", "record", "zone", "former"),
    [
        # Unbound: it has the settings of the default zone.
        ("", None, "public", PreviousBinding("", "")),
        # A second run keeps the record of the first.
        (
            *("k3s-cluster", PreviousBinding("internal", "internal"), "internal"),
            PreviousBinding("internal", "internal"),
        ),
        # Without a record, the previous zone is the default one.
        ("k3s-cluster", None, "public", PreviousBinding("", "")),
    ],
)
def test_zone_of_an_interface_copies_the_previous_one(bound, record, zone, former):
    found = state(bound, bound, zones={zone: {"services": ["ssh"]}})
    record = Record(bindings={"eth0": record} if record else {})
    target = present(found, record, zones=[CLUSTER_ZONE])
    assert target.record.bindings == {"eth0": former}
    assert target.permanent[ZONE, "k3s-cluster"] == {"services": ["ssh"]}


def test_absent_gives_back_each_binding_of_its_own_configuration():
    record = Record(
        bindings={"eth0": PreviousBinding("internal", "work")},
        objects=frozenset({(ZONE, "k3s-cluster")}),
    )
    target = target_absent(state("k3s-cluster", "k3s-cluster"), record)
    assert target.permanent == {(BINDING, "eth0"): {"zone": "internal"}}
    assert target.runtime == {(BINDING, "eth0"): {"zone": "work"}}
    assert target.record == Record()


def test_an_interface_whose_former_zone_is_gone_goes_to_the_default_one():
    record = Record(bindings={"eth0": PreviousBinding("gone", "gone")})
    target = target_absent(state("k3s-cluster", "k3s-cluster"), record)
    assert target.permanent == target.runtime == {(BINDING, "eth0"): {"zone": ""}}


def test_an_interface_that_is_no_longer_ours_goes_back():
    record = Record(
        bindings={"eth0": PreviousBinding("internal", "internal"), "eth1": PreviousBinding("", "")}
    )
    found = state("k3s-cluster", "k3s-cluster")
    target = present(found, record, zones=[{**CLUSTER_ZONE, "interface": "eth1"}])
    assert target.permanent[BINDING, "eth0"] == {"zone": "internal"}
    assert set(target.record.bindings) == {"eth1"}


def test_ports_go_to_the_zone_that_holds_the_interface():
    found = state(runtime="internal", ports={"internal": ["80/tcp"]})
    target = present(found, interface_ports=ETH0)
    assert target.permanent[PORTS, "internal"] == {
        "ports": ["10000-30000/tcp", "6443/tcp", "80/tcp"]
    }
    assert target.record.ports == {
        "internal": AddedPorts(added=["10000-30000/tcp", "6443/tcp"], before=["80/tcp"])
    }


@pytest.mark.parametrize(
    ("added", "before", "there", "left"),
    [
        (
            *(["10000-30000/tcp"], ["80/tcp"], ["10000-30000/tcp", "443/tcp", "80/tcp"]),
            ["443/tcp", "80/tcp"],
        ),
        # They are written as they were, although firewalld has coalesced them.
        (["6443/tcp"], ["80/tcp", "81/tcp"], ["6443/tcp", "80-81/tcp"], ["80/tcp", "81/tcp"]),
    ],
)
def test_absent_removes_the_added_ports(added, before, there, left):
    record = Record(ports={"public": AddedPorts(added=added, before=before)})
    target = target_absent(state(ports={"public": there}), record)
    assert target.permanent[PORTS, "public"] == {"ports": left}
    assert target.record == Record()


@pytest.mark.parametrize(
    ("record", "there", "wanted", "ports", "added"),
    [
        # Ports that were open before are not recorded as added.
        (
            *(Record(), ["6443/tcp"], ["6443/tcp", "10000-30000/tcp"]),
            *(["10000-30000/tcp", "6443/tcp"], ["10000-30000/tcp"]),
        ),
        # Ports in other words need no change.
        (
            *(Record(), ["10000-20000/tcp", "20001-30000/tcp", "6443/tcp"]),
            *(["6443/tcp", "10000-30000/tcp"],),
            *(["10000-20000/tcp", "20001-30000/tcp", "6443/tcp"], []),
        ),
        # Ports that are no longer wanted are removed.
        (
            Record(ports={"public": AddedPorts(added=["6443/tcp", "9500/tcp"], before=[])}),
            *(["6443/tcp", "9500/tcp"], ["6443/tcp"]),
            *(["6443/tcp"], ["6443/tcp"]),
        ),
    ],
)
def test_ports_of_an_interface_are_added_to_its_zone(record, there, wanted, ports, added):
    entries = [{"interface": "eth0", "ports": wanted}]
    target = present(state(ports={"public": there}), record, interface_ports=entries)
    assert target.permanent[PORTS, "public"] == {"ports": ports}
    recorded = target.record.ports.get("public")
    assert (recorded.added if recorded else []) == added


def test_a_zone_of_ours_does_not_copy_ports_that_we_added_to_the_former_one():
    record = Record(ports={"public": AddedPorts(added=["6443/tcp"], before=["80/tcp"])})
    found = state(
        ports={"public": ["6443/tcp", "80/tcp"]},
        zones={"public": {"ports": ["6443/tcp", "80/tcp"]}},
    )
    target = present(found, record, zones=[CLUSTER_ZONE])
    assert target.permanent[ZONE, "k3s-cluster"] == {"ports": ["80/tcp"]}
    assert target.permanent[PORTS, "public"] == {"ports": ["80/tcp"]}


def test_a_zone_of_the_distribution_is_remembered_as_such():
    zones = {"public": {"services": ["ssh"]}}
    found = state(ports={"public": []}, zones=zones, builtin_zones=frozenset({"public"}))
    target = present(found, interface_ports=ETH0)
    assert target.record.ports["public"].builtin == {"services": ["ssh"]}


def test_plain_ports_never_go_to_a_zone_of_ours_that_is_about_to_go():
    record = Record(bindings={"eth0": PreviousBinding("internal", "internal")})
    found = state("k3s-cluster", "k3s-cluster", ports={"internal": []})
    target = present(found, record, interface_ports=ETH0)
    assert (PORTS, "k3s-cluster") not in target.permanent
    assert target.permanent[PORTS, "internal"] == {"ports": ["10000-30000/tcp", "6443/tcp"]}


# Where packets come from


def policy(name, ingress, rules):
    return {
        "name": name,
        "priority": 1010,
        "ingress_zones": [ingress],
        "egress_zones": ["HOST"],
        "rules": rules,
    }


def ingress_of(sources, policies=None, accepting=()):
    ipsets = [
        {"name": "k3s-nodes", "type": "hash:ip", "family": "inet", "entries": ["192.0.2.11"]},
        {"name": "k3s-clients", "type": "hash:net", "family": "inet", "entries": ["10.9.0.0/16"]},
    ]
    policies = policies or [
        policy("k3s-from-nodes", "k3s-cluster", ['rule source ipset="k3s-nodes" accept']),
        policy("k3s-from-clients", "k3s-external", ["rule port accept"]),
    ]
    found = state(sources=sources, accepting=frozenset(accepting))
    target = target_present(found, Record(), ipsets, policies, (), (), ())
    return {
        name: settings["ingress_zones"]
        for (kind, name), settings in target.permanent.items()
        if kind == POLICY
    }


def test_a_users_zone_that_accepts_all_needs_no_policy():
    ingress = ingress_of({"trusted": ["192.0.2.0/24"]}, accepting=["trusted"])
    assert ingress["k3s-from-nodes"] == ["k3s-cluster"]


@pytest.mark.parametrize("bound", ["192.0.2.0/24", "192.0.2.11", "128.0.0.0/1", "192.0.2.9/24"])
def test_a_users_zone_that_holds_nodes_as_sources_admits_them(bound):
    assert ingress_of({"internal": [bound]}) == {
        "k3s-from-nodes": ["internal", "k3s-cluster"],
        "k3s-from-clients": ["k3s-external"],
    }


@pytest.mark.parametrize(
    "bound", ["198.51.100.0/24", "2001:db8::/32", "ipset:mine", "02:00:00:00:00:01"]
)
def test_no_zone_of_the_user_is_opened_to_any_client(bound):
    assert ingress_of({"work": [bound]}) == {
        "k3s-from-nodes": ["k3s-cluster"],
        "k3s-from-clients": ["k3s-external"],
    }


def test_a_users_zone_that_holds_named_clients_admits_them():
    rules = ['rule family="ipv4" source ipset="k3s-clients" port accept']
    policies = [policy("k3s-from-clients", "k3s-external", rules)]
    assert ingress_of({"work": ["10.9.1.0/24"], "home": ["10.8.0.0/16"]}, policies) == {
        "k3s-from-clients": ["k3s-external", "work"]
    }


def test_a_policy_of_any_zone_needs_no_other():
    policies = [policy("k3s-from-nodes", "ANY", ['rule source ipset="k3s-nodes" accept'])]
    assert ingress_of({"internal": ["192.0.2.0/24"]}, policies) == {"k3s-from-nodes": ["ANY"]}


def routed(of, record=None, zones=()):
    """Return the ingress zones of a policy for packets that arrive on eth0."""
    policies = [{**policy("k3s-routed-pods", "", ["r"]), "ingress_zones": []}]
    policies[0]["ingress_interfaces"] = ["eth0"]
    target = target_present(of, record or Record(), (), policies, zones, (), ())
    return target.permanent[POLICY, "k3s-routed-pods"]["ingress_zones"]


def test_a_policy_for_an_interface_names_the_zone_that_holds_it():
    assert routed(state(runtime="internal")) == ["internal"]
    assert routed(state(runtime="internal"), zones=[CLUSTER_ZONE]) == ["k3s-cluster"]


def test_an_interface_in_no_zone_is_unbound():
    policies = [{"ingress_interfaces": ["eth0"]}]
    assert unbound_interfaces(state(), Record(), policies, ()) == ["eth0"]
    assert unbound_interfaces(state(runtime="work"), Record(), policies, ()) == []
    assert unbound_interfaces(state(), Record(), policies, [CLUSTER_ZONE]) == []


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"ingress_zones": ["k3s-cluster"]}, "k3s-cluster"),
        ({"egress_zones": ["public", "k3s-cluster"]}, "k3s-cluster"),
        ({"rules_str": ['rule source ipset="k3s-nodes" drop']}, "k3s-nodes"),
        ({"rich_rules": ['rule source ipset="k3s-nodes" accept']}, "k3s-nodes"),
        ({"sources": ["ipset:k3s-nodes", "192.0.2.1"]}, "k3s-nodes"),
        ({"ingress_zones": ["ANY"], "sources": ["k3s-nodes"]}, None),
    ],
)
def test_references_are_objects_that_name_what_is_removed(settings, named):
    found = references({(POLICY, "mine"): settings}, OURS)
    assert found == ([f"policy mine names {named}"] if named else [])


def test_a_policy_for_an_interface_that_leaves_our_zone_names_the_former_one():
    record = Record(
        bindings={"eth0": PreviousBinding("work", "work")},
        objects=frozenset({(ZONE, "k3s-cluster")}),
    )
    assert routed(state("k3s-cluster", "k3s-cluster"), record) == ["work"]


def test_where_zones_end_early_policies_come_first():
    target = present(state(ends_early=True))
    assert target.permanent[POLICY, "k3s-from-nodes"]["priority"] == -1010


# Pods

PUBLIC = {
    "services": ["ssh"],
    "forward": True,
    "ingress_priority": 10,
    "sources": ["198.51.100.0/24"],
    "interfaces": ["eth0"],
}


def test_the_zone_of_pods_copies_the_default_zone_and_holds_the_overlay():
    target = present(state(zones={"public": PUBLIC}), overlay_zones=OVERLAY)
    zone = {"services": ["ssh"], "interfaces": ["cni0", "flannel.1"]}
    assert target.permanent[ZONE, "k3s-pods"] == zone
    assert target.runtime[ZONE, "k3s-pods"] == zone
    assert (ZONE, "k3s-pods") in target.record.objects


def test_an_interface_that_a_zone_of_the_user_accepts_stays_there():
    of = state(zones={"public": PUBLIC}, taken={"cni0": "trusted"})
    target = present(of, overlay_zones=OVERLAY)
    assert target.permanent[ZONE, "k3s-pods"]["interfaces"] == ["flannel.1"]


# Ownership


def conflicting(permanent, runtime, record=None, others=()):
    of = state(permanent_keys=frozenset({*permanent, *others}))
    of.permanent.update(permanent)
    of.runtime.update(runtime)
    return conflicts(of, present(of), record or Record())


NODES = (IPSET, "k3s-nodes")
WANTED = {"type": "hash:ip", "family": "inet", "entries": ["192.0.2.1"]}
OTHER = {**WANTED, "entries": ["203.0.113.1"]}
FROM_NODES = (POLICY, "k3s-from-nodes")


@pytest.mark.parametrize(
    ("permanent", "runtime", "options", "found"),
    [
        ({}, {}, {}, []),
        ({NODES: OTHER}, {NODES: OTHER}, {}, [NODES]),
        ({NODES: WANTED}, {NODES: OTHER}, {}, [NODES]),
        # Recorded as created by the collection.
        ({NODES: OTHER}, {NODES: OTHER}, {"record": Record(objects=frozenset({NODES}))}, []),
        # Equal objects are adopted, also before a reload.
        ({NODES: WANTED}, {NODES: WANTED}, {}, []),
        ({NODES: WANTED}, {}, {}, []),
        # Zones and policies share their names.
        (
            *({}, {}, {"others": [(ZONE, "k3s-from-nodes"), (IPSET, "k3s-from-nodes")]}),
            [(ZONE, "k3s-from-nodes")],
        ),
        # Only the runtime has it. A removed ipset stays there until a reload.
        ({}, {NODES: OTHER}, {}, []),
        ({}, {FROM_NODES: {"target": "DROP"}}, {}, [FROM_NODES]),
    ],
)
def test_conflicts_are_objects_that_others_made(permanent, runtime, options, found):
    assert conflicting(permanent, runtime, **options) == found
