# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils import _firewalld_write
from ansible_collections.edgeops.k3s_network.plugins.module_utils._admission import Connection
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewall_wanted import (
    firewall_wanted,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld import FirewalldError
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_apply import (
    RecordStore,
    ensure,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_judge import Terms
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld_plan import (
    IPSET,
    POLICY,
    ZONE,
    AddedPorts,
    Change,
    Former,
    Record,
)
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.module_utils.factories import (
    node,
    row,
    segregated,
    topology,
)
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.module_utils.fake_firewalld import (
    CountingStore,
    FakeFirewalld,
    FakeGuard,
    Killed,
)
from hypothesis import given, settings
from hypothesis import strategies as st

ROWS = [row(6443), row(10250), row(10000, 30000), row(443, source=["external"])]
MODES = ["shared", "plain", "segregated", "segregated plain"]


def wanted(mode="shared", rows=None, agents=1, **others):
    """Return what a server wants in one of the modes."""
    server = segregated() if "segregated" in mode else node()
    nodes = [server, *(node(f"a{n}", "agent", f"192.0.2.{20 + n}") for n in range(agents))]
    cluster = topology(
        nodes, ROWS if rows is None else rows, restrict_sources="plain" not in mode, **others
    )
    return firewall_wanted(cluster, "server1")


def managed_host():
    """Return a host whose NICs NetworkManager manages, one of them in a zone by name."""
    return FakeFirewalld(
        zones={
            "public": {"services": ["ssh"], "ports": ["10250/tcp"]},
            "internal": {"services": ["cockpit", "ssh"], "ports": ["9100/tcp"]},
        },
        managed={"eth0": "internal", "eth1": ""},
    )


def plain_host():
    """Return a host without NetworkManager, one of its NICs in no zone."""
    return FakeFirewalld(zones={"work": {"services": ["ssh"]}}, bound={"eth0": "", "eth1": "work"})


HOSTS = [managed_host, plain_host]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(_firewalld_write, "_SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(_firewalld_write, "_SETTLE_STEP", 0.0)
    monkeypatch.setattr(os, "fsync", lambda _handle: None)


def run(client, store, what, guard=None, **terms):
    """Run the module on a host."""
    return ensure(lambda: client, store, guard or FakeGuard(), what, Terms(**terms))


def there_and_back(client, store, *modes):
    for mode in modes:
        run(client, store, wanted(mode))
    run(client, store, None)


@pytest.mark.parametrize("make_host", HOSTS)
@pytest.mark.parametrize("mode", MODES)
def test_a_second_run_changes_nothing(make_host, mode):
    client, store = make_host(), CountingStore()
    assert run(client, store, wanted(mode))["changed"]
    writes, saves = len(client.writes), store.saves
    result = run(client, store, wanted(mode))
    assert not result["changed"]
    assert result["diff"] == []
    assert (len(client.writes), store.saves) == (writes, saves)


@pytest.mark.parametrize("make_host", HOSTS)
@pytest.mark.parametrize("mode", MODES)
def test_absent_gives_back_the_host_that_was_there_before(make_host, mode):
    client, store = make_host(), CountingStore()
    before = client.snapshot()
    there_and_back(client, store, mode)
    assert client.snapshot() == before
    assert store.record == Record()


@pytest.mark.parametrize("make_host", HOSTS)
@pytest.mark.parametrize("second", MODES)
@pytest.mark.parametrize("first", MODES)
def test_a_change_of_mode_leads_to_the_same_as_the_mode_from_the_start(make_host, first, second):
    client, store = make_host(), CountingStore()
    run(client, store, wanted(first))
    run(client, store, wanted(second))
    other = make_host()
    run(other, CountingStore(), wanted(second))
    keys = ("permanent", "runtime", "profiles", "runtime_bound", "bound")
    assert {key: client.snapshot()[key] for key in keys} == {
        key: other.snapshot()[key] for key in keys
    }


def test_absent_on_an_untouched_host_does_nothing():
    client, store = managed_host(), CountingStore()
    assert not run(client, store, None)["changed"]
    assert client.writes == []


@pytest.mark.parametrize("make_host", HOSTS)
@pytest.mark.parametrize("mode", MODES)
def test_check_mode_writes_nothing_and_tells_what_the_run_will_do(make_host, mode):
    client, store = make_host(), CountingStore()
    before = client.snapshot()
    told = run(client, store, wanted(mode), check_mode=True)
    assert client.writes == []
    assert store.saves == 0
    assert client.snapshot() == before
    done = run(client, store, wanted(mode))
    assert told["diff"] == done["diff"]
    assert told["changed"] and done["changed"]


def test_check_mode_of_absent_writes_nothing():
    client, store = managed_host(), CountingStore()
    run(client, store, wanted("segregated"))
    before, writes = client.snapshot(), len(client.writes)
    assert run(client, store, None, check_mode=True)["changed"]
    assert client.snapshot() == before
    assert len(client.writes) == writes


def test_the_diff_shows_both_configurations_by_name():
    result = run(managed_host(), CountingStore(), wanted(), check_mode=True)
    assert [part["before_header"] for part in result["diff"]] == [
        "firewalld, permanent",
        "firewalld, runtime",
    ]
    for part in result["diff"]:
        assert part["before"] == {}
        assert "k3s-nodes" in part["after"]["ipset"]
        assert "k3s-from-nodes" in part["after"]["policy"]


def test_a_reload_happens_once_for_new_objects_and_is_reported():
    client = managed_host()
    result = run(client, CountingStore(), wanted("segregated"))
    assert result["reloaded"]
    assert client.reloads == 1


def test_another_node_needs_no_reload():
    client, store = managed_host(), CountingStore()
    run(client, store, wanted(agents=1))
    result = run(client, store, wanted(agents=2))
    assert result["changed"]
    assert not result["reloaded"]
    assert client.reloads == 1
    assert "192.0.2.21" in client.runtime_settings((IPSET, "k3s-nodes"))["entries"]


def test_plain_ports_alone_need_no_reload():
    client, store = managed_host(), CountingStore()
    run(client, store, wanted("plain", rows=ROWS[:1]))
    result = run(client, store, wanted("plain", rows=ROWS[:3]))
    assert result["changed"]
    assert not result["reloaded"]
    assert client.reloads == 1
    assert client.runtime_settings((ZONE, "internal"))["ports"] == [
        "10000-30000/tcp",
        "6443/tcp",
        "9100/tcp",
    ]
    assert client.runtime_settings((ZONE, "public"))["ports"] == ["10250/tcp"]


def test_an_interface_comes_into_a_zone_only_when_that_is_active():
    client = managed_host()
    run(client, CountingStore(), wanted("segregated"))
    order = [client.writes.index(name) for name in ("reload", "permanent binding eth0")]
    assert order == sorted(order)


def test_what_was_admitted_before_still_is_in_our_zones():
    client = managed_host()
    run(client, CountingStore(), wanted("segregated"))
    assert client.runtime_settings((ZONE, "k3s-cluster")) == {
        "services": ["cockpit", "ssh"],
        "ports": ["9100/tcp"],
    }
    assert client.runtime_settings((ZONE, "k3s-external")) == {
        "services": ["ssh"],
        "ports": ["10250/tcp"],
    }


def test_zones_and_rules_of_the_user_stay():
    client, store = managed_host(), CountingStore()
    mine = {"services": ["https"], "ports": ["1234/tcp"]}
    client._permanent[ZONE, "mine"] = mine
    client._permanent[POLICY, "mine"] = {
        "ingress_zones": ["mine"],
        "egress_zones": ["HOST"],
        "rich_rules": [],
    }
    client.reboot()
    there_and_back(client, store, *MODES)
    assert client.snapshot()["runtime"][ZONE, "mine"] == mine
    assert (POLICY, "mine") in client.snapshot()["runtime"]


def test_an_object_of_ours_that_somebody_changed_is_mended():
    client, store = managed_host(), CountingStore()
    run(client, store, wanted())
    good = client.snapshot()
    key = (IPSET, "k3s-nodes")
    current = client.permanent_settings(key)
    client.apply_permanent(Change(key, current, {**current, "entries": []}))
    client.reload()
    assert run(client, store, wanted())["changed"]
    assert client.snapshot() == good


def test_what_reads_back_otherwise_is_named_and_taken_back():
    client, store = managed_host(), CountingStore()
    before = client.snapshot()
    read = client.runtime_keys
    client.runtime_keys = lambda: read() - {(POLICY, "k3s-from-nodes")}
    with pytest.raises(FirewalldError) as error:
        run(client, store, wanted())
    assert "policy k3s-from-nodes" in str(error.value)
    assert "was rolled back" in str(error.value)
    assert client.snapshot() == before


# Whatever goes wrong


def writes_of(make_host, before_modes, last):
    """Return how many writes the last step takes, after those before."""
    client, store = make_host(), CountingStore()
    for mode in before_modes:
        run(client, store, wanted(mode))
    start = len(client.writes)
    run(client, store, last and wanted(last))
    return start, len(client.writes)


STEPS = [
    ([], "shared"),
    ([], "plain"),
    ([], "segregated"),
    (["segregated"], None),
    (["plain"], None),
    (["plain"], "segregated"),
    (["segregated"], "shared"),
]


def broken_runs(make_host, before_modes, last, **how):
    """Yield a host after each run that was broken at another write, with its guard."""
    start, end = writes_of(make_host, before_modes, last)
    assert end > start
    for number in range(start + 1, end + 1):
        client, store, guard = make_host(), CountingStore(), FakeGuard()
        for mode in before_modes:
            run(client, store, wanted(mode))
        before = client.snapshot(), store.record
        client.fail_at, client.applied = number, how.get("applied", False)
        client.kill = how.get("kill", False)
        with pytest.raises((FirewalldError, Killed)) as error:
            run(client, store, last and wanted(last), guard, confirm_timeout=60)
        broken_write = client.writes[number - 1]
        client.fail_at = 0
        yield client, store, guard, before, error, broken_write


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("make_host", HOSTS)
@pytest.mark.parametrize(("before_modes", "last"), STEPS)
def test_a_failure_at_any_write_leaves_the_old_state(make_host, before_modes, last, applied):
    for client, store, guard, before, error, write in broken_runs(
        make_host, before_modes, last, applied=applied
    ):
        assert "went wrong" in str(error.value)
        assert "was rolled back" in str(error.value)
        now = client.snapshot()
        for key in now:
            assert now[key] == before[0][key], f"{key} after a failure at {write}"
        assert store.record == before[1], write
        assert guard.checkpoint is None


@pytest.mark.parametrize("reboot", [False, True])
@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("make_host", HOSTS)
@pytest.mark.parametrize(("before_modes", "last"), STEPS)
def test_the_guardian_takes_back_a_run_that_was_killed_at_any_write(
    make_host, before_modes, last, applied, reboot
):
    for client, store, guard, before, _error, write in broken_runs(
        make_host, before_modes, last, applied=applied, kill=True
    ):
        if reboot:
            client.reboot()
        guard.expire(client)
        now = client.snapshot()
        # An ipset that no rule names stays in the runtime until firewalld reloads.
        for key in [key for key in now["runtime"] if key[0] == IPSET]:
            if key not in now["permanent"]:
                del now["runtime"][key]
        for key in now:
            assert now[key] == before[0][key], f"{key} after a kill at {write}"
        assert store.record == before[1], write


@pytest.mark.parametrize("make_host", HOSTS)
@pytest.mark.parametrize(("before_modes", "last"), STEPS)
def test_the_next_run_converges_wherever_one_was_killed(make_host, before_modes, last):
    whole, whole_store = make_host(), CountingStore()
    for mode in before_modes:
        run(whole, whole_store, wanted(mode))
    run(whole, whole_store, last and wanted(last))
    for client, store, guard, _before, _error, write in broken_runs(
        make_host, before_modes, last, kill=True
    ):
        guard.expire(client)
        run(client, store, last and wanted(last))
        assert client.snapshot() == whole.snapshot(), f"after a kill at {write}"
        assert store.record == whole_store.record
        assert not run(client, store, last and wanted(last))["changed"]


def test_a_failure_that_can_not_be_taken_back_leaves_it_to_the_guardian():
    client, store, guard = managed_host(), CountingStore(), FakeGuard()
    before = client.snapshot()
    mend = client.apply_permanent, client.reload

    def refuse(*_arguments):
        client.apply_permanent = client.reload = refuse
        raise FirewalldError("firewalld did not answer")

    client.reload = refuse
    with pytest.raises(FirewalldError) as error:
        run(client, store, wanted("segregated"), guard)
    assert "could not be rolled back yet" in str(error.value)
    assert "the node keeps trying by itself" in str(error.value)
    client.apply_permanent, client.reload = mend
    guard.expire(client)
    assert client.snapshot() == before


# The confirmation


@pytest.mark.parametrize("make_host", HOSTS)
@pytest.mark.parametrize(("before_modes", "last"), STEPS)
def test_a_change_that_nobody_confirms_is_taken_back(make_host, before_modes, last):
    client, store, guard = make_host(), CountingStore(), FakeGuard()
    for mode in before_modes:
        run(client, store, wanted(mode))
    before = client.snapshot(), store.record
    result = run(client, store, last and wanted(last), guard, confirm_timeout=30)
    assert result["confirm"] == guard.checkpoint.identity
    assert guard.awaits == 30
    guard.expire(client)
    assert (client.snapshot(), store.record) == before


def test_without_a_timeout_a_change_is_final_at_once():
    client, store, guard = managed_host(), CountingStore(), FakeGuard()
    assert "confirm" not in run(client, store, wanted(), guard, confirm_timeout=0)
    assert guard.checkpoint is None


def test_a_run_that_changes_nothing_asks_for_no_confirmation():
    client, store, guard = managed_host(), CountingStore(), FakeGuard()
    run(client, store, wanted())
    assert "confirm" not in run(client, store, wanted(), guard, confirm_timeout=30)
    assert guard.checkpoint is None


# What others have


BAN = 'rule family="ipv4" source address="198.51.100.66" drop'


@pytest.mark.parametrize("mode", MODES)
def test_what_runs_only_survives_the_reload(mode):
    client, store = managed_host(), CountingStore()
    client.run_only("public", rules_str=[BAN], sources=["198.51.100.0/24"])
    client.run_only("internal", services=["ssh"])
    client.direct = {"chains": [], "rules": [["ipv4", "filter", "INPUT", 0, ["-j", "LOG"]]]}
    client.tables = {"iptables-save": "*nat"}
    others = client.others(())
    assert run(client, store, wanted(mode))["reloaded"]
    now = client.others(()).objects
    assert now[ZONE, "public"]["rules_str"] == [BAN]
    assert now[ZONE, "public"]["sources"] == ["198.51.100.0/24"]
    assert now[ZONE, "internal"]["services"] == ["ssh"]
    assert (client.direct, client.tables) == (others.direct, others.tables)


def test_what_runs_only_in_the_nics_zone_runs_in_ours():
    client, store = managed_host(), CountingStore()
    client.run_only("internal", rules_str=[BAN])
    run(client, store, wanted("segregated"))
    assert client.runtime_settings((ZONE, "k3s-cluster"))["rules_str"] == [BAN]
    assert "rules_str" not in client.permanent_settings((ZONE, "k3s-cluster"))
    assert not run(client, store, wanted("segregated"))["changed"]


KUBERNETES = "*nat\n:KUBE-SERVICES - [0:0]\n-A PREROUTING -j KUBE-SERVICES\nCOMMIT\n"


def test_a_reload_that_flushes_kubernetes_takes_consent():
    client, store = managed_host(), CountingStore()
    client.tables = {"iptables-save": KUBERNETES}
    before = client.snapshot()
    for check_mode in (True, False):
        with pytest.raises(FirewalldError) as error:
            run(client, store, wanted(), check_mode=check_mode, kubernetes=lambda: ["k3s-server"])
        assert "k3s-server" in str(error.value)
        assert "KUBE-SERVICES" in str(error.value)
        assert "up to 2 seconds" in str(error.value)
        assert "k3s_firewall_allow_disruptive_reload" in str(error.value)
        assert "k3s-killall.sh" in str(error.value)
    assert client.snapshot() == before
    consent = {"allow_disruptive_reload": True, "kubernetes": lambda: ["k3s-server"]}
    assert run(client, store, wanted(), **consent)["reloaded"]
    # A change of members needs no reload, and so no consent.
    assert not run(client, store, wanted(agents=2), kubernetes=lambda: ["k3s-server"])["reloaded"]


def test_chains_of_a_kubernetes_that_does_not_run_need_no_consent():
    client = managed_host()
    client.tables = {"iptables-save": KUBERNETES}
    assert run(client, CountingStore(), wanted(), kubernetes=list)["reloaded"]
    assert client.tables == {"iptables-save": KUBERNETES}


@pytest.mark.parametrize("mode", MODES)
def test_removal_needs_consent_while_kubernetes_runs(mode):
    client, store = managed_host(), CountingStore()
    run(client, store, wanted(mode))
    before = client.snapshot()
    running = {"kubernetes": lambda: ["containerd-shim"]}
    with pytest.raises(FirewalldError) as error:
        run(client, store, None, **running)
    assert "Kubernetes runs on this node (containerd-shim)" in str(error.value)
    assert "k3s_firewall_allow_disruptive_reload" in str(error.value)
    assert client.snapshot() == before
    assert run(client, store, None, **running, allow_disruptive_reload=True)["changed"]


def test_an_ipset_that_is_no_longer_wanted_needs_no_reload():
    client, store = managed_host(), CountingStore()
    run(client, store, wanted(external_sources=["198.51.100.0/24"]))
    client.tables = {"iptables-save": KUBERNETES}
    result = run(client, store, wanted(), kubernetes=lambda: ["k3s-server"])
    assert result["changed"]
    assert not result["reloaded"]
    assert (IPSET, "k3s-clients") not in client.permanent_keys()
    # It stays in the runtime until firewalld reloads, and the next run changes nothing.
    assert (IPSET, "k3s-clients") in client.runtime_keys()
    assert not run(client, store, wanted())["changed"]
    assert (IPSET, "k3s-clients") not in store.record.objects
    # If it is wanted again before that, the runtime's ipset is used.
    again = run(client, store, wanted(external_sources=["198.51.100.0/25"]))
    assert not again["reloaded"]
    assert client.runtime_settings((IPSET, "k3s-clients"))["entries"] == ["198.51.100.0/25"]


# Ownership


@pytest.mark.parametrize("mode", ["segregated", "segregated plain"])
def test_a_zone_of_the_user_with_our_name_stops_the_run(mode):
    client, store = managed_host(), CountingStore()
    mine = {"target": "DROP", "ports": ["8443/tcp"]}
    client.create_zone("k3s-cluster", **mine)
    before = client.snapshot()
    with pytest.raises(FirewalldError) as error:
        run(client, store, wanted(mode))
    assert "No changes were made" in str(error.value)
    assert "zone k3s-cluster" in str(error.value)
    assert "firewall-cmd --permanent --delete-zone=k3s-cluster" in str(error.value)
    assert client.snapshot() == before
    # The shared mode has no zone of that name, so the user's stays in use.
    run(client, store, wanted("shared"))
    assert (ZONE, "k3s-cluster") not in store.record.objects
    result = run(client, store, None)
    assert "zone k3s-cluster" in result["warned"][0]
    assert client.snapshot() == before


def test_removal_on_an_unprepared_host_leaves_objects_with_our_names():
    client, store = managed_host(), CountingStore()
    client.create_zone("k3s-pods", services=["ssh"])
    before = client.snapshot()
    result = run(client, store, None)
    assert not result["changed"]
    assert "zone k3s-pods" in result["warned"][0]
    assert client.snapshot() == before


@pytest.mark.parametrize("mode", ["shared", "segregated"])
def test_objects_that_equal_ours_are_adopted_when_the_state_file_is_lost(mode):
    client, store = plain_host(), CountingStore()
    run(client, store, wanted(mode))
    record, before = store.record, client.snapshot()
    os.unlink(store.path)
    assert not run(client, store, wanted(mode))["changed"]
    assert client.snapshot() == before
    assert store.record.objects == record.objects


def test_an_object_that_differs_is_not_adopted():
    client, store = plain_host(), CountingStore()
    run(client, store, wanted(agents=1))
    os.unlink(store.path)
    before = client.snapshot()
    with pytest.raises(FirewalldError, match="ipset k3s-nodes"):
        run(client, store, wanted(agents=2))
    assert client.snapshot() == before


def test_every_object_is_recorded_before_it_is_created():
    for number in range(1, 40):
        client, store, guard = managed_host(), CountingStore(), FakeGuard()
        client.fail_at, client.applied, client.kill = number, True, True
        try:
            run(client, store, wanted("segregated"), guard)
        except Killed:
            created = {key for key in client.permanent_keys() if key[1].startswith("k3s-")}
            assert created <= store.record.objects
        else:
            return
    raise AssertionError("the run never ended")


# The overlay


def test_an_overlay_interface_in_an_accepting_zone_of_the_user_stays_there():
    client, store = managed_host(), CountingStore()
    client.create_zone("trusted", target="ACCEPT", interfaces=["cni0"])
    before = client.snapshot()
    run(client, store, wanted())
    pods = client.permanent_settings((ZONE, "k3s-pods"))
    assert "cni0" not in pods["interfaces"]
    assert "flannel.1" in pods["interfaces"]
    assert not run(client, store, wanted())["changed"]
    run(client, store, None)
    assert client.snapshot() == before


def test_an_overlay_interface_in_a_rejecting_zone_stops_the_run():
    client = managed_host()
    client.create_zone("mine", services=["ssh"], interfaces=["cni0"])
    with pytest.raises(FirewalldError, match="--zone=mine --remove-interface=cni0"):
        run(client, CountingStore(), wanted())
    assert client.writes == []


def test_what_a_reload_would_bring_for_others_stops_the_run():
    client, store = managed_host(), CountingStore()
    client.add_permanent(POLICY, "admin", target="DROP", ingress_zones=["ANY"])
    with pytest.raises(FirewalldError, match="policy admin, which is not running yet") as error:
        run(client, store, wanted())
    assert "firewall-cmd --reload" in str(error.value)
    assert client.writes == []


def test_trouble_of_firewalld_stops_a_change_and_no_run_that_changes_nothing():
    client, store = managed_host(), CountingStore()
    run(client, store, wanted())
    client.what_is_wrong = "firewalld is in panic mode"
    assert not run(client, store, wanted())["changed"]
    with pytest.raises(FirewalldError, match=r"No changes were made\. firewalld is in panic mode"):
        run(client, store, None)


# The controller


OUTSIDE = Connection(source="198.51.100.9", port=22, interface="eth0")


@pytest.mark.parametrize("mode", MODES)
def test_a_connection_that_a_zone_admits_goes_on(mode):
    client, store = managed_host(), CountingStore()
    assert run(client, store, wanted(mode), connection=OUTSIDE)["changed"]
    assert run(client, store, None, connection=OUTSIDE)["changed"]


@pytest.mark.parametrize(
    ("port", "remedy"), [(22, "--add-service=ssh"), (2222, "--add-port=2222/tcp")]
)
def test_the_remedy_admits_the_port_that_ansible_came_by(port, remedy):
    client, store = FakeFirewalld(zones={"public": {"ports": ["80/tcp"]}}), CountingStore()
    there = Connection(source="198.51.100.9", port=port, interface="eth0")
    run(client, store, wanted(rows=[*ROWS, row(port, source=["external"])]), connection=there)
    with pytest.raises(FirewalldError) as refused:
        run(client, store, wanted(), connection=there)
    assert f"firewall-cmd --permanent --zone=ZONE {remedy}, and the same" in str(refused.value)


def test_a_connection_that_only_a_rule_of_ours_admits_is_not_cut():
    client, store = FakeFirewalld(zones={"public": {"ports": ["80/tcp"]}}), CountingStore()
    rows = [*ROWS, row(22, source=["external"])]
    run(client, store, wanted(rows=rows), connection=OUTSIDE)
    before = client.snapshot()
    for without in (wanted(), None):
        for check_mode in (True, False):
            with pytest.raises(FirewalldError) as error:
                run(client, store, without, connection=OUTSIDE, check_mode=check_mode)
            assert "No changes were made" in str(error.value)
            assert "from 198.51.100.9 to port 22/tcp" in str(error.value)
            assert "k3s-from-clients" in str(error.value)
    assert client.snapshot() == before
    run(client, store, None)


def test_a_connection_that_nothing_seems_to_admit_is_let_alone():
    client, store = FakeFirewalld(zones={"public": {"ports": ["80/tcp"]}}), CountingStore()
    assert run(client, store, wanted(), connection=OUTSIDE)["changed"]


# Any host, any modes


@st.composite
def hosts(draw):
    names = ["public", "internal", "work"]
    ports = st.lists(
        st.sampled_from(["22/tcp", "80/tcp", "6443/tcp", "10250/tcp", "53/udp", "9999-10001/tcp"]),
        unique=True,
        max_size=4,
    ).map(sorted)
    zones = {}
    for name in names:
        zones[name] = {"services": draw(st.sampled_from([["ssh"], ["cockpit", "ssh"]]))}
        open_ports = draw(ports)
        if open_ports:
            zones[name]["ports"] = open_ports
    managed, bound = {}, {}
    for interface in ("eth0", "eth1"):
        where = managed if draw(st.booleans()) else bound
        where[interface] = draw(st.sampled_from(["", *names]))
    return FakeFirewalld(zones=zones, managed=managed, bound=bound)


@settings(max_examples=120)
@given(hosts(), st.lists(st.sampled_from(MODES), min_size=1, max_size=4))
def test_absent_gives_back_any_host_after_any_modes(client, modes):
    store = CountingStore()
    before = client.snapshot()
    there_and_back(client, store, *modes)
    assert client.snapshot() == before
    assert store.record == Record()


@given(hosts(), st.sampled_from(MODES))
def test_a_second_run_changes_nothing_on_any_host(client, mode):
    store = CountingStore()
    run(client, store, wanted(mode))
    assert not run(client, store, wanted(mode))["changed"]


# The record on the node


RECORD = Record(
    bindings={"eth0": Former("internal", "work")},
    ports={"public": AddedPorts(["6443/tcp"], ["80/tcp"], True)},
    objects=frozenset({(ZONE, "k3s-pods"), (IPSET, "k3s-nodes")}),
)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "k3s-network" / "firewalld.json")


def test_a_record_survives(path):
    RecordStore(path).save(RECORD)
    assert RecordStore(path).load() == RECORD


def test_without_a_file_the_record_is_empty(path):
    assert RecordStore(path).load() == Record()


def test_an_empty_record_leaves_neither_file_nor_directory(path):
    store = RecordStore(path)
    store.save(RECORD)
    store.save(Record())
    store.save(Record())
    assert not os.path.exists(os.path.dirname(path))


def test_a_record_is_replaced_whole_and_leaves_no_other_file(path):
    store = RecordStore(path)
    store.save(RECORD)
    store.save(Record(bindings={"eth1": Former("", "")}))
    assert os.listdir(os.path.dirname(path)) == ["firewalld.json"]
    assert set(store.load().bindings) == {"eth1"}


def test_a_record_that_can_not_be_written_leaves_the_old_one(path, monkeypatch):
    store = RecordStore(path)
    store.save(RECORD)
    monkeypatch.setattr(os, "replace", lambda *_paths: _no_space())
    with pytest.raises(OSError):
        store.save(Record(bindings={"eth1": Former("", "")}))
    assert os.listdir(os.path.dirname(path)) == ["firewalld.json"]
    assert store.load() == RECORD


def _no_space():
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"bindings": {"eth0": {}}, "ports": {}}', '{"bindings": 1}'],
)
def test_a_corrupt_record_counts_as_lost_and_is_kept(path, text):
    os.makedirs(os.path.dirname(path))
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    store = RecordStore(path)
    assert store.load() == Record()
    assert store.problem
    store.save(RECORD)
    assert RecordStore(path).load() == RECORD
    with open(f"{path}.unreadable", encoding="utf-8") as stream:
        assert stream.read() == text


def test_a_record_of_another_shape_counts_as_lost(path):
    os.makedirs(os.path.dirname(path))
    data = {"bindings": {}, "ports": {"public": {"added": [], "unknown": 1}}}
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(data, stream)
    store = RecordStore(path)
    assert store.load() == Record()
    assert store.problem


def test_a_policy_of_others_on_the_nics_zone_is_refused_before_anything_changes(path):
    client, store = managed_host(), RecordStore(path)
    for name, zone in (("admin", "internal"), ("other", "ANY")):
        client.create_policy(name, ingress_zones=[zone], egress_zones=["HOST"])
    client.create_policy("off", ingress_zones=["public"], egress_zones=["HOST"], disable=True)
    with pytest.raises(
        FirewalldError, match=r"No changes were made\. The firewalld policies admin name"
    ):
        run(client, store, wanted("segregated"))
    assert client.writes == []
    run(client, store, wanted("shared"))


def test_a_disabled_policy_of_others_does_not_stop_the_run():
    client = managed_host()
    client.create_policy("off", ingress_zones=["internal"], egress_zones=["HOST"], disable=True)
    assert run(client, CountingStore(), wanted("segregated"))["changed"]
