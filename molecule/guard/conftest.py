# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""New connections for each command on a machine."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def controlpath() -> None:
    """No connection is kept: that a new one is admitted is what shows that nobody is locked out."""
