# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The states of systemd's units."""

from __future__ import annotations

SHOW = ("systemctl", "show", "--property=Id,LoadState,ActiveState,UnitFileState")
"""The command that parse_units() reads, with the names of units after it."""


def parse_units(text: str) -> dict[str, dict[str, str]]:
    """Read what systemctl show printed; units that the host does not have are left out."""
    units = {}
    for block in text.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if values.get("LoadState", "not-found") != "not-found":
            units[values.get("Id", "")] = {
                "load": values["LoadState"],
                "active": values.get("ActiveState", ""),
                "file": values.get("UnitFileState", ""),
            }
    return units
