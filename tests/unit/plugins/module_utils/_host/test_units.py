# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.units import parse_units


def test_units_that_the_host_does_not_have_are_left_out():
    text = (
        "Id=k3s.service\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\n\n"
        "Id=firewalld.service\nLoadState=masked\nActiveState=inactive\nUnitFileState=masked\n"
    )
    assert parse_units(text) == {
        "firewalld.service": {"load": "masked", "active": "inactive", "file": "masked"}
    }
