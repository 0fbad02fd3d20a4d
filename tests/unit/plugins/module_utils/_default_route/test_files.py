# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import configparser
import dataclasses
import os
import re
import shlex
import subprocess
import uuid

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._default_route.files import (
    BACKENDS,
    COMMITS,
    KEYFILE,
    LAST_METRIC,
    NETDEV,
    NETWORK,
    NETWORKD,
    NETWORKMANAGER,
    PATHS,
    SYSTEMD,
    UNIT,
    WATCH,
    ZONE_UNIT,
    Wanted,
    commands,
    file_of,
    files,
    interfaces,
    is_link,
)
from hypothesis import given, settings
from hypothesis import strategies as st

GUIDE = Wanted("dummy0", "203.0.113.254/31", "203.0.113.255", 1000)
UNITS = "/etc/systemd/system"
OURS = "default via 203.0.113.255 dev dummy0 metric 1000"
YIELDED = f"default via 203.0.113.255 dev dummy0 metric {LAST_METRIC}"
REAL = "default via 192.0.2.1 dev eth0 proto dhcp src 192.0.2.11 metric 20100"
WANTEDS = st.builds(
    Wanted,
    st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,14}", fullmatch=True),
    st.builds("{}/{}".format, st.ip_addresses(v=4), st.integers(1, 31)),
    st.ip_addresses(v=4).map(str),
    st.integers(1, LAST_METRIC - 1),
)


def texts(backend, wanted=GUIDE):
    return {file.path: file.text for file in files(backend, wanted)}


def parsed(text):
    parser = configparser.ConfigParser(
        strict=False, interpolation=None, delimiters="=", comment_prefixes="#"
    )
    parser.optionxform = str
    parser.read_string(text)
    return {name: dict(parser[name]) for name in parser.sections()}


def starts(text):
    """Return the commands of a unit as systemd runs them."""
    lines = text.replace("\\\n", " ").splitlines()
    found = [line.partition("=")[2] for line in lines if line.startswith("ExecStart=")]
    for line in found:
        # systemd would take these for a specifier or a variable.
        assert "%" not in line and "$" not in line.replace("$$", "")
    return [shlex.split(line.replace("$$", "$")) for line in found]


# Which files, and in which order


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_makes_the_route_last_is_written_last(backend):
    paths = [file.path for file in files(backend, GUIDE)]
    assert paths[-1] == COMMITS[backend]
    assert len(paths) == len(set(paths))
    assert set(paths) <= set(PATHS)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_makes_the_route_last_is_removed_first(backend):
    assert set(PATHS[: len(BACKENDS)]) == set(COMMITS.values())
    own = [path for path in PATHS if path in texts(backend)]
    assert own[0] == COMMITS[backend]


def test_every_path_is_that_of_a_backend():
    assert {path for backend in BACKENDS for path in texts(backend)} == set(PATHS)
    assert len(PATHS) == len(set(PATHS))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_unit_is_there_before_the_link_that_enables_it(backend):
    paths = [file.path for file in files(backend, GUIDE)]
    links = [file for file in files(backend, GUIDE) if file.link]
    for link in links:
        assert paths.index(link.text) < paths.index(link.path)
        assert is_link(link.path)
        assert os.path.basename(link.path) == os.path.basename(link.text)
    assert [file.path for file in files(backend, GUIDE) if is_link(file.path)] == [
        file.path for file in links
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_unit_is_enabled_by_what_its_install_section_names(backend):
    for file in files(backend, GUIDE):
        if file.link:
            [wanted_by] = parsed(texts(backend)[file.text])["Install"].values()
            assert file.path == f"{UNITS}/{wanted_by}.wants/{os.path.basename(file.text)}"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_that_was_found_is_the_file_that_was_written(backend):
    for file in files(backend, GUIDE):
        assert file_of(file.path, file.text) == file


def test_networkmanager_ignores_a_keyfile_that_others_can_read():
    modes = {file.path: file.mode for backend in BACKENDS for file in files(backend, GUIDE)}
    assert modes.pop(KEYFILE) == 0o600
    assert set(modes.values()) == {0o644}


@pytest.mark.parametrize("backend", BACKENDS)
def test_watch_and_zone_do_nothing_where_the_route_is_gone_after_a_power_loss(backend):
    found = texts(backend)
    for unit in (WATCH, ZONE_UNIT):
        conditions = re.findall(
            r"^ConditionPathExists=(.*)", found[f"{UNITS}/{unit}"], re.MULTILINE
        )
        # Of any backend: in a change from one to another, one of the two has the route.
        assert conditions == [f"|{path}" for path in COMMITS.values()]


# What they say


@given(WANTEDS, st.sampled_from(BACKENDS))
def test_a_text_has_no_braces_left_and_says_who_made_it(wanted, backend):
    for file in files(backend, wanted):
        assert not re.search(r"\{\w*\}|None|Wanted\(", file.text), file.path
        if not file.link:
            assert file.text.startswith("# Made by edgeops.k3s_network")
            assert file.text.endswith("\n")
            assert "\n\n\n" not in file.text


@given(WANTEDS, st.sampled_from(BACKENDS))
def test_the_interface_is_found_in_the_files_of_each_backend(wanted, backend):
    found = texts(backend, wanted)
    assert interfaces(found) == {wanted.interface}
    # Nor is anything else taken for one, one file at a time.
    for path, text in found.items():
        assert interfaces({path: text}) <= {wanted.interface}
    assert interfaces({}) == set()


@pytest.mark.parametrize(
    ("backend", "gone"), [(NETWORKD, NETDEV), (SYSTEMD, COMMITS[SYSTEMD]), (NETWORKD, NETWORK)]
)
def test_the_interface_is_found_in_what_an_interrupted_removal_leaves(backend, gone):
    left = {path: text for path, text in texts(backend).items() if path != gone}
    assert interfaces(left) == {"dummy0"}


def test_the_interfaces_of_several_backends_are_all_found():
    other = dataclasses.replace(GUIDE, interface="dummy7")
    assert interfaces({**texts(NETWORKMANAGER), **texts(SYSTEMD, other)}) == {"dummy0", "dummy7"}


def test_the_keyfile_has_the_guides_values():
    sections = parsed(texts(NETWORKMANAGER)[KEYFILE])
    # Always the same, so that a change of values is one of the same profile.
    assert uuid.UUID(sections["connection"].pop("uuid"))
    assert sections == {
        "connection": {
            "id": "k3s-default-route",
            "type": "dummy",
            "interface-name": "dummy0",
            "zone": "drop",
        },
        "dummy": {},
        "ipv4": {
            "method": "manual",
            "address1": "203.0.113.254/31,203.0.113.255",
            "route-metric": "1000",
        },
        "ipv6": {"method": "disabled"},
    }


@given(WANTEDS)
def test_the_profile_stays_the_same_whatever_its_values_are(wanted):
    names = [
        {key: parsed(text)["connection"][key] for key in ("id", "uuid")}
        for text in (texts(NETWORKMANAGER)[KEYFILE], texts(NETWORKMANAGER, wanted)[KEYFILE])
    ]
    assert names[0] == names[1]


def test_networkds_files_have_the_guides_values():
    assert parsed(texts(NETWORKD)[NETDEV]) == {"NetDev": {"Name": "dummy0", "Kind": "dummy"}}
    assert parsed(texts(NETWORKD)[NETWORK]) == {
        "Match": {"Name": "dummy0"},
        "Link": {"RequiredForOnline": "no"},
        "Network": {
            "KeepConfiguration": "static",
            "LinkLocalAddressing": "no",
            "IPv6AcceptRA": "no",
            "Address": "203.0.113.254/31",
        },
        "Route": {"Gateway": "203.0.113.255", "Metric": "1000"},
    }


def test_the_unit_has_the_guides_values_and_runs_before_k3s():
    sections = parsed(texts(SYSTEMD)[f"{UNITS}/{UNIT}"])
    before = sections["Unit"]["Before"].split()
    assert {"network-online.target", "k3s.service", "k3s-agent.service"} <= set(before)
    assert sections["Service"]["Type"] == "oneshot"
    assert sections["Service"]["RemainAfterExit"] == "yes"
    assert sections["Service"]["ExecStop"] == "-ip link delete dev dummy0"
    assert sections["Service"]["ExecStart"] == f"ip -4 route replace {OURS}"


def test_the_zone_is_one_that_admits_nothing():
    text = texts(SYSTEMD)[f"{UNITS}/{ZONE_UNIT}"]
    service = parsed(text)["Service"]
    zones = (
        "busctl --quiet call org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 "
        "org.fedoraproject.FirewallD1.zone"
    )
    bind = f"{zones} changeZoneOfInterface ss drop dummy0"
    wait, then = re.findall(r"^ExecStartPre=(.*)", text, re.MULTILINE)
    # firewalld may be on D-Bus only after systemd counts it as started.
    assert "until busctl status org.fedoraproject.FirewallD1 " in wait
    assert then == bind
    assert service["ExecStop"] == f"-{zones} removeInterface ss drop dummy0"


@given(WANTEDS)
def test_the_unit_runs_the_commands_that_make_the_route(wanted):
    assert starts(texts(SYSTEMD, wanted)[f"{UNITS}/{UNIT}"]) == commands(wanted)


def test_the_route_is_made_as_it_is_printed():
    assert GUIDE.route() == OURS
    assert commands(GUIDE)[-1] == ["ip", "-4", "route", "replace", *OURS.split()]


def test_no_command_takes_anything_away():
    for command in commands(GUIDE):
        assert not re.search(r"\b(del|delete|flush|down)\b", " ".join(command))


# Commands and scripts, run by a shell with an ip that only pretends


IP = r"""#!/bin/sh
routes=$STATE/routes
echo "ip $*" >>"$STATE/asked"
case $* in
"-o -4 route show default") grep default "$routes" ;;
"-4 route show default dev "*)
  # As the real one, it leaves out what was asked for.
  grep -F "default via " "$routes" | grep -F " dev $6 " | sed "s/ dev $6//" ;;
"-4 route replace default via "*" dev "*" metric "*" proto static")
  echo "replace $8 ${10}" >>"$STATE/done"
  grep -q -x -F "default via $6 dev $8 metric ${10} " "$routes" ||
    echo "default via $6 dev $8 metric ${10} " >>"$routes" ;;
"-4 route del default via "*" dev "*" metric "*)
  echo "del $8 ${10}" >>"$STATE/done"
  grep -v -x -F "default via $6 dev $8 metric ${10} " "$routes" >"$routes.new"
  mv "$routes.new" "$routes" ;;
"monitor link route") exec /bin/sh "$STATE/monitor" ;;
"link show up dev "*) grep -x -F "$5" "$STATE/up"; true ;;
"link show dev "*) grep -q -x -F "$4" "$STATE/links" ;;
"link add "*" type dummy") [ ! -e "$STATE/bare" ] && echo "$3" >>"$STATE/links" ;;
*) echo "unexpected: ip $*" >>"$STATE/failed"; exit 1 ;;
esac
"""


BUSCTL = r"""#!/bin/sh
case $* in
"monitor "*) cat "$STATE/bus"; echo "Monitoring bus message stream." >&2 ;;
*) echo "$*" >>"$STATE/done" ;;
esac
"""


class FakeIp:
    """A directory for PATH with an ip of its own, and what that one knows."""

    def __init__(self, directory):
        self.state = directory / "state"
        self.bin = directory / "bin"
        self.state.mkdir()
        self.bin.mkdir()
        for name, text in (("ip", IP), ("busctl", BUSCTL), ("sleep", "#!/bin/sh\n")):
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        self.monitor("")
        for name in ("asked", "done", "failed", "links", "routes", "up"):
            (self.state / name).touch()

    def monitor(self, script):
        (self.state / "monitor").write_text(script)

    def routes(self, *lines):
        # ip ends every line with a space.
        (self.state / "routes").write_text("".join(f"{line} \n" for line in lines))

    def lines(self, name):
        return [line.strip() for line in (self.state / name).read_text().splitlines()]

    def run(self, command):
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
            env={"PATH": f"{self.bin}:/usr/bin:/bin", "STATE": str(self.state)},
        )
        assert self.lines("failed") == []
        assert done.stderr == ""
        return done.returncode


@pytest.fixture
def ip(tmp_path):
    return FakeIp(tmp_path)


def watch(wanted=GUIDE, backend=SYSTEMD):
    [command] = starts(texts(backend, wanted)[f"{UNITS}/{WATCH}"])
    assert command[:2] == ["/bin/sh", "-c"]
    assert len(command) == 3
    return command


@pytest.mark.parametrize("reloads", [0, 2])
def test_the_zone_is_bound_once_busctl_listens_and_after_each_reload(ip, reloads):
    # As busctl prints a signal: systemd 257, with firewalld 2.3.
    signal = (
        "\u2023 Type=signal  Endian=l  Flags=1  Version=1 Cookie=710\n"
        "  Sender=:1.2  Path=/org/fedoraproject/FirewallD1  "
        "Interface=org.fedoraproject.FirewallD1  Member=Reloaded\n"
        '  UniqueName=:1.2\n  MESSAGE "" {\n  };\n\n'
    )
    (ip.state / "bus").write_text(signal * reloads)
    [command] = starts(texts(SYSTEMD)[f"{UNITS}/{ZONE_UNIT}"])
    ip.run(command)
    bound = [
        line for line in ip.lines("done") if line.endswith("changeZoneOfInterface ss drop dummy0")
    ]
    assert len(bound) == len(ip.lines("done")) == 1 + reloads


@settings(max_examples=15)
@given(WANTEDS, st.sampled_from(BACKENDS))
def test_a_shell_understands_the_watch(wanted, backend):
    done = subprocess.run(
        ["sh", "-n", "-c", watch(wanted, backend)[2]], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_watch_waits_a_second_for_the_monitor_to_listen_and_restarts_for_ever():
    text = texts(SYSTEMD)[f"{UNITS}/{WATCH}"]
    assert "sleep 1" in text
    assert parsed(text)["Service"]["Restart"] == "always"


@pytest.mark.parametrize(
    "real",
    [
        REAL,
        "default via 192.0.2.1 dev eth0 metric 1000",
        "default dev ppp0 scope link",
        "default \\\tnexthop via 192.0.2.1 dev eth0 weight 1 \\\tnexthop via 198.51.100.1 dev eth1",
        f"default via 192.0.2.1 dev eth0 metric {LAST_METRIC}",
        "default via 192.0.2.1 dev dummy01 metric 20100",
    ],
)
def test_ours_yields_to_a_real_route_without_a_moment_in_which_there_is_none(ip, real):
    ip.routes(OURS, real)
    ip.run(watch())
    assert ip.lines("done") == [f"replace dummy0 {LAST_METRIC}", "del dummy0 1000"]
    assert ip.lines("routes") == [real.strip(), YIELDED]


def test_ours_comes_back_where_the_real_route_has_gone(ip):
    ip.routes(YIELDED)
    ip.run(watch())
    assert ip.lines("done") == ["replace dummy0 1000", f"del dummy0 {LAST_METRIC}"]
    assert ip.lines("routes") == [OURS]


@pytest.mark.parametrize(
    "routes",
    [
        [OURS],
        [YIELDED, REAL],
        [REAL],
        [],
        # A route that leads nowhere is not worth yielding to.
        [OURS, "unreachable default metric 4278198272"],
        [OURS, "unreachable default dev lo metric 4278198272"],
    ],
)
def test_what_is_right_stays(ip, routes):
    ip.routes(*routes)
    ip.monitor("echo; echo; echo")
    ip.run(watch())
    assert ip.lines("done") == []
    assert ip.lines("routes") == routes


@pytest.mark.parametrize("metric", [10000, 21000, 100, 1])
def test_another_metric_is_not_taken_for_ours(ip, metric):
    route = f"default via 203.0.113.255 dev dummy0 metric {metric}"
    ip.routes(route, REAL)
    ip.run(watch())
    assert ip.lines("done") == []


def test_other_values_are_watched_as_well(ip):
    wanted = Wanted("k3s.0", "198.51.100.0/31", "198.51.100.1", 7)
    ip.routes(wanted.route(), REAL)
    ip.run(watch(wanted))
    assert ip.lines("done") == [f"replace k3s.0 {LAST_METRIC}", "del k3s.0 7"]


def test_a_dot_in_the_name_of_ours_stands_for_itself(ip):
    wanted = dataclasses.replace(GUIDE, interface="k3s.0")
    ip.routes(wanted.route(), "default via 192.0.2.1 dev k3s-0 metric 20100")
    ip.run(watch(wanted))
    assert ip.lines("done") == [f"replace k3s.0 {LAST_METRIC}", "del k3s.0 1000"]


def test_what_an_interrupted_change_left_is_cleaned_up(ip):
    ip.routes(OURS, YIELDED, REAL)
    ip.run(watch())
    assert ip.lines("routes") == [YIELDED, REAL]


def test_every_event_is_looked_at(ip):
    ip.routes(OURS)
    ip.monitor(
        f"""
        until_there() {{ until grep -q -x -F "$1 " "$STATE/routes"; do /bin/sleep 0.02; done; }}
        echo '{REAL} ' >>"$STATE/routes"
        echo '{REAL}'
        until_there '{YIELDED}'
        # Until then the file of routes is somebody else's to write.
        while grep -q -x -F '{OURS} ' "$STATE/routes"; do /bin/sleep 0.02; done
        echo '2: eth0: <NO-CARRIER,BROADCAST,MULTICAST,UP>'
        grep -v -F '{REAL}' "$STATE/routes" >"$STATE/new"
        cp "$STATE/new" "$STATE/routes"
        echo 'Deleted {REAL}'
        until_there '{OURS}'
        """
    )
    ip.run(watch())
    assert ip.lines("routes") == [OURS]
    assert ip.lines("done") == [
        f"replace dummy0 {LAST_METRIC}",
        "del dummy0 1000",
        "replace dummy0 1000",
        f"del dummy0 {LAST_METRIC}",
    ]


@pytest.mark.parametrize("there", [[], ["dummy0"], ["dummy1"]])
def test_the_interface_is_made_where_it_is_not_there(ip, there):
    (ip.state / "links").write_text("".join(f"{name}\n" for name in there))
    assert ip.run(commands(GUIDE)[0]) == 0
    assert ip.lines("links").count("dummy0") == 1
    assert ("ip link add dummy0 type dummy" in ip.lines("asked")) is ("dummy0" not in there)


def test_an_interface_that_can_not_be_made_is_an_error(ip):
    (ip.state / "bare").touch()
    assert ip.run(commands(GUIDE)[0]) != 0


def test_ipv6_is_switched_off_where_there_is_ipv6(ip, tmp_path):
    command = commands(GUIDE)[1]
    path = "/proc/sys/net/ipv6/conf/dummy0/disable_ipv6"
    assert path in command[2]
    switch = tmp_path / "disable_ipv6"
    command = [*command[:2], command[2].replace(path, str(switch))]
    assert ip.run(command) == 0
    assert not switch.exists()
    switch.write_text("0\n")
    assert ip.run(command) == 0
    assert switch.read_text() == "1\n"
    switch.write_text("0\n")
    (ip.state / "up").write_text("dummy0\n")
    assert ip.run(command) == 0
    assert switch.read_text() == "0\n", "of an interface that somebody else has set up"
