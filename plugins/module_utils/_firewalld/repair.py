# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find files of this collection that firewalld cannot read, such as truncated ones."""

from __future__ import annotations

import os
import time
import xml.etree.ElementTree
from collections.abc import Collection

from .backend import FirewalldBackend
from .files import files_of
from .model import Key

# firewalld watches its files and forgets an object whose file is removed.
_WATCH_SECONDS = 5.0
_STEP = 0.1


def broken_objects(owned: Collection[Key]) -> list[Key]:
    """Return the objects of this collection whose file is there and is not XML."""
    return [key for key in sorted(owned) if _is_broken(files_of(*key)[0])]


def wait_until_forgotten(client: FirewalldBackend, keys: Collection[Key]) -> bool:
    """Wait until firewalld no longer lists objects; return whether it does not."""
    deadline = time.monotonic() + _WATCH_SECONDS
    client.forget()
    while client.permanent_keys() & set(keys):
        if time.monotonic() > deadline:
            return False
        time.sleep(_STEP)
        client.forget()
    return True


def _is_broken(path: str) -> bool:
    try:
        xml.etree.ElementTree.parse(path)
    except FileNotFoundError:
        return False
    except (OSError, xml.etree.ElementTree.ParseError):
        return os.path.exists(path)
    return False
