# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of iptables, which a reload of firewalld may flush: saves and restores them."""

from __future__ import annotations

from collections.abc import Mapping

from .._host.commands import RunCommand, find_program
from .iptables_rules import missing

_COMMANDS = {"iptables-save": "iptables-restore", "ip6tables-save": "ip6tables-restore"}
# Seconds to wait for another program that changes rules, such as kube-proxy. Without it, the
# legacy variant waits without end (1.8.9) or fails at once, depending on its version.
_WAIT = "--wait=10"


class IptablesError(Exception):
    """iptables failed; the text holds the command and what it said."""


class Iptables:
    """iptables and ip6tables of this host, by the names that firewalld calls them by."""

    def __init__(self, run_command: RunCommand) -> None:
        self._run_command = run_command

    def saved(self) -> dict[str, str]:
        """Return what iptables-save and ip6tables-save print, by their names, where it is rules."""
        found = {}
        for command in _COMMANDS:
            path = find_program(command)
            if path is None:
                continue
            code, out, _err = self._run_command([path])
            # Without support in the kernel, say for IPv6, there is nothing to lose.
            if code == 0 and out.strip():
                found[command] = out
        return found

    def restore(self, before: Mapping[str, str]) -> None:
        """Restore what is missing of what saved() returned. Raises IptablesError."""
        if not before:
            return
        after = self.saved()
        for command, text in before.items():
            lost = missing(text, after.get(command, ""))
            if lost:
                restore = [
                    find_program(_COMMANDS[command]) or _COMMANDS[command],
                    _WAIT,
                    "--noflush",
                ]
                code, out, err = self._run_command(restore, data=lost)
                if code != 0:
                    raise IptablesError(f"{' '.join(restore)}: {(err or out).strip()}")
