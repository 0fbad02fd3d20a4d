# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans the file that sets K3s's node-ip and flannel-iface. Pure functions.

K3s finds the node's address by the default route. If that leads to the dummy interface, every node
would report the dummy's address, and Flannel would send through the dummy.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from .extract import CONFIG, DROP_IN

PATH = DROP_IN
NODE_IP = "node-ip"
FLANNEL_IFACE = "flannel-iface"
OFF = "k3s_default_route_k3s_config: false"
_HEADER = f"""\
# Made by edgeops.k3s_network, role k3s_default_route: the only default route leads to a dummy
# interface, and K3s would report its address. Switched off by {OFF}
"""
_LINE = re.compile(r"^([a-z-]+): '((?:[^'\n]|'')*)'$", re.MULTILINE)
# config.yaml.d came with v1.21.0+k3s1 (k3s#3162).
_READS_DROP_INS = (1, 21)


class K3sConfigError(Exception):
    """K3s's settings are not readable, or cannot be made; the text says why and what to do."""


@dataclass(frozen=True)
class Record:
    """What the controller knows of K3s's settings on this node, without those of PATH."""

    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Key to C(value) and C(source) of what the user sets."""
    unreadable: Sequence[str] = ()
    """Files and values that could not be read, each with the reason."""
    config: str = ""
    """The file that K3s reads instead of CONFIG."""
    installed: Optional[Sequence[str]] = None
    """The node's addresses that K3s runs with, empty if they are not known; None if K3s has not run
    yet."""
    version: str = ""
    """Of the K3s that is installed, empty if it is not known."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Record:
        """Return the record of what the action C(cluster_topology) returns for a node.

        What only the inventory sets does not count if K3s has run without it.
        """
        own = {key: value for key, value in data.items() if key in cls.__annotations__}
        pending = data.get("pending", ())
        settings = data.get("settings", {})
        own["settings"] = {key: settings[key] for key in settings if key not in pending}
        return cls(**own)


@dataclass(frozen=True)
class Situation:
    """What was read from the host; addresses without a prefix length."""

    detected_interface: str
    detected_address: str
    """What K3s will find by the default route after the run; empty if it will find nothing."""
    dummy: str
    """The dummy interface of this collection, empty if there is none after the run."""
    ours: Optional[str]
    """The text of PATH, None if there is none."""
    k3s: Record


@dataclass(frozen=True)
class Wanted:
    """What K3s should work with; an empty C(flannel_iface) is up to K3s."""

    node_ip: str
    flannel_iface: str

    def values(self) -> dict[str, str]:
        """Return the keys that K3s should be told."""
        values = {NODE_IP: self.node_ip, FLANNEL_IFACE: self.flannel_iface}
        return {key: value for key, value in values.items() if value}


@dataclass(frozen=True)
class Decision:
    """The text that PATH should have, None for no such file, and what to tell the user."""

    text: Optional[str]
    warnings: tuple[str, ...] = ()
    """What differs from what is wanted, with the remedy."""
    note: str = ""
    """That K3s would detect the dummy, if nobody has told it the address yet."""


def render(values: Mapping[str, str]) -> str:
    """Return the text of PATH."""
    quoted = {key: value.replace("'", "''") for key, value in values.items()}
    return _HEADER + "".join(f"{key}: '{value}'\n" for key, value in quoted.items())


def plan(situation: Situation, wanted: Optional[Wanted]) -> Decision:
    """Return what becomes of PATH; C(wanted) is None if it is switched off.

    The topology has made sure that C(wanted) is what the user sets of K3s.

    Raises K3sConfigError if a K3s that has run would get another address, or if K3s needs PATH and
    may have been told another address already.
    """
    dummy = not situation.detected_address or situation.detected_interface == situation.dummy
    problem = "; ".join(situation.k3s.unreadable)
    missing = {} if wanted is None else _missing(situation, wanted)
    if problem and missing and dummy:
        raise K3sConfigError(
            f"No changes were made. K3s needs {_lines(missing)}, and whether it is set already is "
            f"not known: {problem}. Correct that, or set {OFF}"
        )
    if problem and situation.ours is not None:
        return Decision(situation.ours, (f"{PATH} stays: {problem}",))
    if wanted is None:
        return _not_told(situation)
    return _with_dummy(situation, wanted) if dummy else _with_real_route(situation, wanted)


def _with_dummy(situation: Situation, wanted: Wanted) -> Decision:
    k3s = situation.k3s
    missing = _missing(situation, wanted)
    if not missing:
        return Decision(None)
    if k3s.config:
        return Decision(
            None,
            (
                f"K3s reads {k3s.config} instead of {CONFIG}, so {PATH} would have no effect; set "
                f"{_lines(missing)} there",
            ),
        )
    if k3s.version and _version(k3s.version) < _READS_DROP_INS:
        return Decision(
            None,
            (
                f"K3s {k3s.version} does not read {CONFIG}.d, which came with v1.21; set "
                f"{_lines(missing)} in {CONFIG}",
            ),
        )
    note = ""
    if missing != _values_of_ours(situation):
        _check_installed(situation, wanted)
        if situation.detected_address:
            note = f"{_would_report(situation)}; {PATH} sets {_lines(missing)}"
    return Decision(render(missing), (), note)


def _missing(situation: Situation, wanted: Wanted) -> dict[str, str]:
    settings = situation.k3s.settings
    return {key: value for key, value in wanted.values().items() if key not in settings}


def _check_installed(situation: Situation, wanted: Wanted) -> None:
    installed = situation.k3s.installed
    if installed is None or _overlap(installed, [wanted.node_ip]):
        return
    if NODE_IP in situation.k3s.settings:
        # Whatever K3s ran with, the next address is not up to this collection's file.
        return
    address = f"the address {', '.join(installed)}" if installed else "an unknown address"
    remedy = ", or ".join(installed) or "the address that K3s runs with"
    raise K3sConfigError(
        f"No changes were made. K3s has run on this node with {address}, and the node's address in "
        f"the cluster should be {wanted.node_ip}; an etcd member can't change its address: set "
        f"k3s_topology_node_ip to {remedy}, or {OFF}"
    )


def _with_real_route(situation: Situation, wanted: Wanted) -> Decision:
    decision = _without_ours(situation)
    if decision.text is not None:
        return decision
    # Without node-ip, K3s takes the address of flannel-iface (pkg/cli/agent/agent.go).
    if {NODE_IP, FLANNEL_IFACE} & set(situation.k3s.settings):
        return decision
    detected = situation.detected_address
    if _overlap([detected], [wanted.node_ip]):
        return decision
    runs = situation.k3s.installed or ()
    adopt = f"set k3s_topology_node_ip to {detected}"
    change = f"set {_lines(wanted.values())} in {situation.k3s.config or CONFIG}"
    # A K3s that has run keeps its address.
    remedies = [] if _overlap(runs, [wanted.node_ip]) else [adopt]
    if not _overlap(runs, [detected]):
        remedies.append(change)
    return Decision(
        None,
        (
            f"the default route leaves by {situation.detected_interface}, so K3s will report "
            f"{detected} instead of {wanted.node_ip}; {', or '.join(remedies or [adopt, change])}",
        ),
    )


def _not_told(situation: Situation) -> Decision:
    decision = _without_ours(situation)
    if (
        decision.text is None
        and situation.detected_address
        and situation.detected_interface == situation.dummy
        and NODE_IP not in situation.k3s.settings
        and not situation.k3s.installed
    ):
        note = f"{_would_report(situation)}; set {NODE_IP} and {FLANNEL_IFACE} in {CONFIG}"
        return Decision(None, decision.warnings, note)
    return decision


def _would_report(situation: Situation) -> str:
    return (
        f"K3s by itself would report {situation.detected_address} of the dummy interface "
        f"{situation.dummy} as this node's address, the same on every such node"
    )


def _without_ours(situation: Situation) -> Decision:
    k3s = situation.k3s
    ours = _values_of_ours(situation).get(NODE_IP)
    if k3s.installed is None or ours is None or k3s.config:
        return Decision(None)
    user = k3s.settings.get(NODE_IP)
    other = user["value"] if user else situation.detected_address
    if _overlap([other], [*k3s.installed, ours]):
        return Decision(None)
    runs = ", ".join(k3s.installed) or "an unknown address"
    would = "find no address"
    if user is not None:
        would = f"take {user['value']} from {user['source']}"
    elif situation.detected_address:
        would = f"report {situation.detected_address}"
    return Decision(
        situation.ours,
        (
            f"{PATH} stays: K3s runs with {runs}, and without node-ip: {ours} it would {would} at "
            "its next start, while an etcd member can't change its address; set node-ip: "
            f"{ours} in {CONFIG}, or delete the file if the node may change its address",
        ),
    )


def _lines(values: Mapping[str, str]) -> str:
    return " and ".join(f"{key}: {value}" for key, value in values.items())


def _values_of_ours(situation: Situation) -> dict[str, str]:
    return {key: value.replace("''", "'") for key, value in _LINE.findall(situation.ours or "")}


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def _overlap(some: Sequence[str], others: Sequence[str]) -> bool:
    found = {_address_of(text) for text in some} & {_address_of(text) for text in others}
    return bool(found - {None})


def _address_of(text: str) -> Optional[Any]:
    try:
        return ipaddress.ip_address(text.strip())
    except ValueError:
        return None
