# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a firewalld configuration admits a new connection like Ansible's own. Pure functions.

Modelled on the nftables backend of firewalld 0.9.3, 1.3.3 and 2.3.1 (core/nftables.py,
core/fw_policy.py, core/fw_zone.py, core/rich.py). A configuration does not say whose it is, so
a verdict is given only where all versions agree. They differ in this:

- 0.9 and 1.x take a policy's ingress zone for its NICs and sources, whichever zone takes the
  packet, so that a NIC bound to no zone is not in the default zone for them. 2.x goes by the zone.
- 0.9 applies a zone's target, unless it is the default one, before policies of positive priority.
- 0.9 does not follow a service's includes in rich rules.
- 2.0 to 2.4 lose the order once two policies of one priority share an ingress zone: their sort
  key lacks the policy's name, so what is added later comes too early, such as the end of a NIC's
  zone before that of a source's zone.

Unknown to it are direct rules, other tables of nftables, panic mode, the iptables backend, and
AllowZoneDrifting of 0.9, which is off by default.
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Optional, Union

from .model import Settings

Match = Optional[bool]
"""None where what is given does not tell."""

_ANY = "ANY"
_HOST = "HOST"
_POLICY_PRIORITY = -1
_FIRST_PRIORITY = -32768

# What may become of a packet in a part of the rules, each with its reason. Where the part does
# not apply for certain, the packet may pass it as well.
_Ends = dict[str, str]
_ADMIT = "admit"
_REFUSE = "refuse"
_PASS = "pass"

_ACTIONS = {"accept": _ADMIT, "reject": _REFUSE, "drop": _REFUSE}
_TARGETS = {"ACCEPT": _ADMIT, "REJECT": _REFUSE, "%%REJECT%%": _REFUSE, "DROP": _REFUSE}
# Elements of rich rules that are no condition on the packet.
_NO_CONDITION = frozenset(
    "accept audit drop forward-port log mark masquerade nflog reject tcp-mss-clamp".split()
)


@dataclass(frozen=True)
class Connection:
    """The connection to admit, as far as the one that Ansible came by tells."""

    source: str
    """IP address that the controller comes from."""
    port: int
    """TCP port of this host."""
    interface: str
    """NIC that it arrives on, empty where that is not known."""


@dataclass(frozen=True)
class Configuration:
    """One firewalld configuration, the running or the permanent one, in normal settings.

    A NIC that no zone lists is in the default zone; the caller enters what NetworkManager binds.
    """

    default_zone: str
    zones: Mapping[str, Settings]
    policies: Mapping[str, Settings]
    ipsets: Mapping[str, Settings]
    services: Mapping[str, Settings]
    """Definitions by name. One that is missing is not known."""


class Verdict(NamedTuple):
    """Whether the connection is admitted, None where that cannot be told, and by what."""

    admitted: Optional[bool]
    because: str


class _Version(NamedTuple):
    """How some versions lead a packet through policies and zones."""

    by_zone: bool
    target_last: bool
    ordered: bool


_V0_9 = _Version(by_zone=False, target_last=False, ordered=True)
_V1 = _Version(by_zone=False, target_last=True, ordered=True)
_V2 = _Version(by_zone=True, target_last=True, ordered=True)
_V2_DISORDERED = _Version(by_zone=True, target_last=True, ordered=False)


class _Rule(NamedTuple):
    """A rich rule: its elements by name, each with its attributes."""

    text: str
    priority: int
    elements: Mapping[str, Mapping[str, str]]


def judge(configuration: Configuration, connection: Connection) -> Verdict:
    """Tell whether a new TCP connection would be admitted to this host."""
    # Since 2.4 upstream ships policies that are disabled, which have no effect.
    enabled = {
        name: policy for name, policy in configuration.policies.items() if not policy.get("disable")
    }
    configuration = replace(configuration, policies=enabled)
    address = _address(connection.source)
    if connection.interface == "lo" or (address is not None and address.is_loopback):
        return Verdict(True, "the loopback interface is always admitted")
    packet = _Packet(configuration, address, connection.port)
    interfaces = {connection.interface}
    if not connection.interface:
        interfaces |= _values(configuration.zones, "interfaces") - {"lo"}
    ends: _Ends = {}
    for version in _versions(configuration):
        for interface in sorted(interfaces):
            for zone, bound in packet.zones(interface, version):
                ends = {**packet.through(zone, bound, interface, version), **ends}
    if _REFUSE not in ends:
        return Verdict(True, ends[_ADMIT])
    if _ADMIT not in ends:
        return Verdict(False, ends[_REFUSE])
    return Verdict(None, f"either {ends[_ADMIT]} or {ends[_REFUSE]}")


def only_accepts(policy: Settings) -> bool:
    """Tell whether a policy can only admit: it has no other target and no rule but accept."""
    return (
        policy.get("target", "CONTINUE") in ("CONTINUE", "ACCEPT")
        and not policy.get("forward_ports")
        and not policy.get("icmp_blocks")
        and all(
            "accept" in rule.elements
            and not {"drop", "reject", "forward-port"} & set(rule.elements)
            for rule in _rules(policy)
        )
    )


def services_needed(configuration: Configuration) -> set[str]:
    """Return the services that are mentioned, and what those that are defined include.

    Once looked up and entered, they may include others: to be asked again until nothing is new.
    """
    needed = _values(configuration.zones, "services") | _values(configuration.policies, "services")
    for settings in [*configuration.zones.values(), *configuration.policies.values()]:
        for rule in _rules(settings):
            if "service" in rule.elements:
                needed.add(rule.elements["service"].get("name", ""))
    todo = sorted(needed)
    while todo:
        includes = set(configuration.services.get(todo.pop(), {}).get("includes", ()))
        todo += includes - needed
        needed |= includes
    return needed - {""}


@dataclass(frozen=True)
class _Packet:
    """The packet that opens the connection."""

    configuration: Configuration
    address: Union[ipaddress.IPv4Address, ipaddress.IPv6Address, None]
    port: int

    def zones(self, interface: str, version: _Version) -> Iterator[tuple[str, bool]]:
        """Return the zones that may take the packet, and whether by a binding of theirs."""
        # By priority, which only 2.x has, then sources before NICs, then the zone's name. NICs
        # are not ordered before 2.0, which matters for names such as eth+.
        bindings: list[tuple[tuple[int, int, str], str, bool, Match]] = []
        for zone, settings in sorted(self.configuration.zones.items()):
            priority = settings.get("ingress_priority", 0)
            for source in settings.get("sources", ()):
                bindings.append(((priority, 1, zone), zone, True, self.comes_from(source)))
            for name in settings.get("interfaces", ()):
                key = (priority, 2, zone if version.by_zone else "")
                bindings.append((key, zone, name == interface, _covers(name, interface)))
        bindings.sort(key=lambda binding: binding[0])
        taken = False
        for _key, group in itertools.groupby(bindings, key=lambda binding: binding[0]):
            for _key, zone, bound, match in group:
                if match is not False:
                    yield zone, bound
                taken = taken or match is True
            if taken and version.ordered:
                return
        if not taken:
            yield self.configuration.default_zone, False

    def through(self, zone: str, bound: bool, interface: str, version: _Version) -> _Ends:
        """Return what becomes of the packet that this zone takes."""
        label = f"zone {zone}"
        settings = self.configuration.zones.get(zone)
        if settings is None:
            unknown = f"{label}, which is not known,"
            return {_ADMIT: f"{unknown} admits it", _REFUSE: f"{unknown} refuses it"}
        forwarded = [self.forwarded(label, settings)]
        groups: dict[int, list[_Ends]] = {}
        for name, policy in sorted(self.configuration.policies.items()):
            applies = self.enters(policy, zone, bound, interface, version)
            if applies is False:
                continue
            named = f"policy {name}"
            forwarded.append(self.forwarded(named, policy))
            # ANY does not hold the host: such a policy is for what is forwarded.
            if _HOST in policy.get("egress_zones", ()):
                ends = _in_turn([*self.chains(named, policy), _target(named, policy)])
                group = groups.setdefault(policy.get("priority", _POLICY_PRIORITY), [])
                group.append(ends if applies else {**ends, _PASS: ""})
        before = [_in_any_order(groups[one]) for one in sorted(groups) if one < 0]
        after = [_in_any_order(groups[one]) for one in sorted(groups) if one >= 0]
        if not version.ordered:
            before, after = [_in_any_order([*before, *after])], []
        target = _target(label, settings)
        return _in_turn(
            [
                _in_any_order(forwarded),
                *before,
                *self.chains(label, settings),
                *([] if version.target_last else [target]),
                *after,
                target,
                {_REFUSE: f"{label} admits nothing to {self.port}/tcp"},
            ]
        )

    def enters(
        self, policy: Settings, zone: str, bound: bool, interface: str, version: _Version
    ) -> Match:
        """Tell whether the ingress zones of a policy hold what this zone takes."""
        ingress = policy.get("ingress_zones", ())
        if _ANY in ingress or (zone in ingress and (bound or version.by_zone)):
            return True
        if version.by_zone:
            return False
        zones = [self.configuration.zones.get(name, {}) for name in ingress]
        matches = [self.comes_from(source) for one in zones for source in one.get("sources", ())]
        for name in (name for one in zones for name in one.get("interfaces", ())):
            if _covers(name, interface):
                # 0.9 takes eth+ literally here.
                matches.append(True if name == interface else None)
        return _any(matches)

    def chains(self, label: str, settings: Settings) -> list[_Ends]:
        """Return the chains of a zone or policy: pre, deny, allow, post."""
        groups: dict[int, list[_Ends]] = {0: []}
        for rule in _rules(settings):
            because = f"{label}: {rule.text}"
            if not rule.elements:
                unread = f"{because} (not understood)"
                ends = {_ADMIT: unread, _REFUSE: unread, _PASS: ""}
                groups.setdefault(rule.priority, []).append(ends)
            for action in _ACTIONS.keys() & rule.elements.keys():
                limited = None if "limit" in rule.elements[action] else True
                ends = _when(_all([self.meets(rule), limited]), _ACTIONS[action], because)
                groups.setdefault(rule.priority, []).append(ends)
        deny_first = sorted(groups[0], key=lambda ends: _ADMIT in ends)
        plain = [
            *((f"service {name}", self.serves(name)) for name in settings.get("services", ())),
            *((f"port {port}", self.goes_to(port)) for port in settings.get("ports", ())),
            *((f"protocol {name}", _is_tcp(name)) for name in settings.get("protocols", ())),
            *((f"source port {port}", _of_tcp(port)) for port in settings.get("source_ports", ())),
        ]
        allow = [_when(match, _ADMIT, f"{label}: {what}") for what, match in plain]
        groups[0] = [_in_turn([*deny_first, *allow])]
        # Those of one other priority stand in the order in which they were added.
        return [_in_any_order(groups[priority]) for priority in sorted(groups)]

    def meets(self, rule: _Rule) -> Match:
        """Tell whether the packet meets the conditions of a rich rule, its limit aside."""
        matches: list[Match] = []
        for name, attributes in rule.elements.items():
            if name == "rule":
                matches.append(self.is_of(attributes.get("family", "")))
            elif name == "source":
                matches.append(self.comes_from(_operand(attributes), "invert" in attributes))
            elif name == "destination":
                matches.append(self.may_go_to(_operand(attributes)))
            elif name == "service":
                matches.append(self.serves(attributes.get("name", ""), in_rich_rule=True))
            elif name == "port":
                matches.append(self.goes_to(_port(attributes)))
            elif name == "source-port":
                matches.append(_of_tcp(_port(attributes)))
            elif name == "protocol":
                matches.append(_is_tcp(attributes.get("value", "")))
            elif name in ("icmp-block", "icmp-type"):
                matches.append(False)
            elif name not in _NO_CONDITION:
                matches.append(None)
        return _all(matches)

    def forwarded(self, label: str, settings: Settings) -> _Ends:
        """Return what forwarded ports may do, which is before any filter.

        A connection that is forwarded here is admitted. Whether Ansible's is, does not show here.
        """
        forwards = [tuple(one) for one in settings.get("forward_ports", ())]
        for rule in _rules(settings):
            element = rule.elements.get("forward-port")
            if element is not None and self.meets(rule) is not False:
                names = ("port", "protocol", "to-port", "to-addr")
                forwards.append(tuple(element.get(name, "") for name in names))
        result: _Ends = {_PASS: ""}
        for port, protocol, to_port, to_address in forwards:
            because = f"{label}: forward port {port}/{protocol}"
            if not to_address and self.goes_to(f"{to_port}/{protocol}") is not False:
                result[_ADMIT] = because
            elif self.goes_to(f"{port}/{protocol}") is not False:
                result[_REFUSE] = because
        return result

    def is_of(self, family: str) -> Match:
        """Tell whether the packet is of a family such as C(ipv4)."""
        if not family:
            return True
        return None if self.address is None else family == f"ipv{self.address.version}"

    def comes_from(self, source: str, inverted: bool = False) -> Match:
        """Tell whether a source holds the packet; one of the other family never does."""
        held = self._addresses(source)
        if held is None or self.address is None:
            return None
        version, ranges = held
        number = int(self.address)
        inside = any(first <= number <= last for first, last in ranges)
        return version == self.address.version and inside != inverted

    def may_go_to(self, destination: str) -> Match:
        """Tell whether a destination leaves the packet out; its own address is not given."""
        held = self._addresses(destination)
        if held is None or self.address is None or held[0] == self.address.version:
            return None
        return False

    def goes_to(self, port: str) -> Match:
        """Tell whether a port or range such as C(22/tcp) holds the packet's."""
        numbers, _slash, protocol = port.partition("/")
        if protocol != "tcp":
            return False
        try:
            ends = [int(end) for end in numbers.split("-")]
        except ValueError:
            # firewalld takes a name of /etc/services as well.
            return None
        return min(ends) <= self.port <= max(ends)

    def serves(self, name: str, in_rich_rule: bool = False, within: Sequence[str] = ()) -> Match:
        """Tell whether a service holds the packet, by itself or by one that it includes."""
        service = self.configuration.services.get(name)
        if service is None:
            return None
        own = _any(
            [
                *(self.goes_to(port) for port in service.get("ports", ())),
                *(_is_tcp(protocol) for protocol in service.get("protocols", ())),
                *(_of_tcp(port) for port in service.get("source_ports", ())),
            ]
        )
        destinations = service.get("destination", {})
        if isinstance(destinations, Mapping):
            limits = [self.may_go_to(one) for one in destinations.values()]
            own = _all([own, _any(limits) if limits else True])
        else:
            own = _all([own, None])
        within = [*within, name]
        others = [one for one in service.get("includes", ()) if one not in within]
        included = _any(self.serves(one, in_rich_rule, within) for one in others)
        return _any([own, None if included and in_rich_rule else included])

    def _addresses(self, operand: str) -> Optional[tuple[int, list[tuple[int, int]]]]:
        """Return the IP version and the ranges of an address, network or ipset, if known."""
        kind, _colon, name = operand.partition(":")
        try:
            if kind != "ipset":
                version, first, last = _range(operand)
                return version, [(first, last)]
            ipset = self.configuration.ipsets.get(name, {})
            # Entries that time out are known to the kernel alone.
            timeout = ipset.get("options", {}).get("timeout", "0")
            if ipset.get("type") not in ("hash:ip", "hash:net") or timeout != "0":
                return None
            ranges = [_range(entry)[1:] for entry in ipset.get("entries", ())]
            return (6 if ipset.get("family") == "inet6" else 4), ranges
        except ValueError:
            # A MAC address, for one.
            return None


def _versions(configuration: Configuration) -> list[_Version]:
    """Return the versions that the configuration may be of."""
    versions = [_V2]
    keys = [
        (policy.get("priority", _POLICY_PRIORITY), set(policy.get("ingress_zones", ())))
        for policy in configuration.policies.values()
        if _HOST in policy.get("egress_zones", ())
    ]
    if any(
        priority == other and (zones & others or _ANY in zones | others)
        for (priority, zones), (other, others) in itertools.combinations(keys, 2)
    ):
        versions.append(_V2_DISORDERED)
    # Only 2.x has priorities of zones.
    priorities = {"ingress_priority", "egress_priority"}
    if not any(priorities & zone.keys() for zone in configuration.zones.values()):
        versions += [_V1, _V0_9]
    return versions


def _rules(settings: Settings) -> list[_Rule]:
    # The key of zones, and that of policies.
    return [_rule(text) for key in ("rules_str", "rich_rules") for text in settings.get(key, ())]


@functools.cache
def _rule(text: str) -> _Rule:
    """Read a rich rule in any spelling of firewalld's; without elements where that fails."""
    elements: dict[str, dict[str, str]] = {"rule": {}}
    element = "rule"
    try:
        for token in shlex.split("".join(filter(str.isprintable, text))):
            name, equals, value = token.partition("=")
            if equals:
                # These belong to the rule wherever they stand.
                owner = "rule" if name in ("family", "priority") else element
                elements[owner][name] = value
            elif token in ("not", "NOT"):
                elements[element]["invert"] = "True"
            elif token == "limit":
                elements[element]["limit"] = ""
            else:
                element = token
                elements.setdefault(element, {})
        return _Rule(text, int(elements["rule"].get("priority", "0")), elements)
    except ValueError:
        # Nothing that firewalld accepts; it may do anything, from the beginning.
        return _Rule(text, _FIRST_PRIORITY, {})


def _address(text: str) -> Union[ipaddress.IPv4Address, ipaddress.IPv6Address, None]:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _range(text: str) -> tuple[int, int, int]:
    """Return the IP version, first and last address of an address, a network or a range."""
    first, dash, last = text.partition("-")
    if dash:
        start, end = ipaddress.ip_address(first), ipaddress.ip_address(last)
        return start.version, int(start), int(end)
    # firewalld takes IPv6 addresses in brackets.
    network = ipaddress.ip_network(text.replace("[", "").replace("]", ""), strict=False)
    return network.version, int(network.network_address), int(network.broadcast_address)


def _operand(attributes: Mapping[str, str]) -> str:
    if "ipset" in attributes:
        return f"ipset:{attributes['ipset']}"
    return attributes.get("address", attributes.get("mac", ""))


def _port(attributes: Mapping[str, str]) -> str:
    return f"{attributes.get('port', '')}/{attributes.get('protocol', '')}"


def _is_tcp(protocol: str) -> bool:
    return protocol.lower() in ("tcp", "6")


def _of_tcp(source_port: str) -> Match:
    # The source port of a new connection is any.
    return None if source_port.endswith("/tcp") else False


def _covers(name: str, interface: str) -> bool:
    if name.endswith("+"):
        return interface.startswith(name[:-1])
    return name == interface


def _values(objects: Mapping[str, Settings], key: str) -> set[str]:
    return {value for settings in objects.values() for value in settings.get(key, ())}


def _target(label: str, settings: Settings) -> _Ends:
    target = settings.get("target", "")
    return {_TARGETS.get(target, _PASS): f"{label}: target {target}"}


def _when(match: Match, end: str, because: str) -> _Ends:
    if match is None:
        return {end: f"{because} (may apply)", _PASS: ""}
    return {end: because} if match else {_PASS: ""}


def _in_turn(parts: Iterable[_Ends]) -> _Ends:
    result: _Ends = {}
    for part in parts:
        if _PASS not in part:
            # What is certain is the better reason.
            return {**result, **part}
        result = {**part, **result}
        del result[_PASS]
    return {**result, _PASS: ""}


def _in_any_order(parts: Sequence[_Ends]) -> _Ends:
    result: _Ends = {}
    for part in parts:
        result = {**part, **result}
    if not all(_PASS in part for part in parts):
        result.pop(_PASS, None)
    elif not parts:
        result[_PASS] = ""
    return result


def _any(matches: Iterable[Match]) -> Match:
    known = list(matches)
    return True if True in known else None if None in known else False


def _all(matches: Iterable[Match]) -> Match:
    known = list(matches)
    return False if False in known else None if None in known else True
