# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks iproute2 in JSON."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

Ask = Callable[[Sequence[str], str], list[dict[str, Any]]]
"""Runs a command with a standard input and returns the objects of all lists that it printed."""


def ask(argv: Sequence[str], stdin: str = "") -> list[dict[str, Any]]:
    """Run a command of iproute2; what it does not know, or not having it, is an empty list."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    try:
        out = subprocess.run(
            argv,
            input=stdin,
            env={**os.environ, "PATH": path, "LC_ALL": "C"},
            check=False,
            capture_output=True,
            text=True,
        ).stdout
    except OSError:
        return []
    return objects(out)


def objects(text: str) -> list[dict[str, Any]]:
    """Return the objects of JSON lists that follow each other."""
    decoder = json.JSONDecoder()
    found: list[dict[str, Any]] = []
    position = 0
    while True:
        while position < len(text) and text[position].isspace():
            position += 1
        try:
            # iproute2 prints empty objects for what was filtered out.
            one, position = decoder.raw_decode(text, position)
        except ValueError:
            return found
        found += [entry for entry in one if entry] if isinstance(one, list) else []
