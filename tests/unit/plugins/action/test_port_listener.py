# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from unittest.mock import MagicMock

import pytest
from ansible.errors import AnsibleError
from ansible_collections.edgeops.k3s_network.plugins.action.port_listener import ActionModule
from ansible_collections.edgeops.k3s_network.plugins.module_utils._probe.listener import start_time
from ansible_collections.edgeops.k3s_network.tests.unit.support.answers import LISTENERS


def act(command=None, given=None, **args):
    given = [] if given is None else given
    task = MagicMock(check_mode=False, async_val=0, diff=False, args=args)
    action = ActionModule(task, *[MagicMock()] * 5)
    action._execute_module = lambda module_args, task_vars: given.append(module_args) or LISTENERS
    action._low_level_execute_command = command
    return action.run(task_vars={})


def in_shell(*shell):
    def command(text):
        done = subprocess.run([*shell, "-c", text], check=False, capture_output=True, text=True)
        return {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}

    return command


@contextlib.contextmanager
def process():
    with subprocess.Popen(["sleep", "60"]) as made:
        try:
            yield made
        finally:
            made.kill()


def test_the_start_is_up_to_the_module():
    given = []
    result = act(given=given, state="started", token="t")
    assert given == [{"state": "started", "token": "t"}]
    assert result["processes"] == LISTENERS["processes"]


@pytest.mark.parametrize("shell", [["dash"], ["bash"], ["busybox", "sh"]])
def test_processes_are_killed_and_counted(shell):
    if shutil.which(shell[0]) is None:
        pytest.skip(f"there is no {shell[0]}")
    with process() as one, process() as other, process() as stranger:
        named = [{"pid": each.pid, "started": start_time(each.pid)} for each in (one, other)]
        # A number that is in new hands, and one in none.
        named.append({"pid": stranger.pid, "started": start_time(stranger.pid) - 1})
        named.append({"pid": 2**22 + 1, "started": 1})

        result = act(in_shell(*shell), state="stopped", processes=named)
        assert (result["stopped"], result["changed"]) == (2, False)
        assert (one.wait(30), other.wait(30)) == (-9, -9)
        assert stranger.poll() is None


def test_what_has_ended_already_is_not_counted():
    with process() as one:
        named = {"pid": one.pid, "started": start_time(one.pid)}
        one.kill()
        os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
        # Not waited for, it is still there as a zombie.
        assert act(in_shell("sh"), state="stopped", processes=[named])["stopped"] == 0
        one.wait()
        assert act(in_shell("sh"), state="stopped", processes=[named])["stopped"] == 0


def test_no_processes_are_none_to_stop():
    assert act(in_shell("sh"), state="stopped", processes=[])["stopped"] == 0


def test_what_others_say_on_the_terminal_first_does_not_matter():
    said = "sudo: unable to resolve host node1: Name or service not known\r\n2\r\n"
    answer = {"rc": 0, "stdout": said, "stderr": ""}
    assert act(lambda _text: answer, state="stopped", processes=[])["stopped"] == 2


def test_a_host_that_runs_no_command_is_a_failure():
    answer = {"rc": 1, "stdout": "", "stderr": "sudo: a password is required\n"}
    result = act(lambda _text: answer, state="stopped", processes=[])
    assert result["failed"]
    assert "sudo: a password is required" in result["msg"]


@pytest.mark.parametrize("args", [{}, {"processes": [{"pid": "1; reboot", "started": 1}]}])
def test_wrong_arguments_are_refused(args):
    with pytest.raises(AnsibleError):
        act(in_shell("sh"), state="stopped", **args)
