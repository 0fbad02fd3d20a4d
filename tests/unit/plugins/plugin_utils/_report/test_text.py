# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.edgeops.k3s_network.plugins.plugin_utils._report.text import (
    clip,
    plural,
    some,
)


@pytest.mark.parametrize(("width", "text"), [(7, "1234..."), (8, "12345678")])
def test_clip_long_text_has_the_width(width, text):
    assert clip("12345678", width) == text


def test_plural_one_has_no_s():
    assert [plural(count, "check") for count in (0, 1, 2)] == ["0 checks", "1 check", "2 checks"]


def test_some_long_list_counts_the_rest():
    assert some(["a", "b", "c"], 2) == "a, b, c"
    assert some(["a", "b", "c", "d"], 2) == "a, b and 2 more"
