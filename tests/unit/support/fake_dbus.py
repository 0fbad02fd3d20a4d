# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in for the module dbus, with one firewalld on its system bus.

Use it as C(monkeypatch.setitem(sys.modules, "dbus", FakeDBus(daemon))).
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Protocol

NAME = "org.fedoraproject.FirewallD1"
_ERROR = "org.freedesktop.DBus.Error"


class DBusException(Exception):  # noqa: N818
    """An error that a service returned, or the bus itself."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self._name = name
        self._message = message

    def get_dbus_name(self) -> str:
        return self._name

    def get_dbus_message(self) -> str:
        return self._message


class String(str):
    __slots__ = ()


class ObjectPath(str):
    __slots__ = ()


class Int32(int):
    pass


class Boolean(int):
    """As in python-dbus, it is not a bool, and C(is True) does not hold."""


class Array(list):
    def __init__(self, values: Any = (), signature: Optional[str] = None) -> None:
        super().__init__(values)
        self.signature = signature


class Dictionary(dict):
    def __init__(self, values: Any = (), signature: Optional[str] = None) -> None:
        super().__init__(values)
        self.signature = signature


class Struct(tuple):
    __slots__ = ()

    def __new__(cls, values: Any = (), signature: Optional[str] = None) -> Struct:
        return super().__new__(cls, values)


class Service(Protocol):
    """What the bus needs of a service."""

    running: bool
    starts: int

    def handle(self, path: str, interface: str, method: str, arguments: list[Any]) -> Any: ...


class FakeDBus:
    """Takes the place of the module dbus."""

    Array = Array
    Boolean = Boolean
    Dictionary = Dictionary
    Int32 = Int32
    ObjectPath = ObjectPath
    String = String
    Struct = Struct

    class exceptions:  # noqa: N801
        DBusException = DBusException

    def __init__(self, service: Service) -> None:
        self._service = service

    def SystemBus(self) -> Bus:  # noqa: N802
        return Bus(self._service)


class Bus:
    """The system bus. The owner of the name changes whenever the service starts."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def name_has_owner(self, name: str) -> bool:
        return name == NAME and self._service.running

    def get_name_owner(self, name: str) -> str:
        if not self.name_has_owner(name):
            text = f"Could not get owner of name '{name}': no such name"
            raise DBusException(f"{_ERROR}.NameHasNoOwner", text)
        return f":1.{self._service.starts}"

    def get_object(self, name: str, path: str, introspect: bool = True) -> Proxy:
        assert not introspect, "introspection costs a call, and was not recorded"
        return Proxy(self, self._service, name, path)


class Proxy:
    """An object of the service, whose methods are called by name."""

    def __init__(self, bus: Bus, service: Service, name: str, path: str) -> None:
        self._bus = bus
        self._service = service
        self._name = name
        self._path = path

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(*arguments: Any, dbus_interface: str, timeout: float = 25) -> Any:
            plain = [from_dbus(one) for one in arguments]
            if not self._service.running or self._name not in (
                NAME,
                self._bus.get_name_owner(NAME),
            ):
                text = f"The name {self._name} was not provided by any .service files"
                raise DBusException(f"{_ERROR}.ServiceUnknown", text)
            return to_dbus(self._service.handle(self._path, dbus_interface, method, plain))

        return call


def from_dbus(value: Any) -> Any:
    """Turn an argument into plain values, refusing what python-dbus cannot send."""
    if value is None:
        raise TypeError('Don\'t know which D-Bus type to use to encode type "NoneType"')
    if isinstance(value, (list, dict)) and not value and not getattr(value, "signature", None):
        kind = "list" if isinstance(value, list) else "dict"
        raise ValueError(f"Unable to guess signature from an empty {kind}")
    if isinstance(value, tuple):
        return tuple(from_dbus(one) for one in value)
    if isinstance(value, list):
        return [from_dbus(one) for one in value]
    if isinstance(value, dict):
        return {str(name): from_dbus(one) for name, one in value.items()}
    if isinstance(value, (bool, Boolean)):
        return bool(value)
    if isinstance(value, int):
        return int(value)
    assert isinstance(value, str), f"D-Bus has no type for {value!r}"
    return str(value)


def to_dbus(value: Any) -> Any:
    """Turn an answer into the types of python-dbus."""
    if value is None or isinstance(value, ObjectPath):
        return value
    if isinstance(value, tuple):
        return Struct(to_dbus(one) for one in value)
    if isinstance(value, list):
        return Array(to_dbus(one) for one in value)
    if isinstance(value, dict):
        return Dictionary({String(name): to_dbus(one) for name, one in value.items()})
    if isinstance(value, bool):
        return Boolean(value)
    return Int32(value) if isinstance(value, int) else String(value)
