# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a node's state and what is wanted to the target. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from .backend import FirewalldView
from .errors import FirewalldError
from .model import BINDING, IPSET, POLICY, ZONE, Key, Record, State, Target, owned_keys
from .obstacles import conflicts, left_policies, unbound_interfaces
from .plan import target_absent, target_present
from .read import Wanted, read_state
from .record_store import RECORD_PATH


def plan_target(
    client: FirewalldView, record: Record, wanted: Optional[Wanted]
) -> tuple[State, Target]:
    """Return the state and the target. Raises FirewalldError if the user has to act first."""
    state = read_state(client, record, wanted)
    if wanted is None:
        return state, target_absent(state, record)
    left = left_policies(state, record, wanted["zones"])
    if left:
        raise FirewalldError(
            f"No changes were made. The firewalld policies {', '.join(left)} name the zone that "
            "holds a NIC now, and would no longer apply once the NIC is in a zone of this "
            "collection (k3s_topology_mode segregated). Let them name ANY, disable or delete them, "
            "bind the NIC to another zone first, or set k3s_topology_mode to shared"
        )
    unbound = unbound_interfaces(state, record, wanted["policies"], wanted["zones"])
    if unbound:
        raise FirewalldError(
            f"No changes were made. No zone lists the interface {', '.join(unbound)}, on which "
            "packets of pods arrive (k3s_topology_overlay_interfaces). Bind it to the zone that it "
            f"is in: firewall-cmd --permanent --zone={state.default_zone} "
            f"--change-interface={unbound[0]}; firewall-cmd --reload"
        )
    target = target_present(state, record, **wanted)
    unknown = conflicts(state, target, record)
    if unknown:
        raise FirewalldError(
            "No changes were made. firewalld has objects that this collection would create, but "
            f"did not: {', '.join(' '.join(key) for key in unknown)}. If they are your own, give "
            "them another name. If they are left from a run whose state file "
            f"{RECORD_PATH} was lost, delete everything that is left and run again: "
            f"{'; '.join(_deletions(state, target, record, unknown))}"
        )
    return state, target


def _deletions(state: State, target: Target, record: Record, unknown: Sequence[Key]) -> list[str]:
    """Return commands that delete objects without a record, in an order that firewalld accepts."""
    present = owned_keys(target.permanent) & state.permanent_keys
    gone = {*unknown, *(present - record.objects)}
    zones = {name for kind, name in gone if kind == ZONE}
    commands = [
        f"firewall-cmd --permanent --zone={state.default_zone} --change-interface={name}"
        for (kind, name), settings in sorted(state.permanent.items())
        if kind == BINDING and settings["zone"] in zones
    ]
    for kind in (POLICY, ZONE, IPSET):
        for name in sorted(name for one, name in gone if one == kind):
            commands.append(f"firewall-cmd --permanent --delete-{kind}={name}")
    return [*commands, "firewall-cmd --reload"]
