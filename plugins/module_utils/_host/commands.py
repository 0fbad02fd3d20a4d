# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs commands for a module that must roll back its changes before it ends."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Any, Optional, Protocol

# As a shell returns.
NOT_EXECUTABLE = 126
NOT_FOUND = 127


class RunCommand(Protocol):
    """Runs a command and returns (return code, stdout, stderr), as AnsibleModule does."""

    def __call__(self, args: Sequence[str], data: Optional[str] = None) -> tuple[int, str, str]: ...


def runner(module: Any) -> RunCommand:
    """Return the function that runs commands for an AnsibleModule.

    AnsibleModule.run_command ends the module, with SystemExit, if a command is missing. This one
    returns an error code, so that the caller reports it and rolls back.
    """

    def run(args: Sequence[str], data: Optional[str] = None) -> tuple[int, str, str]:
        try:
            code, out, err = module.run_command(list(args), data=data, handle_exceptions=False)
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            text = f"{args[0]}: {error.strerror or error}\n"
            return NOT_FOUND if missing else NOT_EXECUTABLE, "", text
        return code, out, err

    return run


def find_program(name: str) -> Optional[str]:
    """Return the path of a program, None if it is not installed.

    A user who became root may not have the directories of root's programs in PATH.
    """
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
