# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the collection says of itself to Ansible."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]


def plugins(kind):
    return {path.stem for path in (ROOT / "plugins" / kind).glob("*.py")} - {"__init__"}


def test_the_action_group_has_every_module_and_nothing_else():
    groups = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["action_groups"]
    assert set(groups) == {"all"}
    assert sorted(plugins("modules") | plugins("action")) == groups["all"]


def test_every_module_says_that_it_is_in_the_group():
    for name in plugins("modules"):
        text = (ROOT / "plugins" / "modules" / f"{name}.py").read_text()
        assert "  - edgeops.k3s_network.attributes.actiongroup\n" in text, name
