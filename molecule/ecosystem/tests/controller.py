# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A controller on the machines' own network, with Ansible's defaults and inventories in files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
LAB_INVENTORY = EPHEMERAL / "inventory"
_RECAP_LINE = re.compile(r"^(\S+)\s+: (ok=\d+ .*)$", re.MULTILINE)

SSH_CONFIG = """\
IdentityFile {key}
IdentitiesOnly yes
StrictHostKeyChecking no
UserKnownHostsFile /dev/null
LogLevel ERROR
"""


@dataclass(frozen=True)
class Played:
    """What came of a playbook. The recap counts by host and word."""

    returncode: int
    output: str
    recap: Mapping[str, Mapping[str, int]]

    def changed(self) -> dict[str, int]:
        """Return the changes of each host that took part, even if it skipped every task."""
        return {
            host: counts["changed"]
            for host, counts in self.recap.items()
            if counts["ok"] or counts["skipped"]
        }


class Controller:
    """Runs Ansible inside the lab's namespace; to be used as a context."""

    def __init__(self) -> None:
        lab = (EPHEMERAL / "ssh_config").resolve().parent
        self.enter = ["nsenter", f"--net=/run/k3s-network-lab/k3s-lab-{lab.name}"]
        # Short, since the path of a socket is.
        self.directory = Path(tempfile.mkdtemp(prefix="k3s-"))
        self._sockets = self.directory / "cp"
        self._config = self.directory / "ssh_config"
        self._config.write_text(SSH_CONFIG.format(key=lab / "keys" / "client"))

    def __enter__(self) -> Controller:
        return self

    def __exit__(self, *_error: object) -> None:
        for socket in self._sockets.glob("*"):
            self.run("ssh", "-o", f"ControlPath={socket}", "-O", "exit", "nobody", check=False)
        shutil.rmtree(self.directory)

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command in the namespace and return what it printed."""
        done = subprocess.run([*self.enter, *command], check=False, capture_output=True, text=True)
        assert not check or done.returncode == 0, f"{command}: {done.stderr or done.stdout}"
        return done.stdout

    def ssh(self, address: str, command: str, port: int = 22) -> str:
        """Run a shell command on a machine as root, which must succeed."""
        where = ["-F", str(self._config), "-p", str(port), f"root@{address}"]
        return self.run("ssh", *where, command)

    def play(
        self,
        name: str,
        *arguments: str,
        inventory: Path | list[Path],
        names: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> Played:
        """Run a playbook, of the collection where the name has no path.

        What the names stand for is in the controller's C(/etc/hosts) meanwhile.
        """
        sources = inventory if isinstance(inventory, list) else [inventory]
        playbook = name if "/" in name else f"edgeops.k3s_network.{name}"
        command = [*self.enter, *self._naming(names), "ansible-playbook", playbook, *arguments]
        for source in sources:
            command += ["--inventory", str(source)]
        if extra:
            command += ["--extra-vars", json.dumps(extra)]
        # Nothing of molecule's settings: what users have is pipelining off, above all.
        own = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
            env={
                **own,
                "ANSIBLE_COLLECTIONS_PATH": os.environ["ANSIBLE_COLLECTIONS_PATH"],
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self._sockets),
                "ANSIBLE_SSH_COMMON_ARGS": f"-F {self._config}",
                **(environment or {}),
            },
        )
        output = done.stdout + done.stderr
        assert "DEPRECATION WARNING" not in output, output
        recap = {
            host: {word: int(count) for word, count in re.findall(r"(\w+)=(\d+)", counts)}
            for host, counts in _RECAP_LINE.findall(done.stdout)
        }
        return Played(done.returncode, output, recap)

    def _naming(self, names: Mapping[str, str] | None) -> list[str]:
        if not names:
            return []
        hosts = self.directory / "hosts"
        lines = [f"{address} {name}\n" for name, address in names.items()]
        hosts.write_text("127.0.0.1 localhost\n" + "".join(lines))
        bind = f'mount --bind {hosts} /etc/hosts && exec "$@"'
        # Mounts of other labs that end meanwhile must not live on in a copy.
        return ["unshare", "--mount", "--propagation", "slave", "sh", "-c", bind, "sh"]


def converges(controller: Controller, arguments: tuple[str, ...] = (), **how: Any) -> Played:
    """Tell that prepare succeeds, that a second run changes nothing, and that validate is content.

    Returns the first run.
    """
    first = controller.play("prepare", *arguments, **how)
    assert first.returncode == 0, first.output
    again = controller.play("prepare", **how)
    assert again.returncode == 0, again.output
    assert not any(again.changed().values()), again.output
    proof = controller.play("validate", **how)
    assert proof.returncode == 0, proof.output
    assert "Connectivity ok" in proof.output
    return first
