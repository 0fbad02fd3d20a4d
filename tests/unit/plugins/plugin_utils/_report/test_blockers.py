# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._packet_filter import rules
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.blockers import (
    Packet,
    blocker,
    nothing_found,
    opener,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.firewalls import (
    Difference,
    Firewall,
    Opening,
    Policy,
    RichRule,
    Zone,
)
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.sources import Ipset

MISSING = Difference("runtime", "policy", "k3s-from-nodes", "missing")
SOUND = Firewall(
    running=True, prepared=True, default_zone="public", zones={"public": Zone(("eth0",))}
)
PACKET = Packet("192.0.2.11", 6443, "tcp", "eth0", True, "192.0.2.12")


def chain(policy="drop", rules=(), **others):
    """Return a base chain of a table that other software has made."""
    made = {
        "tool": "nft",
        "family": "inet",
        "table": "other",
        "chain": "input",
        "hook": "input",
        "priority": 0,
        "policy": policy,
        "devices": [],
        "drops": "all",
        "rule": f"policy {policy}",
        "rule_chain": "input",
        "handle": 0,
        "owner": "",
        "policy_owner": "",
        **others,
    }
    return {**made, "rules": {made["chain"]: list(rules)}}


FOREIGN = chain()
BAN = chain(
    "accept",
    [{"verdict": "drop", "partial": True, "text": "ip saddr @banned drop", "handle": 4}],
    table="bans",
)
CLIENT = replace(PACKET, from_node=False, source_address=None)
DROP = 'rule family="ipv4" source address="192.0.2.0/24" port port="6443" protocol="tcp" drop'


def test_copy_of_a_zone_that_lacks_a_rule_of_the_user_is_no_cause_before_a_filter():
    copy = Difference("runtime", "zone", "k3s-cluster", "different", ("rules_str",))
    firewall = replace(SOUND, differences=(copy,), packet_filters=(FOREIGN,))
    assert blocker(firewall, "server1", PACKET).startswith("on server1, chain input of table")
    firewall = replace(firewall, packet_filters=())
    assert blocker(firewall, "server1", PACKET).startswith("on server1, zone k3s-cluster differs")


def test_blocker_names_the_object_and_prepare():
    firewall = replace(SOUND, differences=(MISSING,), packet_filters=(FOREIGN,))
    assert blocker(firewall, "server1", PACKET) == (
        "on server1, policy k3s-from-nodes is missing in the runtime configuration of firewalld: "
        "run the playbook prepare"
    )


@pytest.mark.parametrize(
    "difference",
    [
        replace(MISSING, configuration="permanent"),
        replace(MISSING, name="k3s-overlay"),
        replace(MISSING, name="k3s-from-clients"),
        Difference("runtime", "zone", "k3s-pods", "different", ("ports",)),
    ],
)
def test_blocker_ignores_objects_that_do_not_concern_the_packet(difference):
    assert blocker(replace(SOUND, differences=(difference,)), "server1", PACKET) == ""


def test_blocker_of_a_client_ignores_the_policy_for_nodes():
    firewall = replace(SOUND, differences=(MISSING,))
    assert blocker(firewall, "server1", CLIENT) == ""
    firewall = replace(SOUND, differences=(replace(MISSING, name="k3s-from-clients"),))
    assert "k3s-from-clients is missing" in blocker(firewall, "server1", CLIENT)


def test_prepare_adds_policies_to_a_zone_of_the_source():
    difference = replace(MISSING, state="different", settings=("ingress_zones",))
    zones = {"k3s-cluster": Zone(("eth0",)), "office": Zone((), ("192.0.2.0/24",))}
    firewall = replace(SOUND, zones=zones, differences=(difference,))
    assert "run the playbook prepare" in blocker(firewall, "server1", PACKET)


def with_zone_of_source(version, nics, target, **others):
    """Return a firewall with a zone of the user that has the packet's source."""
    zones = {nics: Zone(("eth0",)), "block": Zone((), ("192.0.2.0/24",), target)}
    return replace(SOUND, version=version, zones=zones, **others)


BLOCK = "packets from 192.0.2.0/24: firewall-cmd --zone=block --remove-source=192.0.2.0/24"


@pytest.mark.parametrize(
    ("version", "nics", "target", "verb"),
    [
        # A zone asks the policies of the packet's interface, and firewalld_state puts those of this
        # collection in front of zones that drop.
        ("0.9.3", "k3s-cluster", "default", ""),
        ("0.9.3", "k3s-cluster", "DROP", ""),
        ("1.3.3", "k3s-cluster", "default", ""),
        ("1.3.3", "k3s-cluster", "DROP", ""),
        ("1.3.3", "public", "DROP", ""),
        # prepare adds zones that hold nodes to the policy, except those that drop.
        ("2.3.1", "k3s-cluster", "default", ""),
        ("2.3.1", "k3s-cluster", "DROP", "drops"),
        ("2.3.1", "k3s-cluster", "%%REJECT%%", "drops"),
        # In a shared network, the policy names any zone.
        ("2.3.1", "public", "DROP", ""),
        ("2.3.1", "public", "default", ""),
        ("", "public", "default", "may drop"),
        ("nonsense", "k3s-cluster", "default", "may drop"),
    ],
)
def test_zone_of_the_source_drops_packets_by_its_target(version, nics, target, verb):
    text = blocker(with_zone_of_source(version, nics, target), "server1", PACKET)
    assert text.startswith(f"zone block of firewalld on server1 {verb} {BLOCK}" if verb else "")
    assert bool(text) is bool(verb)


@pytest.mark.parametrize(
    ("version", "opened", "verb"),
    [("0.9.3", False, "may drop"), ("1.3.3", False, "drops"), ("2.3.1", False, "drops"),
     ("1.3.3", True, "")],
)  # fmt: skip
def test_zone_of_the_source_hides_ports_of_the_zone_of_the_interface(version, opened, verb):
    openings = (Opening("zone", "block", "port=6443/tcp", ("6443/tcp",)),) if opened else ()
    firewall = with_zone_of_source(version, "public", "default", openings=openings)
    text = blocker(firewall, "server1", replace(PACKET, by_policy=False))
    assert text.startswith(f"zone block of firewalld on server1 {verb} {BLOCK}" if verb else "")
    assert bool(text) is bool(verb)


def test_zone_of_the_source_may_drop_packets_of_a_client_since_2_0():
    client = replace(CLIENT, source_address="192.0.2.200")
    text = blocker(with_zone_of_source("2.3.1", "k3s-external", "default"), "server1", client)
    assert "zone block of firewalld on server1 may drop packets" in text


def test_blocker_names_what_prepare_adds_before_a_zone_of_the_source():
    firewall = with_zone_of_source("2.3.1", "k3s-cluster", "DROP", differences=(MISSING,))
    assert "policy k3s-from-nodes is missing" in blocker(firewall, "server1", PACKET)


WITHOUT_ZONE = Difference(
    "runtime", "policy", "k3s-from-nodes", "different", ("ingress_zones",), "", ("block",)
)


@pytest.mark.parametrize(("version", "found"), [("0.9.3", ""), ("1.3.3", ""), ("2.3.1", "prepare")])
def test_policy_without_the_zone_of_a_source_drops_packets_since_2_0(version, found):
    firewall = with_zone_of_source(version, "k3s-cluster", "default", differences=(WITHOUT_ZONE,))
    text = blocker(firewall, "server1", PACKET)
    assert found in text
    assert bool(text) is bool(found)


def test_zones_of_a_firewalld_that_is_stopped_drop_nothing():
    firewall = with_zone_of_source(
        "2.3.1",
        "k3s-cluster",
        "DROP",
        running=False,
        rich_rules=(RichRule("zone", "block", DROP),),
    )
    assert blocker(firewall, "server1", PACKET) == ""
    assert "table inet other" in blocker(
        replace(firewall, packet_filters=(FOREIGN,)), "server1", PACKET
    )


def test_blocker_names_a_rich_rule_of_the_user_and_the_command():
    text = blocker(replace(SOUND, rich_rules=(RichRule("zone", "public", DROP),)), "n1", PACKET)
    assert text == (
        "a rich rule of zone public of firewalld on n1 drops it: firewall-cmd --zone=public "
        f"--remove-rich-rule='{DROP}', and the same with --permanent"
    )


@pytest.mark.parametrize(
    "rule",
    [
        RichRule("zone", "home", DROP),
        RichRule("zone", "public", DROP.replace("6443", "80-443")),
        RichRule("zone", "public", DROP.replace("tcp", "udp")),
        RichRule("zone", "public", DROP.replace("192.0.2.0", "198.51.100.0")),
        RichRule("zone", "public", DROP.replace("drop", "accept")),
        RichRule("zone", "public", DROP.replace("drop", "mark set=1")),
        RichRule("zone", "public", DROP.replace("source ", "source NOT ")),
        RichRule("zone", "public", 'rule priority="1" family="ipv6" drop'),
        RichRule("policy", "mine", 'rule icmp-type name="echo-request" drop'),
        RichRule("policy", "mine", 'rule icmp-block name="echo-request" reject'),
    ],
)
def test_blocker_ignores_rich_rules_that_do_not_drop_the_packet(rule):
    assert blocker(replace(SOUND, rich_rules=(rule,)), "server1", PACKET) == ""


def test_blocker_names_a_packet_filter_that_drops_the_packet_for_certain_first():
    text = blocker(replace(SOUND, packet_filters=(BAN, FOREIGN)), "server1", PACKET)
    assert text.startswith(
        "on server1, chain input of table inet other (nft, hook input) drops it: policy drop: "
    )
    assert "nft 'chain inet other input { policy accept; }'" in text
    text = blocker(replace(SOUND, packet_filters=(BAN,)), "server1", PACKET)
    assert "table inet bans (nft, hook input) may drop it: ip saddr @banned drop" in text
    assert "nft delete rule inet bans input handle 4" in text


@pytest.mark.parametrize(
    "others",
    [
        {"hook": "forward"},
        {"family": "ip6"},
        {"hook": "ingress", "family": "netdev", "devices": ["eth1"]},
        {"rules": {"input": [{"verdict": "accept", "sources": ["192.0.2.0/24"]}]}},
        {"policy": "accept"},
    ],
)
def test_blocker_ignores_packet_filters_that_do_not_drop_the_packet(others):
    firewall = replace(SOUND, packet_filters=({**FOREIGN, **others},))
    assert blocker(firewall, "server1", PACKET) == ""


def test_blocker_of_a_node_that_was_never_prepared_is_prepare():
    firewall = replace(SOUND, prepared=False, differences=(MISSING,))
    assert blocker(firewall, "server1", PACKET) == (
        "firewalld on server1 is not prepared for K3s: run the playbook prepare"
    )


def test_prepare_is_not_the_remedy_of_a_sound_node():
    assert blocker(SOUND, "server1", PACKET) == ""
    assert "run the playbook prepare" not in nothing_found(SOUND, "server1")


def test_blocker_names_rules_of_unknown_match_last():
    listed = RichRule("zone", "public", 'rule family="ipv4" source ipset="banned" drop')
    firewall = replace(SOUND, rich_rules=(listed,))
    assert "may drop it: firewall-cmd --zone=public" in blocker(firewall, "server1", PACKET)
    text = blocker(replace(firewall, differences=(MISSING,)), "server1", PACKET)
    assert "policy k3s-from-nodes is missing" in text


@pytest.mark.parametrize("option", ["port=2379/tcp", "service=etcd"])
def test_opener_names_the_zone_and_the_command(option):
    opening = Opening("zone", "public", option, ("2379/tcp",))
    firewall = replace(SOUND, openings=(opening,), differences=(MISSING,))
    assert opener(firewall, "server1", replace(PACKET, port=2379)) == (
        f"zone public of firewalld on server1 opens it ({option}): firewall-cmd --zone=public "
        f"--remove-{option}, and the same with --permanent"
    )


def test_opener_ignores_zones_that_do_not_hold_the_interface():
    firewall = replace(SOUND, openings=(Opening("zone", "home", "port=1/tcp", ("6443/tcp",)),))
    assert opener(firewall, "server1", PACKET) == ""


def test_opener_names_a_policy_of_the_user():
    opening = Opening("policy", "mine", "port=6443/tcp", ("6443/tcp",))
    policies = {"mine": Policy("CONTINUE", -1, ("public",))}
    firewall = replace(SOUND, openings=(opening,), policies=policies)
    text = opener(firewall, "server1", PACKET)
    assert "--policy=mine --remove-port=6443/tcp" in text


def test_opener_names_a_rich_rule():
    accept = RichRule("zone", "public", DROP.replace("drop", "accept"))
    text = opener(replace(SOUND, rich_rules=(accept,)), "server1", PACKET)
    assert f"--remove-rich-rule='{accept.text}'" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"running": False}, "systemctl enable --now firewalld"),
        ({"zones": {"public": Zone(("eth0",), (), "ACCEPT")}}, "--set-target=default"),
        ({"differences": (replace(MISSING, state="different"),)}, "run the playbook prepare"),
    ],
)
def test_opener_names_what_admits_everything(changes, words):
    assert words in opener(replace(SOUND, **changes), "server1", PACKET)


def test_opener_ignores_rules_of_another_family():
    accept = RichRule("policy", "mine", 'rule family="ipv6" icmp-type name="redirect" accept')
    assert opener(replace(SOUND, rich_rules=(accept,)), "server1", PACKET) == ""


def test_opener_names_rules_of_unknown_match_last():
    listed = RichRule("zone", "public", 'rule family="ipv4" source ipset="office" accept')
    firewall = replace(SOUND, rich_rules=(listed,))
    assert "may open it: firewall-cmd --zone=public" in opener(firewall, "server1", PACKET)
    text = opener(replace(firewall, differences=(MISSING,)), "server1", PACKET)
    assert "policy k3s-from-nodes is missing" in text


def test_opener_names_a_zone_that_accepts_the_source():
    zones = {**SOUND.zones, "trusted": Zone((), ("192.0.2.0/24",), "ACCEPT")}
    text = opener(replace(SOUND, zones=zones), "server1", PACKET)
    assert "accepts all packets from 192.0.2.0/24" in text
    assert "--zone=trusted --remove-source=192.0.2.0/24" in text


def test_interface_in_zone_trusted_is_moved_to_another_zone():
    zones = {"trusted": Zone(("eth0",), (), "ACCEPT")}
    text = opener(replace(SOUND, zones=zones), "server1", PACKET)
    assert "--zone=public --change-interface=eth0" in text
    assert "set-target" not in text


def test_texts_of_a_node_are_quoted_in_commands():
    evil = "x'; reboot; '"
    rule = RichRule("zone", "public", f'{DROP} log prefix="{evil}"')
    text = blocker(replace(SOUND, rich_rules=(rule,)), "server1", PACKET)
    command = text.partition("firewall-cmd ")[2].partition(", and the same")[0]
    assert shlex.split(command) == ["--zone=public", f"--remove-rich-rule={rule.text}"]
    opening = Opening("policy", evil, f"port={evil}", ("6443/tcp",))
    policies = {evil: Policy("CONTINUE", -1, ("ANY",))}
    text = opener(replace(SOUND, openings=(opening,), policies=policies), "server1", PACKET)
    command = text.partition("firewall-cmd ")[2].partition(", and the same")[0]
    assert shlex.split(command) == [f"--policy={evil}", f"--remove-port={evil}"]


DROPPING = Policy("DROP", -5, ("public",))


def test_blocker_names_a_policy_of_the_user_by_its_target():
    text = blocker(replace(SOUND, policies={"mine": DROPPING}), "server1", PACKET)
    assert text == (
        "policy mine of firewalld on server1 drops it by its target: firewall-cmd --permanent "
        "--policy=mine --set-target=CONTINUE; firewall-cmd --reload"
    )


@pytest.mark.parametrize(
    "policy",
    [
        replace(DROPPING, target="CONTINUE"),
        replace(DROPPING, ingress_zones=("home",)),
        # Evaluated after the policies of this collection, which accept the packet.
        replace(DROPPING, priority=2000),
    ],
)
def test_blocker_ignores_policies_that_do_not_drop_the_packet(policy):
    assert blocker(replace(SOUND, policies={"mine": policy}), "server1", PACKET) == ""


def test_opener_names_a_policy_of_the_user_that_accepts_everything():
    policies = {"mine": Policy("ACCEPT", -5, ("ANY",))}
    text = opener(replace(SOUND, policies=policies), "server1", PACKET)
    assert "policy mine of firewalld on server1 accepts it by its target" in text


def test_rich_rule_of_a_policy_for_another_zone_is_ignored():
    policies = {"pods": Policy("CONTINUE", -5, ("k3s-pods",))}
    firewall = replace(SOUND, rich_rules=(RichRule("policy", "pods", DROP),), policies=policies)
    assert blocker(firewall, "server1", PACKET) == ""


def test_prefix_of_a_log_is_no_action():
    rule = RichRule("zone", "public", DROP.replace("drop", 'log prefix="no accept" drop'))
    assert "--remove-rich-rule" in blocker(replace(SOUND, rich_rules=(rule,)), "server1", PACKET)


def test_packet_filters_count_if_firewalld_could_not_be_read():
    firewall = Firewall(problem="not authorized", packet_filters=(FOREIGN,))
    assert "table inet other" in blocker(firewall, "server1", PACKET)
    assert blocker(Firewall(problem="not authorized"), "server1", PACKET) == ""


def test_nothing_found_does_not_claim_what_could_not_be_read():
    text = nothing_found(replace(SOUND, refused="a conflict", unknown=("nft failed",)), "server1")
    assert (
        "cannot be compared, and not all of its packet filters could be read (nft failed)" in text
    )


def test_chains_that_jump_from_each_to_each_cost_little():
    names = [f"chain{number}" for number in range(20)]
    jumps = {
        name: [{"verdict": "jump", "target": target, "partial": True} for target in names]
        for name in names
    }
    lie = {**FOREIGN, "chain": names[0], "rules": jumps}
    found = rules.fate(lie["rules"], names[0], "accept", rules.Packet("192.0.2.1", "192.0.2.2"))
    # Each rule that was compared but the last one was without a verdict.
    assert found.dropped is None
    assert len(found.possible) <= 3000


BANNED = {"banned": Ipset("hash:net", ("192.0.2.0/24",), True)}


def with_source(source, target="DROP", ipsets=None, **others):
    """Return a firewall with a zone of the user that has a source."""
    zones = {**SOUND.zones, "ban": Zone((), (source,), target)}
    return replace(SOUND, zones=zones, ipsets=BANNED if ipsets is None else ipsets, **others)


def test_rules_of_a_zone_with_an_ipset_as_source_concern_its_addresses():
    rules_of_zone = (RichRule("zone", "ban", "rule drop"),)
    firewall = with_source("ipset:banned", "default", rich_rules=rules_of_zone)
    assert "a rich rule of zone ban of firewalld on n1 drops it" in blocker(firewall, "n1", PACKET)
    other = {"banned": Ipset("hash:net", ("198.51.100.0/24",), True)}
    assert blocker(replace(firewall, ipsets=other), "n1", PACKET) == ""


@pytest.mark.parametrize(
    ("source", "ipsets"),
    [
        ("ipset:banned", {"banned": Ipset("hash:mac", ("52:54:00:12:34:56",), True)}),
        ("ipset:banned", {"banned": Ipset("hash:net", ("198.51.100.0/24",), False)}),
        ("52:54:00:12:34:56", {}),
    ],
)
def test_blocker_names_a_source_that_cannot_be_compared_last(source, ipsets):
    firewall = with_source(source, ipsets=ipsets)
    assert blocker(firewall, "n1", PACKET) == (
        f"zone ban of firewalld on n1 may drop packets from {source}: firewall-cmd --zone=ban "
        f"--remove-source={source}, and the same with --permanent"
    )
    text = blocker(replace(firewall, packet_filters=(BAN,)), "n1", PACKET)
    assert "table inet bans" in text


def test_opener_names_a_zone_with_an_ipset_as_source():
    text = opener(with_source("ipset:banned", "ACCEPT"), "n1", PACKET)
    assert "zone ban of firewalld on n1 accepts all packets from ipset:banned" in text
    assert "--zone=ban --remove-source=ipset:banned" in text


def test_opener_names_a_source_that_cannot_be_compared_last():
    mac = "52:54:00:12:34:56"
    text = opener(with_source(mac, "ACCEPT"), "n1", PACKET)
    assert f"zone ban of firewalld on n1 may admit packets from {mac}" in text
    opening = Opening("zone", "ban", "port=6443/tcp", ("6443/tcp",))
    text = opener(with_source(mac, "default", openings=(opening,)), "n1", PACKET)
    assert "may admit packets" in text
    assert opener(with_source(mac, "default"), "n1", PACKET) == ""
