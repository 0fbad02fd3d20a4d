# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which node-ip and flannel-iface K3s is to be told, beside what the user tells it. Pure functions.

K3s finds the node's address by the default route. Where that is the dummy's, every node would
report the dummy's address, and Flannel would send by the dummy.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

from .settings import (
    CONFIG,
    FLANNEL_IFACE,
    NODE_IP,
    OFF,
    K3sConfigError,
    Setting,
    address_of,
)
from .yaml_reader import settings_of_yaml

PATH = f"{CONFIG}.d/k3s-default-route.yaml"
"""The file of ours."""
_HEADER = f"""\
# Made by edgeops.k3s_network, role k3s_default_route: the only default route leads to a dummy
# interface, and K3s would report its address. Switched off by {OFF}
"""


@dataclass(frozen=True)
class Situation:
    """What was read from the host; addresses without a prefix length."""

    detected_interface: str
    detected_address: str
    """What K3s will find by the default route after the run; empty where it will find nothing."""
    dummy: str
    """The dummy interface of ours, empty where there is none after the run."""
    ours: Optional[str]
    """The text of PATH, None where there is none."""
    settings: Sequence[Setting]
    """The user's, without those of PATH, in the order in which K3s reads them."""
    installed: Optional[tuple[str, ...]]
    """The node's addresses that K3s runs with, empty where they could not be read; None where K3s
    has not run yet."""


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
    """That K3s would detect the dummy, where nobody has told it the address yet."""


def render(values: Mapping[str, str]) -> str:
    """Return the text of PATH."""
    quoted = {key: value.replace("'", "''") for key, value in values.items()}
    return _HEADER + "".join(f"{key}: '{value}'\n" for key, value in quoted.items())


def in_force(settings: Sequence[Setting], key: str) -> Optional[Setting]:
    """Return what K3s makes of all settings of a key, None where there is none.

    node-ip is a list: what the command line adds comes after what the files say, and the first
    address counts. Of any other key the last value counts.
    """
    counting: list[Setting] = []
    for setting in settings:
        if setting.key == key:
            counting = [*counting, setting] if setting.append else [setting]
    if not counting:
        return None
    if key != NODE_IP:
        # An empty list adds nothing, so what came before it counts.
        return next((one for one in reversed(counting) if one.values), counting[-1])
    sources = dict.fromkeys(setting.source for setting in counting)
    values = tuple(value for setting in counting for value in setting.values)
    return Setting(" and ".join(sources), key, values)


def plan(situation: Situation, wanted: Optional[Wanted]) -> Decision:
    """Return what becomes of PATH; C(wanted) is None where it is switched off.

    Raises K3sConfigError where a K3s that has run would get another address, and where K3s has to
    be told its address and may have been told another one already.
    """
    dummy = not situation.detected_address or situation.detected_interface == situation.dummy
    problem = next((setting.problem for setting in situation.settings if setting.problem), "")
    if problem and wanted is not None and dummy:
        raise K3sConfigError(problem)
    if problem and situation.ours is not None:
        return Decision(situation.ours, (f"{PATH} stays: {problem}",))
    if wanted is None:
        return _not_told(situation)
    if problem:
        return Decision(None, (problem,))
    return _with_dummy(situation, wanted) if dummy else _with_real_route(situation, wanted)


def _with_dummy(situation: Situation, wanted: Wanted) -> Decision:
    missing, warnings, note = {}, [], ""
    for key, value in wanted.values().items():
        user = in_force(situation.settings, key)
        if user is None:
            missing[key] = value
        elif not _says(user, value):
            warnings.append(_differs(user, value, situation.installed))
    if not missing:
        return Decision(None, tuple(warnings))
    config = _other_config(situation)
    if config is not None:
        warnings.append(
            f"{config.source} makes K3s read {config.text} instead of {CONFIG}, so {PATH} would "
            f"have no effect; set {_lines(missing)} there"
        )
        return Decision(None, tuple(warnings))
    if missing != _values_of_ours(situation):
        _check_installed(situation, wanted)
        if situation.detected_address:
            note = f"{_would_report(situation)}; {PATH} sets {_lines(missing)}"
    return Decision(render(missing), tuple(warnings), note)


def _check_installed(situation: Situation, wanted: Wanted) -> None:
    installed = situation.installed
    if installed is None or _overlap(installed, [wanted.node_ip]):
        return
    user = in_force(situation.settings, NODE_IP)
    if user is not None and _says(user, wanted.node_ip):
        # Whatever K3s ran with, the next address is not up to our file.
        return
    address = f"the address {', '.join(installed)}" if installed else "an unknown address"
    remedy = ", or ".join(installed) or "the address that K3s runs with"
    raise K3sConfigError(
        f"K3s has run on this node with {address}, and the node's address in the cluster should "
        f"be {wanted.node_ip}; K3s is not given another address, which an etcd member can't "
        f"change: set k3s_topology_node_ip to {remedy}, or {OFF}"
    )


def _with_real_route(situation: Situation, wanted: Wanted) -> Decision:
    decision = _without_ours(situation)
    if decision.text is not None:
        return decision
    user = in_force(situation.settings, NODE_IP)
    if user is not None:
        if _says(user, wanted.node_ip):
            return decision
        return Decision(None, (_differs(user, wanted.node_ip, situation.installed),))
    detected = situation.detected_address
    if _overlap([detected], [wanted.node_ip]):
        return decision
    config = _other_config(situation)
    remedies = _remedies(
        situation.installed,
        detected,
        f"set k3s_topology_node_ip to {detected}",
        wanted.node_ip,
        f"set {_lines(wanted.values())} in {config.text if config else CONFIG}",
    )
    return Decision(
        None,
        (
            f"the default route leaves by {situation.detected_interface}, so K3s will report "
            f"{detected} instead of {wanted.node_ip}; {remedies}",
        ),
    )


def _not_told(situation: Situation) -> Decision:
    decision = _without_ours(situation)
    if (
        decision.text is None
        and situation.detected_address
        and situation.detected_interface == situation.dummy
        and in_force(situation.settings, NODE_IP) is None
        and not situation.installed
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
    ours = _values_of_ours(situation).get(NODE_IP)
    if situation.installed is None or ours is None or _other_config(situation) is not None:
        return Decision(None)
    user = in_force(situation.settings, NODE_IP)
    others = list(user.values) if user is not None else [situation.detected_address]
    if _overlap(others, [*situation.installed, ours]):
        return Decision(None)
    runs = ", ".join(situation.installed) or "an unknown address"
    would = "find no address"
    if user is not None:
        would = f"take {user.text} from {user.source}"
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


def _differs(user: Setting, value: str, installed: Optional[tuple[str, ...]]) -> str:
    change = f"change it there to {value}"
    if user.key != NODE_IP and any(user.values):
        remedies = f"{change}, or set k3s_topology_cluster_interface to {user.values[-1]}"
    elif user.key == NODE_IP and user.values and address_of(user.values[0]) is not None:
        said = user.values[0]
        adopt = f"set k3s_topology_node_ip to {said}"
        remedies = _remedies(installed, said, adopt, value, change)
    else:
        remedies = change
    return f"{user.source} sets {user.key} to {user.text} instead of {value}; {remedies}"


def _remedies(
    installed: Optional[tuple[str, ...]], said: str, adopt: str, wanted: str, change: str
) -> str:
    """Join two remedies, or name the one that leaves a K3s that has run its address."""
    runs = installed or ()
    remedies = [] if _overlap(runs, [wanted]) else [adopt]
    if not _overlap(runs, [said]):
        remedies.append(change)
    return ", or ".join(remedies or [adopt, change])


def _lines(values: Mapping[str, str]) -> str:
    return " and ".join(f"{key}: {value}" for key, value in values.items())


def _other_config(situation: Situation) -> Optional[Setting]:
    config = in_force(situation.settings, "config")
    if config is None or posixpath.normpath(config.text) == CONFIG:
        return None
    return config


def _values_of_ours(situation: Situation) -> dict[str, str]:
    settings = settings_of_yaml(PATH, situation.ours or "")
    return {setting.key: setting.text for setting in settings}


def _says(setting: Setting, value: str) -> bool:
    wanted = address_of(value)
    if setting.key != NODE_IP or wanted is None:
        return setting.values[-1:] == (value,)
    # Of each family the first one counts, so that both of a dual-stack node are told.
    addresses = [address_of(text) for text in setting.values]
    return wanted == next(
        (one for one in addresses if one is not None and one.version == wanted.version), None
    )


def _overlap(some: Sequence[str], others: Sequence[str]) -> bool:
    found = {address_of(text) for text in some} & {address_of(text) for text in others}
    return bool(found - {None})
