# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""NetworkManager profiles: set_zone() and restore() leave what the user wrote."""

from __future__ import annotations

import shlex

import pytest
from module_run import ABSENT, SEGREGATED, Node

NODE = "server1"
NIC = "eth0"  # SSH uses it.
ZONE = "profile-test"
ETC = "/etc/NetworkManager/system-connections"
RUN = "/run/NetworkManager/system-connections"
LIB = "/usr/lib/NetworkManager/system-connections"
BACKUP = "/var/tmp/profiles-before-the-test"

# A user ACL as the kernel keeps it: version 2, then (tag, permissions, id) of each entry.
ACL = (
    "import os, struct, sys; os.setxattr(sys.argv[1], 'system.posix_acl_access', "
    "struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *entry) for entry in "
    "[(1, 6, 2**32-1), (2, 4, 33), (4, 0, 2**32-1), (16, 4, 2**32-1), (32, 0, 2**32-1)]))"
)
ATTRIBUTES = (
    "import os, sys; print({name: os.getxattr(sys.argv[1], name) "
    "for name in os.listxattr(sys.argv[1])})"
)


class Profiles:
    """A node with a profile of the NIC, over one SSH connection that has to survive."""

    def __init__(self, node):
        self._node = node
        self.run = node.run

    def call(self, action, zone="", given=None, interface=NIC):
        return self._node.profiles(action, interface, zone, given)

    def place(self, directory, sed=""):
        """Move the NIC's profile into a directory, edited, and return the path."""
        path = f"{directory}/by-hand.nmconnection"
        self.run(
            f"mkdir -p {directory} && (echo '# by hand'; sed '{sed}' {BACKUP}/eth0) > {path}"
            f" && chmod 600 {path} && nmcli connection load {path}"
            f" && for other in {ETC}/* {RUN}/* {LIB}/*; do"
            f'   if grep -qs \'^uuid={self.uuid()}\' "$other" && [ "$other" != {path} ]; then'
            f'     rm "$other"; nmcli connection load "$other"; fi; done'
            f" && nmcli connection load {path}"
        )
        assert self.file() == path
        return path

    def uuid(self):
        return self.run(f"sed -n s/^uuid=//p {BACKUP}/eth0").strip()

    def file(self):
        out = self.run("nmcli -t -f UUID,FILENAME connection show")
        return dict(line.split(":", 1) for line in out.splitlines())[self.uuid()]

    def assert_zone(self, running, profile):
        """Wait for the zone of the NIC in firewalld, which hears of it from NetworkManager."""
        ask = (
            "busctl call org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 "
            f"org.fedoraproject.FirewallD1.zone getZoneOfInterface s {NIC}"
        )
        out = self.run(
            f"for i in $(seq 300); do {ask} | grep -q {running} && break; sleep 0.1; done; "
            f"{ask}; nmcli -g connection.zone connection show {self.uuid()}"
        )
        assert out.split("\n")[:2] == [f's "{running}"', profile]

    def look(self, path):
        """Return all of a file: type, mode, owner, content and extended attributes."""
        return self.run(
            f"stat -c '%F %a %u %g' {path}; python3 -c {shlex.quote(ATTRIBUTES)} {path};"
            f" sha256sum < {path}"
        )

    def list(self):
        return self.run(f"find {ETC} {RUN} {LIB} -mindepth 1 2>/dev/null | sort")

    def deactivations(self):
        change = f"device ({NIC}): state change: activated"
        return self.run(f"journalctl -u NetworkManager -o cat | grep -cF '{change}' || true")


@pytest.fixture(scope="module")
def connection():
    """Return the node over one SSH connection, with a zone for the test."""
    node = Node(NODE)
    node.run(
        f"firewall-cmd -q --permanent --new-zone={ZONE}; "
        f"firewall-cmd -q --permanent --zone={ZONE} --set-target=ACCEPT; "
        "firewall-cmd -q --reload"
    )
    yield node
    node.run(f"firewall-cmd -q --permanent --delete-zone={ZONE}; firewall-cmd -q --reload")


@pytest.fixture
def profiles(connection):
    """Return the node; restore its profiles after the test, which nothing may interrupt."""
    node = Profiles(connection)
    node.run(
        f"rm -rf {BACKUP}; mkdir -p {BACKUP}; cp -a {ETC} {BACKUP}/etc; "
        f"uuid=$(nmcli -g GENERAL.CON-UUID device show {NIC}); "
        f'cp -a "$(grep -l ^uuid=$uuid {ETC}/*)" {BACKUP}/eth0'
    )
    before = node.deactivations(), node.run("echo $SSH_CONNECTION")
    yield node
    after = node.deactivations(), node.run("echo $SSH_CONNECTION")
    node.run(
        f"cp -a {BACKUP}/etc/. {ETC}/ && nmcli connection load {ETC}/* && "
        f"rm -f {RUN}/by-hand* {RUN}/lab-eth0* {LIB}/by-hand* {ETC}/by-hand*; "
        f"nmcli connection load {RUN}/by-hand.nmconnection {LIB}/by-hand.nmconnection "
        f"{ETC}/by-hand.nmconnection {ETC}/*; "
        f"nmcli connection modify {node.uuid()} connection.zone ''; "
        f"cp -a {BACKUP}/etc/. {ETC}/ && nmcli connection load {ETC}/*"
    )
    assert after == before


@pytest.mark.parametrize("mode", ["600", "400", "640", "acl"])
def test_handwritten_profile_is_restored_byte_for_byte(profiles, mode):
    path = profiles.place(ETC, "s/^id=/ id = /; s/^method=/# how\\nmethod=/")
    if mode == "acl":
        profiles.run(f"python3 -c {shlex.quote(ACL)} {path}")
        assert "posix_acl_access" in profiles.look(path)
    else:
        profiles.run(f"chmod {mode} {path}")
    before, listed = profiles.look(path), profiles.list()
    former = profiles.call("set", ZONE)
    profiles.assert_zone(ZONE, ZONE)
    assert "# how" in profiles.run(f"cat {path}")
    assert profiles.list() == listed
    profiles.call("restore", "", former)
    profiles.assert_zone("public", "")
    assert profiles.look(path) == before
    assert profiles.list() == listed
    profiles.call("restore", "", former)
    assert profiles.look(path) == before


def test_change_by_the_user_stays_and_loses_only_the_zone(profiles):
    path = profiles.place(ETC, "s/^\\[connection\\]/&\\nzone=internal/")
    former = profiles.call("set", ZONE)
    profiles.run(f"nmcli connection modify {profiles.uuid()} ipv4.dns-search example.org")
    changed = profiles.run(f"cat {path}")
    profiles.call("restore", "internal", former)
    profiles.assert_zone("internal", "internal")
    assert profiles.run(f"cat {path}") == changed.replace(f"zone={ZONE}", "zone=internal")


@pytest.mark.parametrize("directory", [RUN, LIB])
def test_profile_outside_etc_has_a_copy_until_restored(profiles, directory):
    path = profiles.place(directory)
    before, listed = profiles.look(path), profiles.list()
    files = profiles.call("files")
    former = profiles.call("set", ZONE)
    profiles.assert_zone(ZONE, ZONE)
    assert profiles.file() == f"{ETC}/by-hand.nmconnection"
    assert f"{ETC}/by-hand.nmconnection" in files
    # NetworkManager starts with the copy.
    profiles.run("nmcli connection reload")
    profiles.assert_zone(ZONE, ZONE)
    profiles.call("restore", "", former)
    profiles.assert_zone("public", "")
    assert profiles.file() == path
    assert profiles.look(path) == before
    assert profiles.list() == listed
    profiles.run("nmcli connection reload")
    assert profiles.file() == path
    profiles.call("restore", "", former)
    assert (profiles.list(), profiles.look(path)) == (listed, before)


def test_copy_that_the_user_changed_stays(profiles):
    profiles.place(LIB)
    former = profiles.call("set", ZONE)
    profiles.run(f"nmcli connection modify {profiles.uuid()} ipv4.dns-search example.org")
    profiles.call("restore", "", former)
    profiles.assert_zone("public", "")
    assert "example.org" in profiles.run(f"cat {ETC}/by-hand.nmconnection")


def test_copy_is_kept_if_the_original_can_not_be_read(profiles):
    """Without a profile that it can read, NetworkManager would deactivate the device."""
    path = profiles.place(LIB)
    former = profiles.call("set", ZONE)
    profiles.run(f"echo 'broken [[' > {path}")
    profiles.call("restore", "", former)
    profiles.assert_zone("public", "")
    assert profiles.file() == f"{ETC}/by-hand.nmconnection"


@pytest.mark.parametrize("directory", [ETC, RUN, LIB])
def test_restore_after_an_interruption_restores_the_file(profiles, directory):
    """Each step of restore() is interrupted once."""
    path = profiles.place(directory)
    before, listed = profiles.look(path), profiles.list()
    steps = profiles.call("interrupt", ZONE)
    assert steps > 5
    profiles.assert_zone("public", "")
    assert (profiles.list(), profiles.look(path)) == (listed, before)


def test_profile_generated_anew_is_kept(profiles):
    """Netplan writes its profiles below /run again at each boot, and they hide those below /etc."""
    path = profiles.place(RUN)
    former = profiles.call("set", ZONE)
    profiles.run(f"cp -p {ETC}/by-hand.nmconnection {BACKUP}/copy")
    profiles.place(RUN, "$a # generated anew")
    profiles.run(f"cp -p {BACKUP}/copy {ETC}/by-hand.nmconnection")
    before = profiles.look(path)
    profiles.call("restore", "", former)
    assert profiles.look(path) == before
    assert profiles.file() == path
    assert "by-hand" not in profiles.run(f"ls {ETC}")


def test_bridge_of_other_software_gets_no_profile(profiles):
    profiles.run(
        "ip link add br-ext type bridge && ip address add 10.77.0.1/24 dev br-ext && "
        "ip link set br-ext up; "
        "timeout 60 sh -c 'until nmcli -g GENERAL.STATE device show br-ext | grep -q externally;"
        " do sleep 0.1; done'"
    )
    try:
        assert not profiles.call("manages", interface="br-ext")
        assert profiles.call("manages")
    finally:
        profiles.run("ip link delete br-ext")


@pytest.mark.parametrize("directory", [ETC, RUN])
def test_module_restores_the_profile(connection, profiles, directory):
    path = profiles.place(directory)
    before, listed = profiles.look(path), profiles.list()
    assert "failed" not in connection.bring_to(SEGREGATED)
    profiles.assert_zone("k3s-cluster", "k3s-cluster")
    assert "failed" not in connection.bring_to(ABSENT)
    profiles.assert_zone("public", "")
    assert (profiles.list(), profiles.look(path)) == (listed, before)
