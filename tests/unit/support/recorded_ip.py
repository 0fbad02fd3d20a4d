# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What iproute2 printed; see recordings/record_iproute2.py. Fakes of it are compared with this."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.iproute import objects

_RECORDED = {
    path.stem.split("-")[1]: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent / "recordings").glob("iproute2-*.json"))
}
VERSIONS = tuple(_RECORDED)


def answer(version: str, command: Sequence[str]) -> str:
    """Return what a version of iproute2 printed for a command."""
    return _RECORDED[version]["answers"][_name(command)]


def unreachable(version: str) -> list[tuple[int, str, str]]:
    """Return exit code, output and error of C(ip route get) when no route leads there."""
    return [tuple(answered) for answered in _RECORDED[version]["unreachable"].values()]


def as_recorded(command: Sequence[str], made_up: list[Any]) -> list[Any]:
    """Return what a fake prints for a command, if all of its keys and types were recorded."""
    known = _shapes(_name(command))
    for path, kind in _walk(made_up):
        assert (path, kind) in known, f"{' '.join(command)} was not seen to print {path} as {kind}"
    return made_up


def _name(command: Sequence[str]) -> str:
    name = re.sub(r" dev \S+$", " dev flannel.1", " ".join(command))
    return re.sub(r" get \S+$", " get 198.51.100.7", name)


@functools.cache
def _shapes(name: str) -> set[tuple[str, str]]:
    printed = [one["answers"][name] for one in _RECORDED.values()]
    return {shape for text in printed for shape in _walk(objects(text))}


def _walk(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and type of all that is in a value."""
    yield path, type(value).__name__
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _walk(one, f"{path}.{key}")
    if isinstance(value, list):
        for one in value:
            yield from _walk(one, f"{path}[]")
