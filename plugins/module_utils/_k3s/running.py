# Copyright (c) 2026 The edgeops.k3s_network authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether Kubernetes runs on this host, read from /proc.

Rules of kube-proxy, CNI and Flannel in the kernel do not prove it: some stay after K3s has stopped.
"""

from __future__ import annotations

import os
from typing import Optional

# The command k3s executes its copy k3s-server or k3s-agent (cmd/k3s/main.go, stageAndRun), which
# sets its arguments to "k3s server" (pkg/cli/server/server.go) and keeps the name of the file.
# /proc/PID/exe does not help: k3s kubectl and k3s crictl are the same executable.
_SERVICES = frozenset({"k3s", "k3s-server", "k3s-agent", "kubelet", "rke2"})
# Each pod has a shim, which outlives systemctl stop k3s (k3s#1965). The kernel cuts a name after 15
# bytes, so this is containerd-shim-runc-v2 and every other shim.
_SHIM = "containerd-shim"
# Docker's containers are in the namespace moby.
_NAMESPACE = ("-namespace", "k8s.io")


def running_kubernetes(proc: str = "/proc") -> list[str]:
    """Return the names of the processes of Kubernetes that run on this host.

    The result errs towards "runs": /proc also lists the processes of containers, so K3s inside a
    container (k3d, kind) counts. Pods of K3s with Docker (C(--docker)) do not count once K3s itself
    has stopped.

    Args:
        proc: Where procfs is mounted.

    Returns:
        Sorted names without duplicates, such as C(["containerd-shim", "k3s-server"]); empty if
        nothing runs.
    """
    names = set()
    for pid in filter(str.isdigit, os.listdir(proc)):
        # A process may end at any time.
        try:
            name = _name(f"{proc}/{pid}")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if name is not None:
            names.add(name)
    return sorted(names)


def _name(process: str) -> Optional[str]:
    """Return the name of a process of Kubernetes, None for any other process."""
    name = _read(f"{process}/comm").rstrip("\n")
    if name in _SERVICES:
        return name
    if name == _SHIM:
        # A shim that has ended and waits for its parent has no arguments.
        words = _read(f"{process}/cmdline").split("\0")
        if _NAMESPACE in zip(words, words[1:]):
            return name
    return None


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()
