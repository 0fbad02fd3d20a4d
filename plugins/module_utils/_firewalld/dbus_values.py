# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values with the D-Bus types that firewalld takes, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

from .model import IPSET, Settings
from .values import (
    DESCRIPTION,
    LIST_SIGNATURES,
    complete,
)


class DbusValues:
    """Turns plain values into those of D-Bus."""

    def __init__(self, dbus: Any) -> None:
        """C(dbus) is Python's module of that name."""
        self._dbus = dbus

    def whole(self, kind: str, settings: Settings, before: Optional[Settings] = None) -> Any:
        """Return the settings of an object that replace C(before)."""
        if kind != IPSET:
            about = {"description": DESCRIPTION}
            return self.variants({**complete(kind, settings, before), **about})
        return self._dbus.Struct(
            (
                "",
                "",
                DESCRIPTION,
                settings["type"],
                self._dbus.Dictionary({"family": settings["family"]}, signature="ss"),
                self._dbus.Array(settings["entries"], signature="s"),
            ),
            signature="ssssa{ss}as",
        )

    def variants(self, settings: Settings) -> Any:
        """Return settings as firewalld takes them by name."""
        typed = {key: self.typed(key, value) for key, value in settings.items()}
        return self._dbus.Dictionary(typed, signature="sv")

    def typed(self, key: str, value: Any) -> Any:
        """Return the value of one setting."""
        # An empty list has no type of its own.
        if isinstance(value, list):
            return self._dbus.Array(value, signature=LIST_SIGNATURES.get(key, "s"))
        return value

    def direct(self, one: Sequence[Any]) -> list[Any]:
        """Return the arguments of a direct chain, rule or passthrough."""
        return [
            self._dbus.Array(part, signature="s") if isinstance(part, list) else part
            for part in one
        ]


def plain(value: Any) -> Any:
    """Turn a D-Bus value into one that JSON holds."""
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return int(value) if isinstance(value, int) else str(value)
