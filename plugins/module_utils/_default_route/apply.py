# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings this host's default route, and what K3s is told because of it, to the wanted state."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .._host.commands import RunCommand
from .._host.files import (
    FileCopy,
    make_directory,
    remove_file,
    unwritable,
    write_file,
)
from .._host.interfaces import ssh_connection
from .._host.lock import LockError, locked
from .._host.networkmanager import NetworkManagerError
from .._k3s import config as k3s_config
from .._k3s.detection import Detected
from .._k3s.extract import DATA_DIR
from .files import (
    COMMITS,
    PATHS,
    Wanted,
    is_link,
)
from .host import DefaultRouteHost
from .plan import (
    DefaultRouteError,
    Host,
    Plan,
    plan_absent,
    plan_present,
    validate,
)

# Exists on every host, so that the lock leaves nothing behind.
_LOCKED = "/etc"
# A change takes some seconds; NetworkManager is given 30 to bring a profile up.
_PATIENCE_SECONDS = 90.0


def apply(run_command: RunCommand, params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Return the result of the module, alone on this host.

    Raises DefaultRouteError or K3sConfigError.
    """
    wanted = Wanted(*(params[key] for key in ("interface", "address", "gateway", "metric")))
    problems = validate(wanted)
    if problems:
        raise DefaultRouteError("; ".join(problems))
    try:
        with locked(_LOCKED, _PATIENCE_SECONDS):
            return _bring_to_state(run_command, params, wanted, check_mode)
    except LockError as error:
        raise DefaultRouteError(
            "No changes were made. Another run is changing this node's default route for more than "
            f"{_PATIENCE_SECONDS:.0f} s. Run again when it has ended; lslocks shows the process "
            f"that holds the lock of {_LOCKED}"
        ) from error
    except OSError as error:
        raise DefaultRouteError(
            f"{error}. Check that the file system is writable and has free space, and run again"
        ) from error
    except NetworkManagerError as error:
        raise DefaultRouteError(str(error)) from error


def _bring_to_state(
    run_command: RunCommand, params: Mapping[str, Any], wanted: Wanted, check_mode: bool
) -> dict[str, Any]:
    host = DefaultRouteHost(run_command, wanted, ssh_connection())
    before = host.read()
    if params["state"] == "present":
        plan = plan_present(before, wanted, params["backend"])
    else:
        plan = plan_absent(before)
    detected = host.detected(plan)
    config, decision = _decide(params, before, wanted, plan, detected)
    text_changed = decision.text != config
    # In check mode, too, which must not promise a change that the run refuses.
    _need_writable(plan, text_changed)
    if not check_mode:
        copy = FileCopy.take(k3s_config.PATH)
        writes_config = decision.text is not None and text_changed
        try:
            # K3s must never start with the dummy and without being told.
            if decision.text is not None and writes_config:
                _write_config(decision.text)
            if plan.changed:
                host.apply(plan, before)
        except (DefaultRouteError, OSError) as error:
            problem = _restore_config(copy) if writes_config else ""
            if not problem:
                raise
            raise DefaultRouteError(f"{error}; {problem}") from error
        if decision.text is None and text_changed:
            _remove_config()
        detected = host.detected()
    return {
        "changed": plan.changed or text_changed,
        "default_routes": list(plan.routes_before),
        "backend": plan.backend or _backend_of(before, plan),
        "k3s_detects": detected._asdict(),
        "warned": [*decision.warnings, *([decision.note] if decision.note else [])],
        "diff": _diff(before, plan, config, decision.text),
    }


def _decide(
    params: Mapping[str, Any], before: Host, wanted: Wanted, plan: Plan, detected: Detected
) -> tuple[Optional[str], k3s_config.Decision]:
    """Return the file that tells K3s the node's address: its text now, and what to do about it."""
    ours = _text(k3s_config.PATH)
    told = None
    if params["state"] == "present" and params["k3s_config"] and params["node_ip"]:
        told = k3s_config.Wanted(params["node_ip"], params["flannel_interface"])
    dummies = before.dummies(wanted) - set(plan.stop)
    if plan.start:
        dummies.add(wanted.interface)
    situation = k3s_config.Situation(
        detected_interface=detected.interface,
        detected_address=detected.address,
        dummy=detected.interface if detected.interface in dummies else "",
        ours=ours,
        k3s=_record(params["k3s"]),
    )
    return ours, k3s_config.plan(situation, told)


def _record(known: Mapping[str, Any]) -> k3s_config.Record:
    """Return what is known of K3s's settings; without that, whether K3s has run."""
    if known:
        return k3s_config.Record.of(known)
    # It keeps the address with which it ran, which is not known here.
    traces = (f"{DATA_DIR}/agent", f"{DATA_DIR}/server/db/etcd")
    return k3s_config.Record(installed=() if any(map(os.path.isdir, traces)) else None)


def _text(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _backend_of(before: Host, plan: Plan) -> str:
    left = set(before.files) - set(plan.unlink)
    return next((backend for backend, path in COMMITS.items() if path in left), "")


def _need_writable(plan: Plan, text_changed: bool) -> None:
    """Raise DefaultRouteError if a path that a plan writes to is read-only."""
    paths = [file.path for file in plan.write] + list(plan.unlink)
    if text_changed:
        paths.append(k3s_config.PATH)
    found = unwritable(paths)
    if found:
        raise DefaultRouteError(
            f"No changes were made. Read-only on this node: {', '.join(found)}. The files of the "
            "default route, or the node's address for K3s, are written there. Make it writable, "
            "for example with mount -o remount,rw, or put it on a writable file system if the "
            "system is image-based, and run again"
        )


def _restore_config(copy: FileCopy) -> str:
    """Restore the file that tells K3s the node's address; return what failed."""
    try:
        copy.restore()
        if copy.content is None:
            _remove_config()
    except OSError as error:
        return f"{k3s_config.PATH} could not be restored: {error}"
    return ""


def _write_config(text: str) -> None:
    make_directory(os.path.dirname(k3s_config.PATH))
    write_file(k3s_config.PATH, text.encode())


def _remove_config() -> None:
    remove_file(k3s_config.PATH)
    # config.yaml.d, k3s and rancher, where nothing else is in them.
    directory = k3s_config.PATH
    for _level in range(3):
        directory = os.path.dirname(directory)
        with contextlib.suppress(OSError):
            os.rmdir(directory)


def _diff(
    before: Host, plan: Plan, config: Optional[str], wanted_config: Optional[str]
) -> list[dict[str, str]]:
    after = {path: text for path, text in before.files.items() if path not in plan.unlink}
    after.update({file.path: file.text for file in plan.write})
    pairs = [
        (path, _shown(path, before.files.get(path)), _shown(path, after.get(path)))
        for path in PATHS
    ]
    pairs.append((k3s_config.PATH, config or "", wanted_config or ""))
    pairs.append(
        ("ip -4 route show default", _lines(plan.routes_before), _lines(plan.routes_after))
    )
    return [
        {"before_header": name, "before": old, "after_header": name, "after": new}
        for name, old, new in pairs
        if old != new
    ]


def _shown(path: str, text: Optional[str]) -> str:
    if text is None:
        return ""
    return f"link to {text}\n" if is_link(path) else text


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
