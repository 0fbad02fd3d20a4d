# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what K3s is told on a host, and the addresses that it runs with."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Callable, Sequence
from typing import NamedTuple, Optional

from .config import PATH, in_force
from .settings import (
    CONFIG,
    DATA_DIR,
    K3sConfigError,
    Setting,
    environment_of_file,
    environment_of_unit,
    settings_of_unit,
)
from .yaml_reader import settings_of_yaml

_UNITS = ("k3s", "k3s-agent")
_SYSTEMD = "/etc/systemd/system"


class Found(NamedTuple):
    """What Situation of _k3s_config takes of the same names."""

    settings: tuple[Setting, ...]
    ours: Optional[str]
    installed: Optional[tuple[str, ...]]


def read(root: str = "/") -> Found:
    """Return what is set on a host, whose files are below C(root).

    What a file says in a way that is not understood is left to the plan, which may not need it.
    Raises K3sConfigError for a file that can't be read at all.
    """
    return _Host(root).read()


class _Host:
    def __init__(self, root: str) -> None:
        self._root = root

    def read(self) -> Found:
        environment: list[Setting] = []
        flags: list[Setting] = []
        for unit in _UNITS:
            files = self._unit(unit)
            environment += _understood(environment_of_unit, files)
            # The files that K3s' installation script names in its units, in that order.
            for path in (
                f"/etc/default/{unit}",
                f"/etc/sysconfig/{unit}",
                f"{_SYSTEMD}/{unit}.service.env",
            ):
                environment += _understood(environment_of_file, path, self.text(path) or "")
            flags += _understood(settings_of_unit, files)
        # Of the variables, the one that names the file goes before the flag, all others after it.
        named = [setting for setting in environment if setting.key == "config"]
        settings = [setting for setting in environment if setting.key != "config"]
        settings += self._files(in_force([*flags, *named], "config"))
        settings += [*flags, *named]
        return Found(tuple(settings), self.text(PATH), self._installed(settings))

    def text(self, path: str) -> Optional[str]:
        """Return the text of a file, None where there is none."""
        try:
            with open(self._below_root(path), encoding="utf-8", newline="") as stream:
                return stream.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except UnicodeDecodeError as error:
            raise K3sConfigError(f"{path} can't be read: it is no UTF-8 text") from error
        except OSError as error:
            raise K3sConfigError(f"{path} can't be read: {error.strerror}") from error

    def _below_root(self, path: str) -> str:
        return os.path.join(self._root, path.lstrip("/"))

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
            raise K3sConfigError(f"{directory} can't be read: {error.strerror}") from error

    def _unit(self, name: str) -> list[tuple[str, str]]:
        path = f"{_SYSTEMD}/{name}.service"
        paths = [path, *(f"{path}.d/{entry}" for entry in self._names(f"{path}.d", ".conf"))]
        texts = [(one, self.text(one)) for one in paths]
        return [(one, text) for one, text in texts if text is not None]

    def _files(self, named: Optional[Setting]) -> list[Setting]:
        """Return what the files set that K3s reads, which another one than CONFIG may lead."""
        config = named.values[-1] if named is not None else CONFIG
        if not config:
            return []
        if "://" in config:
            # Not quoted, since it may hold a password.
            return [
                _unknown(
                    "K3s reads its configuration from a server, which is not asked here; set "
                    f"{CONFIG} instead, or set k3s_default_route_k3s_config: false"
                )
            ]
        directory = f"{config}.d"
        paths = [f"{directory}/{name}" for name in self._names(directory, ".yaml", ".yml")]
        settings: list[Setting] = []
        for path in [config, *paths]:
            if path != PATH:
                settings += _understood(settings_of_yaml, path, self.text(path) or "")
        return settings

    def _installed(self, settings: Sequence[Setting]) -> Optional[tuple[str, ...]]:
        data_dir = in_force(settings, "data-dir")
        directory = (data_dir.values[-1] if data_dir and data_dir.values else "") or DATA_DIR
        certificate = f"{directory}/agent/serving-kubelet.crt"
        if os.path.exists(self._below_root(certificate)):
            return _addresses(self._below_root(certificate))
        # A server that runs no agent has no such certificate, but is bound to its address.
        return () if os.path.isdir(self._below_root(f"{directory}/server/db/etcd")) else None


def _understood(read_settings: Callable[..., list[Setting]], *texts: object) -> list[Setting]:
    try:
        return read_settings(*texts)
    except K3sConfigError as error:
        return [_unknown(str(error))]


def _unknown(problem: str) -> Setting:
    return Setting("", "", (), problem=problem)


def _addresses(path: str) -> tuple[str, ...]:
    """Return the node's addresses in a certificate's file, none where they can't be read."""
    # Nothing that Python documents decodes a certificate's file; this does so in all versions.
    decode = getattr(getattr(ssl, "_ssl", None), "_test_decode_cert", None)
    if decode is None:
        return ()
    try:
        names = decode(path).get("subjectAltName", ())
        addresses = [
            ipaddress.ip_address(value.strip()) for kind, value in names if kind == "IP Address"
        ]
    except (OSError, ValueError, TypeError, AttributeError):
        return ()
    return tuple(str(address) for address in addresses if not address.is_loopback)
