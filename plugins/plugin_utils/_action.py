# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task tells on the terminal."""

from __future__ import annotations

from typing import Any

from ansible.utils.display import Display

_VERY_VERBOSE = 3


def hide_below_vvv(result: dict[str, Any]) -> dict[str, Any]:
    """Mark a result that is data for later tasks: printed with -vvv, as a failure is anyway.

    Ansible itself does so with the facts of setup.
    """
    if Display().verbosity < _VERY_VERBOSE:
        result["_ansible_verbose_override"] = True
    return result
