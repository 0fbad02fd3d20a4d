# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole module on the recorded firewalld of each generation, over a fake D-Bus."""

from __future__ import annotations

import hashlib
import os

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.errors import (
    FirewalldError,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.model import (
    Record,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld.ssh_admission import (
    Connection,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.factories import port_rule
from ansible_collections.edgeops.k3s_network.tests.unit.support.fake_daemon import (
    IPSET,
    POLICY,
    VERSIONS,
    ZONE,
)
from ansible_collections.edgeops.k3s_network.tests.unit.support.prepared_host import (
    HOSTS,
    MODES,
    RULES,
    Host,
    managed_host,
    plain_host,
    wanted,
)
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture(params=VERSIONS)
def version(request):
    return request.param


@pytest.fixture(params=HOSTS)
def host(request, version):
    return request.param(version)


@pytest.fixture
def managed(version):
    return managed_host(version)


@pytest.fixture
def plain(version):
    return plain_host(version)


def there_and_back(host, *modes):
    for mode in modes:
        host.run(wanted(mode))
    host.run(None)


@pytest.mark.parametrize("mode", MODES)
def test_second_run_changes_nothing(host, mode):
    assert host.run(wanted(mode))["changed"]
    writes, saves = list(host.writes), host.store.saves
    result = host.run(wanted(mode))
    assert not result["changed"]
    assert result["diff"] == []
    assert (host.writes, host.store.saves) == (writes, saves)


def test_shared_reads_each_object_once_until_something_changes(plain, monkeypatch):
    asked, repeated = set(), []
    handle = plain.daemon.handle

    def listen(path, interface, method, arguments):
        question = (path, interface, method, str(arguments))
        if not method.startswith(("get", "query", "Get")):
            asked.clear()
        elif "Settings" in method or "Names" in method or method.endswith(("s", "ies")):
            repeated.extend([question] if question in asked else [])
            asked.add(question)
        return handle(path, interface, method, arguments)

    monkeypatch.setattr(plain.daemon, "handle", listen)
    assert plain.run(wanted("shared"))["changed"]
    assert asked
    assert repeated == []


@pytest.mark.parametrize("mode", MODES)
def test_run_after_a_reboot_changes_nothing(host, mode):
    host.run(wanted(mode))
    host.reboot()
    assert not host.run(wanted(mode))["changed"]


@pytest.mark.parametrize("mode", MODES)
def test_absent_restores_the_host(host, mode):
    before = host.seen()
    there_and_back(host, mode)
    assert host.seen() == before
    assert host.store.record == Record()


# Every pair of modes, on each firewalld and on each kind of host.
@pytest.mark.parametrize(
    ("make_host", "generation"),
    [*((plain_host, version) for version in VERSIONS), (managed_host, "2.3.1")],
)
@pytest.mark.parametrize("second", MODES)
@pytest.mark.parametrize("first", MODES)
def test_mode_change_equals_mode_from_the_start(make_host, generation, first, second):
    host, other = make_host(generation), make_host(generation)
    before = host.seen()
    host.run(wanted(first))
    host.run(wanted(second))
    other.run(wanted(second))
    now, fresh = host.seen(), other.seen()
    assert now.pop("record").objects == fresh.pop("record").objects
    assert now == fresh
    host.run(None)
    assert host.seen() == before


def test_absent_on_an_untouched_host_does_nothing(managed):
    assert not managed.run(None)["changed"]
    assert managed.writes == []


@pytest.mark.parametrize("mode", MODES)
def test_check_mode_writes_nothing_and_predicts_the_run(host, mode):
    before = host.seen()
    predicted = host.run(wanted(mode), check_mode=True)
    assert host.writes == []
    assert host.store.saves == 0
    assert host.seen() == before
    done = host.run(wanted(mode))
    assert predicted["diff"] == done["diff"]
    assert predicted["changed"] and done["changed"]


def test_check_mode_of_absent_writes_nothing(managed):
    managed.run(wanted("segregated"))
    before, writes = managed.seen(), list(managed.writes)
    assert managed.run(None, check_mode=True)["changed"]
    assert managed.seen() == before
    assert managed.writes == writes


def test_diff_shows_both_configurations_by_name(managed):
    result = managed.run(wanted(), check_mode=True)
    assert [part["before_header"] for part in result["diff"]] == [
        "firewalld, permanent",
        "firewalld, runtime",
    ]
    for part in result["diff"]:
        assert part["before"] == {}
        assert "k3s-nodes" in part["after"]["ipset"]
        assert "k3s-from-nodes" in part["after"]["policy"]


def test_new_objects_take_one_reload_which_is_reported(managed):
    assert managed.run(wanted("segregated"))["reloaded"]
    assert managed.daemon.reloads == 1


def test_another_node_needs_no_reload(managed):
    managed.run(wanted(agents=1))
    result = managed.run(wanted(agents=2))
    assert result["changed"]
    assert not result["reloaded"]
    assert managed.daemon.reloads == 1
    assert "192.0.2.21" in managed.runtime(IPSET, "k3s-nodes")[-1]


def test_plain_ports_need_no_reload(managed):
    managed.run(wanted("plain", rules=RULES[:1]))
    result = managed.run(wanted("plain", rules=RULES[:3]))
    assert result["changed"]
    assert not result["reloaded"]
    assert managed.daemon.reloads == 1
    assert sorted(managed.runtime(ZONE, "internal")["ports"]) == [
        ("10000-30000", "tcp"),
        ("6443", "tcp"),
        ("9100", "tcp"),
    ]
    assert managed.runtime(ZONE, "public")["ports"] == [("10250", "tcp")]


def test_interface_enters_a_zone_once_that_is_active(managed):
    managed.run(wanted("segregated"))
    order = [managed.writes.index(name) for name in ("reload", "profile eth0 k3s-cluster")]
    assert order == sorted(order)


def test_record_has_the_digest_of_a_written_profile(managed):
    managed.run(wanted("segregated"))
    for former in managed.store.record.bindings.values():
        with open(former.profile.path, "rb") as stream:
            assert former.profile.digest == hashlib.sha256(stream.read()).hexdigest()


def test_zone_of_a_nic_admits_what_was_admitted_before(managed):
    managed.run(wanted("segregated"))
    keys = ("services", "ports", "rules_str", "sources", "interfaces")
    for name, services, ports, interface in (
        ("k3s-cluster", ["cockpit", "ssh"], [("9100", "tcp")], "eth0"),
        ("k3s-external", ["ssh"], [("10250", "tcp")], "eth1"),
    ):
        zone = managed.runtime(ZONE, name)
        found = {key: zone[key] for key in keys if key in zone}
        assert found == {"services": services, "ports": ports, "interfaces": [interface]}


def test_third_interface_admits_no_clients(plain):
    plain.run(wanted("segregated"))
    policy = plain.runtime(POLICY, "k3s-from-clients")
    assert "public" not in policy["ingress_zones"]
    assert "ports" not in plain.runtime(ZONE, "public")


def test_zones_and_policies_of_the_user_stay(managed):
    managed.daemon.save(ZONE, "mine", services=["https"], ports=[("1234", "tcp")])
    managed.daemon.save(POLICY, "admin", ingress_zones=["mine"], egress_zones=["HOST"])
    managed.reboot()
    before = managed.seen()["running"]
    there_and_back(managed, *MODES)
    after = managed.seen()["running"]
    for kind, name in ((ZONE, "mine"), (POLICY, "admin")):
        assert after[kind][name] == before[kind][name]
    assert after[ZONE]["mine"]["ports"] == [("1234", "tcp")]


@pytest.mark.parametrize(
    ("since", "kind", "name", "key", "value"),
    [
        ((2, 0), ZONE, "k3s-pods", "ingress_priority", 10),
        ((2, 0), ZONE, "k3s-pods", "egress_priority", -5),
        ((2, 4), POLICY, "k3s-from-nodes", "disable", True),
        ((0, 9), ZONE, "k3s-pods", "masquerade", True),
        ((0, 9), IPSET, "k3s-nodes", "entries", []),
    ],
)
def test_setting_that_someone_changed_is_reset(plain, since, kind, name, key, value):
    if plain.version < since:
        pytest.skip(f"this firewalld does not know {key}")
    plain.run(wanted())
    before = plain.seen()
    plain.daemon.save(kind, name, **{key: value})
    plain.reboot()
    assert plain.run(wanted())["changed"]
    assert plain.seen() == before


# A reload that keeps what runs


def test_kept_ipsets_do_not_fail_removal_without_flush(host):
    host.daemon.properties["FlushAllOnReload"] = "no"
    there_and_back(host, "shared")
    assert not [name for name in host.daemon.permanent(IPSET) if name.startswith("k3s-")]
    assert not host.run(None)["changed"]


@pytest.mark.parametrize("mode", MODES)
def test_absent_restores_bindings_without_flush(host, mode):
    host.daemon.properties["FlushAllOnReload"] = "no"
    before = host.seen()
    there_and_back(host, mode)
    after = host.seen()
    for seen in (before, after):
        del seen["running"][IPSET]
    assert after == before


# What others have


BAN = 'rule family="ipv4" source address="198.51.100.66" drop'
LOG = ("ipv4", "filter", "INPUT", 0, ["-j", "LOG"])


@pytest.mark.parametrize("mode", MODES)
def test_what_runs_only_survives_the_reload(managed, mode):
    managed.daemon.run_only(ZONE, "public", rules_str=[BAN], sources=["198.51.100.0/24"])
    managed.daemon.run_only(ZONE, "internal", services=["ssh"])
    managed.call(".direct", "addRule", *LOG)
    managed.daemon.tables = {"iptables-save": "*nat"}
    assert managed.run(wanted(mode))["reloaded"]
    assert managed.runtime(ZONE, "public")["rules_str"] == [BAN]
    assert managed.runtime(ZONE, "public")["sources"] == ["198.51.100.0/24"]
    assert managed.runtime(ZONE, "internal")["services"] == ["ssh"]
    assert managed.daemon.direct_rules() == [LOG]
    assert managed.daemon.tables == {"iptables-save": "*nat"}


def test_what_runs_only_in_a_nics_zone_is_copied(managed):
    managed.daemon.run_only(ZONE, "internal", rules_str=[BAN])
    managed.run(wanted("segregated"))
    assert managed.runtime(ZONE, "k3s-cluster")["rules_str"] == [BAN]
    assert "rules_str" not in managed.permanent(ZONE, "k3s-cluster")
    assert not managed.run(wanted("segregated"))["changed"]


KUBERNETES = "*nat\n:KUBE-SERVICES - [0:0]\n-A PREROUTING -j KUBE-SERVICES\nCOMMIT\n"


def server_runs():
    return ["k3s-server"]


@pytest.mark.parametrize("has_direct_rules", [False, True])
def test_reload_that_flushes_kubernetes_takes_consent(managed, has_direct_rules):
    managed.daemon.tables = {"iptables-save": KUBERNETES}
    if has_direct_rules:
        managed.call(".direct", "addRule", *LOG)
    before = managed.seen()
    if has_direct_rules or managed.version < (2, 0):
        for check_mode in (True, False):
            with pytest.raises(FirewalldError) as error:
                managed.run(wanted(), check_mode=check_mode, kubernetes=server_runs)
            # Alike on all nodes, so that the preflight reports it once.
            assert "those of a running Kubernetes included" in str(error.value)
            assert "up to 2 seconds" in str(error.value)
            assert "k3s_firewall_allow_disruptive_reload" in str(error.value)
            assert "k3s-killall.sh" in str(error.value)
        assert managed.seen() == before
        consent = {"allow_disruptive_reload": True, "kubernetes": server_runs}
    else:
        consent = {"kubernetes": server_runs}
    assert managed.run(wanted(), **consent)["reloaded"]
    assert managed.daemon.tables == {"iptables-save": KUBERNETES}
    # A change of members needs no reload, and so no consent.
    assert not managed.run(wanted(agents=2), kubernetes=server_runs)["reloaded"]


def test_chains_of_a_stopped_kubernetes_need_no_consent(managed):
    managed.daemon.tables = {"iptables-save": KUBERNETES}
    assert managed.run(wanted(), kubernetes=list)["reloaded"]
    assert managed.daemon.tables == {"iptables-save": KUBERNETES}


@pytest.mark.parametrize("mode", MODES)
def test_removal_while_kubernetes_runs_takes_consent(managed, mode):
    managed.run(wanted(mode))
    before = managed.seen()
    running = {"kubernetes": lambda: ["containerd-shim"]}
    with pytest.raises(FirewalldError) as error:
        managed.run(None, **running)
    assert "This node has running pods (containerd-shim)" in str(error.value)
    assert "k3s_firewall_allow_disruptive_reload" in str(error.value)
    assert managed.seen() == before
    assert managed.run(None, **running, allow_disruptive_reload=True)["changed"]


def test_ipset_that_is_no_longer_wanted_needs_no_reload(managed):
    managed.run(wanted(external_sources=["198.51.100.0/24"]))
    managed.daemon.tables = {"iptables-save": KUBERNETES}
    result = managed.run(wanted(), kubernetes=server_runs)
    assert result["changed"]
    assert not result["reloaded"]
    assert "k3s-clients" not in managed.daemon.permanent(IPSET)
    # It stays in the runtime until firewalld reloads, and the next run changes nothing.
    assert "k3s-clients" in managed.daemon.runtime(IPSET)
    assert not managed.run(wanted())["changed"]
    assert (IPSET, "k3s-clients") not in managed.store.record.objects
    # If it is wanted again before that, the runtime's ipset is used.
    again = managed.run(wanted(external_sources=["198.51.100.0/25"]))
    assert not again["reloaded"]
    assert managed.runtime(IPSET, "k3s-clients")[-1] == ["198.51.100.0/25"]


@pytest.mark.parametrize("zone", ["internal", "ANY"])
def test_policy_of_the_user_on_a_nics_zone_stops_the_run(managed, zone):
    managed.create(POLICY, "admin", ingress_zones=[zone], egress_zones=["HOST"])
    writes = list(managed.writes)
    if zone == "internal":
        message = r"No changes were made\. The firewalld policies admin name"
        with pytest.raises(FirewalldError, match=message):
            managed.run(wanted("segregated"))
        assert managed.writes == writes
        managed.run(wanted("shared"))
    else:
        managed.run(wanted("segregated"))


def test_disabled_policy_of_the_user_does_not_stop_the_run():
    # Older ones cannot disable a policy.
    managed = managed_host("2.5.2")
    managed.create(POLICY, "off", ingress_zones=["internal"], egress_zones=["HOST"], disable=True)
    assert managed.run(wanted("segregated"))["changed"]


def test_stock_policies_that_are_disabled_do_not_matter(plain):
    plain.run(wanted("segregated"))
    assert "k3s-nodes" in plain.daemon.runtime(IPSET)


def test_what_a_reload_would_activate_stops_the_run(managed):
    admin = {"ingress_zones": ["ANY"], "egress_zones": ["HOST"]}
    managed.daemon.save(POLICY, "admin", target="DROP", **admin)
    with pytest.raises(FirewalldError, match="policy admin, which is not running yet") as error:
        managed.run(wanted())
    assert "firewall-cmd --reload" in str(error.value)
    assert managed.writes == []


def test_what_a_reload_would_change_stops_the_run(managed):
    managed.daemon.save(ZONE, "public", target="DROP")
    with pytest.raises(FirewalldError, match="zone public would change its target"):
        managed.run(wanted())
    assert managed.writes == []


@pytest.mark.parametrize("objects", [wanted(), None], ids=["prepared", "absent"])
def test_panic_mode_is_refused(managed, objects):
    managed.run(wanted())
    managed.daemon.panic = True
    with pytest.raises(FirewalldError, match=r"No changes were made\. firewalld is in panic mode"):
        managed.run(objects)
    managed.daemon.panic = False
    managed.run(None)
    managed.daemon.panic = True
    assert not managed.run(None)["changed"]


# Ownership


@pytest.mark.parametrize("mode", ["segregated", "segregated plain"])
def test_zone_of_the_user_with_our_name_stops_the_run(managed, mode):
    managed.create(ZONE, "k3s-cluster", target="DROP", ports=[("8443", "tcp")])
    before = managed.seen()
    with pytest.raises(FirewalldError) as error:
        managed.run(wanted(mode))
    assert "No changes were made" in str(error.value)
    assert "zone k3s-cluster" in str(error.value)
    assert "firewall-cmd --permanent --delete-zone=k3s-cluster" in str(error.value)
    assert managed.seen() == before
    # The shared mode has no zone of that name, so the user's stays in use.
    managed.run(wanted("shared"))
    assert (ZONE, "k3s-cluster") not in managed.store.record.objects
    result = managed.run(None)
    assert "zone k3s-cluster" in result["warned"][0]
    assert managed.seen() == before


def test_removal_on_an_unprepared_host_leaves_our_names(managed):
    managed.create(ZONE, "k3s-pods", services=["ssh"])
    before = managed.seen()
    result = managed.run(None)
    assert not result["changed"]
    assert "zone k3s-pods" in result["warned"][0]
    assert managed.seen() == before


@pytest.mark.parametrize("mode", ["shared", "segregated"])
def test_equal_objects_without_a_state_file_are_adopted(plain, mode):
    # As long as the zone that held the NIC before admits what the default zone does.
    plain.daemon.save(ZONE, "public", services=["ssh"])
    plain.reboot()
    plain.run(wanted(mode))
    before = plain.seen()
    objects = before.pop("record").objects
    os.unlink(plain.store.path)
    assert not plain.run(wanted(mode))["changed"]
    after = plain.seen()
    assert after.pop("record").objects == objects
    assert after == before


def test_object_that_differs_is_not_adopted(plain):
    plain.run(wanted(agents=1))
    os.unlink(plain.store.path)
    before = plain.seen()
    with pytest.raises(FirewalldError, match="ipset k3s-nodes"):
        plain.run(wanted(agents=2))
    assert plain.seen() == before


# The overlay


def test_overlay_interface_in_an_accepting_zone_stays(managed):
    managed.daemon.save(ZONE, "trusted", target="ACCEPT", interfaces=["cni0"])
    managed.reboot()
    before = managed.seen()
    managed.run(wanted())
    pods = managed.permanent(ZONE, "k3s-pods")
    assert "cni0" not in pods["interfaces"]
    assert "flannel.1" in pods["interfaces"]
    assert not managed.run(wanted())["changed"]
    managed.run(None)
    assert managed.seen() == before


def test_pods_in_zone_trusted_after_a_run_change_nothing(managed):
    """k3s-ansible makes the networks of pods and services sources of the zone trusted."""
    managed.run(wanted())
    managed.daemon.save(ZONE, "trusted", target="ACCEPT", sources=["10.42.0.0/16", "10.43.0.0/16"])
    managed.reboot()
    assert not managed.run(wanted())["changed"]


def test_overlay_interface_in_a_rejecting_zone_stops_the_run(managed):
    managed.daemon.save(ZONE, "mine", services=["ssh"], interfaces=["cni0"])
    managed.reboot()
    with pytest.raises(FirewalldError, match="--zone=mine --remove-interface=cni0"):
        managed.run(wanted())
    assert managed.writes == []


# The controller


OUTSIDE = Connection(source="198.51.100.9", port=22, interface="eth0")


@pytest.fixture
def without_ssh(version):
    host = Host(version)
    host.daemon.save(ZONE, "public", services=[], ports=[("80", "tcp")])
    host.reboot()
    return host


@pytest.mark.parametrize("mode", MODES)
def test_connection_that_a_zone_admits_continues(managed, mode):
    assert managed.run(wanted(mode), connection=OUTSIDE)["changed"]
    assert managed.run(None, connection=OUTSIDE)["changed"]


@pytest.mark.parametrize(
    ("port", "remedy"), [(22, "--add-service=ssh"), (2222, "--add-port=2222/tcp")]
)
def test_refusal_names_the_port_of_the_connection(without_ssh, port, remedy):
    there = Connection(source="198.51.100.9", port=port, interface="eth0")
    rules = [*RULES, port_rule(port, source=["external"])]
    without_ssh.run(wanted(rules=rules), connection=there)
    with pytest.raises(FirewalldError) as refused:
        without_ssh.run(wanted(), connection=there)
    assert f"firewall-cmd --permanent --zone=ZONE {remedy}, and the same" in str(refused.value)


def test_connection_that_only_our_rule_admits_is_not_cut(without_ssh):
    rules = [*RULES, port_rule(22, source=["external"])]
    without_ssh.run(wanted(rules=rules), connection=OUTSIDE)
    before = without_ssh.seen()
    for without in (wanted(), None):
        for check_mode in (True, False):
            with pytest.raises(FirewalldError) as error:
                without_ssh.run(without, connection=OUTSIDE, check_mode=check_mode)
            assert "No changes were made" in str(error.value)
            assert "from 198.51.100.9 to port 22/tcp" in str(error.value)
            assert "k3s-from-clients" in str(error.value)
    assert without_ssh.seen() == before
    without_ssh.run(None)


def test_connection_that_nothing_admits_does_not_stop_the_run(without_ssh):
    assert without_ssh.run(wanted(), connection=OUTSIDE)["changed"]


# Any host, any modes


@st.composite
def hosts(draw):
    names = ["public", "internal", "work"]
    some = ["22/tcp", "80/tcp", "6443/tcp", "10250/tcp", "53/udp", "9999-10001/tcp"]
    pairs = st.sampled_from(some).map(lambda port: tuple(port.split("/")))
    ports = st.lists(pairs, unique=True, max_size=4)
    bindings = {name: draw(st.sampled_from(["", *names])) for name in ("eth0", "eth1")}
    managed = draw(st.sets(st.sampled_from(sorted(bindings))))
    host = Host(draw(st.sampled_from(VERSIONS)), {name: bindings.pop(name) for name in managed})
    for name in names:
        bound = [interface for interface, zone in bindings.items() if zone == name]
        if bound or draw(st.booleans()):
            services = draw(st.sampled_from([["ssh"], ["cockpit", "ssh"]]))
            host.daemon.save(ZONE, name, services=services, ports=draw(ports), interfaces=bound)
    host.reboot()
    return host


@settings(max_examples=100)
@given(hosts(), st.lists(st.sampled_from(MODES), min_size=1, max_size=3))
def test_absent_restores_any_host_after_any_modes(host, modes):
    before = host.seen()
    there_and_back(host, *modes)
    assert host.seen() == before
    assert host.store.record == Record()


@given(hosts(), st.sampled_from(MODES))
def test_second_run_on_any_host_changes_nothing(host, mode):
    host.run(wanted(mode))
    assert not host.run(wanted(mode))["changed"]


@pytest.mark.parametrize("version", VERSIONS)
def test_removal_keeps_a_profile_that_names_no_existing_zone(version):
    host = Host(version, {"eth0": "gone", "eth1": ""})
    host.reboot()
    before = host.seen()
    host.run(wanted("segregated"))
    host.run(None)
    assert host.seen() == before


def test_second_segregated_run_on_a_dropping_zone_changes_nothing():
    """On firewalld 0.9, policies come first if the zone of the NIC drops."""
    host = Host("0.9.3", {"eth0": "internal", "eth1": ""})
    host.create(ZONE, "internal", target="DROP", services=["ssh"])
    host.reboot()
    host.run(wanted("segregated"))
    assert not host.run(wanted("segregated"))["changed"]


@pytest.mark.parametrize("version", VERSIONS)
def test_fewer_overlay_interfaces_converge_without_a_reload(version):
    host = plain_host(version)
    host.daemon.properties["FlushAllOnReload"] = "no"
    host.run(wanted())
    fewer = wanted()
    fewer["overlay_zones"] = [{"name": "k3s-pods", "interfaces": ["cni0"]}]
    result = host.run(fewer)
    assert result["changed"]
    assert not result["reloaded"]
    assert host.call(".zone", "getZoneOfInterface", "cni0") == "k3s-pods"
    assert not host.run(fewer)["changed"]


@pytest.mark.parametrize(("timeout", "refused"), [(0, True), (60, False)])
def test_change_that_may_block_ssh_needs_a_timeout(timeout, refused):
    host = plain_host("1.3.3")
    change = wanted()
    change["policies"] = [
        {
            "name": "k3s-from-nodes",
            "priority": -5,
            "ingress_zones": ["ANY"],
            "ingress_interfaces": [],
            "egress_zones": ["HOST"],
            "rules": ['rule family="ipv4" destination address="192.0.2.11" drop'],
        }
    ]
    options = {"connection": Connection("198.51.100.9", 22, "eth1"), "confirm_timeout": timeout}
    if refused:
        with pytest.raises(FirewalldError, match="confirm_timeout"):
            host.run(change, **options)
        assert host.writes == []
    else:
        assert host.run(change, **options)["changed"]
