# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the action plugins share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Optional

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

_VERY_VERBOSE = 3


class NodeAction(ActionBase):  # type: ignore[misc]
    """Base of the action plugins that run the module of their name on a node."""

    _task: Any

    TRANSFERS_FILES = False

    def run(
        self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None
    ) -> dict[str, Any]:
        """Return the result that the module of this name documents."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        result.update(self.act(task_vars))
        return result

    def act(self, task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        """Run the module. Subclasses do here what they do instead or in addition."""
        return dict(self._execute_module(task_vars=task_vars))

    def predict(self, task_vars: Optional[dict[str, Any]], **module: Any) -> dict[str, Any]:
        """Run a module in check mode, without a diff. The arguments are _execute_module()'s."""
        task = self._task
        self._task = task.copy()
        self._task.check_mode = True
        self._task.diff = False
        try:
            return dict(self._execute_module(task_vars=task_vars, **module))
        finally:
            self._task = task


class ControllerAction(ActionBase):  # type: ignore[misc]
    """Base of the action plugins that run on the controller and connect to no node."""

    TRANSFERS_FILES = False
    _requires_connection = False


def print_lines(
    lines: Iterable[str], ok: str, errors: tuple[str, ...], warnings: tuple[str, ...] = ()
) -> None:
    """Print a report one line at a time, because AWX cuts long events.

    The other arguments are how the lines of a color begin.
    """
    colors = (
        (errors, constants.COLOR_ERROR),
        (warnings, constants.COLOR_WARN),
        ((ok,), constants.COLOR_OK),
    )
    for line in lines:
        color = next((color for prefixes, color in colors if line.startswith(prefixes)), None)
        Display().display(line, color=color)


def hide_below_vvv(result: dict[str, Any]) -> dict[str, Any]:
    """Mark a result that is data for later tasks: printed with -vvv, as a failure is anyway.

    Ansible itself does so with the facts of setup.
    """
    if Display().verbosity < _VERY_VERBOSE:
        result["_ansible_verbose_override"] = True
    return result
