# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packet filters as nft and iptables-save printed them; see recordings/record_packet_filters.py."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

_PATHS = {
    path.stem.rpartition("-")[2]: path
    for path in sorted((Path(__file__).parent / "recordings").glob("packet-filters-*.json"))
}
VERSIONS = tuple(_PATHS)
"""The versions of nft."""
UFW_VERSION = "1.0.6"
"""The one that was recorded with ufw."""
LISTING = "nft -j list ruleset"
_TABLES = "nft -j list tables"


class Recorded:
    """A machine with the packet filters of a scenario."""

    def __init__(self, version: str, scenario: str) -> None:
        recorded = _recording(version)["scenarios"][scenario]
        self.answers: dict[str, list[Any]] = dict(recorded["answers"])
        self.files: dict[str, str] = dict(recorded["files"])
        self.missing: set[str] = set()

    def find_program(self, name: str) -> Optional[str]:
        """Return the name of a program that is there."""
        return None if name in self.missing else name

    def run(self, args: Sequence[str], data: Optional[str] = None) -> tuple[int, str, str]:
        """Answer as recorded. The list of tables is what the ruleset says of tables."""
        command = " ".join(args)
        code, out, err = self.answers[LISTING if command == _TABLES else command]
        return code, _tables(out) if command == _TABLES else out, err

    def read_file(self, path: str) -> str:
        """Return the text of a file."""
        return self.files[path]


def _tables(ruleset: str) -> str:
    try:
        entries = json.loads(ruleset)["nftables"]
    except (KeyError, TypeError, ValueError):
        return ruleset
    return json.dumps({"nftables": [one for one in entries if {"metainfo", "table"} & {*one}]})


@functools.cache
def _recording(version: str) -> Any:
    return json.loads(_PATHS[version].read_text(encoding="utf-8"))
