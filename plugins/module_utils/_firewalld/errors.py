# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of firewalld, and what D-Bus raises as one of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

_POLKIT_SECONDS = 15.0
_PAUSE_SECONDS = 0.2


class FirewalldError(Exception):
    """firewalld could not be reached or refused; the text says what and what to do."""


class NotRunningError(FirewalldError):
    """There is no firewalld on D-Bus."""


class PolkitError(FirewalldError):
    """firewalld could not ask polkit whether the call is allowed, so it did nothing."""


def with_polkit(action: str, call: Callable[[], Any]) -> Any:
    """Return what a call to firewalld returns; repeat it while polkit starts or stops.

    firewalld authorizes every call with polkit before it acts, also those of root. If polkitd is
    connected to D-Bus without its name yet, dbus-daemon rejects firewalld's question.
    """
    deadline = time.monotonic() + _POLKIT_SECONDS
    while True:
        try:
            with translate(action):
                return call()
        except PolkitError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)


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
        kind = PolkitError if "org.freedesktop.PolicyKit1" in text else FirewalldError
        raise kind(f"{action}: {text}") from error
