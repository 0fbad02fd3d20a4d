# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route import (
    DefaultRouteError,
    Host,
    Link,
    Wanted,
    driver_package,
    driver_problem,
    plan_absent,
    plan_present,
    real_routes,
    route_lines,
    validate,
)

WANTED = Wanted("dummy0", "203.0.113.254/31", "203.0.113.255", 1000)
OURS = {"dst": "default", "gateway": "203.0.113.255", "dev": "dummy0", "metric": 1000}
REAL = {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0", "metric": 100}
UNREACHABLE = {"type": "unreachable", "dst": "default", "metric": 4278198272}
MULTIPATH = {
    "dst": "default",
    "nexthops": [
        {"gateway": "192.0.2.1", "dev": "eth0"},
        {"gateway": "198.51.100.1", "dev": "eth1"},
    ],
}
DUMMY = Link("dummy0", "dummy", ["203.0.113.254/31"])
NIC = Link("eth0", "", ["192.0.2.11/24"])
ROUTE_LINE = "default via 203.0.113.255 dev dummy0 metric 1000"
REAL_LINE = "default via 192.0.2.1 dev eth0 metric 100"


def host(*routes, profile=None, links=(NIC,), **others):
    return Host(
        routes=list(routes),
        links={link.name: link for link in links},
        profile=profile,
        **others,
    )


def done(*routes):
    """Return a host that has our route and these."""
    return host(OURS, *routes, profile=WANTED.profile(), links=(NIC, DUMMY))


def steps(plan):
    names = ("remove", "write", "activate")
    return [name for name in names if getattr(plan, name)]


def refused(given, *parts):
    with pytest.raises(DefaultRouteError) as error:
        plan_present(given, WANTED)
    for part in parts:
        assert part in str(error.value)


# A route is needed


def test_a_host_without_a_default_route_gets_ours():
    plan = plan_present(host(), WANTED)
    assert steps(plan) == ["write", "activate"]
    assert plan.before == []
    assert plan.after[0] == ROUTE_LINE
    assert "profile k3s-default-route: ipv4.gateway=203.0.113.255" in plan.after


def test_ours_is_there_already():
    plan = plan_present(done(), WANTED)
    assert not plan.changed
    assert plan.before == plan.after


def test_a_profile_whose_route_is_missing_is_activated():
    plan = plan_present(host(profile=WANTED.profile()), WANTED)
    assert steps(plan) == ["activate"]
    assert ROUTE_LINE in plan.after
    assert ROUTE_LINE not in plan.before


def test_a_profile_with_other_values_is_written_again():
    other = {**WANTED.profile(), "ipv4.route-metric": "5"}
    given = host({**OURS, "metric": 5}, profile=other, links=(NIC, DUMMY))
    plan = plan_present(given, WANTED)
    assert steps(plan) == ["write", "activate"]
    assert ROUTE_LINE in plan.after
    assert not any("metric 5" in line or line.endswith("metric=5") for line in plan.after)


def test_an_unreachable_default_route_leads_nowhere():
    plan = plan_present(host(UNREACHABLE), WANTED)
    assert steps(plan) == ["write", "activate"]
    assert plan.after[0] == "unreachable default metric 4278198272"


def test_the_guides_hand_typed_commands_are_adopted():
    plan = plan_present(host(OURS, links=(NIC, DUMMY)), WANTED)
    assert steps(plan) == ["write", "activate"]
    assert plan.before == [ROUTE_LINE]
    assert plan.after.count(ROUTE_LINE) == 1


def test_a_bare_dummy_interface_is_adopted():
    assert plan_present(host(links=(Link("dummy0", "dummy"),)), WANTED).changed


def test_another_interface_takes_the_place_of_the_former_one():
    # The former dummy's route is no real one: without this the first run takes it away.
    former = {**WANTED.profile(), "connection.interface-name": "dummy7"}
    given = host(
        {**OURS, "dev": "dummy7"},
        profile=former,
        links=(NIC, Link("dummy7", "dummy", ["203.0.113.254/31"])),
    )
    plan = plan_present(given, WANTED)
    assert steps(plan) == ["write", "activate"]
    assert plan.after[0] == ROUTE_LINE
    assert not any("dummy7" in line for line in plan.after)


# There is a real route


def test_a_real_route_is_left_alone():
    plan = plan_present(host(REAL), WANTED)
    assert not plan.changed
    assert plan.before == plan.after == [REAL_LINE]


def test_ours_goes_where_a_real_route_has_come():
    plan = plan_present(done(REAL), WANTED)
    assert steps(plan) == ["remove"]
    assert plan.after == [REAL_LINE]
    assert ROUTE_LINE in plan.before


def test_several_real_routes_are_left_alone():
    second = {**REAL, "dev": "eth1", "gateway": "198.51.100.1", "metric": 200}
    plan = plan_present(host(REAL, second), WANTED)
    assert not plan.changed
    assert len(plan.after) == 2


def test_a_multipath_route_is_a_real_one():
    plan = plan_present(host(MULTIPATH), WANTED)
    assert not plan.changed
    assert plan.after == ["default via 192.0.2.1 dev eth0 via 198.51.100.1 dev eth1"]


def test_a_route_without_a_gateway_is_a_real_one():
    assert not plan_present(host({"dst": "default", "dev": "ppp0"}), WANTED).changed


def test_a_real_route_needs_neither_networkmanager_nor_the_driver():
    given = host(REAL, network_manager=False, driver_problem="no driver")
    assert not plan_present(given, WANTED).changed


def test_only_routes_that_lead_elsewhere_are_real():
    assert real_routes([OURS, UNREACHABLE, REAL, MULTIPATH], "dummy0") == [REAL, MULTIPATH]


def test_routes_are_printed_as_ip_route_does():
    assert route_lines([OURS, {"dst": "default", "dev": "ppp0"}]) == [
        ROUTE_LINE,
        "default dev ppp0",
    ]


# A route is needed and can't be had


def test_without_networkmanager_the_remedy_is_named():
    refused(
        host(network_manager=False),
        "the host has no default route",
        "no NetworkManager runs",
        "systemctl enable --now NetworkManager",
        "or give the host a default route",
    )


@pytest.mark.parametrize(
    ("link", "holds"),
    [
        (Link("dummy0", "dummy", ["198.51.100.7/24"]), "kind dummy, 198.51.100.7/24"),
        (
            Link("dummy0", "dummy", ["203.0.113.254/31", "198.51.100.7/24"]),
            "203.0.113.254/31, 198.51.100.7/24",
        ),
        (Link("dummy0", "bridge"), "kind bridge, no address"),
        (Link("dummy0", ""), "kind physical, no address"),
    ],
)
def test_a_foreign_interface_of_that_name_is_spared(link, holds):
    refused(
        host(links=(NIC, link)),
        "interface dummy0 is there already and is not ours",
        holds,
        "k3s_default_route_interface",
    )


def test_an_interface_of_a_foreign_profile_is_spared():
    refused(
        host(links=(NIC, DUMMY), profile_interface_owner="my-dummy"),
        "interface dummy0 belongs to the profile 'my-dummy'",
        "not ours",
        "k3s_default_route_interface",
    )


def test_a_missing_driver_is_told():
    refused(host(driver_problem="its kernel is bare"), "no default route, and its kernel is bare")


def test_the_driver_is_not_missed_where_the_interface_is_there():
    assert plan_present(host(links=(DUMMY,), driver_problem="no driver"), WANTED).changed


# The driver


def test_a_loaded_driver_is_no_problem():
    assert driver_problem("6.1", True, {}, "p") == ""


@pytest.mark.parametrize(
    "text",
    [
        "kernel/drivers/net/dummy.ko.xz: kernel/lib/x.ko\n",
        "kernel/drivers/net/dummy.ko.zst:\n",
        "kernel/net/a.ko:\nkernel/drivers/net/dummy.ko\n",
    ],
)
def test_an_installed_or_builtin_driver_is_no_problem(text):
    assert driver_problem("6.1", False, {"6.1": text}, "p") == ""


@pytest.mark.parametrize(
    "text", ["", "kernel/x.ko: kernel/drivers/net/dummy.ko\n", "a/dummy-irq.ko:\n"]
)
def test_a_missing_driver_names_kernel_and_package(text):
    problem = driver_problem("6.1", False, {"6.1": text}, "the package extra-6.1")
    assert "kernel (6.1)" in problem
    assert "install the package extra-6.1" in problem
    assert "or give the host a default route" in problem


def test_a_driver_of_another_kernel_asks_for_a_reboot():
    driver = "kernel/drivers/net/dummy.ko:"
    lists = {"6.1": "", "6.2": driver, "6.3": driver}
    problem = driver_problem("6.1", False, lists, "p")
    assert "installed for kernel 6.2, 6.3: reboot into it" in problem
    assert "install p" not in problem


def test_the_modules_of_a_running_kernel_may_be_gone_altogether():
    assert "reboot" in driver_problem("6.1", False, {"6.2": "kernel/drivers/net/dummy.ko:"}, "p")


@pytest.mark.parametrize(
    ("os_release", "package"),
    [
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora", "VERSION_ID": "9.4"}, "kernel-modules-R"),
        ({"ID": "almalinux", "ID_LIKE": "rhel", "VERSION_ID": "8.10"}, "kernel-modules-R"),
        ({"ID": "rhel", "VERSION_ID": "10.0"}, "kernel-modules-extra-R"),
        ({"ID": "fedora", "VERSION_ID": "41"}, "kernel-modules-extra-R"),
        ({"ID": "ubuntu", "ID_LIKE": "debian"}, "linux-modules-R"),
        ({"ID": "debian"}, "linux-image-amd64"),
        ({"ID": "opensuse-leap"}, "the distribution's package of kernel modules"),
        ({}, "the distribution's package of kernel modules"),
    ],
)
def test_the_package_is_named_per_distribution(os_release, package):
    assert package in driver_package(os_release, "R")


# Absent


def test_absent_takes_ours_away():
    plan = plan_absent(done(REAL), WANTED)
    assert steps(plan) == ["remove"]
    assert plan.after == [REAL_LINE]


def test_absent_leaves_what_is_not_ours():
    plan = plan_absent(host(OURS, links=(DUMMY,)), WANTED)
    assert not plan.changed
    assert plan.before == plan.after == [ROUTE_LINE]


def test_absent_without_networkmanager_has_nothing_to_do():
    assert not plan_absent(host(REAL, network_manager=False), WANTED).changed


# The values


def test_the_guides_values_are_good():
    assert validate(WANTED) == []


@pytest.mark.parametrize(
    ("changed", "variable", "reason"),
    [
        ({"address": "203.0.113.254/32"}, "address", "in a /32 the gateway is not on the link"),
        ({"address": "203.0.113.254"}, "address", "in a /32 the gateway is not on the link"),
        ({"address": "dummy"}, "address", "give one such as 203.0.113.254/31"),
        ({"address": "2001:db8::1/64"}, "address", "give one such as 203.0.113.254/31"),
        ({"gateway": "203.0.113.1"}, "gateway", "not another address of 203.0.113.254/31"),
        ({"gateway": "203.0.113.254"}, "gateway", "not another address of 203.0.113.254/31"),
        ({"gateway": "here"}, "gateway", "give one such as 203.0.113.255"),
        ({"interface": "a-very-long-name"}, "interface", "1 to 15 characters"),
        ({"interface": ""}, "interface", "1 to 15 characters"),
        ({"interface": "a/b"}, "interface", "without a slash"),
        ({"metric": -1}, "metric", "a number from 0 to 4294967295"),
        ({"metric": 4294967296}, "metric", "a number from 0 to 4294967295"),
    ],
)
def test_a_bad_value_is_named_with_its_remedy(changed, variable, reason):
    problems = validate(Wanted(**{**vars(WANTED), **changed}))
    assert len(problems) == 1
    assert f"k3s_default_route_{variable}" in problems[0]
    assert reason in problems[0]


def test_the_broadcast_address_of_a_wider_network_is_no_gateway():
    # The kernel says "Nexthop has invalid gateway"; only in a /31 is the last address a host's.
    (problem,) = validate(Wanted("dummy0", "192.0.2.1/24", "192.0.2.255", 1000))
    assert "k3s_default_route_gateway" in problem


def test_several_bad_values_are_all_named():
    problems = " ".join(validate(Wanted("", "x", "y", -1)))
    for name in ("interface", "metric", "address"):
        assert f"k3s_default_route_{name}" in problems
