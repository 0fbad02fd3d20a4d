# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of firewalld, and what D-Bus raises as one of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class FirewalldError(Exception):
    """firewalld could not be reached or refused; the text says what and what to do."""


class NotRunningError(FirewalldError):
    """There is no firewalld on D-Bus."""


@contextlib.contextmanager
def translate(action: str) -> Iterator[None]:
    """Raise a FirewalldError in place of an error of D-Bus."""
    import dbus  # noqa: PLC0415

    try:
        yield
    except dbus.exceptions.DBusException as error:
        name = error.get_dbus_name() or ""
        text = error.get_dbus_message() or str(error)
        if name.endswith((".ServiceUnknown", ".NameHasNoOwner", ".NoReply", ".Disconnected")):
            text = (
                f"firewalld has ended or does not answer ({text}); look at: "
                "systemctl status firewalld"
            )
        raise FirewalldError(f"{action}: {text}") from error
