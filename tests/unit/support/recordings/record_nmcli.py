# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Play scenarios with NetworkManager, and record what nmcli answers and writes.

On a machine with NetworkManager that may be changed, as root, with the collection's code in
PYTHONPATH:

    python3 record_nmcli.py > nmcli-VERSION.json

The unit tests play the same scenarios with the recorded answers. Version 1.52 answers as 1.42.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from typing import Any, Optional

from ansible_collections.edgeops.k3s_network.plugins.module_utils._host import networkmanager
from ansible_collections.edgeops.k3s_network.plugins.module_utils._host.networkmanager import (
    NetworkManager,
    NetworkManagerError,
    Profile,
)

NIC = "rec0"
BRIDGE = "rec1"
UUID = "0c1f7e5a-0001-4000-8000-000000000001"
NAME = "by-hand.nmconnection"
ZONE = "k3s-cluster"
TEXT = f"""# written by hand
[connection]
uuid={UUID}
id = by-hand
type=ethernet
interface-name={NIC}

[ipv4]
# no gateway
method=manual
address1=10.99.0.1/24
[ipv6]
method=disabled
"""
BY_USER = "\n[user]\nby.user=1\n"

# The directory of the profile, and what happens to it.
SCENARIOS: dict[str, tuple[str, Sequence[str]]] = {
    "etc": ("_ETC", ("set", "files", "restore", "restore")),
    "etc changed by the user": ("_ETC", ("set", "edit", "restore")),
    "etc removed by the user": ("_ETC", ("set", "remove", "restore")),
    "etc unsaved": ("_ETC", ("unsaved", "set")),
    "etc broken": ("_ETC", ("break", "set")),
    "run": ("_RUN", ("files", "set", "files", "restore", "restore")),
    "run changed by the user": ("_RUN", ("set", "edit", "restore")),
    "run generated anew": ("_RUN", ("set", "generate", "set again", "restore")),
    "run with a file in the way": ("_RUN", ("occupy", "set")),
    "lib": ("_LIB", ("set", "set again", "restore", "restore")),
    "external": ("_ETC", ("external",)),
}


class Play:
    """A profile and what happens to it, with a real NetworkManager or with a recorded one."""

    def __init__(self, manager: NetworkManager, directory: str) -> None:
        self.manager = manager
        self.path = getattr(networkmanager, directory) + NAME
        self.copy = networkmanager._ETC + NAME
        self.profile: Optional[Profile] = None
        self.results: list[Any] = []

    def act(self, action: str) -> None:
        """Do one step of a scenario, and keep what comes of it."""
        try:
            self.results.append(getattr(self, "_" + action.replace(" ", "_"))())
        except NetworkManagerError as error:
            self.results.append(str(error))

    def _set(self) -> None:
        self.profile = self.manager.profile(NIC)
        self._set_again()

    def _set_again(self) -> None:
        self.manager.set_zone(NIC, ZONE)
        assert self.profile is not None
        self.profile = self.manager.written(self.profile)

    def _files(self) -> list[str]:
        return self.manager.files(NIC, self.profile)

    def _restore(self) -> None:
        assert self.profile is not None
        self.manager.restore(Profile.from_dict(self.profile.to_dict()), "")

    def _edit(self) -> None:
        with open(self.copy, "a", encoding="utf-8") as stream:
            stream.write(BY_USER)
        self.manager.load_profile(self.copy)

    def _remove(self) -> None:
        # NetworkManager knows the profile until it is told to look.
        os.unlink(self.copy)

    def _generate(self) -> None:
        write(self.path, TEXT + BY_USER)
        self.manager.load_profile(self.path)

    def _unsaved(self) -> None:
        self.manager.run("connection", "modify", "--temporary", UUID, "ipv4.dns-search", "x.test")

    def _break(self) -> None:
        write(self.path, "broken [[\n")

    def _occupy(self) -> None:
        write(self.copy, "# something else\n")

    def _external(self) -> list[bool]:
        return [self.manager.manages(interface) for interface in (NIC, BRIDGE, "missing")]


def write(path: str, text: str) -> None:
    """Write a file that only its owner reads."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(path, 0o600)


def run(*command: str) -> tuple[int, str, str]:
    """Run a command."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def files() -> dict[str, str]:
    """Return the files of the profile that is played with."""
    found = {}
    for directory in (networkmanager._ETC, networkmanager._RUN, networkmanager._LIB):
        for name in os.listdir(directory) if os.path.isdir(directory) else ():
            with open(directory + name, encoding="utf-8") as stream:
                text = stream.read()
            if UUID in text:
                found[directory + name] = text
    return found


def record(name: str) -> list[dict[str, Any]]:
    """Play a scenario on this machine, and return the commands with their answers and files."""
    directory, actions = SCENARIOS[name]
    path = getattr(networkmanager, directory) + NAME
    old = sorted({*files(), networkmanager._ETC + NAME} - {path})
    for one in old:
        if os.path.exists(one):
            os.unlink(one)
    write(path, TEXT)
    # Version 1.30 takes externally connected devices over when it reads all profiles again.
    run("nmcli", "connection", "load", path, *old)
    run("nmcli", "connection", "up", "uuid", UUID)
    commands: list[dict[str, Any]] = []

    def recorder(command: Sequence[str]) -> tuple[int, str, str]:
        before = files()
        code, out, err = run(*command)
        after = files()
        # Others' profiles are nobody's business.
        if "UUID,FILENAME" in command:
            out = "".join(line for line in out.splitlines(True) if line.startswith(UUID))
        commands.append(
            {
                "command": list(command),
                "answer": [code, out, err],
                "files": {
                    one: after.get(one)
                    for one in sorted({*before, *after})
                    if before.get(one) != after.get(one)
                },
            }
        )
        return code, out, err

    play = Play(NetworkManager(recorder, "nmcli"), directory)
    for action in actions:
        play.act(action)
    return commands


def text(recording: dict[str, list[dict[str, Any]]]) -> str:
    """Return a recording as JSON, with a command a line."""
    scenarios = []
    for name, commands in recording.items():
        lines = ",\n".join(map(json.dumps, commands))
        scenarios.append(f"{json.dumps(name)}: [\n{lines}\n]")
    return "{\n" + ",\n".join(scenarios) + "\n}"


def main() -> None:
    """Record all scenarios."""
    run("ip", "link", "add", NIC, "type", "veth", "peer", "name", "rec2")
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "add", "10.99.1.1/24", "dev", BRIDGE)
    for interface in (NIC, "rec2", BRIDGE):
        run("ip", "link", "set", interface, "up")
    run("sleep", "3")
    print(text({name: record(name) for name in SCENARIOS}))
    left = list(files())
    for path in left:
        os.unlink(path)
    run("nmcli", "connection", "load", *left)
    for interface in (NIC, BRIDGE):
        run("ip", "link", "delete", interface)


if __name__ == "__main__":
    main()
