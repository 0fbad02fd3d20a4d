# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads K3s's settings from the facts of a node. Pure functions.

The module C(node_facts) extracts them; what a node sends is validated before it counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Optional

import yaml

from .settings import NodeSettings, Setting

_MOST_SETTINGS = 200
_MOST_CHARACTERS = 5000
_PRINTABLE = re.compile(r"[ -~]*")
_VERSION = re.compile(r"(?:\d{1,4}\.\d{1,4}\.\d{1,4})?", re.ASCII)


def addresses(certificate: str) -> tuple[str, ...]:
    """Return the node's addresses in a kubelet's serving certificate, none if it is not valid."""
    # A dependency of ansible-core that takes long to load.
    from cryptography import x509  # noqa: PLC0415

    try:
        names = (
            x509.load_pem_x509_certificate(certificate.encode())
            .extensions.get_extension_for_class(x509.SubjectAlternativeName)
            .value.get_values_for_type(x509.IPAddress)
        )
    except (
        ValueError,
        TypeError,
        x509.DuplicateExtension,
        x509.ExtensionNotFound,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ):
        return ()
    return tuple(str(one) for one in names if not one.is_loopback)


def read(
    facts: Any, read_certificate: Callable[[str], tuple[str, ...]] = addresses
) -> Optional[NodeSettings]:
    """Return what a node's files say of K3s, None if it has none.

    Args:
        facts: What the function extract() of the node returns (module_utils/_k3s/extract.py).
        read_certificate: Returns the addresses of a certificate.

    Raises:
        ValueError: A value has the wrong type or size; the text names the key.
    """
    if facts is None:
        return None
    entries = _list(facts, "settings")
    unreadable = _list(facts, "unreadable")
    has_run = facts.get("has_run")
    if not isinstance(has_run, bool):
        raise ValueError("has_run is not a boolean")
    certificate = _text(facts, "certificate", one_line=False)
    version = _text(facts, "version")
    if not _VERSION.fullmatch(version):
        raise ValueError("version is not a version")
    return NodeSettings(
        settings=[_setting(entry) for entry in entries],
        unreadable=[f"{_text(one, 'path')}: {_text(one, 'reason')}" for one in unreadable],
        config=_text(facts, "config"),
        installed=read_certificate(certificate) if has_run else None,
        version=version,
    )


def check(facts: Any) -> None:
    """Validate what a node's files say of K3s, without its certificate, which takes long to load.

    Raises:
        ValueError: A value has the wrong type or size; the text names the key.
    """
    read(facts, lambda _certificate: ())


def _setting(entry: Any) -> Setting:
    source, key, kind = (_text(entry, name) for name in ("source", "key", "kind"))
    append, alias = (entry.get(name) is True for name in ("append", "alias"))
    if kind == "file":
        value = _of_block(_text(entry, "text", one_line=False))
    else:
        value = entry.get("value")
        if value is None:
            return Setting(source, key, None, append)
        value = _text(entry, "value")
    return Setting.of(source, key, value, append, alias)


def _of_block(text: str) -> Any:
    """Return the value of a block of YAML; what is not a value or a list is not plain text."""
    try:
        data = yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return "?"
    value = data.get("value", "?") if isinstance(data, Mapping) else "?"
    plain = isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(item, str) for item in value)
    )
    return value if plain else "?"


def _list(facts: Any, key: str) -> list[Any]:
    value = facts.get(key) if isinstance(facts, Mapping) else None
    if not isinstance(value, list) or len(value) > _MOST_SETTINGS:
        raise ValueError(f"{key} is not a list of at most {_MOST_SETTINGS} entries")
    return list(value)


def _text(entry: Any, key: str, one_line: bool = True) -> str:
    value = entry.get(key) if isinstance(entry, Mapping) else None
    if not isinstance(value, str) or len(value) > _MOST_CHARACTERS:
        raise ValueError(f"{key} is not a text of at most {_MOST_CHARACTERS} characters")
    if one_line and not _PRINTABLE.fullmatch(value):
        raise ValueError(f"{key} has characters that are not printable")
    return str(value)
