# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import os
import platform
import shutil

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route import (
    files as default_route_files,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route import (
    host as default_route_host,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route import (
    read as reader,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route.files import (
    ADOPTED,
    BACKENDS,
    COMMITS,
    LAST_METRIC,
    NETWORKD,
    NETWORKMANAGER,
    PATHS,
    SYSTEMD,
    Wanted,
    commands,
    files,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route.host import (
    DefaultRouteHost,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route.plan import (
    DefaultRouteError,
    plan_absent,
    plan_present,
    route_lines,
    units,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.interfaces import (
    SshConnection,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.networkmanager import (
    NetworkManager,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s import detection
from ansible_collections.edgeops.k3s_network.tests.unit.support.fake_node import (
    KEYFILE,
    NAME,
    NETDEV,
    NETWORK,
    PEER,
    UNIT,
    UNITS,
    WANTS,
    WATCH,
    ZONE_UNIT,
    FakeNode,
    Killed,
    commands_of,
)

WANTED = Wanted("dummy0", "203.0.113.254/31", "203.0.113.255", 1000)
OTHER = Wanted("k3s0", "198.51.100.0/31", "198.51.100.1", 500)
LINE = "default via 203.0.113.255 dev dummy0 metric 1000"
REAL = {"gateway": "192.0.2.1", "dev": "eth0", "metric": 100}
REAL_LINE = "default via 192.0.2.1 dev eth0 metric 100"
CONNECTION = SshConnection(PEER, "192.0.2.11", 22)
ALL_ROUTES = "ip -json -4 route show table all default"
LINKS = "ip -json -details address show"
UP = f"nmcli --wait 30 connection up id {NAME}"
DELETE = f"nmcli connection delete id {NAME}"
LOAD = f"nmcli connection load {KEYFILE}"


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Return a maker of nodes, which take the place of this host."""
    made = []

    def make_node(manager=SYSTEMD, **others):
        root = tmp_path / str(len(made))
        root.mkdir()
        node = FakeNode(root, manager, **others)
        node.install(monkeypatch)
        made.append(node)
        return node

    return make_node


@pytest.fixture(params=BACKENDS)
def node(request, make):
    return make(request.param)


def read(node, wanted=WANTED, connection=None):
    return DefaultRouteHost(node, wanted, connection).read()


def run(node, wanted=WANTED, backend="auto", connection=CONNECTION, planner=None):
    """Do what the module does with state: present, and return the plan."""
    host = DefaultRouteHost(node, wanted, connection)
    before = host.read()
    plan = planner(before) if planner else plan_present(before, wanted, backend)
    if plan.changed:
        host.apply(plan, before)
    return plan


def absent(node):
    return run(node, planner=plan_absent)


def fails(node, *parts, **how):
    with pytest.raises(DefaultRouteError) as error:
        run(node, **how)
    for part in parts:
        assert part in str(error.value)
    return str(error.value)


def assert_made(node, wanted=WANTED, backend=None, killed=False):
    """Check that all is as the files say, and that these are the right ones."""
    backend = backend or node.manager
    for file in files(backend, wanted):
        if file.link:
            assert os.readlink(node.at(file.path)) == file.text
        else:
            assert node.text(file.path) == file.text
            assert os.stat(node.at(file.path)).st_mode & 0o777 == file.mode
    assert {path for path in PATHS if os.path.lexists(node.at(path))} == {
        file.path for file in files(backend, wanted)
    }
    assert [line for line in node.lines() if " dev eth" not in line] == [wanted.route()]
    firewalld = "firewalld.service" in node.services
    assert set(node.running) == set(units(backend, firewalld))
    for unit, runs in node.running.items():
        assert runs == commands_of(node.text(f"{UNITS}/{unit}")), unit
    # A kill may leave firewalld a name that is no interface's any more.
    zones = {name: zone for name, zone in node.zones.items() if not killed or name in node.links}
    assert zones == ({wanted.interface: "drop"} if firewalld else {})
    dummies = [name for name, link in node.links.items() if "linkinfo" in link]
    assert dummies == [wanted.interface]
    assert not run(node, wanted, backend).changed


# Reading


def test_a_host_with_a_real_route_is_asked_no_more_than_needed(node):
    node.add_route(**REAL)
    host = read(node, connection=CONNECTION)
    assert node.asked == [ALL_ROUTES, LINKS]
    assert host.routes == [{"dst": "default", **REAL}]
    assert not plan_present(host, WANTED).changed


def test_reading_changes_nothing(node):
    node.make_by_hand()
    state = node.state()
    read(node, connection=CONNECTION)
    assert node.log == []
    assert node.state() == state


def test_our_files_are_read_with_where_links_lead_to(node):
    run(node)
    host = read(node)
    assert host.files == {file.path: file.text for file in files(node.manager, WANTED)}
    assert host.links["dummy0"].kind == "dummy"
    assert host.links["dummy0"].addresses == ["203.0.113.254/31"]
    assert not host.adopted


def test_our_files_are_found_beside_a_real_route(node):
    run(node)
    node.add_route(**REAL)
    host = read(node)
    assert set(host.files) == {file.path for file in files(node.manager, WANTED)}
    assert "dummy0" in host.links


def test_a_link_that_leads_nowhere_is_a_file_of_ours(make):
    node = make()
    os.makedirs(os.path.dirname(node.at(WANTS[WATCH])))
    os.symlink(f"{UNITS}/{WATCH}", node.at(WANTS[WATCH]))
    assert read(node).files == {WANTS[WATCH]: f"{UNITS}/{WATCH}"}


def test_only_global_addresses_count(make):
    node = make()
    node.add_address("eth0", "fe80::1/64", scope="link")
    node.add_link("lo")
    node.add_address("lo", "127.0.0.1/8", scope="host")
    links = read(node).links
    assert links["eth0"].addresses == ["192.0.2.11/24"]
    assert (links["lo"].kind, links["lo"].addresses) == ("", [])


def test_an_interface_that_ip_leaves_empty_does_not_matter(make):
    node = make()
    node.links["?"] = {"addr_info": []}
    assert plan_present(read(node, connection=CONNECTION), WANTED).start


def test_rules_are_asked_for_where_another_table_has_a_default_route(make):
    node = make()
    node.rules = [{"priority": 32766, "src": "all", "table": "main"}]
    assert read(node).rules == ()
    node.add_route(**REAL, table="100")
    host = read(node)
    assert host.rules == node.rules
    assert host.main_routes() == []


@pytest.mark.parametrize("managed", [True, False])
def test_the_backend_is_what_manages_the_nics(node, managed):
    if not managed:
        node.actives.clear()
        shutil.rmtree(node.at("/run/systemd/netif"), ignore_errors=True)
    assert read(node).managed_by == (node.manager if managed else SYSTEMD)


@pytest.mark.parametrize(
    ("address", "managed_by"),
    [("192.0.2.11", NETWORKMANAGER), ("198.51.100.11", NETWORKD), ("203.0.113.9", NETWORKMANAGER)],
)
def test_the_nic_of_ansibles_connection_counts_first(make, address, managed_by):
    node = make(NETWORKMANAGER)
    node.services.add("systemd-networkd.service")
    node.add_link("eth1", "198.51.100.11/24")
    node.managed_by_networkd("eth1", "/run/systemd/network/10-netplan-eth1.network")
    assert read(node, connection=SshConnection(PEER, address, 22)).managed_by == managed_by


def test_loopback_and_a_nic_without_an_address_say_nothing(make):
    node = make(NETWORKMANAGER)
    node.links["eth0"]["addr_info"] = []
    node.add_link("lo", "192.0.2.200/32")
    node.profiles["lo"] = "/etc/NetworkManager/system-connections/lo.nmconnection"
    node.actives["lo"] = "lo"
    assert read(node).managed_by == SYSTEMD


def test_our_own_dummy_does_not_say_what_manages_the_nics(make):
    node = make()
    node.services.add("systemd-networkd.service")
    run(node, backend=NETWORKD)
    node.managed_by_networkd("dummy0", NETWORK)
    assert read(node).managed_by == SYSTEMD


def test_what_networkmanager_made_up_for_an_interface_made_by_hand_is_nobodys(make):
    node = make(NETWORKMANAGER)
    node.make_by_hand()
    assert read(node).owner == ""


def test_a_profile_of_others_owns_the_interface(make):
    node = make(NETWORKMANAGER)
    node.make_by_hand()
    path = "/etc/NetworkManager/system-connections/a:b.nmconnection"
    node.profiles["mine"] = path.replace(":", "\\:")
    node.actives["dummy0"] = "mine"
    assert read(node).owner == f"the profile 'mine' of NetworkManager ({path})"
    assert not run(node).changed


def test_a_file_of_others_makes_networkd_the_owner(make):
    node = make(NETWORKD)
    node.make_by_hand()
    node.managed_by_networkd("dummy0", "/etc/systemd/network/mine.network")
    assert read(node).owner == "systemd-networkd (/etc/systemd/network/mine.network)"


def test_what_is_ours_has_no_other_owner(node):
    run(node)
    node.managed_by_networkd("dummy0", NETWORK)
    assert read(node).owner == ""


def test_a_host_without_systemd_has_no_active_service(make):
    node = make()
    shutil.rmtree(node.at("/run/systemd"))
    host = read(node)
    assert host.active == frozenset()
    assert not [line for line in node.asked if line.startswith("systemctl")]


def test_services_and_units_of_ours_are_asked_for(node):
    run(node)
    expected = {"systemd", "firewalld.service", *units(node.manager, True)} | node.services
    assert read(node).active == expected


def test_an_ipv6_default_route_is_found(make):
    node = make()
    assert not read(node).ipv6_default
    node.ipv6_routes = [
        {"type": "unreachable", "dst": "default", "dev": "lo", "metric": 4294967295}
    ]
    assert not read(node).ipv6_default
    node.ipv6_routes = [{"dst": "default", "gateway": "fe80::1", "dev": "eth0", "metric": 1024}]
    assert read(node).ipv6_default


def test_an_ip_that_fails_is_named(make):
    node = make()
    node.failing[ALL_ROUTES] = (255, "", "no such option\n")
    fails(node, "ip -4 route show table all default: no such option")


def test_an_ip_that_prints_nothing_knows_of_no_route(make):
    node = make()
    node.failing[ALL_ROUTES] = (0, "", "")
    assert read(node).routes == []


# The driver


@pytest.fixture
def bare(make, monkeypatch):
    """Return a node whose kernel has not loaded the driver."""
    node = make()
    shutil.rmtree(node.at("/sys/module/dummy"))
    monkeypatch.setattr(platform, "release", lambda: "6.1")
    node.put("/lib/modules/6.1/modules.dep", "kernel/x.ko:\n")
    return node


def test_a_loaded_driver_is_found(make):
    assert read(make()).driver_problem == ""


def test_a_missing_driver_is_told_with_its_package(bare):
    fails(bare, "its kernel (6.1) has no driver 'dummy'", "package linux-image-6.1")
    assert bare.log == []


DUMMY_KO = "kernel/drivers/net/dummy.ko"


@pytest.mark.parametrize(
    ("modules", "problem"),
    [
        # The list may be older than the modules.
        ({"6.1/modules.dep": f"{DUMMY_KO}.xz: kernel/x.ko\n", f"6.1/{DUMMY_KO}.xz": ""}, None),
        ({"6.1/modules.dep": f"{DUMMY_KO}.xz:\n"}, "no driver 'dummy'"),
        ({"6.1/modules.builtin": f"{DUMMY_KO}\n"}, None),
        (
            {"6.2/modules.dep": f"{DUMMY_KO}:\n", f"6.2/{DUMMY_KO}": ""},
            "installed for kernel 6.2",
        ),
    ],
)
def test_driver_is_found_in_the_modules_of_the_kernel(bare, modules, problem):
    for path, text in modules.items():
        bare.put(f"/lib/modules/{path}", text)
    found = read(bare).driver_problem
    assert problem in found if problem else found == ""


def test_a_distribution_that_does_not_say_its_name_is_no_error(bare):
    os.unlink(bare.at("/etc/os-release"))
    assert "the distribution's package of kernel modules" in read(bare).driver_problem


# Bringing it up


COMMON = [
    f"write {UNITS}/{WATCH}",
    f"link {WANTS[WATCH]}",
    f"write {UNITS}/{ZONE_UNIT}",
    f"link {WANTS[ZONE_UNIT]}",
]
WRITES = {
    NETWORKMANAGER: [*COMMON, f"write {KEYFILE}"],
    NETWORKD: [*COMMON, f"write {NETWORK}", f"write {NETDEV}"],
    SYSTEMD: [*COMMON, f"write {UNITS}/{UNIT}", f"link {WANTS[UNIT]}"],
}
# As networkd itself makes it.
STATIC = f"ip -4 route replace {WANTED.route()} proto static"
BRINGS_UP = {
    NETWORKMANAGER: [LOAD, UP],
    NETWORKD: [*(" ".join(command) for command in commands(WANTED)[:-1]), STATIC],
    SYSTEMD: [f"systemctl restart {UNIT}"],
}


def test_a_route_is_made_after_all_its_files_and_the_units_of_ours_after_it(node):
    plan = run(node)
    backend = node.manager
    assert plan.backend == backend
    start, *rest = node.log[len(WRITES[backend]) :]
    assert node.log[: len(WRITES[backend])] == WRITES[backend]
    assert start == "systemctl daemon-reload"
    assert rest[: len(BRINGS_UP[backend])] == BRINGS_UP[backend]
    # Whatever the commands are, only units of ours are started, and nothing else happens.
    for line in rest[len(BRINGS_UP[backend]) :]:
        words = line.split()
        assert words[:2] in (["systemctl", "start"], ["systemctl", "restart"])
        assert set(words[2:]) <= set(units(backend, True))
    assert_made(node)


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_firewalld_there_is_no_zone(make, backend):
    node = make(backend, firewalld=False)
    run(node)
    assert not any("systemctl" in line and ZONE_UNIT in line for line in node.log)
    assert_made(node)


def test_firewalld_that_comes_later_gets_its_zone_without_a_gap(node):
    node.services.remove("firewalld.service")
    run(node)
    node.services.add("firewalld.service")
    node.history.clear()
    assert run(node).changed
    assert all(LINE in lines for lines in node.history)
    assert_made(node)


def test_a_route_that_somebody_deleted_comes_back(node):
    run(node)
    node("ip link delete dev dummy0".split())
    assert run(node).changed
    assert_made(node)


def test_a_unit_that_somebody_stopped_runs_again(node):
    run(node)
    node(["systemctl", "stop", WATCH])
    node.history.clear()
    assert run(node).changed
    assert all(LINE in lines for lines in node.history)
    assert_made(node)


def test_a_profile_that_networkmanager_does_not_take_is_told(make, monkeypatch):
    node = make(NETWORKMANAGER)
    before = node.state()
    monkeypatch.setattr(FakeNode, "_load_profile", lambda _self: "")
    fails(node, f"NetworkManager does not take the profile {KEYFILE}", "was rolled back")
    assert node.state() == before


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("former", BACKENDS)
def test_another_backend_takes_the_place_of_the_former_one(make, backend, former):
    if backend == former:
        pytest.skip("the same backend")
    node = make(former)
    node.services |= {"NetworkManager.service", "systemd-networkd.service"}
    run(node)
    assert run(node, backend=backend).changed
    assert_made(node, backend=backend)


@pytest.mark.parametrize(
    "other",
    [
        {"metric": 500},
        {"interface": "k3s0"},
        {"address": "198.51.100.0/31", "gateway": "198.51.100.1"},
    ],
)
def test_other_values_take_the_place_of_the_former_ones_in_all_that_runs(node, other):
    run(node)
    wanted = dataclasses.replace(WANTED, **other)
    plan = run(node, wanted)
    assert plan.changed
    assert_made(node, wanted)
    assert node.lines() == list(plan.routes_after)


def test_the_routes_that_a_plan_promises_are_those_that_come(node):
    plan = run(node)
    assert node.lines() == list(plan.routes_after)
    node.add_route(**REAL)
    plan = run(node)
    assert node.lines() == list(plan.routes_after) == [REAL_LINE]


# Made by hand


def test_what_was_made_by_hand_is_adopted_without_a_moment_without_it(node):
    node.make_by_hand()
    plan = run(node)
    assert plan.adopt
    assert all(LINE in lines for lines in node.history)
    assert UP not in node.log
    assert not any(line.startswith("ip link delete") for line in node.log)
    assert node.log[0] == f"write {ADOPTED}"
    assert os.path.exists(node.at(ADOPTED))
    assert_made(node)


def test_absent_gives_back_what_was_made_by_hand(node):
    node.make_by_hand()
    before = node.state()
    run(node)
    node.history.clear()
    assert absent(node).changed
    assert all(LINE in lines for lines in node.history)
    assert node.state() == before


def test_what_was_made_by_hand_goes_where_a_real_route_has_come(node):
    node.add_route(**REAL)
    before = node.state()
    node.routes.clear()
    node.make_by_hand()
    run(node)
    node.add_route(**REAL)
    run(node)
    assert node.state() == before


def test_after_a_reboot_what_was_made_by_hand_is_ours(node):
    node.make_by_hand()
    run(node)
    node.reboot()
    node._command(["systemctl", "start", WATCH])
    assert_made(node)
    absent(node)
    assert node.lines() == []
    assert "dummy0" not in node.links


@pytest.mark.parametrize("change", ["values", "lost"])
def test_what_we_made_in_the_place_of_what_was_made_by_hand_is_ours(node, change):
    before = node.state()
    node.make_by_hand()
    run(node)
    if change == "values":
        run(node, dataclasses.replace(WANTED, metric=500))
    else:
        node("ip link delete dev dummy0".split())
        run(node)
    absent(node)
    assert node.state() == before


@pytest.mark.parametrize("metric", [0, 5])
def test_a_route_made_by_hand_with_another_metric_does_not_stay_beside_ours(node, metric):
    # Neither the watch nor the next run would ever take it away, and it wins over real ones.
    node.make_by_hand(metric)
    plan = run(node)
    assert node.lines() == list(plan.routes_after) == [LINE]
    assert_made(node)


def test_a_dummy_without_address_and_route_is_used(node):
    node.add_link("dummy0", kind="dummy", up=False)
    run(node)
    assert_made(node)


# Taking it away


def test_a_real_route_that_has_come_sends_ours_away(node):
    node.add_route(**REAL)
    before = node.state()
    node.routes.clear()
    run(node)
    node.add_route(**REAL)
    node.history.clear()
    run(node)
    assert all(REAL_LINE in lines for lines in node.history)
    assert node.state() == before


def test_what_makes_the_route_last_is_taken_away_first(node):
    run(node)
    node.log.clear()
    absent(node)
    commit = COMMITS[node.manager]
    files_first = next(line for line in node.log if line.startswith(("remove", "nmcli")))
    assert files_first == (DELETE if commit == KEYFILE else f"remove {commit}")
    # Else the watch might make the route again.
    stopped = node.log.index(f"systemctl stop {WATCH} {ZONE_UNIT}")
    assert node.log.index("ip link delete dev dummy0") > stopped


def test_the_profile_is_deleted_by_nmcli_and_not_only_as_a_file(make):
    node = make(NETWORKMANAGER)
    run(node)
    absent(node)
    assert DELETE in node.log
    assert node.profiles == {"eth0": node.profiles["eth0"]}


def test_a_profile_that_networkmanager_does_not_know_is_deleted_as_a_file(make):
    node = make(NETWORKMANAGER)
    run(node)
    node.services.remove("NetworkManager.service")
    node.log.clear()
    absent(node)
    assert DELETE not in node.log
    assert f"remove {KEYFILE}" in node.log
    assert node.lines() == []


def test_others_units_keep_their_directory(make):
    node = make()
    node.put(f"{UNITS}/multi-user.target.wants/k3s.service", "[Unit]\n")
    run(node)
    absent(node)
    assert os.listdir(node.at(f"{UNITS}/multi-user.target.wants")) == ["k3s.service"]


# What fails is rolled back


FAILING = {
    NETWORKMANAGER: [LOAD, UP],
    NETWORKD: BRINGS_UP[NETWORKD],
    SYSTEMD: [f"systemctl restart {UNIT}"],
}
FAILURES = [(backend, line) for backend in BACKENDS for line in FAILING[backend]]


@pytest.mark.parametrize(
    ("backend", "line", "failure", "said"),
    [
        *((*one, (1, "", "no such luck\n"), "no such luck") for one in FAILURES),
        (
            *(SYSTEMD, FAILING[SYSTEMD][0]),
            *(FileNotFoundError(2, "no such file", "systemctl"), "no such file"),
        ),
    ],
)
def test_a_start_that_fails_leaves_nothing(make, backend, line, failure, said):
    node = make(backend)
    before = node.state()
    node.failing[line] = failure
    message = fails(node, "the change failed, was rolled back: ", said)
    assert (line if isinstance(failure, tuple) else "systemctl") in message
    assert node.state() == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_units_that_do_not_start_are_taken_back(make, monkeypatch, backend):
    node = make(backend)
    before = node.state()
    start = FakeNode._start
    monkeypatch.setattr(
        FakeNode, "_start", lambda self, names: "no" if WATCH in names else start(self, names)
    )
    fails(node, WATCH, "was rolled back")
    assert node.state() == before


def test_a_route_that_does_not_come_is_taken_back(node):
    before = node.state()
    node.deaf = True
    fails(node, f"'{LINE}' did not come", "the default routes are: none", "was rolled back")
    assert node.state() == before


def test_a_disk_that_is_full_is_taken_back(node, monkeypatch):
    before = node.state()
    write = node._write_file

    def full(path, *rest):
        if path.endswith((ZONE_UNIT, "nmconnection", ".netdev")):
            raise OSError(28, "No space left on device")
        write(path, *rest)

    monkeypatch.setattr(default_route_host, "write_file", full)
    fails(node, "No space left", "was rolled back")
    assert node.state() == before


@pytest.mark.parametrize(("backend", "line"), FAILURES)
def test_other_values_that_fail_give_the_former_ones_back(make, backend, line):
    node = make(backend)
    run(node)
    before = node.state()
    wanted = dataclasses.replace(WANTED, metric=500)
    attempts = []

    def command(arguments):
        attempt = " ".join(arguments)
        if attempt == line.replace("metric 1000", "metric 500") and not attempts:
            attempts.append(attempt)
            return 1, "", "no such luck"
        return node(arguments)

    with pytest.raises(DefaultRouteError, match="was rolled back"):
        run(command, wanted)
    assert attempts
    assert node.state() == before
    assert_made(node)


def test_files_that_are_restored_keep_the_mode_that_the_user_gave_them(node):
    run(node)
    for path in node.tree():
        if NAME in path and not os.path.islink(node.at(path)) and os.path.isfile(node.at(path)):
            os.chmod(node.at(path), 0o400)
    before = node.state()
    failing = FakeNode._reload
    failures = []

    def command(arguments):
        if list(arguments) == ["systemctl", "daemon-reload"] and not failures:
            failures.append(failing)
            return 1, "", "no such luck"
        return node(arguments)

    with pytest.raises(DefaultRouteError, match="was rolled back"):
        run(command, dataclasses.replace(WANTED, metric=500))
    assert 0o400 in [what[1] for what in before.values() if isinstance(what, tuple)]
    assert node.state() == before


@pytest.mark.parametrize("error", [ValueError("not JSON"), KeyError("ifname")])
def test_any_error_rolls_the_change_back(make, error):
    node = make(SYSTEMD)
    before = node.state()

    def command(arguments):
        if "restart" in arguments:
            raise error
        return node(arguments)

    with pytest.raises(DefaultRouteError, match="was rolled back"):
        run(command)
    assert node.state() == before


def test_another_backend_that_fails_gives_the_former_one_back(make):
    node = make(NETWORKMANAGER)
    run(node)
    before = node.state()
    node.failing[f"systemctl restart {UNIT}"] = (1, "", "no such luck")
    fails(node, "no such luck", "was rolled back", backend=SYSTEMD)
    assert node.state() == before
    assert_made(node)


def test_an_adoption_that_fails_leaves_what_was_made_by_hand(node):
    node.make_by_hand()
    before = node.state()
    node.failing["systemctl daemon-reload"] = (1, "", "no such luck")
    fails(node, "no such luck")
    assert {key: what for key, what in node.state().items() if not key.startswith("/")} == {
        key: what for key, what in before.items() if not key.startswith("/")
    }
    assert all(LINE in lines for lines in node.history)


def test_an_adoption_whose_units_fail_leaves_all_as_it_was(node, monkeypatch):
    node.make_by_hand()
    before = node.state()
    monkeypatch.setattr(FakeNode, "_start", lambda _self, _names: "no such luck")
    fails(node, "no such luck", "was rolled back")
    assert node.state() == before
    assert all(LINE in lines for lines in node.history)


def test_what_can_not_be_taken_back_is_told_as_well(node):
    node.failing["systemctl daemon-reload"] = (1, "", "no such luck")
    message = fails(node, "the change failed; the rollback failed, too: ")
    assert message.count("no such luck") == 2


def test_a_removal_that_fails_gives_the_route_back(node, monkeypatch):
    run(node)
    before = node.state()
    reload = FakeNode._reload
    failed = []

    def fail_once(self):
        if not failed:
            failed.append(self)
            return "no such luck"
        return reload(self)

    monkeypatch.setattr(FakeNode, "_reload", fail_once)
    with pytest.raises(DefaultRouteError, match="was rolled back"):
        absent(node)
    assert node.state() == before


# The way back to where Ansible came from


def over_ours(node):
    """Return the way of packets to Ansible's peer, which others route but a default route takes."""
    ours = [route for route in node.main() if route.get("dev") in ("dummy0", "k3s0")]
    return {"dst": PEER, "dev": ours[0]["dev"] if ours else "eth0"}


def test_a_changed_way_to_ansibles_peer_is_taken_back(node):
    before = node.state()
    node.way = lambda: over_ours(node)
    fails(node, "led over eth0 before, and over dummy0 with the new route", "was rolled back")
    assert node.state() == before
    assert node.way()["dev"] == "eth0"


def test_a_changed_way_is_taken_back_where_the_interface_was_there_before(node):
    # Loading the driver, for whatever reason, makes a dummy0.
    node.add_link("dummy0", kind="dummy", up=False)
    before = node.state()
    node.way = lambda: over_ours(node)
    fails(node, "led over eth0 before", "was rolled back")
    assert node.lines() == []
    assert node.way()["dev"] == "eth0"
    assert node.state() == before


@pytest.mark.parametrize("connection", [None, SshConnection(f"{PEER}%eth0", "fe80::1", 22)])
def test_without_a_connection_over_routes_no_way_is_looked_at(node, connection):
    node.way = lambda: over_ours(node)
    run(node, connection=connection)
    assert not any("route get" in line for line in node.asked)
    assert_made(node)


def test_a_peer_that_was_out_of_reach_has_no_way_to_change(node):
    node.failing[f"ip -json route get {PEER}"] = (2, "", "Network is unreachable")
    run(node)
    assert_made(node)


def test_a_way_that_is_lost_is_told(node, monkeypatch):
    before = node.state()
    node.way = lambda: None if node.main() else {"dev": "eth0"}
    fails(node, "led over eth0 before, and over nothing with the new route")
    assert node.state() == before


# Killed, and without power


def killed_at_each_step(make, backend, prepare, change):
    """Yield a node after change() was killed before each of its steps."""
    step = 0
    while True:
        node = make(backend)
        node.services |= {"NetworkManager.service", "systemd-networkd.service"}
        prepare(node)
        node.kill_at = len(node.log) + step
        try:
            change(node)
        except Killed:
            node.kill_at = None
            yield node
        else:
            assert step > 3
            return
        step += 1


def nothing(_node):
    pass


CHANGES = {
    "first": (nothing, run),
    "by hand": (FakeNode.make_by_hand, run),
    "values": (run, lambda node: run(node, OTHER)),
    "backend": (run, lambda node: run(node, backend=SYSTEMD)),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_run_that_was_killed_is_completed_by_the_next(make, backend, change):
    prepare, act = CHANGES[change]
    if (backend, change) == (SYSTEMD, "backend"):
        pytest.skip("the same backend")
    wanted = OTHER if change == "values" else WANTED
    for node in killed_at_each_step(make, backend, prepare, act):
        act(node)
        assert_made(node, wanted, SYSTEMD if change == "backend" else None, killed=True)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("change", ["first", "by hand", "values"])
def test_after_a_power_loss_all_that_counts_is_there_or_nothing(make, backend, change):
    prepare, act = CHANGES[change]
    for node in killed_at_each_step(make, backend, prepare, act):
        node.reboot()
        there = [path for path in COMMITS.values() if os.path.lexists(node.at(path))]
        assert len(node.lines()) == len(there)
        assert (WATCH in node.running) is bool(there)
        assert bool(node.zones) is bool(there)
        act(node)
        assert_made(node, OTHER if change == "values" else WANTED)


@pytest.mark.parametrize("former", [NETWORKMANAGER, NETWORKD])
def test_after_a_power_loss_in_a_change_of_backend_there_is_the_route(make, former):
    prepare, act = CHANGES["backend"]
    for node in killed_at_each_step(make, former, prepare, act):
        node.reboot()
        assert node.lines() == [LINE]
        assert WATCH in node.running
        act(node)
        assert_made(node, WANTED, SYSTEMD)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "other",
    [
        {"metric": 500},
        {"address": "198.51.100.0/31", "gateway": "198.51.100.1"},
        {"address": "203.0.113.255/31", "gateway": "203.0.113.254"},
        {"address": "203.0.113.254/30", "gateway": "203.0.113.253", "metric": 1},
    ],
    ids=["metric", "network", "same-network", "prefix"],
)
def test_a_change_of_values_that_was_killed_leaves_a_route(make, backend, other):
    wanted = dataclasses.replace(WANTED, **other)
    for node in killed_at_each_step(make, backend, run, lambda node: run(node, wanted)):
        # Both, where the new one comes before the old one goes.
        assert set(node.lines()) in ({LINE}, {wanted.route()}, {LINE, wanted.route()})
        node.reboot()
        (line,) = node.lines()
        assert line in (LINE, wanted.route())
        run(node, wanted)
        assert_made(node, wanted)


def test_a_route_with_the_values_of_before_and_the_last_metric_goes(node):
    run(node)
    node.add_route(gateway="203.0.113.253", dev="dummy0", metric=LAST_METRIC)
    node.routes = [route for route in node.routes if route.get("metric") != WANTED.metric]
    assert run(node).changed
    assert node.lines() == [LINE]


def test_units_of_another_version_are_written_without_a_moment_without_the_route(node, monkeypatch):
    watch_unit = default_route_files._watch_unit
    with monkeypatch.context() as older:
        older.setattr(default_route_files, "_watch_unit", lambda *of: f"# Old\n{watch_unit(*of)}")
        run(node)
    node.history.clear()
    plan = run(node)
    assert [file.path for file in plan.write] == [f"/etc/systemd/system/{WATCH}"]
    assert all(lines == [LINE] for lines in node.history)
    assert_made(node)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("by_hand", [False, True])
def test_a_removal_that_was_killed_is_completed_by_the_next(make, backend, by_hand):
    def prepare(node):
        if by_hand:
            node.make_by_hand()
        node.expected = node.state()
        run(node)

    for node in killed_at_each_step(make, backend, prepare, absent):
        absent(node)
        # Killed at the very end, these are left until the next boot. They do nothing.
        assert set(node.state()) - set(node.expected) <= {ADOPTED, f"running {UNIT}"}
        assert {key: node.state()[key] for key in node.expected} == node.expected
        run(node)
        assert_made(node)
        absent(node)
        assert node.state() == node.expected


@pytest.mark.parametrize("backend", BACKENDS)
def test_after_a_power_loss_in_a_removal_there_is_no_route_any_more(make, backend):
    steps = 0
    for node in killed_at_each_step(make, backend, run, absent):
        node.reboot()
        steps += os.path.lexists(node.at(COMMITS[backend]))
        if not os.path.lexists(node.at(COMMITS[backend])):
            assert (node.lines(), node.zones) == ([], {})
            assert WATCH not in node.running
        absent(node)
        assert not any(os.path.lexists(node.at(path)) for path in PATHS)
        assert (node.lines(), node.zones, node.running) == ([], {}, {})
    # What comes before it takes nothing that would not come back.
    assert steps <= 2


# What K3s detects


def test_what_k3s_will_detect_is_what_it_detects_then(node):
    host = DefaultRouteHost(node, WANTED)
    plan = plan_present(host.read(), WANTED)
    told = host.detected(plan)
    assert told == detection.Detected("dummy0", "203.0.113.254", "dummy0")
    assert host.detected() == detection.Detected()
    run(node)
    assert host.detected() == told
    node.add_route(**REAL)
    plan = plan_present(host.read(), WANTED)
    told = host.detected(plan)
    assert told == detection.Detected("eth0", "192.0.2.11", "eth0")
    run(node)
    assert host.detected() == told


def test_what_k3s_will_detect_with_other_values_is_what_it_detects_then(node):
    run(node)
    host = DefaultRouteHost(node, OTHER)
    told = host.detected(plan_present(host.read(), OTHER))
    assert told == detection.Detected("k3s0", "198.51.100.0", "k3s0")
    run(node, OTHER)
    assert host.detected() == told


def test_an_unreachable_route_behind_ours_is_not_what_k3s_detects(node):
    node.add_route(type="unreachable", metric=4278198272)
    host = DefaultRouteHost(node, WANTED)
    plan = plan_present(host.read(), WANTED)
    assert host.detected() == detection.Detected()
    assert host.detected(plan).interface == "dummy0"
    run(node)
    assert host.detected().interface == "dummy0"


def test_a_kernel_without_ipv6_is_no_error(make):
    node = make()
    assert not os.path.exists(node.at("/proc/net/ipv6_route"))
    assert DefaultRouteHost(node, WANTED).detected() == detection.Detected()


def test_the_routes_of_the_fake_are_those_that_ip_would_print(make):
    # What these tests rest on.
    node = make(NETWORKMANAGER)
    node.add_route(**REAL)
    assert route_lines(node.main()) == node.lines() == [REAL_LINE]
    assert NetworkManager(node).knows("eth0")


# A node that is still booting


def test_read_waits_for_a_unit_that_is_starting(node, monkeypatch):
    monkeypatch.setattr(reader.time, "sleep", lambda seconds: None)
    run(node)
    node.activating = {ZONE_UNIT: 3}
    assert run(node).changed is False
    assert node.activating == {ZONE_UNIT: 0}


def test_read_takes_a_unit_that_never_starts_for_inactive(node, monkeypatch):
    now = iter(range(0, 10**6, 5))
    monkeypatch.setattr(reader.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(reader.time, "monotonic", lambda: next(now))
    run(node)
    node.activating = {ZONE_UNIT: 10}
    assert run(node).changed is True
