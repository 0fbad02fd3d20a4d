# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils import _default_route_host
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route import (
    DefaultRouteError,
    Host,
    Plan,
    Wanted,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._networkmanager import (
    NetworkManager,
    NetworkManagerError,
)
from ansible_collections.edgeops.k3s_network.tests.unit.plugins.module_utils.scripted import (
    ScriptedCommands,
)

WANTED = Wanted("dummy0", "203.0.113.254/31", "203.0.113.255", 1000)
KEYS = ",".join(WANTED.profile())
NAMES = "nmcli -t -f NAME connection show"
STOPPED = (NAMES, 8, "NetworkManager is not running")
SHOW = f"nmcli -g {KEYS} connection show id k3s-default-route"
OWNER = "nmcli -g GENERAL.CONNECTION device show dummy0"
ROUTES = "ip -json -4 route show default"
LINKS = "ip -json -details address show"
SETTINGS = (
    "connection.interface-name dummy0 connection.autoconnect yes connection.zone drop "
    "ipv4.method manual ipv4.addresses 203.0.113.254/31 ipv4.gateway 203.0.113.255 "
    "ipv4.route-metric 1000 ipv6.method disabled"
)
ADD = (
    "nmcli connection add save yes type dummy con-name k3s-default-route ifname dummy0 " + SETTINGS
)
MODIFY = f"nmcli connection modify id k3s-default-route {SETTINGS}"
UP = "nmcli connection up id k3s-default-route"
DELETE = "nmcli connection delete id k3s-default-route"
DUMMY = {
    "ifname": "dummy0",
    "linkinfo": {"info_kind": "dummy"},
    "addr_info": [
        {"family": "inet", "local": "203.0.113.254", "prefixlen": 31},
        {"family": "inet6", "local": "fe80::1", "prefixlen": 64},
    ],
}
ROUTE = {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"}


@pytest.fixture(autouse=True)
def driver(monkeypatch):
    monkeypatch.setattr(_default_route_host, "_driver_problem", lambda: "no driver")


def read(*script):
    with ScriptedCommands(*script) as commands:
        return _default_route_host.read(commands, NetworkManager(commands, "nmcli"), WANTED)


def apply(plan, profile, *script):
    host = Host(routes=[], links={}, profile=profile)
    with ScriptedCommands(*script) as commands:
        _default_route_host.apply(NetworkManager(commands, "nmcli"), plan, WANTED, host)


VALUES = "".join(f"{value}\n" for value in WANTED.profile().values())


def test_reading_a_host_with_our_profile():
    route = {"dst": "default", "gateway": "203.0.113.255", "dev": "dummy0", "metric": 1000}
    host = read(
        (ROUTES, 0, json.dumps([route])),
        (NAMES, 0, "eth0\nk3s-default-route\n"),
        (SHOW, 0, VALUES),
        (LINKS, 0, json.dumps([{"ifname": "eth0"}, DUMMY, {}])),
    )
    assert host.profile == WANTED.profile()
    assert host.routes == [route]
    assert host.profile_interface_owner == ""
    assert host.network_manager
    assert host.driver_problem == "no driver"
    assert host.links["dummy0"].kind == "dummy"
    assert host.links["dummy0"].addresses == ["203.0.113.254/31"]
    assert (host.links["eth0"].kind, host.links["eth0"].addresses) == ("", [])


def test_a_host_with_a_real_route_is_asked_no_more_than_needed():
    host = read((ROUTES, 0, json.dumps([ROUTE])), (NAMES, 0, "eth0\n"))
    assert host.routes == [ROUTE]
    assert host.profile is None
    assert host.driver_problem == ""


def test_a_host_with_a_real_route_is_asked_for_our_profile():
    host = read(
        (ROUTES, 0, json.dumps([ROUTE])), (NAMES, 0, "k3s-default-route\n"), (SHOW, 0, VALUES)
    )
    assert host.profile == WANTED.profile()


def test_reading_a_host_whose_interface_belongs_to_another_profile():
    host = read((ROUTES, 0, ""), (NAMES, 0, "mine\n"), (LINKS, 0, "[]"), (OWNER, 0, "mine\n"))
    assert host.profile is None
    assert host.profile_interface_owner == "mine"
    assert host.routes == []


def test_reading_a_host_without_that_interface():
    host = read(
        (ROUTES, 0, "[]"), (NAMES, 0, ""), (LINKS, 0, "[]"), (OWNER, 10, "Device not found")
    )
    assert host.profile_interface_owner == ""


def test_reading_a_host_whose_networkmanager_is_stopped():
    host = read((ROUTES, 0, "[]"), STOPPED, (LINKS, 0, "[]"), (OWNER, 8, "not running"))
    assert not host.network_manager
    assert host.profile is None


def test_an_ip_that_fails_is_named():
    with pytest.raises(DefaultRouteError, match="ip -4 route show default: no such option"):
        read((ROUTES, 255, "no such option\n"))


def test_a_new_profile_is_added_and_activated():
    apply(Plan(write=True, activate=True), None, (ADD, 0, ""), (UP, 0, ""))


def test_a_profile_of_ours_is_modified():
    apply(Plan(write=True, activate=True), {}, (MODIFY, 0, ""), (UP, 0, ""))


def test_a_profile_that_needs_no_writing_is_only_activated():
    apply(Plan(activate=True), WANTED.profile(), (UP, 0, ""))


def test_removing_deletes_the_profile():
    apply(Plan(remove=True), WANTED.profile(), (DELETE, 0, ""))


def test_nothing_planned_runs_nothing():
    apply(Plan(), None)


def test_a_new_profile_that_does_not_come_up_is_taken_away_again():
    with pytest.raises(NetworkManagerError, match="connection up id k3s-default-route: no device"):
        apply(
            Plan(write=True, activate=True),
            None,
            (ADD, 0, ""),
            (UP, 4, "no device"),
            (DELETE, 0, ""),
        )


def test_an_older_profile_that_does_not_come_up_stays():
    with pytest.raises(NetworkManagerError, match="no device"):
        apply(Plan(write=True, activate=True), {}, (MODIFY, 0, ""), (UP, 4, "no device"))


def test_the_first_failure_is_told_where_taking_away_fails_too():
    with pytest.raises(NetworkManagerError, match="connection up"):
        apply(
            Plan(write=True, activate=True),
            None,
            (ADD, 0, ""),
            (UP, 4, "no device"),
            (DELETE, 10, "gone"),
        )
