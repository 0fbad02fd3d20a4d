# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys
import types

import pytest
from ansible_collections.edgeops.k3s_network.plugins.module_utils._firewalld import errors

# As dbus-daemon 1.16 of Debian sid sent it, while polkitd had started and not taken its name yet.
REJECTED = (
    'Rejected send message, 1 matched rules; type="method_call", sender=":1.5" (uid=0 pid=34 '
    'comm="/usr/bin/python3 /usr/sbin/firewalld --nofork --no") '
    'interface="org.freedesktop.PolicyKit1.Authority" member="CheckAuthorization" error '
    'name="(unset)" requested_reply="0" destination=":1.11" (uid=987 pid=145 '
    'comm="/usr/lib/polkit-1/polkitd --no-debug --log-level=n")'
)


class DBusError(Exception):
    def get_dbus_name(self):
        return "org.freedesktop.DBus.Error.AccessDenied"

    def get_dbus_message(self):
        return str(self)


@pytest.fixture(autouse=True)
def dbus(monkeypatch):
    exceptions = types.SimpleNamespace(DBusException=DBusError)
    monkeypatch.setitem(sys.modules, "dbus", types.SimpleNamespace(exceptions=exceptions))
    clock = iter(range(1000))
    monkeypatch.setattr(errors.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(errors.time, "sleep", lambda _seconds: None)


def failing(*texts):
    """Return a call that fails with these texts and then returns 7."""
    left = list(texts)

    def call():
        if left:
            raise DBusError(left.pop(0))
        return 7

    return call


def test_with_polkit_starting_repeats_the_call():
    assert errors.with_polkit("read version", failing(REJECTED, REJECTED)) == 7


def test_with_polkit_missing_raises_in_the_end():
    with pytest.raises(errors.FirewalldError, match=r"^read version: Rejected send message"):
        errors.with_polkit("read version", failing(*[REJECTED] * 100))


def test_with_polkit_other_error_is_not_repeated():
    with pytest.raises(errors.FirewalldError, match=r"^addRule: INVALID_RULE$"):
        errors.with_polkit("addRule", failing("INVALID_RULE"))
