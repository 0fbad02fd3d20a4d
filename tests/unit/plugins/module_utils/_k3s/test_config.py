# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
import yaml
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.config import (
    PATH,
    Situation,
    Wanted,
    in_force,
    plan,
    render,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.settings import (
    CONFIG,
    KEYS,
    K3sConfigError,
    Setting,
    environment_of_file,
    environment_of_unit,
    settings_of_unit,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._k3s.yaml_reader import (
    settings_of_yaml,
)
from hypothesis import example, given
from hypothesis import strategies as st

UNIT = "/etc/systemd/system/k3s.service"
DROP_IN = f"{UNIT}.d/10-node.conf"
WANTED = Wanted("192.0.2.11", "eth1")
BOTH = {"node-ip": "192.0.2.11", "flannel-iface": "eth1"}
OURS = render(BOTH)
SECRET = "K10c0ffee::server:5ec2e7"


def situation(
    *settings,
    ours=None,
    installed=None,
    interface="dummy0",
    address="203.0.113.254",
    dummy="dummy0",
):
    return Situation(interface, address, dummy, ours, settings, installed)


def real(*settings, address="192.0.2.11", **others):
    """Return a situation in which K3s detects a real NIC."""
    return situation(*settings, interface="eth1", address=address, dummy="", **others)


def user(key, *values, source=CONFIG, append=False):
    return Setting(source, key, values, append)


def refused(given_situation, *parts, wanted=WANTED):
    with pytest.raises(K3sConfigError) as error:
        plan(given_situation, wanted)
    for part in parts:
        assert part in str(error.value)


def warned(decision, *parts):
    [warning] = decision.warnings
    for part in parts:
        assert part in warning
    return warning


def read(text):
    return [(one.key, one.values, one.append) for one in settings_of_yaml(CONFIG, text)]


def node_ip(text):
    [setting] = settings_of_yaml(CONFIG, text)
    assert setting.key == "node-ip"
    return setting.values


def unreadable(text, *parts):
    with pytest.raises(K3sConfigError) as error:
        settings_of_yaml(CONFIG, text)
    for part in (CONFIG, *parts):
        assert part in str(error.value)
    assert SECRET not in str(error.value)


# K3s would detect the dummy, or nothing


def test_a_node_with_the_dummy_is_told_its_address_and_interface():
    decision = plan(situation(), WANTED)
    assert yaml.safe_load(decision.text) == BOTH
    assert decision.warnings == ()


def test_what_k3s_would_detect_is_said_once():
    note = plan(situation(), WANTED).note
    for part in ("203.0.113.254", "dummy0", "node-ip: 192.0.2.11", "flannel-iface: eth1"):
        assert part in note
    assert plan(situation(ours=OURS), WANTED).note == ""


def test_what_k3s_would_detect_is_said_where_nobody_tells_it():
    note = plan(situation(), None).note
    for part in ("203.0.113.254", "dummy0", "node-ip", "flannel-iface", CONFIG):
        assert part in note
    assert plan(situation(user("node-ip", "192.0.2.11")), None).note == ""
    assert plan(situation(installed=("203.0.113.254",)), None).note == ""
    assert plan(real(), None).note == ""


def test_a_node_without_any_default_route_is_told_as_well():
    assert plan(situation(interface="", address="", dummy=""), WANTED).text == OURS


def test_an_ipv6_address_survives_the_file():
    decision = plan(situation(), Wanted("fd00::", "it's"))
    assert yaml.safe_load(decision.text) == {"node-ip": "fd00::", "flannel-iface": "it's"}
    assert read(decision.text) == [
        ("node-ip", ("fd00::",), False),
        ("flannel-iface", ("it's",), False),
    ]


@pytest.mark.parametrize("settings", [(), (user("flannel-iface", "eth0"),)])
def test_an_interface_that_is_not_known_is_not_written(settings):
    decision = plan(situation(*settings), Wanted("192.0.2.11", ""))
    assert yaml.safe_load(decision.text) == {"node-ip": "192.0.2.11"}
    assert decision.warnings == ()


def test_the_file_says_who_made_it_and_how_it_is_switched_off():
    first, *others = OURS.splitlines()
    assert first.startswith("# Made by edgeops.k3s_network, role k3s_default_route: ")
    assert "k3s_default_route_k3s_config" in others[0]
    assert others[0].startswith("# ")


def test_what_the_user_sets_to_the_same_is_left_to_him():
    decision = plan(situation(user("node-ip", "192.0.2.11")), WANTED)
    assert yaml.safe_load(decision.text) == {"flannel-iface": "eth1"}
    assert decision.warnings == ()


def test_an_address_that_is_spelled_another_way_is_the_same():
    decision = plan(situation(user("node-ip", "FD00:0::11")), Wanted("fd00::11", "eth1"))
    assert decision.warnings == ()


@pytest.mark.parametrize(
    "addresses",
    [("fd00::11", "192.0.2.11"), ("192.0.2.11", "fd00::11"), ("192.0.2.11", "10.0.0.9")],
)
def test_the_first_address_of_a_family_is_the_one_that_the_user_sets(addresses):
    assert plan(situation(user("node-ip", *addresses)), WANTED).warnings == ()


def test_a_later_address_of_the_family_is_not():
    assert plan(situation(user("node-ip", "10.0.0.9", "192.0.2.11")), WANTED).warnings


def test_a_user_who_sets_both_gets_no_file():
    told = [user("node-ip", "192.0.2.11"), user("flannel-iface", "eth1")]
    assert plan(situation(*told, ours=OURS), WANTED).text is None


def test_another_node_ip_of_the_user_stays_and_is_named():
    decision = plan(situation(user("node-ip", "10.0.0.9")), WANTED)
    assert yaml.safe_load(decision.text) == {"flannel-iface": "eth1"}
    assert warned(decision) == (
        f"{CONFIG} sets node-ip to 10.0.0.9 instead of 192.0.2.11; "
        "set k3s_topology_node_ip to 10.0.0.9, or change it there to 192.0.2.11"
    )


def test_another_interface_of_the_user_stays_and_is_named():
    decision = plan(situation(user("flannel-iface", "eth0")), WANTED)
    assert yaml.safe_load(decision.text) == {"node-ip": "192.0.2.11"}
    assert warned(decision) == (
        f"{CONFIG} sets flannel-iface to eth0 instead of eth1; "
        "change it there to eth1, or set k3s_topology_cluster_interface to eth0"
    )


def test_an_interface_that_the_user_sets_to_nothing_is_named():
    warned(plan(situation(user("flannel-iface", "")), WANTED), "nothing", "change it there to eth1")


@pytest.mark.parametrize("values", [(), ("",)])
def test_a_user_who_sets_a_key_to_nothing_is_told(values):
    decision = plan(situation(user("node-ip", *values)), WANTED)
    assert "node-ip" not in yaml.safe_load(decision.text)
    warned(decision, "sets node-ip to nothing instead of 192.0.2.11; change it there to 192.0.2.11")


def test_a_node_ip_that_is_no_address_is_not_recommended():
    decision = plan(situation(user("node-ip", "node1")), WANTED)
    assert "k3s_topology_node_ip" not in warned(decision, "node1", "change it there to 192.0.2.11")


def test_another_file_that_k3s_is_made_to_read_is_named():
    decision = plan(situation(user("config", "/srv/k3s.yaml", source="the command line")), WANTED)
    assert decision.text is None
    warned(
        decision,
        "the command line makes K3s read /srv/k3s.yaml instead of /etc/rancher/k3s/config.yaml",
        "set node-ip: 192.0.2.11 and flannel-iface: eth1 there",
    )


def test_the_usual_file_may_be_named():
    assert plan(situation(user("config", "/etc/rancher/k3s//config.yaml")), WANTED).text == OURS


# K3s has run


@pytest.mark.parametrize("installed", [("192.0.2.11",), ("10.0.0.9", "192.0.2.11")])
def test_a_k3s_that_runs_with_the_address_is_told_it(installed):
    assert plan(situation(installed=installed), WANTED).text == OURS


def test_a_k3s_that_runs_with_the_address_in_another_spelling_is_told_it():
    assert plan(situation(installed=("FD00::0:11",)), Wanted("fd00::11", "eth1")).text


def test_a_k3s_that_runs_with_another_address_is_not_told_ours():
    refused(
        situation(installed=("10.0.0.9", "fd00::9")),
        "10.0.0.9, fd00::9",
        "192.0.2.11",
        "set k3s_topology_node_ip to 10.0.0.9, or fd00::9",
        "k3s_default_route_k3s_config: false",
    )


def test_a_k3s_that_runs_with_an_unknown_address_is_not_told_ours():
    refused(situation(installed=()), "unknown", "192.0.2.11", "k3s_topology_node_ip")


def test_a_file_that_would_change_the_address_is_not_written():
    old = render({**BOTH, "node-ip": "10.0.0.9"})
    refused(situation(ours=old, installed=("10.0.0.9",)), "10.0.0.9", "192.0.2.11")


@pytest.mark.parametrize("installed", [(), ("10.0.0.9",)])
def test_a_file_that_is_as_wanted_is_no_problem(installed):
    assert plan(situation(ours=OURS, installed=installed), WANTED).text == OURS


def test_a_file_with_an_older_comment_is_as_wanted():
    old = f"# Made by someone\n{OURS}"
    assert plan(situation(ours=old, installed=()), WANTED).text == OURS


def test_an_address_that_the_user_sets_is_not_up_to_us():
    decision = plan(situation(user("node-ip", "192.0.2.11"), installed=("10.0.0.9",)), WANTED)
    assert yaml.safe_load(decision.text) == {"flannel-iface": "eth1"}


def test_the_remedy_keeps_the_address_that_k3s_runs_with():
    told = [user("node-ip", "10.0.0.9"), user("flannel-iface", "eth1")]
    theirs = warned(plan(situation(*told, installed=("10.0.0.9",)), WANTED))
    assert theirs.endswith("; set k3s_topology_node_ip to 10.0.0.9")
    ours = warned(plan(situation(*told, installed=("192.0.2.11",)), WANTED))
    assert ours.endswith("; change it there to 192.0.2.11")


# K3s detects a real NIC, or is not to be told


@pytest.mark.parametrize("ours", [None, OURS])
def test_a_node_with_a_real_route_gets_no_file(ours):
    assert plan(real(ours=ours), WANTED) == plan(real(), None)
    assert plan(real(ours=ours), WANTED).text is None


def test_another_address_by_the_real_route_is_named():
    decision = plan(real(address="198.51.100.7"), WANTED)
    assert decision.text is None
    assert warned(decision) == (
        "the default route leaves by eth1, so K3s will report 198.51.100.7 instead of 192.0.2.11; "
        "set k3s_topology_node_ip to 198.51.100.7, or set node-ip: 192.0.2.11 and "
        f"flannel-iface: eth1 in {CONFIG}"
    )


@pytest.mark.parametrize(
    ("runs", "remedy"),
    [
        ("198.51.100.7", "; set k3s_topology_node_ip to 198.51.100.7"),
        ("192.0.2.11", f"; set node-ip: 192.0.2.11 and flannel-iface: eth1 in {CONFIG}"),
    ],
)
def test_another_address_by_the_real_route_of_a_k3s_that_runs_is_named(runs, remedy):
    decision = plan(real(address="198.51.100.7", installed=(runs,)), WANTED)
    assert warned(decision).endswith(remedy)


def test_a_user_who_sets_the_address_is_not_warned_of_the_real_route():
    told = user("node-ip", "192.0.2.11")
    assert plan(real(told, address="198.51.100.7"), WANTED).warnings == ()


def test_a_user_who_sets_another_address_is_warned_with_a_real_route_as_well():
    decision = plan(real(user("node-ip", "10.0.0.9")), WANTED)
    assert decision.text is None
    warned(decision, CONFIG, "10.0.0.9", "192.0.2.11")


@pytest.mark.parametrize("state", [situation, real])
def test_switched_off_the_file_goes(state):
    assert plan(state(ours=OURS), None) == plan(state(), None)
    assert plan(state(ours=OURS), None).text is None


@pytest.mark.parametrize("wanted", [None, WANTED])
def test_a_file_that_holds_the_address_of_a_running_k3s_stays(wanted):
    decision = plan(real(ours=OURS, installed=("192.0.2.11",), address="198.51.100.7"), wanted)
    assert decision.text == OURS
    warned(
        decision,
        f"{PATH} stays: K3s runs with 192.0.2.11",
        "report 198.51.100.7",
        f"set node-ip: 192.0.2.11 in {CONFIG}, or delete the file",
    )


def test_a_file_stays_where_k3s_would_find_no_address_at_all():
    away = situation(ours=OURS, installed=("192.0.2.11",), interface="", address="", dummy="")
    decision = plan(away, None)
    assert decision.text == OURS
    warned(decision, "find no address")


def test_a_file_stays_where_the_address_that_k3s_runs_with_is_unknown():
    decision = plan(real(ours=OURS, installed=(), address="198.51.100.7"), None)
    assert decision.text == OURS
    warned(decision, "unknown", "198.51.100.7")


def test_a_file_goes_where_k3s_finds_the_same_address_without_it():
    for installed in ((), ("192.0.2.11",), ("10.0.0.9",)):
        assert plan(real(ours=OURS, installed=installed), None) == plan(real(), None)


def test_a_file_goes_where_the_user_sets_the_address():
    told = user("node-ip", "192.0.2.11")
    state = real(told, ours=OURS, installed=("192.0.2.11",), address="198.51.100.7")
    assert plan(state, None).text is None


def test_a_file_stays_where_the_user_sets_an_address_that_k3s_does_not_run_with():
    told = user("node-ip", "10.0.0.9")
    state = real(told, ours=OURS, installed=("192.0.2.11",))
    decision = plan(state, None)
    assert decision.text == OURS
    warned(decision, f"take 10.0.0.9 from {CONFIG}")


def test_a_file_that_holds_no_address_goes():
    ours = render({"flannel-iface": "eth1"})
    assert plan(real(ours=ours, installed=("10.0.0.9",), address="10.0.0.8"), None).text is None


def test_a_file_that_k3s_does_not_read_goes():
    told = user("config", "/srv/k3s.yaml")
    assert plan(situation(told, ours=OURS, installed=("192.0.2.11",)), None).text is None


# What the user has set is not understood


def odd(state, **others):
    return state(Setting("", "", (), problem="line 3 is odd"), **others)


def test_what_is_not_understood_is_an_error_where_k3s_has_to_be_told():
    refused(odd(situation), "line 3 is odd")
    refused(odd(situation, ours=OURS), "line 3 is odd")


def test_what_is_not_understood_is_named_where_k3s_need_not_be_told():
    assert plan(odd(real), WANTED).warnings == ("line 3 is odd",)


@pytest.mark.parametrize("state", [situation, real])
def test_what_is_not_understood_keeps_the_file_where_it_is_switched_off(state):
    decision = plan(odd(state, ours=OURS), None)
    assert decision.text == OURS
    warned(decision, f"{PATH} stays: line 3 is odd")


def test_what_is_not_understood_does_not_matter_where_nothing_is_to_be_done():
    assert plan(odd(situation), None) == plan(situation(), None)


# What counts


def test_a_later_value_replaces_an_earlier_one():
    settings = [user("node-ip", "10.0.0.1"), user("node-ip", "10.0.0.2", source="b.yaml")]
    assert in_force(settings, "node-ip") == user("node-ip", "10.0.0.2", source="b.yaml")


def test_a_key_that_nobody_sets_is_not_in_force():
    assert in_force([user("node-ip", "10.0.0.1")], "flannel-iface") is None


def test_addresses_that_are_appended_come_after_the_others():
    settings = [user("node-ip", "10.0.0.1"), user("node-ip", "fd00::1", source="b", append=True)]
    setting = in_force(settings, "node-ip")
    assert setting.values == ("10.0.0.1", "fd00::1")
    assert setting.source == f"{CONFIG} and b"


def test_of_interfaces_the_last_one_counts():
    settings = [user("flannel-iface", "eth0"), user("flannel-iface", "eth1", append=True)]
    assert in_force(settings, "flannel-iface").values == ("eth1",)


def test_an_empty_list_sets_a_key_to_nothing():
    settings = [user("flannel-iface", "eth0"), user("flannel-iface")]
    assert in_force(settings, "flannel-iface").values == ()


# The command line


def unit(*arguments, section="Service"):
    """Return a unit as K3s' installation script writes it."""
    words = "".join(f" \\\n\t'{argument}'" for argument in arguments)
    return (
        f"[Unit]\nDescription=Lightweight Kubernetes\n\n[{section}]\nType=notify\n"
        "EnvironmentFile=-/etc/systemd/system/k3s.service.env\n"
        f"ExecStart=/usr/local/bin/k3s \\\n    server{words} \\\n\n"
    )


def flags(*texts):
    files = [(UNIT, text) if at == 0 else (DROP_IN, text) for at, text in enumerate(texts)]
    return [(one.key, one.values) for one in settings_of_unit(files)]


def test_a_unit_without_flags_sets_nothing():
    assert flags(unit()) == []
    assert settings_of_unit([]) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--node-ip", "10.0.0.1"),
        ("--node-ip=10.0.0.1",),
        ("-i", "10.0.0.1"),
        ("-i=10.0.0.1",),
        ("-node-ip", "10.0.0.1"),
        ("--token", SECRET, "--node-ip", "10.0.0.1", "--disable", "traefik"),
    ],
)
def test_the_flag_is_read_in_all_its_spellings(arguments):
    assert flags(unit(*arguments)) == [("node-ip", ("10.0.0.1",))]


def test_all_flags_are_read():
    arguments = ("--flannel-iface", "eth1", "-d", "/srv/k3s", "--node-ip", "10.0.0.1,fd00::1")
    assert flags(unit(*arguments, "--config=/srv/k3s.yaml")) == [
        ("flannel-iface", ("eth1",)),
        ("data-dir", ("/srv/k3s",)),
        ("node-ip", ("10.0.0.1", "fd00::1")),
        ("config", ("/srv/k3s.yaml",)),
    ]


def test_the_source_is_the_command_line_of_the_unit():
    [setting] = settings_of_unit([(UNIT, unit("--node-ip", "10.0.0.1"))])
    assert setting.source == f"the command line in {UNIT}"


@pytest.mark.parametrize(
    "command",
    [
        "/usr/local/bin/k3s agent --node-ip 10.0.0.1",
        '-/usr/local/bin/k3s server --node-ip "10.0.0.1"',
        "/usr/local/bin/k3s server --node-ip='10.0.0.1'",
        "/usr/local/bin/k3s server \\\n# --node-ip 10.0.0.2 \\\n; another \\\n  --node-ip 10.0.0.1",
        "/usr/local/bin/k3s server --node-label 'it'\\''s' --node-ip 10.0.0.1",
        '/usr/local/bin/k3s server --node-label "a\\"b" --node-ip 10.0.0.1',
        "/usr/local/bin/k3s server --node-label '' --node-ip 10.0.0.1",
        "/usr/local/bin/k3s server $OPTIONS --node-ip 10.0.0.1 --node-label=%H",
        "/bin/sh -xc 'exec \"$@\"' k3s server --node-ip 10.0.0.1",
    ],
)
def test_a_command_line_is_split_as_systemd_does(command):
    assert flags(f"[Service]\nExecStart={command}\n") == [("node-ip", ("10.0.0.1",))]


def test_flags_of_others_are_not_ours():
    arguments = ("--kubelet-arg=node-ip=10.0.0.1", "--node-ip-x", "10.0.0.1", "node-ip=10.0.0.1")
    assert flags(unit(*arguments)) == []
    assert flags("[Service]\nExecStart=/bin/sh -c true\n") == []


def test_a_flag_without_a_value_sets_nothing_to_nothing():
    assert flags(unit("--flannel-iface")) == [("flannel-iface", ("",))]


def test_other_sections_and_commands_are_not_read():
    assert flags(unit("--node-ip", "10.0.0.1", section="X-Service")) == []
    assert flags("[Service]\nExecStartPre=k3s server --node-ip 10.0.0.1\n") == []


def test_a_drop_in_replaces_the_command_line():
    drop_in = "[Service]\nExecStart=\nExecStart=/usr/local/bin/k3s server --node-ip 10.0.0.2\n"
    assert flags(unit("--node-ip", "10.0.0.1"), drop_in) == [("node-ip", ("10.0.0.2",))]
    [setting] = settings_of_unit([(UNIT, unit()), (DROP_IN, drop_in)])
    assert setting.source == f"the command line in {DROP_IN}"


def test_a_drop_in_can_leave_no_command_line():
    assert flags(unit("--node-ip", "10.0.0.1"), "[Service]\nExecStart=\n") == []


def test_a_drop_in_without_a_command_line_changes_nothing():
    text = "[Service]\nRestart=no\n"
    assert flags(unit("--node-ip", "10.0.0.1"), text) == [("node-ip", ("10.0.0.1",))]


@pytest.mark.parametrize("value", ["$NODE_IP", "${NODE_IP}", "%H", "10.0.0.1\\x20"])
def test_a_value_that_only_systemd_knows_is_an_error(value):
    with pytest.raises(K3sConfigError) as error:
        flags(unit("--token", SECRET, "--node-ip", value))
    assert str(error.value).startswith(f"the command line in {UNIT} sets node-ip by a variable")
    assert SECRET not in str(error.value)


def test_a_command_line_within_a_script_is_an_error():
    with pytest.raises(K3sConfigError) as error:
        flags("[Service]\nExecStart=/bin/sh -c 'k3s server --node-ip=$(hostname -i)'\n")
    assert "node-ip" in str(error.value)


@given(st.text("k3s server-oip= \\\n'\"$%;#[]Service\nExecStart=", max_size=80))
def test_a_unit_never_raises_anything_else(text):
    try:
        settings_of_unit([(UNIT, f"[Service]\nExecStart=k3s server --node-ip{text}")])
        environment_of_unit([(UNIT, f"[Service]\nEnvironment=K3S_DATA_DIR={text}")])
    except K3sConfigError as error:
        assert "node-ip" in str(error) or "data-dir" in str(error)


# The environment


def test_the_variables_of_a_unit_are_read():
    text = (
        "[Service]\nEnvironment=K3S_DATA_DIR=/old\nEnvironment=\n"
        f'Environment="K3S_DATA_DIR=/srv/a b" K3S_TOKEN={SECRET} K3S_CONFIG_FILE=/srv/k3s.yaml\n'
    )
    assert environment_of_unit([(UNIT, text)]) == [
        Setting(f"K3S_DATA_DIR in {UNIT}", "data-dir", ("/srv/a b",)),
        Setting(f"K3S_CONFIG_FILE in {UNIT}", "config", ("/srv/k3s.yaml",)),
    ]


def test_the_variables_of_a_file_are_read():
    text = f"K3S_TOKEN='{SECRET}'\n# K3S_DATA_DIR=/old\nK3S_DATA_DIR='/srv/k3s'\nK3S_CONFIG_FILE=\n"
    path = f"{UNIT}.env"
    [setting] = environment_of_file(path, text)
    assert setting == Setting(f"K3S_DATA_DIR in {path}", "data-dir", ("/srv/k3s",))


# The files


def test_a_file_without_the_keys_sets_nothing():
    assert read("") == []
    assert read(f"token: {SECRET}\nserver: https://10.0.0.1:6443\n") == []


def test_a_file_without_the_keys_is_not_looked_at_any_closer():
    assert read("a: &a [b, c\n? *a\n\t@") == []


@pytest.mark.parametrize(
    "text",
    [
        "node-ip: 10.0.0.1",
        "node-ip: 10.0.0.1\r\n",
        "node-ip:   10.0.0.1   # mine\n",
        "node-ip : '10.0.0.1'\n",
        'node-ip: "10.0.0.1" # mine\n',
        "'node-ip': 10.0.0.1\n",
        '"node-ip": 10.0.0.1\n',
        "node-ip: [10.0.0.1]\n",
        "node-ip: [ '10.0.0.1' , ] # mine\n",
        "node-ip:\n- 10.0.0.1\n",
        "node-ip: # mine\n\n  # yours\n  - '10.0.0.1'   # mine\n",
        "# mine\n---\nnode-ip: 10.0.0.1\n...\nnode-ip: 10.0.0.2\n",
        "--- # mine\nnode-ip: 10.0.0.1\n---\nnode-ip: 10.0.0.2\n",
        "\ufeffnode-ip: 10.0.0.1\n",
        "  node-ip: 10.0.0.1\n  token: a\n",
    ],
)
def test_an_address_is_read_in_all_spellings(text):
    assert node_ip(text) == ("10.0.0.1",)


@pytest.mark.parametrize(
    "text",
    [
        "node-ip: 10.0.0.1,fd00::1",
        "node-ip: '10.0.0.1, fd00::1'",
        "node-ip: [10.0.0.1, fd00::1]",
        "node-ip:\n  - 10.0.0.1\n  - fd00::1\n",
        "node-ip:\n- 10.0.0.1,fd00::1\n",
    ],
)
def test_several_addresses_are_read_in_all_spellings(text):
    assert node_ip(text) == ("10.0.0.1", "fd00::1")


@pytest.mark.parametrize("text", ["node-ip:", "node-ip: ~", "node-ip: null # no", "node-ip: ''"])
def test_a_key_without_a_value_is_set_to_nothing(text):
    assert node_ip(text) == ("",)
    assert node_ip("node-ip: []") == ()


def test_a_key_that_appends_is_told_from_one_that_replaces():
    text = "node-ip: 10.0.0.1\n'node-ip+': [fd00::1]\n"
    assert read(text) == [("node-ip", ("10.0.0.1",), False), ("node-ip", ("fd00::1",), True)]


def test_the_short_names_of_flags_are_keys_as_well():
    text = "i: 10.0.0.1\nd: /srv/k3s\n"
    assert read(text) == [("node-ip", ("10.0.0.1",), True), ("data-dir", ("/srv/k3s",), True)]


def test_only_the_top_level_is_read():
    text = """\
node-label:
  - node-ip: 10.0.0.1
  - "a
node-ip: 10.0.0.2"
x:
  node-ip: 10.0.0.3
script: |
  node-ip: 10.0.0.4
  it's {

y: {
node-ip: 10.0.0.5, z: "]}"
}
plain: more
  node-ip, it's "more
kubelet-arg: [a=b, it's, 'c]', # d]
  "e}"]
token: 'a
node-ip: 10.0.0.6'
flannel-iface: eth1
"""
    assert read(text) == [("flannel-iface", ("eth1",), False)]


def test_an_interface_is_not_taken_apart():
    assert read("flannel-iface: a,b") == [("flannel-iface", ("a,b",), False)]


@pytest.mark.parametrize(
    "value",
    [
        "&a 10.0.0.1",
        "*a",
        "!!str 10.0.0.1",
        "|\n  10.0.0.1",
        ">-\n  10.0.0.1",
        "\n  10.0.0.1",
        "10.0.0.1\n  10.0.0.2",
        "'10.0.0.1\n  10.0.0.2'",
        '"10.0.0.1\\n"',
        "{a: b}",
        "[10.0.0.1,\n  10.0.0.2]",
        "[a: b]",
        "[[10.0.0.1]]",
        "[10.0.0.1",
        "[10.0.0.1] x",
        "'10.0.0.1' x",
        "\t10.0.0.1",
        "\n  - 10.0.0.1\n    10.0.0.2",
        "\n  - - 10.0.0.1",
        "\n  a: 10.0.0.1",
        "a: b",
        "1.5",
        "0x1f",
        "yes",
        "1:2:3:4:5:6:7:8",
        "2026-01-01",
    ],
)
def test_a_value_that_is_not_read_is_an_error_that_names_the_line_and_the_key(value):
    unreadable(f"token: {SECRET}\nnode-ip: {value}\n", "node-ip", ", line ")


def test_the_line_is_the_one_that_is_odd():
    unreadable(f"token: {SECRET}\n\nnode-ip: &a 10.0.0.1\n", f"{CONFIG}, line 3: ")


@pytest.mark.parametrize(
    "text",
    [
        f"&a token: {SECRET}",
        f"? token\n: {SECRET}",
        f"{{token: {SECRET}}}",
        f"token: &t {SECRET}",
        f"token: |2\n   {SECRET}",
        f"token:\n  {SECRET}",
        f'"to\\x6ben": {SECRET}',
        f"token: '{SECRET}",
        f"<<: {{token: {SECRET}}}",
        f"--- {{token: {SECRET}}}",
        f"  token: {SECRET}",
        f"token: {SECRET}\x85",
        SECRET,
    ],
)
def test_what_hides_where_keys_begin_is_an_error_without_the_secret(text):
    unreadable(f"{text}\nnode-ip: 10.0.0.1\n", ", line ")


def by_pyyaml(text):
    """Return what PyYAML finds of the keys in the first document, in the form of read().

    A value that is no text has no such form, and is None.
    """
    loader = yaml.SafeLoader(text)
    node = loader.get_node() if loader.check_node() else None
    found = []
    if not isinstance(node, yaml.MappingNode):
        return []
    loader.flatten_mapping(node)
    for key_node, value_node in node.value:
        key = key_node.value
        name = key.removesuffix("+") if isinstance(key, str) else ""
        canonical = {"i": "node-ip", "d": "data-dir"}.get(name, name)
        if canonical not in KEYS:
            continue
        value = loader.construct_object(value_node, deep=True)
        values = value if isinstance(value, list) else [value]
        if not all(one is None or isinstance(one, str) for one in values):
            found.append(None)
            continue
        values = [one or "" for one in values]
        if canonical == "node-ip":
            values = [part.strip() for one in values for part in one.split(",")]
        found.append((canonical, tuple(values), canonical != key))
    return found


def indented(text, spaces):
    return "".join(f"{' ' * spaces}{line}\n" if line else "\n" for line in text.split("\n"))


VALUES = st.one_of(
    st.ip_addresses().map(str),
    st.lists(st.ip_addresses().map(str), min_size=2, max_size=3).map(",".join),
    st.from_regex(r"[a-z]{2,4}[0-9]{1,2}(\.[0-9]{1,3})?", fullmatch=True),
    st.from_regex(r"/[a-z]{1,6}/[-a-z0-9_. ]{0,6}[a-z]", fullmatch=True),
    st.sampled_from(["it's", "a#b", "ä"]),
)


@st.composite
def scalars(draw, values=VALUES, flow=False):
    value = draw(values)
    quote = draw(st.sampled_from(["", "'", '"']))
    if quote == "'":
        return "'{}'".format(value.replace("'", "''"))
    # Not plain for both of us: numbers to the base 60, and what only looks like a key.
    odd_one = value.replace(":", "").isdigit() or value[-1:] == ":"
    odd_in_flow = flow and ("," in value or value[0] == ":")
    return f'"{value}"' if quote or odd_one or odd_in_flow or value[0] == ":" else value


@st.composite
def our_entries(draw):
    name = draw(st.sampled_from([*KEYS, "node-ip+", "flannel-iface+", "i", "d"]))
    key = draw(st.sampled_from([name, f"'{name}'", f'"{name}"', f"{name} "]))
    comment = draw(st.sampled_from(["", " # node-ip: 10.0.0.1", "   "]))
    kind = draw(st.sampled_from(["scalar", "flow", "block", "nothing"]))
    if kind == "scalar":
        return f"{key}:{' ' * draw(st.integers(1, 3))}{draw(scalars())}{comment}"
    if kind == "flow":
        items = draw(st.lists(scalars(flow=True), max_size=3))
        separator = draw(st.sampled_from([",", ", ", " , "]))
        end = draw(st.sampled_from(["]", " ]"])) if items else "]"
        return f"{key}: [{separator.join(items)}{end}{comment}"
    if kind == "block":
        spaces = " " * draw(st.integers(0, 3))
        items = draw(st.lists(scalars(), min_size=1, max_size=3))
        between = draw(st.sampled_from(["\n", "\n\n", "\n# it's\n", f"{comment}\n"]))
        return f"{key}:{comment}\n" + between.join(f"{spaces}- {item}" for item in items)
    return f"{key}:{comment}"


OTHERS = st.sampled_from(
    [
        "# it's a comment",
        "",
        f"token: {SECRET}",
        "token: 'a # b'",
        'token: "a \\" node-ip: b"',
        "write-kubeconfig-mode: 0644",
        "cluster-init: true",
        "tls-san: [a, 'b', \"c]\"]",
        "tls-san: [\n  a, # it's\n  'b'\n]",
        "tls-san:\n- a\n- 'b: c'\n- it's",
        "kubelet-arg:\n  - eviction-hard=memory.available<5%,nodefs.available<10%\n  # node-ip: x\n"
        '  - "feature-gates=A=true"',
        "x: |\n  node-ip: 10.0.0.9\n\n    'more\n  [",
        "x: >-\n node-ip: 10.0.0.9",
        "x:\n- |\n  it's\n- b",
        "x:\n  y:\n    node-ip: 10.0.0.9\n  z: {a: [b], 'c': \"}\"}",
        "x: more\n  it's \"more\n\n  node-ip",
        'x: "more\n  node-ip"',
        "x:",
        "node-ips: 10.0.0.9",
        "node-external-ip: 198.51.100.9",
        "my-node-ip: 10.0.0.9",
        "server: https://[fd00::9]:6443",
    ]
)


@st.composite
def documents(draw):
    entries = draw(st.lists(st.one_of(our_entries(), OTHERS), max_size=6))
    text = "\n".join(entries)
    if draw(st.booleans()):
        end = draw(st.sampled_from(["...\nnode-ip: 10.0.0.9", "---\ni: 10.0.0.9", "..."]))
        text = f"---\n{text}\n{end}\n"
    elif not any(entry.startswith("#") for entry in entries):
        text = indented(text, draw(st.sampled_from([0, 0, 2])))
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


@given(documents())
def test_what_k3s_reads_is_read(text):
    assert read(text) == by_pyyaml(text)


FRAGMENTS = st.sampled_from(
    [
        *("node-ip", "node-ip: ", "\nnode-ip: 10.0.0.1\n", "\ni: fd00::1", "\nd", "+", "10.0.0.1"),
        *(":", ": ", " ", "  ", "\t", "\n", "\n  ", "\n    ", "\r\n", "\r", "\u2028", "-", "- "),
        *("\n- ", "'", '"', "\\", "[", "]", "{", "}", ",", "#", " # ", "|", "|\n", ">", ">-\n"),
        *("\n---\n", "\n...\n", "&a", "*a", "!b", "? ", "?", "%", "@", "<<: ", "a", "b: c", "~"),
        *("1.5", "yes", "0o7", "1:2", "2026-01-01", ".inf", "\ufeff"),
    ]
)


@given(st.one_of(st.lists(FRAGMENTS, max_size=14).map("".join), st.text(max_size=30)))
@example("x: [#'\n]\nnode-ip: 10.0.0.1\n#'")
@example("? node-ip # mine\n: 10.0.0.1")
@example("{i}")
def test_what_is_read_is_never_something_else_than_k3s_reads(text):
    try:
        found = read(text)
    except K3sConfigError as error:
        assert str(error).startswith(f"{CONFIG}, line ")
        return
    try:
        expected = by_pyyaml(text)
    except (yaml.YAMLError, ValueError):
        # K3s does not start with such a file.
        return
    assert found == expected
