# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tests expect of the problems that a validation names."""

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._topology.model import (
    TopologyError,
)


def only(problems, *parts):
    """Assert that there is one problem, and that its text holds every part."""
    assert len(problems) == 1, problems
    for part in parts:
        assert part in problems[0]


def problems_of(function, *arguments):
    """Return the problems that a function raises."""
    with pytest.raises(TopologyError) as error:
        function(*arguments)
    message = str(error.value)
    assert message.startswith(f"No changes were made. {len(error.value.problems)} problem")
    assert all(problem in message for problem in error.value.problems)
    return error.value.problems
