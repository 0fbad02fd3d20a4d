# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a module under the interpreter that has the system's Python libraries."""

from __future__ import annotations

import glob
import importlib.util
import os
import re
import subprocess
from collections.abc import Sequence
from typing import NamedTuple, Optional

from ansible.module_utils.common.respawn import (
    has_respawned,
    probe_interpreters_for_module,
    respawn_module,
)

from .._python_version import OLDEST

_SYSTEM_INTERPRETERS = ("/usr/bin/python3", "/usr/libexec/platform-python")
_OTHERS = "/usr/bin/python3.[0-9]*"
_SECONDS = 20
_OUTPUT = re.compile(r"(\d+)\.(\d+) (True|False)")


class Interpreter(NamedTuple):
    """A Python of the host."""

    path: str
    version: tuple[int, int]
    has_library: bool

    @property
    def is_usable(self) -> bool:
        """Return whether a module can run under it."""
        return self.has_library and self.version >= OLDEST


def need_library(library: str, package: str) -> str:
    """Run the module under an interpreter that has a library, this one or another of the host.

    Returns what is missing, with the package to install, if no interpreter has it.
    """
    if importlib.util.find_spec(library) is not None:
        return ""
    found = interpreters(library)
    if not has_respawned():
        usable = [one.path for one in found if one.is_usable]
        interpreter = probe_interpreters_for_module(usable, library)
        if interpreter:
            respawn_module(interpreter)
    return missing(library, package, found)


def missing(library: str, package: str, found: Sequence[Interpreter]) -> str:
    """Return that no interpreter has a library, which ones were found, and what to do."""
    oldest = ".".join(map(str, OLDEST))
    told = ", ".join(
        f"{one.path} is Python {one.version[0]}.{one.version[1]} "
        f"{'with' if one.has_library else 'without'} it"
        for one in found
    )
    text = (
        f"No Python of at least {oldest} on this host has the module {library}"
        f"{f' ({told})' if told else ''}. "
    )
    if any(one.has_library and one.version < OLDEST for one in found):
        return (
            f"{text}The distribution has it only for an older Python, as Enterprise Linux 8 and "
            f"openSUSE Leap 15 do: use a release whose own Python is at least {oldest}."
        )
    return f"{text}Install {package}, or firewalld itself if it is missing."


def interpreters(
    library: str, paths: Sequence[str] = _SYSTEM_INTERPRETERS, others: str = _OTHERS
) -> list[Interpreter]:
    """Return the interpreters of the host, those of the system first, each once."""
    numbered = [path for path in glob.glob(others) if re.fullmatch(r".*python3\.\d+", path)]
    found: dict[str, Interpreter] = {}
    for path in (*paths, *sorted(numbered)):
        real = os.path.realpath(path)
        if real not in found:
            one = _look(path, library)
            if one is not None:
                found[real] = one
    return list(found.values())


def _look(path: str, library: str) -> Optional[Interpreter]:
    # Python 3.6 understands it as well.
    code = (
        "import importlib.util, sys; "
        f"print('%d.%d %s' % (sys.version_info[0], sys.version_info[1], "
        f"importlib.util.find_spec('{library}') is not None))"
    )
    try:
        done = subprocess.run(
            [path, "-c", code], check=False, capture_output=True, text=True, timeout=_SECONDS
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    match = _OUTPUT.fullmatch(done.stdout.strip())
    if match is None:
        return None
    return Interpreter(path, (int(match[1]), int(match[2])), match[3] == "True")
