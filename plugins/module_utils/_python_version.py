# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Refuse a Python that is too old. Modules import this before code that it cannot run.

Python 3.7 and older may refuse to compile a module. The action plugins explain either.
"""

from __future__ import annotations

import sys

OLDEST = (3, 9)
"""What the modules of this collection need."""


def check() -> None:
    """Raise RuntimeError if this Python is too old."""
    if sys.version_info < OLDEST:
        version = ".".join(map(str, sys.version_info[:2]))
        raise RuntimeError(
            f"the modules of edgeops.k3s_network need Python {OLDEST[0]}.{OLDEST[1]} or newer, and "
            f"{sys.executable} is {version}"
        )
