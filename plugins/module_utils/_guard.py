# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guards a change of a node's firewall: one at a time, and taken back unless it is confirmed.

The guardian is a service of its own, so that it outlasts the module, sshd and Ansible; a second
unit takes the change back when the node starts again before it was confirmed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils import _guardian
from ansible_collections.edgeops.k3s_network.plugins.module_utils._checkpoint import (
    Checkpoint,
    CheckpointStore,
)
from ansible_collections.edgeops.k3s_network.plugins.module_utils._files import (
    write_file,
)

RunCommand = Callable[[Sequence[str]], tuple[int, str, str]]

_PACKAGE = "ansible_collections.edgeops.k3s_network.plugins.module_utils"
# All that the guardian imports of ours; a test compares.
PARTS = (
    "_checkpoint",
    "_files",
    "_firewalld",
    "_firewalld_offline",
    "_firewalld_open",
    "_firewalld_others",
    "_firewalld_plan",
    "_firewalld_values",
    "_firewalld_write",
    "_guardian",
    "_iptables",
    "_iptables_rules",
    "_networkmanager",
    "_ports",
)
# Room for what has to be written back, should the disk be full by then.
_RESERVE_BYTES = 256 * 1024
_LOCK_STEP = 0.1
_ALIVE = ("active", "activating", "deactivating", "reloading")
_BOOT_UNIT = """\
[Unit]
Description=Take back a change of the firewall that nobody has confirmed (edgeops.k3s_network)
DefaultDependencies=no
Conflicts=shutdown.target
After=local-fs.target
Before=firewalld.service NetworkManager.service network-pre.target shutdown.target
RequiresMountsFor={directory} {etc}
ConditionPathExists={directory}/checkpoint.json

[Service]
Type=oneshot
ExecStart={python} -I {program} --boot {directory}
"""


class GuardError(Exception):
    """The change could not be guarded, or another is open; nothing was changed."""


class Guard:
    """The guard of this host."""

    def __init__(
        self,
        run_command: RunCommand,
        store: CheckpointStore,
        paths: Optional[_guardian.Paths] = None,
    ) -> None:
        self._run_command = run_command
        self._store = store
        self._paths = paths or _guardian.Paths(store.directory)

    @contextlib.contextmanager
    def alone(
        self, patience: float, recover: Optional[Callable[[Checkpoint], None]]
    ) -> Iterator[None]:
        """Keep every other run away, waiting up to C(patience) seconds for one to end.

        A change that was left open with nobody to guard it is taken back first, or refused where
        nothing may be touched, without C(recover). Raises GuardError.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                handle = _guardian.lock(self._paths.locked, wait=False)
            except OSError as error:
                raise GuardError(
                    f"Nothing was changed. {self._paths.locked} can't be locked ({error}); "
                    "is firewalld installed?"
                ) from error
            if handle is not None:
                try:
                    if not self._store.is_open() or not self._guardian_lives():
                        self._recover(recover)
                        yield
                        return
                finally:
                    os.close(handle)
            if time.monotonic() > deadline:
                raise GuardError(
                    "Nothing was changed. Another run is changing this node's firewall, or its "
                    f"change awaits confirmation, for more than {patience:.0f} s now. Run again "
                    f"when it has ended; journalctl -u {_guardian.UNIT} tells more"
                )
            time.sleep(_LOCK_STEP)

    def begin(self, checkpoint: Checkpoint) -> None:
        """Open a change and start its guardian. Raises GuardError; nothing is left then."""
        try:
            self._store.save(checkpoint)
            self._write_program()
            self._write_boot_unit()
            self._reserve()
            self._start_guardian()
        except BaseException as error:
            with contextlib.suppress(OSError):
                self.end()
            if not isinstance(error, (OSError, GuardError)):
                raise
            raise GuardError(
                f"Nothing was changed. A change of the firewall can't be guarded here: {error}"
            ) from error

    def await_confirmation(self, checkpoint: Checkpoint, seconds: int) -> None:
        """Say that all steps are done; the guardian waits from now on."""
        deadline = time.clock_gettime(time.CLOCK_BOOTTIME) + seconds
        self._store.wait_until(checkpoint.identity, deadline)

    def end(self) -> None:
        """Make the change final, or its taking back, and leave no trace of the guard."""
        _guardian.end(self._store, self._paths)

    def _recover(self, recover: Optional[Callable[[Checkpoint], None]]) -> None:
        try:
            checkpoint = self._store.load()
        except (OSError, ValueError) as error:
            raise GuardError(
                f"Nothing was changed. An earlier change was broken off and can't be taken back: "
                f"{error}. Compare /etc/firewalld with what it should be, and remove "
                f"{self._store.directory}"
            ) from error
        open_still = checkpoint is not None and not self._store.is_confirmed(checkpoint.identity)
        if open_still and recover is None:
            raise GuardError(
                "An earlier change of the firewall was broken off and nobody has taken it back "
                "yet; a run without check mode does so first"
            )
        if recover is not None:
            if checkpoint is not None and open_still:
                recover(checkpoint)
            # A run that was killed before its first change has left files of its own, too.
            self.end()

    def _guardian_lives(self) -> bool:
        _code, out, _err = self._run_command(["systemctl", "is-active", _guardian.UNIT])
        return out.strip() in _ALIVE

    def _write_program(self) -> None:
        write_file(self._paths.program, program(), mode=0o600)

    def _write_boot_unit(self) -> None:
        text = _BOOT_UNIT.format(
            directory=self._store.directory,
            etc=self._paths.locked,
            python=sys.executable,
            program=self._paths.program,
        )
        write_file(self._paths.boot_unit, text.encode(), mode=0o644)
        os.makedirs(os.path.dirname(self._paths.boot_link), exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.symlink(self._paths.boot_unit, self._paths.boot_link)

    def _reserve(self) -> None:
        handle = os.open(self._paths.reserve, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(handle, 0, _RESERVE_BYTES)
        finally:
            os.close(handle)

    def _start_guardian(self) -> None:
        if not os.path.isdir(self._paths.systemd):
            raise GuardError("systemd does not run here, which would start the guardian")
        command = ["systemd-run", "--quiet", "--collect", f"--unit={_guardian.UNIT}"]
        for name in (
            "Type=notify",
            "Restart=on-failure",
            "RestartSec=1",
            # Python's, where the program is gone: all was done then.
            "RestartPreventExitStatus=2",
            "StartLimitIntervalSec=0",
            "OOMScoreAdjust=-900",
            "Description=Takes back a change of the firewall unless it is confirmed",
        ):
            command.append(f"--property={name}")
        command += [sys.executable, "-I", self._paths.program, self._store.directory]
        code, out, err = self._run_command(command)
        if code != 0:
            # The guardian of the change before, which has nothing to do any more, may not have
            # ended yet.
            self._run_command(["systemctl", "stop", _guardian.UNIT])
            code, out, err = self._run_command(command)
        if code != 0:
            raise GuardError(f"systemd-run: {(err or out).strip()}")


def program() -> bytes:
    """Return the guardian as a Python zip application, from wherever this module was loaded."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        package = ""
        for part in _PACKAGE.split("."):
            package += f"{part}/"
            archive.writestr(f"{package}__init__.py", "")
        for part in PARTS:
            archive.writestr(f"{package}{part}.py", _source(f"{_PACKAGE}.{part}"))
        archive.writestr(
            "__main__.py",
            f"import sys\nfrom {_PACKAGE} import _guardian\n_guardian.main(sys.argv)\n",
        )
    return buffer.getvalue()


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    loader = spec.loader if spec else None
    source = loader.get_source(module) if hasattr(loader, "get_source") else None  # type: ignore[union-attr]
    if source is None:
        raise GuardError(f"the source of {module} is missing")
    # Ansible's own loader of collections returns bytes.
    return importlib.util.decode_source(source) if isinstance(source, bytes) else str(source)
