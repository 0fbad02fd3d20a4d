# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a module under the interpreter that has the system's Python libraries."""

from __future__ import annotations

import importlib.util

from ansible.module_utils.common.respawn import (
    has_respawned,
    probe_interpreters_for_module,
    respawn_module,
)

_SYSTEM_INTERPRETERS = ["/usr/libexec/platform-python", "/usr/bin/python3"]


def need_library(library: str, package: str) -> str:
    """Run the module under an interpreter that has a library, this one or another of the host.

    Returns what is missing, with the package to install, if no interpreter has it.
    """
    if importlib.util.find_spec(library) is not None:
        return ""
    if not has_respawned():
        interpreter = probe_interpreters_for_module(_SYSTEM_INTERPRETERS, library)
        if interpreter:
            respawn_module(interpreter)
    return (
        f"No Python on this host has the module {library}. Install {package}, "
        "or firewalld itself if it is missing."
    )
