# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run of the module returned."""

from __future__ import annotations


def succeeded(told, changed):
    assert "failed" not in told, told
    assert told["changed"] == changed, told


def refused(told, *parts):
    for part in parts:
        assert part in told.get("failed", ""), told
