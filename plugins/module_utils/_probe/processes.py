# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option of modules that takes processes which listen."""

from __future__ import annotations

from typing import Any


def processes_spec() -> dict[str, Any]:
    """Return the argument spec of a list of processes, by their number and start time."""
    return {
        "type": "list",
        "elements": "dict",
        "options": {
            "pid": {"type": "int", "required": True},
            "started": {"type": "int", "required": True},
        },
    }
