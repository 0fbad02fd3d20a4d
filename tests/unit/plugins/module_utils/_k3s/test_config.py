# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.config import (
    PATH,
    K3sConfigError,
    Record,
    Situation,
    Wanted,
    plan,
    render,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.extract import CONFIG

WANTED = Wanted("192.0.2.11", "eth1")
BOTH = {"node-ip": "192.0.2.11", "flannel-iface": "eth1"}
OURS = render(BOTH)
OLD_K3S = "1.20.15"


def situation(
    settings=None,
    ours=None,
    interface="dummy0",
    address="203.0.113.254",
    dummy="dummy0",
    **record,
):
    """Return a situation in which K3s detects the dummy; C(settings) are those of the user."""
    told = {key: {"value": value, "source": CONFIG} for key, value in (settings or {}).items()}
    return Situation(interface, address, dummy, ours, Record(told, **record))


def real(settings=None, address="192.0.2.11", **others):
    """Return a situation in which K3s detects a real NIC."""
    return situation(settings, interface="eth1", address=address, dummy="", **others)


def refused(given_situation, *parts, wanted=WANTED):
    with pytest.raises(K3sConfigError) as error:
        plan(given_situation, wanted)
    for part in ("No changes were made.", "k3s_default_route_k3s_config: false", *parts):
        assert part in str(error.value)


def warned(decision, *parts):
    [warning] = decision.warnings
    for part in parts:
        assert part in warning
    return warning


# K3s detects the dummy, or nothing


@pytest.mark.parametrize(
    "state", [situation(), situation(interface="", address="", dummy=""), situation(version="1.33")]
)
def test_plan_with_the_dummy_sets_address_and_interface(state):
    decision = plan(state, WANTED)
    assert yaml.safe_load(decision.text) == BOTH
    assert decision.warnings == ()


def test_plan_note_names_what_k3s_would_report_once():
    note = plan(situation(), WANTED).note
    for part in ("203.0.113.254", "dummy0", "node-ip: 192.0.2.11", "flannel-iface: eth1"):
        assert part in note
    assert plan(situation(ours=OURS), WANTED).note == ""


def test_plan_note_without_the_file_names_the_settings():
    note = plan(situation(), None).note
    for part in ("203.0.113.254", "dummy0", "node-ip", "flannel-iface", CONFIG):
        assert part in note
    for state in (
        situation({"node-ip": "192.0.2.11"}),
        situation(installed=["203.0.113.254"]),
        real(),
    ):
        assert plan(state, None).note == ""


def test_render_values_are_valid_yaml():
    text = plan(situation(), Wanted("fd00::", "it's")).text
    assert yaml.safe_load(text) == {"node-ip": "fd00::", "flannel-iface": "it's"}


def test_render_header_names_the_role_and_the_switch():
    first, second, *_values = OURS.splitlines()
    assert first.startswith("# Made by edgeops.k3s_network, role k3s_default_route: ")
    assert second.startswith("# ")
    assert "k3s_default_route_k3s_config" in second


@pytest.mark.parametrize(
    ("settings", "wanted", "text"),
    [
        ({}, Wanted("192.0.2.11", ""), {"node-ip": "192.0.2.11"}),
        ({"flannel-iface": "eth0"}, Wanted("192.0.2.11", ""), {"node-ip": "192.0.2.11"}),
        ({"node-ip": "192.0.2.11"}, WANTED, {"flannel-iface": "eth1"}),
        (
            {"node-ip": "192.0.2.11", "cluster-cidr": "10.9.0.0/16"},
            WANTED,
            {"flannel-iface": "eth1"},
        ),
        ({"flannel-iface": "eth1"}, WANTED, {"node-ip": "192.0.2.11"}),
        (BOTH, WANTED, None),
    ],
)
def test_plan_sets_only_what_the_user_does_not(settings, wanted, text):
    decision = plan(situation(settings, ours=OURS), wanted)
    assert (yaml.safe_load(decision.text) if decision.text else None) == text
    assert decision.warnings == ()


def test_plan_another_file_that_k3s_reads_is_named():
    decision = plan(situation(config="/srv/k3s.yaml"), WANTED)
    assert decision.text is None
    warned(
        decision,
        f"K3s reads /srv/k3s.yaml instead of {CONFIG}",
        "set node-ip: 192.0.2.11 and flannel-iface: eth1 there",
    )


@pytest.mark.parametrize("version", [OLD_K3S, "0.9.1"])
def test_plan_k3s_without_drop_ins_gets_a_warning(version):
    decision = plan(situation(version=version, ours=OURS), WANTED)
    assert decision.text is None
    assert warned(decision) == (
        f"K3s {version} does not read {CONFIG}.d, which came with v1.21; set "
        f"node-ip: 192.0.2.11 and flannel-iface: eth1 in {CONFIG}"
    )


@pytest.mark.parametrize(
    "state",
    [
        situation(version="1.21.0"),
        situation(version=""),
        situation(BOTH, version=OLD_K3S),
        real(version=OLD_K3S),
    ],
)
def test_plan_k3s_with_drop_ins_or_settings_has_no_warning(state):
    assert plan(state, WANTED).warnings == ()


# K3s has run


@pytest.mark.parametrize("installed", [["192.0.2.11"], ["10.0.0.9", "192.0.2.11"]])
def test_plan_running_k3s_with_the_address_gets_it(installed):
    assert plan(situation(installed=installed), WANTED).text == OURS


def test_plan_running_k3s_with_another_spelling_gets_it():
    assert plan(situation(installed=["FD00::0:11"]), Wanted("fd00::11", "eth1")).text


@pytest.mark.parametrize(
    ("installed", "ours", "parts"),
    [
        (["10.0.0.9", "fd00::9"], None, ["10.0.0.9, fd00::9", "to 10.0.0.9, or fd00::9"]),
        (["10.0.0.9"], render({**BOTH, "node-ip": "10.0.0.9"}), ["10.0.0.9"]),
        ([], None, ["unknown", "the address that K3s runs with"]),
    ],
)
def test_plan_running_k3s_with_another_address_fails(installed, ours, parts):
    state = situation(installed=installed, ours=ours)
    refused(state, "192.0.2.11", "set k3s_topology_node_ip to ", *parts)


@pytest.mark.parametrize("installed", [[], ["10.0.0.9"]])
@pytest.mark.parametrize("ours", [OURS, f"# Older comment\n{OURS}"])
def test_plan_file_with_the_wanted_values_stays(installed, ours):
    assert plan(situation(ours=ours, installed=installed), WANTED).text == OURS


def test_plan_running_k3s_with_node_ip_of_the_user_is_accepted():
    decision = plan(situation({"node-ip": "192.0.2.11"}, installed=["10.0.0.9"]), WANTED)
    assert yaml.safe_load(decision.text) == {"flannel-iface": "eth1"}


# K3s detects a real NIC, or the file is switched off


@pytest.mark.parametrize("ours", [None, OURS])
@pytest.mark.parametrize(("state", "wanted"), [(real, WANTED), (real, None), (situation, None)])
def test_plan_file_that_is_not_needed_is_removed(state, wanted, ours):
    assert plan(state(ours=ours), wanted) == plan(state(), None)
    assert plan(state(ours=ours), wanted).text is None


@pytest.mark.parametrize(
    ("installed", "remedy"),
    [
        (
            None,
            "set k3s_topology_node_ip to 198.51.100.7, or set node-ip: 192.0.2.11 and "
            f"flannel-iface: eth1 in {CONFIG}",
        ),
        (["198.51.100.7"], "set k3s_topology_node_ip to 198.51.100.7"),
        (["192.0.2.11"], f"set node-ip: 192.0.2.11 and flannel-iface: eth1 in {CONFIG}"),
    ],
)
def test_plan_another_address_by_the_real_route_is_named(installed, remedy):
    decision = plan(real(address="198.51.100.7", installed=installed), WANTED)
    assert decision.text is None
    assert warned(decision) == (
        "the default route leaves by eth1, so K3s will report 198.51.100.7 instead of 192.0.2.11; "
        f"{remedy}"
    )


@pytest.mark.parametrize("settings", [{"node-ip": "192.0.2.11"}, {"flannel-iface": "eth1"}, BOTH])
def test_plan_settings_with_a_real_route_are_accepted(settings):
    # Without node-ip, K3s takes the address of flannel-iface.
    decision = plan(real(settings, address="198.51.100.7"), WANTED)
    assert (decision.text, decision.warnings) == (None, ())


@pytest.mark.parametrize(
    ("state", "parts"),
    [
        (
            real(ours=OURS, installed=["192.0.2.11"], address="198.51.100.7"),
            [
                f"{PATH} stays: K3s runs with 192.0.2.11",
                "report 198.51.100.7",
                f"set node-ip: 192.0.2.11 in {CONFIG}, or delete the file",
            ],
        ),
        (
            situation(ours=OURS, installed=["192.0.2.11"], interface="", address="", dummy=""),
            ["find no address"],
        ),
        (real(ours=OURS, installed=[], address="198.51.100.7"), ["unknown", "198.51.100.7"]),
        (
            real({"node-ip": "10.0.0.9"}, ours=OURS, installed=["192.0.2.11"]),
            [f"take 10.0.0.9 from {CONFIG}"],
        ),
    ],
)
def test_plan_file_with_the_address_of_a_running_k3s_stays(state, parts):
    decision = plan(state, None)
    assert decision.text == OURS
    warned(decision, *parts)


@pytest.mark.parametrize(
    "state",
    [
        *(real(ours=OURS, installed=installed) for installed in ([], ["192.0.2.11"], ["10.0.0.9"])),
        real(
            {"node-ip": "192.0.2.11"}, ours=OURS, installed=["192.0.2.11"], address="198.51.100.7"
        ),
        real(ours=render({"flannel-iface": "eth1"}), installed=["10.0.0.9"], address="10.0.0.8"),
        situation(ours=OURS, installed=["192.0.2.11"], config="/srv/k3s.yaml"),
    ],
)
def test_plan_file_without_effect_on_the_address_is_removed(state):
    decision = plan(state, None)
    assert (decision.text, decision.warnings) == (None, ())


# Settings that cannot be read

PROBLEM = f"{CONFIG}: line 3 has an anchor or an alias"


@pytest.mark.parametrize("ours", [None, OURS])
def test_plan_unreadable_settings_with_the_dummy_fail(ours):
    refused(situation(unreadable=[PROBLEM], ours=ours), PROBLEM, "node-ip: 192.0.2.11")


@pytest.mark.parametrize(("state", "wanted"), [(real, WANTED), (real, None), (situation, None)])
def test_plan_unreadable_settings_keep_the_file(state, wanted):
    decision = plan(state(unreadable=[PROBLEM], ours=OURS), wanted)
    assert (decision.text, decision.warnings) == (OURS, (f"{PATH} stays: {PROBLEM}",))


@pytest.mark.parametrize(("state", "wanted"), [(real, WANTED), (situation, None)])
def test_plan_unreadable_settings_without_a_file_are_ignored(state, wanted):
    assert plan(state(unreadable=[PROBLEM]), wanted) == plan(state(), wanted)


def test_record_of_the_topology_ignores_other_keys():
    data = {"settings": {}, "unreadable": [], "config": "", "installed": None, "version": ""}
    assert Record.of({**data, "pending": ["node-ip"], "differences": []}) == Record(**data)


def test_record_leaves_out_what_only_the_inventory_sets():
    both = {key: {"value": value, "source": CONFIG} for key, value in BOTH.items()}
    record = Record.of({"settings": both, "pending": ["node-ip"], "installed": ["192.0.2.11"]})
    assert set(record.settings) == {"flannel-iface"}
    # K3s has run without it, so the file stays until K3s is configured again.
    found = plan(Situation("dummy0", "203.0.113.254", "dummy0", OURS, record), WANTED)
    assert "node-ip: '192.0.2.11'" in found.text


def test_plan_unreadable_settings_do_not_matter_if_all_is_set():
    assert plan(situation(BOTH, unreadable=["x"]), WANTED).text is None
