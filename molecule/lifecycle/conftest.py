# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster as tests find it that take away something of what was prepared."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def prepared_cluster(playbook):
    """Prepare all nodes, whatever the tests before have left."""
    run = playbook("prepare", "--tags", "firewall")
    assert run.returncode == 0, run.output
