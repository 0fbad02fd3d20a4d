# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the action plugins share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Optional

from ansible import constants
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ._answers import old_python, output
from ._answers.result import Reader, checked, invalid
from ._answers.values import line as one_line

_VERY_VERBOSE = 3
# Those of Mitogen have its name in front.
_WITHOUT_LOCKSTEP = re.compile(r"(?:mitogen_)?(?:free|host_pinned)")
# What reading a result of any form may raise.
_UNREADABLE = (AttributeError, LookupError, RecursionError, TypeError, ValueError)


class NodeAction(ActionBase):  # type: ignore[misc]
    """Base of the action plugins that run the module of their name on a node."""

    _task: Any
    _discovered_interpreter: Any
    _used_interpreter: Any

    TRANSFERS_FILES = False

    def run(
        self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None
    ) -> dict[str, Any]:
        """Return the result that the module of this name documents."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        self._task.args = without_empty(self._task.args)
        result.update(self.act(task_vars))
        return result

    def act(self, task_vars: Optional[dict[str, Any]]) -> dict[str, Any]:
        """Run the module and return what is valid of its result, by answer()."""
        raise NotImplementedError

    def _low_level_execute_command(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        """Return what a command printed, clean: Ansible prints parts of it as it parses it."""
        answer: dict[str, Any] = super()._low_level_execute_command(*arguments, **named)
        for key in ("stdout", "stderr"):
            if isinstance(answer.get(key), str):
                answer[key] = output.cleaned(answer[key])
                answer[f"{key}_lines"] = answer[key].splitlines()
        return answer

    def answer(
        self, read: Reader, task_vars: Optional[dict[str, Any]], **module: Any
    ) -> dict[str, Any]:
        """Run a module and return what is valid of its result, or a failure of this node.

        Args:
            read: Returns what is valid of the result of a module that succeeded.
            task_vars: The variables of the task.
            module: The arguments of _execute_module().
        """
        subject = self.subject(task_vars)
        try:
            result = self._execute_module(task_vars=task_vars, **module)
        except _UNREADABLE as error:
            return invalid(subject, f"it cannot be read: {type(error).__name__}")
        found = checked(result, read, subject)
        if old_python.is_possible(result):
            interpreter = str(self._used_interpreter or "").lstrip("#!")
            found = old_python.explained(
                found, self._host(task_vars), interpreter, self._version(interpreter)
            )
        # Ansible found the interpreter itself, and looks for it again if that gets lost.
        key = getattr(self, "_discovered_interpreter_key", None)
        if isinstance(key, str):
            found["ansible_facts"] = {key: self._discovered_interpreter}
        return found

    def subject(self, task_vars: Optional[dict[str, Any]]) -> str:
        """Return how a message names the result of this task."""
        action = str(self._task.action).rpartition(".")[2]
        return f"host {self._host(task_vars)}: the result of {action}"

    def _host(self, task_vars: Optional[dict[str, Any]]) -> str:
        delegate = self._task.delegate_to
        host = (
            delegate
            if isinstance(delegate, str)
            else (task_vars or {}).get("inventory_hostname", "unknown")
        )
        return one_line(str(host), "host")

    def _version(self, interpreter: str) -> str:
        """Return what an interpreter prints as its version, empty if it cannot be asked."""
        if not interpreter:
            return ""
        try:
            answer = self._low_level_execute_command(old_python.ASK.format(interpreter))
        except AnsibleError:
            return ""
        return str(answer.get("stdout", ""))

    def predict(
        self, read: Reader, task_vars: Optional[dict[str, Any]], **module: Any
    ) -> dict[str, Any]:
        """Run a module in check mode, without a diff. The arguments are those of answer()."""
        task = self._task
        self._task = task.copy()
        self._task.check_mode = True
        self._task.diff = False
        try:
            return self.answer(read, task_vars, **module)
        finally:
            self._task = task


class ControllerAction(ActionBase):  # type: ignore[misc]
    """Base of the action plugins that run on the controller and connect to no node."""

    _task: Any
    _templar: Any

    TRANSFERS_FILES = False
    _requires_connection = False

    def strategy_problem(self) -> str:
        """Return why a task that needs the results of all hosts cannot run, empty if it can.

        With the strategy C(free), which ignores C(run_once), it runs for each host before the
        others have returned what it needs.
        """
        play = self._task.get_play()
        strategy = str(self._templar.template(play.strategy))
        if not _WITHOUT_LOCKSTEP.fullmatch(strategy.rpartition(".")[2]):
            return ""
        name = one_line(str(play.get_name()), "play")
        return (
            f"the play {name!r} uses the strategy {strategy}, with which hosts do not wait for the "
            "results of others. Set strategy: linear on the play, or use the playbooks of "
            "edgeops.k3s_network"
        )


def without_empty(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's options without those whose value is an empty text: they have their default.

    The answer to a question of a survey may be one.
    """
    return {
        name: without_empty(value) if isinstance(value, Mapping) else value
        for name, value in arguments.items()
        if not (isinstance(value, str) and not value.strip())
    }


def print_lines(
    lines: Iterable[str], ok: str, errors: tuple[str, ...], warnings: tuple[str, ...] = ()
) -> None:
    """Print a report one line at a time, because AWX cuts long events.

    It goes to stderr if a program reads what the callback prints on stdout. The other arguments are
    how the lines of a color begin.
    """
    on_stderr = is_machine_readable(str(constants.DEFAULT_STDOUT_CALLBACK))
    colors = (
        (errors, constants.COLOR_ERROR),
        (warnings, constants.COLOR_WARN),
        ((ok,), constants.COLOR_OK),
    )
    for line in lines:
        color = next((color for prefixes, color in colors if line.startswith(prefixes)), None)
        Display().display(line, color=color, stderr=on_stderr)


def is_machine_readable(callback: str) -> bool:
    """Return whether a callback prints JSON, such as C(ansible.posix.json) and C(jsonl)."""
    return "json" in callback.rpartition(".")[2]


def hide_below_vvv(result: dict[str, Any]) -> dict[str, Any]:
    """Mark a result that is data for later tasks: printed with -vvv, as a failure is anyway.

    Ansible itself does so with the facts of setup.
    """
    if Display().verbosity < _VERY_VERBOSE:
        result["_ansible_verbose_override"] = True
    return result
