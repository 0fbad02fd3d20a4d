# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guards a change of a node's firewall: one at a time, and rolled back unless it is confirmed.

The guardian is a service, so that it survives the end of the module, sshd and Ansible; a second
unit rolls the change back if the node reboots before it was confirmed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Optional

from .._host.commands import RunCommand
from .._host.files import (
    make_directory,
    unwritable,
    write_file,
    write_link,
)
from .._host.lock import lock
from . import guardian
from .checkpoint import Restorable, Store

_PACKAGE = "ansible_collections.edgeops.k3s_network.plugins.module_utils"
# Disk space for the files that a rollback writes, in case the disk is full by then.
_RESERVE_BYTES = 256 * 1024
_LOCK_STEP = 0.1
_ALIVE = ("active", "activating", "deactivating", "reloading")
_BOOT_UNIT = """\
[Unit]
Description=Roll back a change of the firewall that was not confirmed (edgeops.k3s_network)
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
    """The change could not be guarded, or another is open; no changes were made."""


class Guard:
    """The guard of this host. C(warnings) are for the user.

    C(restorer) is the full name of the module that restores a checkpoint, C(parts) are the files
    that it and the guardian import, as names below module_utils.
    """

    def __init__(
        self,
        run_command: RunCommand,
        store: Store,
        restorer: str,
        parts: Sequence[str],
        paths: Optional[guardian.Paths] = None,
    ) -> None:
        self._run_command = run_command
        self._store = store
        self._restorer = restorer
        self._parts = parts
        self._paths = paths or guardian.Paths(store.directory)
        self.warnings: list[str] = []

    @contextlib.contextmanager
    def exclusive_lock(
        self, patience: float, recover: Optional[Callable[[Any], None]]
    ) -> Iterator[None]:
        """Exclude every other run, waiting up to C(patience) seconds for one to end.

        A change that was left open and that no guardian handles is rolled back first by C(recover).
        Without C(recover), as in check mode, nothing is touched and such a change is refused.
        Raises GuardError.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                handle = lock(self._paths.locked, wait=False)
            except OSError as error:
                raise GuardError(
                    f"No changes were made. {self._paths.locked} cannot be locked "
                    f"({error.strerror}). Install firewalld on this node"
                ) from error
            if handle is not None:
                try:
                    if not self._is_guarded():
                        self._recover(recover)
                        yield
                        return
                finally:
                    os.close(handle)
            if time.monotonic() > deadline:
                raise GuardError(
                    "No changes were made. Another run is changing this node's firewall, or its "
                    f"change awaits confirmation, for more than {patience:.0f} s. Run again when "
                    f"it has ended; its log: journalctl -u '{guardian.UNITS}'"
                )
            time.sleep(_LOCK_STEP)

    def begin(self, checkpoint: Restorable) -> None:
        """Open a change and start its guardian. Raises GuardError; it leaves nothing then."""
        self.need_writable(copy.path for copy in checkpoint.files)
        try:
            self._store.save(checkpoint)
            self._write_program()
            self._write_boot_unit()
            self._reserve()
            self._start_guardian(checkpoint.identity)
        except BaseException as error:
            with contextlib.suppress(OSError):
                self.end()
            if not isinstance(error, (OSError, GuardError)):
                raise
            raise GuardError(
                f"No changes were made. The change of the firewall cannot be guarded: {error}"
            ) from error

    def need_writable(self, files: Iterable[str] = ()) -> None:
        """Raise GuardError if a directory that a change writes to is read-only.

        C(files) are further files that the change writes. Nothing is written, so check mode may
        call this, too.
        """
        needed = (self._store.directory, self._paths.locked, self._paths.units)
        found = unwritable((*needed, *files))
        if found:
            raise GuardError(
                f"No changes were made. Read-only on this node: {', '.join(found)}. A change of "
                "the firewall writes there, and so does its rollback. Make it writable, for "
                "example with mount -o remount,rw, or put it on a writable file system if the "
                "system is image-based, and run again"
            )

    def await_confirmation(self, checkpoint: Restorable, seconds: int) -> None:
        """Record that all steps are done; the guardian waits from now on. Raises OSError."""
        deadline = time.clock_gettime(time.CLOCK_BOOTTIME) + seconds
        self._store.wait_until(checkpoint.identity, deadline)

    def end(self) -> None:
        """Make the change, or its rollback, final and remove the guard's files. Raises OSError."""
        guardian.end(self._store, self._paths)

    def _recover(self, recover: Optional[Callable[[Any], None]]) -> None:
        checkpoint = self._load(may_write=recover is not None)
        open_still = checkpoint is not None and not self._store.is_confirmed(checkpoint.identity)
        if recover is None:
            if open_still:
                raise GuardError(
                    "An earlier change of the firewall was interrupted and is not rolled back yet. "
                    "Run without check mode, which rolls it back first"
                )
            return
        try:
            if checkpoint is not None and open_still:
                recover(checkpoint)
            # A run that was killed before its first change has left its files, too.
            self.end()
        except OSError as error:
            raise GuardError(
                f"An earlier change of the firewall was interrupted, and restoring the state "
                f"before it failed: {error}. Make sure that {self._paths.locked}, "
                f"{self._paths.units} and {self._store.directory} are writable and have free "
                "space, and run again"
            ) from error

    def _load(self, may_write: bool) -> Optional[Restorable]:
        """Return the open change; one that cannot be read is set aside."""
        store = self._store
        try:
            try:
                return store.load()
            except ValueError as unreadable:
                problem = (
                    f"An earlier change of the firewall was interrupted and cannot be rolled back: "
                    f"{unreadable}."
                )
                if may_write:
                    store.set_aside()
        except OSError as error:
            raise GuardError(
                f"No changes were made. {store.path} cannot be read or renamed ({error.strerror}). "
                "It holds the state before an earlier change that was interrupted. Check the file "
                "system, or remove the file to continue without a rollback of that change"
            ) from error
        self.warnings.append(
            f"{problem} The file is now {store.unreadable}; remove it when you do not need it. "
            "This run configures the firewall from its present state"
            if may_write
            else f"{problem} A run without check mode renames the file to {store.unreadable} and "
            "configures the firewall from its present state"
        )
        return None

    def _is_guarded(self) -> bool:
        try:
            checkpoint = self._store.load()
        except (OSError, ValueError):
            # The guardian cannot read it either.
            return False
        if checkpoint is None:
            return False
        unit = guardian.unit(checkpoint.identity)
        _code, out, _err = self._run_command(["systemctl", "is-active", unit])
        return out.strip() in _ALIVE

    def _write_program(self) -> None:
        write_file(self._paths.program, program(self._restorer, self._parts), mode=0o600)

    def _write_boot_unit(self) -> None:
        text = _BOOT_UNIT.format(
            directory=self._store.directory,
            etc=self._paths.locked,
            python=sys.executable,
            program=self._paths.program,
        )
        write_file(self._paths.boot_unit, text.encode(), mode=0o644)
        make_directory(os.path.dirname(self._paths.boot_link))
        write_link(self._paths.boot_link, self._paths.boot_unit)

    def _reserve(self) -> None:
        handle = os.open(self._paths.reserve, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(handle, 0, _RESERVE_BYTES)
        finally:
            os.close(handle)

    def _start_guardian(self, identity: str) -> None:
        if not os.path.isdir(self._paths.systemd):
            raise GuardError(
                "systemd does not run on this node, and it starts the service that rolls the "
                "change back. Use a node that was booted with systemd"
            )
        unit = guardian.unit(identity)
        command = ["systemd-run", "--quiet", "--collect", f"--unit={unit}"]
        for name in (
            "Type=notify",
            "Restart=on-failure",
            "RestartSec=5",
            # Python's, if the program is gone: everything was done then.
            "RestartPreventExitStatus=2",
            # A rollback that fails is tried again without end.
            "StartLimitIntervalSec=0",
            "OOMScoreAdjust=-900",
            "Description=Rolls back a change of the firewall unless it is confirmed",
        ):
            command.append(f"--property={name}")
        command += [sys.executable, "-I", self._paths.program, self._store.directory]
        code, out, err = self._run_command(command)
        if code != 0:
            raise GuardError(
                f"systemd-run --unit={unit}: {(err or out).strip()}. This service rolls the change "
                "back if it is not confirmed. Make sure that systemd starts services on this node "
                "(systemd-run --wait true), see journalctl -b -p err, and run again"
            )


def program(restorer: str, parts: Iterable[str]) -> bytes:
    """Return the guardian as a Python zip application, from wherever this module was loaded."""
    files = {f"{_PACKAGE}.{part}": _source(f"{_PACKAGE}.{part}") for part in parts}
    for name in list(files):
        while "." in name:
            name = name.rpartition(".")[0]
            files[f"{name}.__init__"] = ""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, source in files.items():
            archive.writestr(f"{name.replace('.', '/')}.py", source)
        archive.writestr(
            "__main__.py",
            f"import sys\nfrom {_PACKAGE}._rollback import guardian\n"
            f"guardian.main(sys.argv, {restorer!r})\n",
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
