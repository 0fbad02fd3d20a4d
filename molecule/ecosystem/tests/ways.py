# Copyright (c) 2026 The edgeops.k3s_network authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ways by which Ansible reaches a machine: what that takes there, and in the inventory."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

PASSWORD = "pass word'\"$#"
SSH_PORT = 2222
# A network of the machines alone, in which the controller has no address.
BEHIND = "10.77.0"
ULA = "fd00:6b34:"
JUMP_HOST = "10.89.0.14"


@dataclass(frozen=True)
class Way:
    """A way. In its texts {number} is the last part of the machine's addresses."""

    variables: Mapping[str, Any] = field(default_factory=dict)
    make: str = "true"
    undo: str = "true"


def _user(name: str, *commands: str) -> str:
    return " && ".join(
        [
            f"useradd --create-home {name}",
            f"cp -r ~/.ssh /home/{name}/",
            f"chown -R {name}: /home/{name}/.ssh",
            *commands,
        ]
    )


def _no_user(name: str) -> str:
    # Connections are kept open for a while.
    return f"pkill -KILL -u {name}; userdel --force --remove {name} 2>/dev/null; true"


def _password(user: str) -> str:
    return f"echo {shlex.quote(f'{user}:{PASSWORD}')} | chpasswd"


WAYS = {
    "direct": Way({"ansible_host": "10.89.0.{number}"}),
    "by name": Way({"ansible_host": "{name}.cluster.example"}),
    "jump host": Way(
        {
            "ansible_host": f"{BEHIND}.{{number}}",
            "ansible_ssh_common_args": "{{ lookup('env', 'ANSIBLE_SSH_COMMON_ARGS') }} "
            f"-o ProxyJump=root@{JUMP_HOST}",
        },
        f"ip address add {BEHIND}.{{number}}/24 dev eth0",
        f"ip address del {BEHIND}.{{number}}/24 dev eth0",
    ),
    "IPv6": Way(
        {"ansible_host": f"{ULA}:{{number}}"},
        "sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=0 && "
        f"ip address add {ULA}:{{number}}/64 dev eth0 nodad",
        "sysctl -q -w net.ipv6.conf.eth0.disable_ipv6=1",
    ),
    "another port": Way(
        {"ansible_host": "10.89.0.{number}", "ansible_port": SSH_PORT},
        "for where in '' --permanent; do firewall-cmd -q $where --zone=public --remove-service=ssh "
        f"&& firewall-cmd -q $where --zone=public --add-port={SSH_PORT}/tcp || exit; done; "
        "cp -p /etc/ssh/sshd_config ~/sshd_config && "
        f"sed -i '1iPort {SSH_PORT}' /etc/ssh/sshd_config && systemctl restart ssh",
        "for where in '' --permanent; do firewall-cmd -q $where --zone=public --add-service=ssh "
        f"&& firewall-cmd -q $where --zone=public --remove-port={SSH_PORT}/tcp || exit; done; "
        "mv ~/sshd_config /etc/ssh/ && systemctl restart ssh",
    ),
    "sudo with a password": Way(
        {"ansible_user": "deploy", "ansible_become_password": PASSWORD},
        # Whoever uses sudo for the first time is lectured.
        "rm -rf /var/lib/sudo/lectured && "
        + _user("deploy", "usermod -a -G sudo deploy", _password("deploy")),
        _no_user("deploy"),
    ),
    "su": Way(
        {
            "ansible_user": "deploy",
            "ansible_become_method": "su",
            "ansible_become_password": PASSWORD,
        },
        _user("deploy", _password("root")),
        f"usermod --password '*' root; {_no_user('deploy')}",
    ),
    "a Python of its own": Way(
        {"ansible_python_interpreter": "/opt/own-python/bin/python"},
        "python3 -m venv --without-pip /opt/own-python && "
        "! /opt/own-python/bin/python -c 'import dbus' 2>/dev/null",
        "rm -r /opt/own-python",
    ),
    "hardened": Way(
        {"ansible_remote_tmp": "~/.cache/ansible"},
        "for where in /tmp /var/tmp /dev/shm; do"
        " mount -t tmpfs -o noexec,nosuid,nodev,mode=1777 own $where || exit; done",
        "umount /tmp /var/tmp /dev/shm",
    ),
    "no shared connection": Way({"ansible_ssh_args": "-o ControlMaster=no -o ControlPath=none"}),
}


def filled(value: Any, name: str, number: int) -> Any:
    """Return a text of a way for one machine."""
    if not isinstance(value, str) or value == PASSWORD:
        return value
    return value.replace("{number}", str(number)).replace("{name}", name)


def variables(ways: Iterable[str], name: str, number: int) -> dict[str, Any]:
    """Return what the inventory says of a machine that is reached by these ways."""
    own: dict[str, Any] = {"ansible_user": "root"}
    for way in ways:
        own.update({key: filled(value, name, number) for key, value in WAYS[way].variables.items()})
    return own
