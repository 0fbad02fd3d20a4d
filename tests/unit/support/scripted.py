# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run_command that knows exactly which commands come, in which order."""

from __future__ import annotations

from collections.abc import Sequence


class ScriptedCommands:
    """Answers commands from a script; one that is missing, extra or another fails the test.

    Use it as a context manager, so that commands that never came are found as well.
    """

    def __init__(self, *script: tuple[str, int, str]) -> None:
        """Take (command line, return code, output) in order; output is stderr where it failed."""
        self._script = list(script)

    def __call__(self, arguments: Sequence[str]) -> tuple[int, str, str]:
        said = " ".join(arguments)
        assert self._script, f"no further command was expected, and there came: {said}"
        expected, code, output = self._script.pop(0)
        assert said == expected
        return (code, output, "") if code == 0 else (code, "", output)

    def __enter__(self) -> ScriptedCommands:
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        if kind is None:
            assert not self._script, f"these commands never came: {self._script}"
