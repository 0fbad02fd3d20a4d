# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Extracts from a node's files what the controller needs to know of K3s's settings.

Nothing but the values of KEYS, the node's public certificate and K3s's version leaves the node.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

from .blocks import UnreadableError, cut
from .units import (
    ALIASES,
    PLAIN,
    Option,
    environment_of_file,
    environment_of_unit,
    options_of_unit,
)

CONFIG = "/etc/rancher/k3s/config.yaml"
DROP_IN = f"{CONFIG}.d/k3s-default-route.yaml"
"""The file of this collection."""
DATA_DIR = "/var/lib/rancher/k3s"
KEYS = (
    "node-ip",
    "node-external-ip",
    "flannel-iface",
    "flannel-backend",
    "cluster-cidr",
    "service-cidr",
    "node-name",
    "data-dir",
)
_UNITS = ("k3s", "k3s-agent")
_SYSTEMD = "/etc/systemd/system"
TRACES = (CONFIG, f"{CONFIG}.d", DATA_DIR, *(f"{_SYSTEMD}/{unit}.service" for unit in _UNITS))
"""A host with none of these has no K3s and no settings of it."""
# Where its installation script and packages put it.
_EXECUTABLES = ("/usr/local/bin/k3s", "/opt/bin/k3s", "/usr/bin/k3s")
# K3s's own files are far smaller.
_MOST_BYTES = 1024 * 1024
_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")


class _Problem(NamedTuple):
    path: str
    reason: str


def extract(root: str = "/") -> dict[str, Any]:
    """Return K3s's settings on a host, whose files are below C(root).

    Returns:
        C(settings): in the order in which K3s reads them, each with C(source), C(key), C(kind)
        (C(file), C(environment) or C(command line)), C(append), and C(text) (a block of YAML with
        the one key C(value)) or C(value) (None if it is not plain text). Those of a file have
        C(alias), whether the file has the short name of the key.
        C(unreadable): C(path) and C(reason) of files that cannot be read or cut.
        C(config): the path of another file than CONFIG that K3s is told to read, or an empty text.
        C(certificate): the kubelet's serving certificate in PEM, empty if K3s has not run.
        C(has_run): whether K3s has run on this host.
        C(version): of the K3s that is installed, such as C(1.33.4), or an empty text.
    """
    return _Extractor(root).extract()


class _Extractor:
    def __init__(self, root: str) -> None:
        self._root = root
        self._problems: list[_Problem] = []

    def extract(self) -> dict[str, Any]:
        environment: list[Option] = []
        flags: list[Option] = []
        for unit in _UNITS:
            files = self._unit(unit)
            environment += environment_of_unit(files)
            # The files that K3s's installation script names in its units, in that order.
            for path in (
                f"/etc/default/{unit}",
                f"/etc/sysconfig/{unit}",
                f"{_SYSTEMD}/{unit}.service.env",
            ):
                environment += environment_of_file(path, self._text(path) or "")
            found, reason = options_of_unit(files, (*KEYS, "config"))
            flags += found
            if reason:
                self._problems.append(_Problem(f"{_SYSTEMD}/{unit}.service", reason))
        config = next(
            (one for one in [*environment[::-1], *flags] if one.key == "config"),
            Option("", "config", CONFIG),
        )
        settings = [
            *(_of_option(one, "environment") for one in environment if one.key != "config"),
            *self._files(config),
            *(_of_option(one, "command line") for one in flags if one.key != "config"),
        ]
        data_dir = _data_dir(settings)
        path = f"{data_dir}/agent/serving-kubelet.crt"
        certificate = _CERTIFICATE.search(self._text(path, report=False) or "")
        # A server that runs no agent has no such certificate, but is bound to its address.
        has_run = map(self._exists, (path, f"{data_dir}/server/db/etcd"))
        return {
            "settings": settings,
            "unreadable": [
                {"path": _printable(one.path), "reason": _printable(one.reason)}
                for one in self._problems
            ],
            "config": config.value if self._is_other_file(config) else "",
            "certificate": certificate.group() if certificate else "",
            "has_run": any(has_run),
            "version": self._version(),
        }

    @staticmethod
    def _is_other_file(config: Option) -> bool:
        path = config.value or ""
        return path.startswith("/") and os.path.normpath(path) != CONFIG

    def _version(self) -> str:
        """Return the version of the K3s that is installed, such as C(1.33.4), or an empty text."""
        executable = next((path for path in _EXECUTABLES if os.path.exists(path)), "")
        if not executable or self._root != "/":
            return ""
        try:
            result = subprocess.run(
                [executable, "--version"], check=False, capture_output=True, text=True, timeout=20
            )
        except (OSError, ValueError, subprocess.SubprocessError):
            return ""
        found = re.match(r"k3s version v(\d+\.\d+\.\d+)", result.stdout)
        return found.group(1) if found else ""

    def _files(self, config: Option) -> list[dict[str, Any]]:
        """Return what the files set that K3s reads."""
        path = config.value or ""
        if not path.startswith("/"):
            # A URL may hold a password, and is not read here.
            self._problems.append(
                _Problem(config.source, "it names a configuration that is not a file of this host")
            )
            return []
        directory = f"{path}.d"
        names = self._names(directory, ".yaml", ".yml")
        found = []
        for one in [path, *(f"{directory}/{name}" for name in names)]:
            text = self._text(one) if one != DROP_IN else None
            if text is None:
                continue
            try:
                found += [
                    {
                        "source": _printable(one),
                        "key": ALIASES.get(block.key, block.key),
                        "kind": "file",
                        "append": block.append,
                        "alias": block.key in ALIASES,
                        "text": block.text,
                    }
                    for block in cut(text, {*KEYS, *ALIASES})
                    if ALIASES.get(block.key, block.key) in KEYS
                ]
            except UnreadableError as error:
                self._problems.append(_Problem(one, str(error)))
        return found

    def _unit(self, name: str) -> list[tuple[str, str]]:
        path = f"{_SYSTEMD}/{name}.service"
        paths = [path, *(f"{path}.d/{entry}" for entry in self._names(f"{path}.d", ".conf"))]
        texts = [(one, self._text(one)) for one in paths]
        return [(one, text) for one, text in texts if text is not None]

    def _text(self, path: str, report: bool = True) -> Optional[str]:
        """Return the text of a file, None if there is none or it cannot be read."""
        reason = ""
        try:
            with open(self._below_root(path), encoding="utf-8", newline="") as stream:
                text = stream.read(_MOST_BYTES + 1)
            if len(text) <= _MOST_BYTES:
                return text
            reason = "it is larger than 1 MiB"
        except (FileNotFoundError, NotADirectoryError):
            return None
        except UnicodeDecodeError:
            reason = "it is not UTF-8 text"
        except OSError as error:
            reason = str(error.strerror)
        if report:
            self._problems.append(_Problem(path, reason))
        return None

    def _names(self, directory: str, *endings: str) -> list[str]:
        try:
            with os.scandir(self._below_root(directory)) as entries:
                return sorted(
                    entry.name
                    for entry in entries
                    if entry.name.lower().endswith(endings)
                    and not entry.is_dir(follow_symlinks=False)
                )
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self._problems.append(_Problem(directory, str(error.strerror)))
            return []

    def _exists(self, path: str) -> bool:
        return os.path.exists(self._below_root(path))

    def _below_root(self, path: str) -> str:
        return os.path.join(self._root, path.lstrip("/"))


def _of_option(option: Option, kind: str) -> dict[str, Any]:
    return {
        "source": _printable(option.source),
        "key": option.key,
        "kind": kind,
        # The command line adds to what the files say.
        "append": kind == "command line",
        "value": option.value,
    }


def _printable(text: str) -> str:
    """Return names of files and localized reasons as the controller accepts them."""
    return ascii(text)[1:-1]


def _data_dir(settings: Sequence[dict[str, Any]]) -> str:
    """Return where K3s keeps its data; a value in a file counts if it is plain text."""
    found = DATA_DIR
    for one in settings:
        if one["key"] == "data-dir":
            value = one.get("value") or one.get("text", "").partition(":")[2].strip(" \"'")
            if one.get("text") and value in ("", "~", "null"):
                found = DATA_DIR
            elif value.startswith("/") and PLAIN.fullmatch(value):
                found = value.rstrip("/")
    return found
