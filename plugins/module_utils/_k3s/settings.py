# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user sets of K3s: settings, and those of a unit's command line and environment. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Optional, Union

CONFIG = "/etc/rancher/k3s/config.yaml"
DATA_DIR = "/var/lib/rancher/k3s"

NODE_IP = "node-ip"
FLANNEL_IFACE = "flannel-iface"
KEYS = (NODE_IP, FLANNEL_IFACE, "data-dir")
FLAGS = (*KEYS, "config")
"""What counts on a command line; C(config) names another file than CONFIG."""
OFF = "k3s_default_route_k3s_config: false"

ALIASES = {"i": NODE_IP, "d": "data-dir", "c": "config"}
_VARIABLES = {"K3S_CONFIG_FILE": "config", "K3S_DATA_DIR": "data-dir"}

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


class K3sConfigError(Exception):
    """K3s' configuration can't be read, or not be made; the text says why and what to do."""


@dataclass(frozen=True)
class Setting:
    """A key as one source sets it. C(append): to what came before it, instead of replacing it."""

    source: str
    key: str
    values: tuple[str, ...]
    append: bool = False
    problem: str = ""
    """What of the source is not understood; the key is empty then."""

    @property
    def text(self) -> str:
        """Return the values as people read them."""
        return ", ".join(value for value in self.values if value) or "nothing"


def address_of(text: str) -> Optional[Address]:
    """Return an address, None where the text is none."""
    try:
        return ipaddress.ip_address(text.strip())
    except ValueError:
        return None


def setting_of(source: str, key: str, values: Sequence[str], append: bool = False) -> Setting:
    """Return a setting, its values taken apart as K3s does."""
    if key == NODE_IP:
        # K3s takes node-ip apart at commas, and no other key of these.
        values = [part.strip() for value in values for part in value.split(",")]
    return Setting(source, key, tuple(values), append)


def settings_of_unit(files: Sequence[tuple[str, str]]) -> list[Setting]:
    """Return what the command line of a unit sets.

    C(files) holds the path and the text of the unit and of its drop-ins, in systemd's order.
    Raises K3sConfigError for what systemd or a shell would have to fill in.
    """
    commands: list[tuple[str, str]] = []
    for path, name, value in _assignments(files):
        if name == "ExecStart":
            commands = [*commands, (path, value)] if value else []
    return [setting for one in commands[-1:] for setting in _settings_of_command(*one)]


def environment_of_unit(files: Sequence[tuple[str, str]]) -> list[Setting]:
    """Return what the variables in a unit set; C(files) is that of settings_of_unit()."""
    settings: list[Setting] = []
    for path, name, value in _assignments(files):
        if name == "Environment":
            settings = [*settings, *_variables(path, _words(value))] if value else []
    return settings


def environment_of_file(path: str, text: str) -> list[Setting]:
    """Return what the variables in a unit's EnvironmentFile set."""
    return _variables(path, (" ".join(_words(line)) for line in text.splitlines()))


def _settings_of_command(path: str, command: str) -> Iterator[Setting]:
    source = f"the command line in {path}"
    words = _words(command)
    start = next((at for at, word in enumerate(words) if word in ("server", "agent")), None)
    if start is None:
        # A script, say; K3s itself needs one of the two words.
        for key in FLAGS:
            if f"-{key}" in command:
                raise K3sConfigError(
                    f"{source} sets {key} in a way that is not read here; set it in {CONFIG}, "
                    f"or set {OFF}"
                )
        return
    arguments = iter(words[start + 1 :])
    for argument in arguments:
        name, equals, value = argument.partition("=")
        key = name[2:] if name.startswith("--") else name[1:]
        key = ALIASES.get(key, key)
        if not name.startswith("-") or key not in FLAGS:
            continue
        if not equals:
            value = next(arguments, "")
        _check_literal(source, key, value)
        yield setting_of(source, key, [value], append=True)


def _variables(path: str, assignments: Iterable[str]) -> list[Setting]:
    settings = []
    for assignment in assignments:
        variable, _equals, value = assignment.strip().partition("=")
        if variable in _VARIABLES and value:
            source, key = f"{variable} in {path}", _VARIABLES[variable]
            _check_literal(source, key, value)
            settings.append(Setting(source, key, (value,)))
    return settings


def _check_literal(source: str, key: str, value: str) -> None:
    if set(value) & set("$%\\"):
        raise K3sConfigError(
            f"{source} sets {key} by a variable or an escape, which is not read here; write the "
            f"value itself there, or set {OFF}"
        )


def _assignments(files: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    """Yield path, name and value of what is in the section [Service]."""
    for path, text in files:
        section, logical = "", ""
        for line in text.splitlines():
            if line.lstrip()[:1] in ("#", ";"):
                # Even within a line that is continued, which goes on behind it.
                continue
            continued = len(line) - len(line.rstrip("\\")) & 1
            if continued:
                logical += f"{line[:-1]} "
                continue
            logical, stripped = "", (logical + line).strip()
            if stripped.startswith("["):
                section = stripped
            elif section == "[Service]" and "=" in stripped:
                name, _equals, value = stripped.partition("=")
                yield path, name.rstrip(), value.lstrip()


def _words(text: str) -> list[str]:
    """Split a line as systemd does. Escapes that stand for another character stay as they are."""
    words: list[str] = []
    word: Optional[str] = None
    quote = ""
    characters = iter(text)
    for character in characters:
        if character == "\\":
            escaped = next(characters, "")
            word = (word or "") + (escaped if escaped in " '\"\\" else f"\\{escaped}")
        elif character == quote:
            quote = ""
        elif quote or not (character.isspace() or character in "'\""):
            word = (word or "") + character
        elif character in "'\"":
            quote, word = character, word or ""
        elif word is not None:
            words.append(word)
            word = None
    return words if word is None else [*words, word]
