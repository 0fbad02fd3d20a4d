# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Explains that a node's Python is too old, whatever it said about that. Pure functions.

Which statement an old Python refuses depends on the versions of both: ansible-core 2.16 starts a
module with Python 2.7, and its wrapper of 2.19 is a SyntaxError for 3.6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...module_utils._python_version import OLDEST
from . import values

ASK = """{} -c 'import sys; print("python %d.%d" % sys.version_info[:2])'"""
"""Prints the version of an interpreter. Any Python understands it."""
_VERSION = re.compile(r"python (\d)\.(\d{1,3})")
_OUTPUTS = ("exception", "module_stdout", "module_stderr")
_CORE_REFUSES = re.compile(r"[Rr]equires (?:a minimum of )?Python")
_OLD_PYTHON = re.compile(
    r"future feature annotations is not defined|'(?:type|ABCMeta)' object is not subscriptable"
    r"|modules of edgeops\.k3s_network need Python"
)
_LONGEST = 20_000
_REMEDY = (
    "Set ansible_python_interpreter to a newer one, such as /usr/bin/python3.11. Enterprise Linux "
    "8 and openSUSE Leap 15 cannot be used: they have firewalld's bindings only for Python 3.6"
)


def is_possible(result: Any) -> bool:
    """Return whether the failure of a module may be that of an old Python."""
    if not isinstance(result, Mapping) or not result.get("failed"):
        return False
    return any(result.get(key) for key in _OUTPUTS) or bool(
        _CORE_REFUSES.search(str(result.get("msg"))[:_LONGEST])
    )


def explained(found: Mapping[str, Any], host: str, interpreter: str, answer: str) -> dict[str, Any]:
    """Return the failure of a module, as a plain message if the interpreter is too old.

    Args:
        found: The failure, clean.
        host: The node.
        interpreter: The path of the interpreter.
        answer: What it printed if it was asked for its version by C(ASK); empty if it was not.
    """
    versions = _VERSION.findall(answer[-_LONGEST:])
    version = tuple(map(int, versions[-1])) if versions else None
    if version is not None and version >= OLDEST:
        return dict(found)
    texts = (found.get(key) for key in ("msg", *_OUTPUTS))
    if version is None and not any(_OLD_PYTHON.search(text) for text in texts if text):
        return dict(found)
    which = f"is {version[0]}.{version[1]}" if version else "is older"
    path = values.line(interpreter, "interpreter")
    kept = {key: value for key, value in found.items() if key not in (*_OUTPUTS, "rc")}
    return {
        **kept,
        "msg": f"host {host}: the modules need Python {OLDEST[0]}.{OLDEST[1]} or newer, and "
        f"{path or 'its interpreter'} {which}. {_REMEDY}",
    }
